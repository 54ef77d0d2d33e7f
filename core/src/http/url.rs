//! An absolute `http` or `https` URL.
//!
//! This is not a general URL library: it does not normalise, decode or accept Unicode. It accepts a subset on which all
//! URL libraries agree, so that an HTTP client connects to the host that was checked.

use alloc::{boxed::Box, string::String};
use core::{fmt, net::Ipv4Addr, net::Ipv6Addr, ops::Range, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::{decimal::decimal, redact::excerpt};

/// An absolute `http` or `https` URL without fragment and credentials.
///
/// `Debug` omits the query, which may contain a signature.
///
/// ```
/// # use abyssale_core::http::Url;
/// let url: Url = "https://hooks.example.com:8443/abyssale?a=b".parse()?;
/// assert_eq!((url.host(), url.port()), ("hooks.example.com", 8443));
/// assert_eq!((url.path(), url.query()), ("/abyssale", Some("a=b")));
/// # Ok::<(), abyssale_core::http::InvalidUrl>(())
/// ```
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Url {
    text: Box<str>,
    scheme: Scheme,
    host: (u16, u16),
    port: u16,
    path: (u16, u16),
}

/// The scheme of a [`Url`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Scheme {
    /// `http`: unencrypted.
    Http,
    /// `https`: over TLS.
    Https,
}

impl Url {
    /// The longest URL that is accepted, in bytes.
    pub const MAX_LEN: usize = 8192;

    /// Returns the URL as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the host: a name, an IPv4 address, or an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        self.slice(self.host)
    }

    /// Returns the port, or the scheme's default (80 or 443).
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the path as it is spelled. Empty if the URL ends with the host.
    pub fn path(&self) -> &str {
        self.slice(self.path)
    }

    /// Returns the query without the `?`, if there is one.
    pub fn query(&self) -> Option<&str> {
        self.text.get(usize::from(self.path.1)..)?.strip_prefix('?')
    }

    /// Returns whether the host is `localhost`, in 127.0.0.0/8, or `::1`. Other names are not resolved.
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
            || host.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Appends a segment to the path. `None` if it has other characters than letters, digits, `-`, `_`, `.` and `~`.
    #[must_use]
    pub(crate) fn with_path_segment(&self, segment: &str) -> Option<Self> {
        let (head, tail) = self.text.split_at_checked(usize::from(self.path.1))?;
        let slash = if head.ends_with('/') && !self.path().is_empty() { "" } else { "/" };
        let text = [head, slash, segment, tail].concat();
        unreserved(segment).then(|| text.parse().ok())?
    }

    /// Appends `name=value` to the query. `None` if either has other characters than letters, digits, `-`, `_`, `.` and `~`.
    #[must_use]
    pub(crate) fn with_query_parameter(&self, name: &str, value: &str) -> Option<Self> {
        let separator = match self.query() {
            None => "?",
            Some("") => "",
            Some(_) => "&",
        };
        let text = [self.as_str(), separator, name, "=", value].concat();
        (unreserved(name) && unreserved(value)).then(|| text.parse().ok())?
    }

    /// Appends a path, and perhaps a query, to a URL without a query.
    pub(crate) fn joined(&self, tail: &str) -> Self {
        let text = [self.as_str(), tail].concat();
        let path_end = text.find('?').unwrap_or(text.len());
        // Far below `u16::MAX`: a URL has at most 8,192 bytes, and the tails are short.
        let path_end = u16::try_from(path_end).unwrap_or(u16::MAX);
        Self { text: text.into(), path: (self.path.0, path_end), ..*self }
    }

    fn slice(&self, (start, end): (u16, u16)) -> &str {
        self.text.get(usize::from(start)..usize::from(end)).unwrap_or_default()
    }
}

