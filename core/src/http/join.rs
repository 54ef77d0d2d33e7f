//! Where a `Location` leads: the few forms of a reference that every reader resolves alike.

use alloc::borrow::ToOwned as _;

use super::{Scheme, Url};

impl Url {
    /// The address that `reference` means when it is found at this address (RFC 3986 §5).
    ///
    /// Taken are absolute addresses, `//host/path`, `/path`, `?query` and plain relative paths. Not taken, since readers
    /// differ on them: other schemes, an empty reference, and relative paths with empty, `.` or `..` segments. A
    /// fragment is cut off, since it is never sent.
    #[must_use]
    pub fn join(&self, reference: &str) -> Option<Self> {
        let reference = reference.split('#').next().unwrap_or_default();
        let scheme = match self.scheme() {
            Scheme::Http => "http:",
            Scheme::Https => "https:",
        };
        let before_query = self.as_str().split('?').next().unwrap_or_default();
        let origin = before_query.strip_suffix(self.path()).unwrap_or(before_query);
        let joined = match reference.as_bytes() {
            [] => return None,
            [b'/', b'/', ..] => [scheme, reference].concat(),
            [b'/', ..] => [origin, reference].concat(),
            [b'?', ..] => [before_query, reference].concat(),
            _ if has_scheme(reference) => reference.to_owned(),
            _ => {
                let folder = self.path().rfind('/').and_then(|slash| self.path().get(..slash));
                [origin, folder.unwrap_or_default(), "/", plain(reference)?].concat()
            }
        };
        joined.parse().ok()
    }
}

/// Whether a colon comes before any slash or question mark: then it is a scheme or a mistake, and no path.
fn has_scheme(reference: &str) -> bool {
    reference.find([':', '/', '?']).is_some_and(|at| reference.get(at..).is_some_and(|r| r.starts_with(':')))
}

/// A relative path that means the same with and without the removal of dot segments.
fn plain(reference: &str) -> Option<&str> {
    let path = reference.split('?').next().unwrap_or_default();
    let odd = path.split('/').any(|segment| matches!(segment, "" | "." | ".."));
    (!odd).then_some(reference)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn join(base: &str, reference: &str) -> Option<Url> {
        base.parse::<Url>().unwrap().join(reference)
    }

    #[test]
    fn a_reference_leads_where_every_reader_goes() {
        for (base, reference, target) in [
            ("https://h/a?b=c", "https://other/d?e", "https://other/d?e"),
            ("https://h/a", "HTTP://other", "HTTP://other"),
            ("https://h:8443/a", "//other/d", "https://other/d"),
            ("https://h:8443/a/b?c", "/d?e", "https://h:8443/d?e"),
            ("https://h", "/d", "https://h/d"),
            ("https://h?q=/x", "/d", "https://h/d"),
            ("https://h/a/b?c", "?d", "https://h/a/b?d"),
            ("https://h/a/b?c", "d/e:f?g/../h", "https://h/a/d/e:f?g/../h"),
            ("https://h", "d", "https://h/d"),
            ("http://[::1]:80/a", "b", "http://[::1]:80/b"),
            ("https://h/a", "/d#fragment", "https://h/d"),
        ] {
            assert_eq!(join(base, reference), Some(target.parse().unwrap()), "{base} + {reference}");
        }
    }

    #[test]
    fn what_readers_differ_on_leads_nowhere() {
        for reference in [
            "",
            "#top",
            "ftp://h/",
            "javascript:alert(1)",
            "a:b",
            "../d",
            "./d",
            "d/../e",
            "d//e",
            "/a b",
            "///d",
            "//",
            "//u:p@h/",
            "https:d",
            "\\\\h\\d",
            "/é",
        ] {
            assert_eq!(join("https://h/a/b", reference), None, "{reference}");
        }
    }

    proptest! {
        #[test]
        fn a_path_never_leaves_its_host(reference in "[/?]?[a-z:/?.#é]{0,12}") {
            let base: Url = "https://h:1/a/b?c".parse().unwrap();
            if let Some(url) = base.join(&reference) {
                let stays = (url.host(), url.port(), url.scheme()) == ("h", 1, Scheme::Https);
                let elsewhere = reference.starts_with("//") || reference.contains("://");
                prop_assert!(stays || elsewhere, "{}", url.as_str());
            }
        }
    }
}
