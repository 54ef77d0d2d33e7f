//! A look-up of header fields, independent of the collection that holds them.

use alloc::vec::Vec;

use thiserror::Error;

/// The header fields of a message, looked up by name.
///
/// Names are compared without regard to case. It is implemented for slices, arrays and vectors of pairs, for `()` (no
/// header fields) and, with the feature `http`, for `http::HeaderMap`.
///
/// ```
/// # use abyssale_core::http::Headers;
/// let headers = [("Retry-After", "2"), ("Content-Type", "application/json")];
/// assert_eq!(headers.first("retry-after"), Some(&b"2"[..]));
/// assert_eq!(headers.nth("retry-after", 1), None);
/// ```
pub trait Headers {
    /// Returns the value of the `n`th field of this name, counted from 0.
    fn nth(&self, name: &str, n: usize) -> Option<&[u8]>;

    /// Returns the first value of the field `name`.
    fn first(&self, name: &str) -> Option<&[u8]> {
        self.nth(name, 0)
    }

    /// Returns the value of the field `name`, or `None` if it is absent or there are several values. See
    /// [`sole`](Self::sole).
    fn only(&self, name: &str) -> Option<&[u8]> {
        self.sole(name).unwrap_or_default()
    }

    /// Returns the value of the field `name`, or `None` if it is absent.
    ///
    /// A field may be repeated with the same value, as some proxies do.
    ///
    /// # Errors
    ///
    /// Fails if the field has several values.
    fn sole(&self, name: &str) -> Result<Option<&[u8]>, Repeated> {
        let first = self.first(name);
        let mut others = (1..).map_while(|n| self.nth(name, n));
        if others.any(|value| Some(value) != first) { Err(Repeated) } else { Ok(first) }
    }
}

/// A header field has several values where one is expected.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a header field has several values")]
pub struct Repeated;

impl Headers for () {
    fn nth(&self, _: &str, _: usize) -> Option<&[u8]> {
        None
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for [(N, V)] {
    fn nth(&self, name: &str, n: usize) -> Option<&[u8]> {
        let mut found = self.iter().filter(|(field, _)| is_named(field.as_ref().as_bytes(), name));
        found.nth(n).map(|(_, value)| value.as_ref())
    }
}

/// Compares the lengths first, in which most names differ.
#[inline]
pub(crate) fn is_named(field: &[u8], name: &str) -> bool {
    field.len() == name.len() && field.eq_ignore_ascii_case(name.as_bytes())
}

impl<N: AsRef<str>, V: AsRef<[u8]>, const LEN: usize> Headers for [(N, V); LEN] {
    fn nth(&self, name: &str, n: usize) -> Option<&[u8]> {
        self.as_slice().nth(name, n)
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for Vec<(N, V)> {
    fn nth(&self, name: &str, n: usize) -> Option<&[u8]> {
        self.as_slice().nth(name, n)
    }
}

impl<H: Headers + ?Sized> Headers for &H {
    fn nth(&self, name: &str, n: usize) -> Option<&[u8]> {
        (**self).nth(name, n)
    }
}

#[cfg(feature = "http")]
impl Headers for ::http::HeaderMap {
    fn nth(&self, name: &str, n: usize) -> Option<&[u8]> {
        self.get_all(name).iter().nth(n).map(::http::HeaderValue::as_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refuses_a_field_with_several_values() {
        let headers = [("a", "1"), ("A", "2"), ("b", "3")];
        assert_eq!(headers.only("a"), None);
        assert_eq!(headers.nth("a", 1), Some(&b"2"[..]));
        assert_eq!(headers.only("B"), Some(&b"3"[..]));
        let headers = headers.to_vec();
        assert_eq!((headers.sole("a"), headers.sole("b")), (Err(Repeated), Ok(Some(&b"3"[..]))));
        assert_eq!(().first("a"), None);
    }

    #[test]
    fn a_field_may_be_repeated_with_the_same_value() {
        let headers = [("a", "1"), ("b", "3"), ("A", "1"), ("a", "1")];
        assert_eq!(headers.sole("a"), Ok(Some(&b"1"[..])));
        assert_eq!([("a", "1"), ("a", "1"), ("a", "2")].sole("a"), Err(Repeated));
    }

    #[test]
    fn the_only_value_follows_from_the_nth_value() {
        struct Numbered([(&'static str, &'static str); 3]);
        impl Headers for Numbered {
            fn nth(&self, name: &str, n: usize) -> Option<&[u8]> {
                self.0.nth(name, n)
            }
        }
        let headers = Numbered([("a", "1"), ("b", "3"), ("A", "2")]);
        assert_eq!(headers.sole("a"), Err(Repeated));
        assert_eq!(headers.sole("b"), Ok(Some(&b"3"[..])));
        assert_eq!(headers.sole("c"), Ok(None));
        assert_eq!(headers.first("a"), Some(&b"1"[..]));
    }

    #[cfg(feature = "http")]
    #[test]
    fn a_header_map_says_the_same_as_its_pairs() {
        let pairs = [("a", "1"), ("b", "3"), ("a", "2")];
        let mut map = ::http::HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, ::http::HeaderValue::from_static(value));
        }
        for name in ["a", "A", "b", "c", "no name"] {
            assert_eq!(map.sole(name), pairs.sole(name), "{name}");
            assert_eq!(map.only(name), pairs.only(name), "{name}");
            for n in 0..4 {
                assert_eq!(map.nth(name, n), pairs.nth(name, n), "{name}");
            }
        }
    }
}
