//! Resolves the reference in a `Location` header (RFC 3986, 5).

use alloc::{borrow::ToOwned as _, string::String, vec::Vec};

use super::{Scheme, Url, encode::encoded};

impl Url {
    /// Resolves a reference that was found at this URL.
    ///
    /// Invalid characters are percent-encoded, blanks around the reference and a fragment are removed, and the dot segments
    /// of a path are resolved, which never leads to another host. An absolute URL keeps its path.
    ///
    /// Returns `None` for an empty reference, and if the result is not an `http` or `https` URL.
    #[must_use]
    pub fn join(&self, reference: &str) -> Option<Self> {
        let reference = &*encoded(reference.as_bytes());
        let scheme = match self.scheme() {
            Scheme::Http => "http:",
            Scheme::Https => "https:",
        };
        let before_query = self.as_str().split('?').next().unwrap_or_default();
        let origin = before_query.strip_suffix(self.path()).unwrap_or(before_query);
        let joined = match reference.as_bytes() {
            [] => return None,
            [b'/', b'/', ..] => [scheme, reference].concat(),
            [b'/', ..] => [origin, &*without_dots(reference)].concat(),
            [b'?', ..] => [before_query, reference].concat(),
            _ if has_scheme(reference) => reference.to_owned(),
            _ => {
                let folder = self.path().rfind('/').and_then(|slash| self.path().get(..slash));
                let path = [folder.unwrap_or_default(), "/", reference].concat();
                [origin, &*without_dots(&path)].concat()
            }
        };
        joined.parse().ok()
    }
}

/// Returns whether a colon precedes any slash or question mark: then the reference has a scheme and is not a path.
fn has_scheme(reference: &str) -> bool {
    reference.find([':', '/', '?']).is_some_and(|at| reference.get(at..).is_some_and(|r| r.starts_with(':')))
}

/// Resolves the segments `.` and `..` of a path that begins with a slash, and keeps a query as it is (RFC 3986, 5.2.4).
fn without_dots(reference: &str) -> String {
    let (path, query) = reference.split_at(reference.find('?').unwrap_or(reference.len()));
    let mut kept = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    ["/", &*kept.join("/"), query].concat()
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
            ("https://h/a/b/c?q", "../d?e/../f", "https://h/a/d?e/../f"),
            ("https://h/a/b/c", "./d", "https://h/a/b/d"),
            ("https://h/a/b/c", "d/../e", "https://h/a/b/e"),
            ("https://h/a/b/c", "../../../../d", "https://h/d"),
            ("https://h/a/b/c", "..", "https://h/a/"),
            ("https://h/a/b/c", ".", "https://h/a/b/"),
            ("https://h/a/b/c", "/d/./e/../f", "https://h/d/f"),
            ("https://h/a/b/c", "d//e", "https://h/a/b/d//e"),
            ("https://h/a/b/c", "d/...", "https://h/a/b/d/..."),
            ("https://h/a/b/c", "https://i/d/../e", "https://i/d/../e"),
            ("https://h/a", "/é b|c", "https://h/%C3%A9%20b%7Cc"),
            ("https://h/a/b", " c.zip\r\n", "https://h/a/c.zip"),
            ("https://h", "..", "https://h/"),
        ] {
            assert_eq!(join(base, reference), Some(target.parse().unwrap()), "{base} + {reference}");
        }
    }

    #[test]
    fn a_reference_to_no_web_url_is_refused() {
        for reference in [
            "",
            "#top",
            "ftp://h/",
            "javascript:alert(1)",
            "a:b",
            "///d",
            "//",
            "//u:p@h/",
            "https:d",
            "//é/",
            "//h..x/",
        ] {
            assert_eq!(join("https://h/a/b", reference), None, "{reference}");
        }
    }

    proptest! {
        #[test]
        fn a_path_never_leaves_its_host(reference in "[/?]?[a-z:/?.#é ]{0,12}") {
            let base: Url = "https://h:1/a/b?c".parse().unwrap();
            if let Some(url) = base.join(&reference) {
                let stays = (url.host(), url.port(), url.scheme()) == ("h", 1, Scheme::Https);
                let elsewhere = reference.starts_with("//") || reference.contains("://");
                prop_assert!(stays || elsewhere, "{}", url.as_str());
            }
        }
    }
}