impl FromStr for Url {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |reason| InvalidUrl { given: shown(text), reason };
        if text.len() > Self::MAX_LEN {
            return Err(invalid("it is longer than 8192 bytes"));
        }
        if let Some(c) = text.chars().find(|c| !allowed(*c)) {
            return Err(invalid(if c == '#' {
                "it has a fragment (#), which is never sent"
            } else {
                "it has a character that must be percent-encoded"
            }));
        }
        let (scheme, start) =
            scheme(text).ok_or_else(|| invalid("it must begin with https:// or http://"))?;
        let authority = start
            ..text.len()
                - text.get(start..).and_then(|t| t.find(['/', '?']).map(|i| t.len() - i)).unwrap_or(0);
        let (host, port) = split_authority(text, authority.clone()).map_err(invalid)?;
        let path_end = text.find('?').unwrap_or(text.len());
        let default_port = if scheme == Scheme::Https { 443 } else { 80 };
        // All offsets are at most `MAX_LEN`, so the conversions do not fail.
        let span = |range: Range<usize>| {
            u16::try_from(range.start)
                .ok()
                .zip(u16::try_from(range.end).ok())
                .ok_or_else(|| invalid("it is too long"))
        };
        Ok(Self {
            scheme,
            host: span(host)?,
            port: port.unwrap_or(default_port),
            path: span(authority.end..path_end)?,
            text: text.into(),
        })
    }
}

impl AsRef<str> for Url {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = self.text.get(..usize::from(self.path.1)).unwrap_or_default();
        write!(f, "Url({head}{})", if self.query().is_some() { "?…" } else { "" })
    }
}

impl Serialize for Url {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl InvalidUrl {
    /// Returns what is wrong with the text.
    pub(crate) fn reason(&self) -> &'static str {
        self.reason
    }
}

/// A text that is not a URL.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{given:?} is not a usable URL: {reason}")]
pub struct InvalidUrl {
    given: Box<str>,
    reason: &'static str,
}

fn scheme(text: &str) -> Option<(Scheme, usize)> {
    [("https://", Scheme::Https), ("http://", Scheme::Http)].into_iter().find_map(|(prefix, scheme)| {
        let head = text.get(..prefix.len())?;
        head.eq_ignore_ascii_case(prefix).then_some((scheme, prefix.len()))
    })
}

/// Splits `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_authority(text: &str, at: Range<usize>) -> Result<(Range<usize>, Option<u16>), &'static str> {
    let authority = text.get(at.clone()).unwrap_or_default();
    if authority.contains('@') {
        return Err("it has credentials before the host, which would leak");
    }
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (v6, port) = rest.split_once(']').ok_or("its IPv6 address has no closing bracket")?;
        v6.parse::<Ipv6Addr>().map_err(|_| "its host in brackets is not an IPv6 address")?;
        let start = at.start + 1;
        (start..start + v6.len(), port)
    } else {
        let end = authority.find(':').unwrap_or(authority.len());
        let (name, port) = authority.split_at(end);
        check_name(name)?;
        (at.start..at.start + end, port)
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            let port = decimal(digits.as_bytes()).and_then(|port| u16::try_from(port).ok());
            Some(port.filter(|port| *port > 0).ok_or("its port is not between 1 and 65535")?)
        }
        _ => return Err("its port is not a number"),
    };
    Ok((host, port))
}

/// Checks a host name, or an IPv4 address in the form that all libraries read in the same way.
fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("it has no host");
    }
    if name.strip_suffix('.').unwrap_or(name).split('.').any(str::is_empty) {
        return Err("its host has two dots side by side, or begins with one");
    }
    if name.len() > 253 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
    {
        return Err("its host is not a name in ASCII (an international name needs its xn-- form)");
    }
    // Some libraries read `http://2130706433/`, `http://0x7f.1/` and `http://127.1/` as 127.0.0.1.
    let last = name.strip_suffix('.').unwrap_or(name).rsplit('.').next().unwrap_or_default();
    let numeric =
        last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X");
    if numeric && name.parse::<Ipv4Addr>().is_err() {
        return Err("its host looks like a number, but is not an IPv4 address in four decimal parts");
    }
    Ok(())
}

/// Returns whether RFC 3986 allows a byte in a path or a query, or as a bracket of an IPv6 host.
pub(super) fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~:/?[]@!$&'()*+,;=%".contains(c)
}

fn unreserved(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}

/// Returns a text without query and credentials, shortened.
fn shown(text: &str) -> Box<str> {
    let head = text.split(['?', '#']).next().unwrap_or_default();
    let host = head.find("://").map_or(0, |i| i + 3);
    let authority = head.get(host..).unwrap_or_default();
    let shown = match authority.rfind('@') {
        Some(at) => {
            [head.get(..host).unwrap_or_default(), "…", authority.get(at..).unwrap_or_default()].concat()
        }
        None => head.into(),
    };
    excerpt(shown.as_bytes(), 100).into()
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString};

    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn the_parts_of_an_address_are_found() {
        let parts = |text| {
            let url = url(text);
            (
                url.scheme(),
                url.host().to_string(),
                url.port(),
                url.path().to_string(),
                url.query().map(ToString::to_string),
            )
        };
        let (http, https) = (Scheme::Http, Scheme::Https);
        assert_eq!(
            parts("https://api.abyssale.com"),
            (https, "api.abyssale.com".into(), 443, String::new(), None)
        );
        assert_eq!(
            parts("HTTP://h:8080/a/b?c=d/e?f"),
            (http, "h".into(), 8080, "/a/b".into(), Some("c=d/e?f".into()))
        );
        assert_eq!(parts("http://[::1]:80?q"), (http, "::1".into(), 80, String::new(), Some("q".into())));
        assert_eq!(parts("http://127.0.0.1/"), (http, "127.0.0.1".into(), 80, "/".into(), None));
    }

    #[test]
    fn a_url_that_libraries_read_differently_is_refused() {
        for text in [
            "",
            "url.zip",
            "/a",
            "ftp://h/",
            "https:/h",
            "https:///p",
            "https://",
            "https://h:0/",
            "https://h:65536/",
            "https://h:+1/",
            "https://h:/",
            "https://u:p@h/",
            "https://h/#f",
            "https://h/a b",
            "https://h\\@evil/",
            "https://h/\n",
            "https://é/",
            "http://2130706433/",
            "http://127.1/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://[::1/",
            "http://[::g]/",
            "http://::1/",
            "https://h%2e/",
            "javascript:alert(1)",
            "https://127.0.0.256/",
            "https://h..example/",
            "https://.example/",
            "https://h.../",
            "https://./",
        ] {
            assert!(text.parse::<Url>().is_err(), "{text:?}");
        }
        assert!(format!("https://h/{}", "x".repeat(9000)).parse::<Url>().is_err());
    }

    #[test]
    fn an_error_shows_neither_query_nor_credentials() {
        for text in ["https://user:hunter2@h/x y", "https://h/x y?sig=hunter2", "https://h/x#hunter2"] {
            let error = text.parse::<Url>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        assert!(!format!("{:?}", url("https://h/a?sig=hunter2")).contains("hunter2"));
    }

    #[test]
    fn a_segment_or_parameter_is_added_in_its_place() {
        let segment = |text| url(text).with_path_segment("t0k").unwrap().as_str().to_string();
        assert_eq!(segment("https://h"), "https://h/t0k");
        assert_eq!(segment("https://h/"), "https://h/t0k");
        assert_eq!(segment("https://h/a?b=c"), "https://h/a/t0k?b=c");
        let parameter = |text| url(text).with_query_parameter("t", "k").unwrap().as_str().to_string();
        assert_eq!(parameter("https://h/a"), "https://h/a?t=k");
        assert_eq!(parameter("https://h/a?"), "https://h/a?t=k");
        assert_eq!(parameter("https://h/a?b=c"), "https://h/a?b=c&t=k");
        assert!(url("https://h").with_path_segment("a/b").is_none());
        assert!(url("https://h").with_query_parameter("a", "b&c").is_none());
    }

    #[test]
    fn this_machine_is_recognised_by_its_spelling() {
        for text in [
            "http://localhost/",
            "http://127.0.0.1:1/",
            "http://127.9.9.9",
            "http://[::1]/",
            "http://LOCALHOST",
        ] {
            assert!(url(text).is_loopback(), "{text}");
        }
        for text in ["http://localhost.example.com/", "http://128.0.0.1/", "http://[::2]/"] {
            assert!(!url(text).is_loopback(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_parts_make_up_the_whole(text in "(https?://)?[a-z0-9\\[\\]:.@é]{0,12}[/?a-z#é]{0,6}") {
            if let Ok(url) = text.parse::<Url>() {
                let query = url.query().map(|q| format!("?{q}")).unwrap_or_default();
                let end = [url.path(), &query].concat();
                prop_assert!(url.as_str().ends_with(&end));
                prop_assert!(!url.host().is_empty());
            }
        }
    }
}
