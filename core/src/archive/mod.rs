//! Which URLs archives may be downloaded from, and how to check that a file is an archive.

mod address;
mod allowed;
mod store_error;
mod zip_ends;

use alloc::{boxed::Box, vec::Vec};
use core::net::IpAddr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::{address::is_public, allowed::AllowedPlace};
use crate::{
    http::{InvalidUrl, Scheme, Url},
    redact::excerpt,
};

pub use allowed::InvalidPlace;
pub(crate) use store_error::store_error;
pub use zip_ends::{NotAnArchive, TAIL_LEN, check_ends};

/// Which URLs archives may be downloaded from.
///
/// The URL of an archive comes from outside, so by default it must be `https` and must not lead into a private network. If
/// the service itself is on this machine (a simulator), archives may be on this machine, too.
///
/// ```
/// # use abyssale_core::archive::ArchivePolicy;
/// // The object store is in a private network.
/// let policy = ArchivePolicy::default().allow(["store.internal", "10.20.0.0/16"])?;
/// let base = "https://api.abyssale.com".parse()?;
/// assert!(policy.check("https://10.20.0.7/a.zip", &base).is_ok());
/// assert!(policy.check("https://10.30.0.7/a.zip", &base).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ArchivePolicy {
    /// Also accept `http`. Default: false.
    pub allow_http: bool,
    /// Also accept private, loopback, link-local and other special addresses. Default: false.
    pub allow_private: bool,
    /// Accept only the sources added with [`allow`](Self::allow), even if others are public. Default: false.
    pub only_allowed: bool,
    allowed: Vec<AllowedPlace>,
}

impl ArchivePolicy {
    /// Adds sources that archives may come from even if they are private: host names, IP addresses, or networks such as
    /// `10.20.0.0/16`.
    ///
    /// A name does not include its subdomains. It is accepted whatever it resolves to. `http` has to be allowed
    /// separately ([`allow_http`](Self::allow_http)).
    ///
    /// # Errors
    ///
    /// Fails if a text is none of the three.
    pub fn allow<P: AsRef<str>>(mut self, places: impl IntoIterator<Item = P>) -> Result<Self, InvalidPlace> {
        for place in places {
            self.allowed.push(place.as_ref().parse()?);
        }
        Ok(self)
    }

    /// Checks the URL in an event, without resolving its host. Check the resolved address with
    /// [`allows_ip`](Self::allows_ip) when connecting.
    ///
    /// Returns the URL for the request: without blanks around it and without its fragment, and with invalid characters
    /// percent-encoded. Every other byte is unchanged, since a signature may cover it.
    ///
    /// # Errors
    ///
    /// Fails if the text is not a URL, or if the policy does not allow it.
    pub fn check(&self, archive_url: &str, base: &Url) -> Result<Url, ArchiveUrlError> {
        let refused = |why| ArchiveUrlError { url: shown(archive_url), why };
        let url = Url::from_peer(archive_url).map_err(|error| refused(Why::unusable(archive_url, &error)))?;
        let at_home = url.is_loopback() && base.is_loopback();
        if url.scheme() == Scheme::Http && !self.allow_http && !at_home {
            return Err(refused(Why::Insecure));
        }
        let literal = url.host().parse::<IpAddr>().ok();
        if self.lists(url.host(), literal) {
            return Ok(url);
        }
        // A name is not resolved yet. Its address may be in an allowed network.
        let may_be_listed = literal.is_none() && self.allowed.iter().any(AllowedPlace::is_network);
        if self.only_allowed && !may_be_listed {
            return Err(refused(Why::NotListed));
        }
        let inside = url.is_loopback() || literal.is_some_and(|ip| !is_public(ip));
        if inside && !at_home && !self.allow_private {
            return Err(refused(Why::Private));
        }
        Ok(url)
    }

    /// Checks the target of a redirect like the first URL. A redirect from `https` to `http` is never allowed.
    pub(crate) fn check_redirect(
        &self,
        from: &Url,
        location: &str,
        base: &Url,
    ) -> Result<Url, ArchiveUrlError> {
        let refused = |why| ArchiveUrlError { url: shown(location), why };
        let target = from.join(location).ok_or_else(|| {
            let error = Url::from_peer(location).err();
            refused(error.map_or(Why::NotAbsolute, |error| Why::unusable(location, &error)))
        })?;
        if from.scheme() == Scheme::Https && target.scheme() == Scheme::Http {
            return Err(refused(Why::Downgrade));
        }
        self.check(target.as_str(), base)
    }

    /// Returns whether an archive may be downloaded from an address that `host` resolves to. [`check`](Self::check) has to
    /// have accepted the host.
    pub fn allows_ip(&self, host: &str, ip: IpAddr, base: &Url) -> bool {
        if self.lists(host, Some(ip)) {
            return true;
        }
        !self.only_allowed
            && (self.allow_private
                || is_public(ip)
                || (ip.to_canonical().is_loopback() && base.is_loopback()))
    }

    fn lists(&self, host: &str, ip: Option<IpAddr>) -> bool {
        self.allowed.iter().any(|place| place.is_host(host) || ip.is_some_and(|ip| place.holds(ip)))
    }
}

/// A URL, of an archive or a redirect, that archives are not downloaded from.
#[derive(Clone, Debug, Deserialize, Eq, Error, PartialEq, Serialize)]
#[error("the archive's URL {url:?} {why}")]
pub struct ArchiveUrlError {
    url: Box<str>,
    why: Why,
}

impl ArchiveUrlError {
    /// Creates the error for too many redirects.
    pub(crate) fn redirects(location: &str) -> Self {
        Self { url: shown(location), why: Why::Redirects }
    }

    /// Creates the error for a host none of whose addresses [are allowed](ArchivePolicy::allows_ip).
    pub fn not_allowed_address(host: &str) -> Self {
        Self { url: shown(host), why: Why::Address }
    }
}

#[derive(Clone, Debug, Deserialize, Eq, Error, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Why {
    #[error("is not an absolute http or https URL, so there is nothing to download from")]
    NotAbsolute,
    #[error("is not usable: {0}")]
    Unusable(Box<str>),
    #[error("uses http; set `allow_http` to accept it")]
    Insecure,
    #[error("leads into a private network; `allow` its host, or set `allow_private`, to accept it")]
    Private,
    #[error("is not among the allowed sources of archives")]
    NotListed,
    #[error("leads to an address that archives may not come from; `allow` its host to accept it")]
    Address,
    #[error("uses http, and was redirected from https")]
    Downgrade,
    #[error("is behind more than 5 redirects")]
    Redirects,
}

impl Why {
    /// Returns the reason for a text that is not a URL. A relative one, such as the documented sample, has its own.
    fn unusable(text: &str, error: &InvalidUrl) -> Self {
        if text.contains("://") { Self::Unusable(error.reason().into()) } else { Self::NotAbsolute }
    }
}

/// Returns whether a status is temporary, so that a retry may succeed.
pub(crate) fn may_pass(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

/// Returns whether a status means that the archive does not exist any more, or that its URL has expired.
pub(crate) fn is_gone(status: u16) -> bool {
    matches!(status, 403 | 404 | 410)
}

fn shown(url: &str) -> Box<str> {
    excerpt(url.split('?').next().unwrap_or_default().as_bytes(), 100).into()
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec};

    use super::*;

    fn check(url: &str, base: &str, policy: &ArchivePolicy) -> bool {
        policy.check(url, &base.parse().unwrap()).is_ok()
    }

    const LIVE: &str = "https://api.abyssale.com";
    const HOME: &str = "http://127.0.0.1:8080";
    const STRICT: ArchivePolicy =
        ArchivePolicy { allow_http: false, allow_private: false, only_allowed: false, allowed: Vec::new() };

    #[test]
    fn a_status_says_whether_it_is_worth_coming_again() {
        for status in 100..=999 {
            assert!(!(may_pass(status) && is_gone(status)), "{status}");
        }
        let all = |holds: fn(u16) -> bool| (100..500).filter(|status| holds(*status)).collect::<Vec<_>>();
        assert_eq!((all(may_pass), all(is_gone)), (vec![408, 425, 429], vec![403, 404, 410]));
        assert!((500..600).all(may_pass) && !may_pass(600));
    }

    #[test]
    fn an_archive_is_fetched_over_https_from_the_public_internet() {
        assert!(check("https://store.example.com/a.zip?sig=x", LIVE, &STRICT));
        for refused in [
            "url.zip",
            "/a.zip",
            "ftp://h/a.zip",
            "file:///etc/passwd",
            "http://store.example.com/a.zip",
            "https://127.0.0.1/",
            "https://10.0.0.1/",
            "https://169.254.169.254/latest",
            "https://[::1]/",
            "https://[fd00::1]/",
            "https://localhost/",
            "https://[::ffff:10.0.0.1]/",
            "https://[64:ff9b::a00:1]/",
            "https://100.64.0.1/",
            "https://0.0.0.0/",
        ] {
            assert!(!check(refused, LIVE, &STRICT), "{refused}");
        }
    }

    #[test]
    fn a_service_on_this_machine_may_have_its_archives_here() {
        assert!(check("http://127.0.0.1:9000/a.zip", HOME, &STRICT));
        assert!(!check("http://10.0.0.1/a.zip", HOME, &STRICT));
        assert!(!check("http://store.example.com/a.zip", HOME, &STRICT));
        for here in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(STRICT.allows_ip("h", here.parse().unwrap(), &HOME.parse().unwrap()), "{here}");
            assert!(!STRICT.allows_ip("h", here.parse().unwrap(), &LIVE.parse().unwrap()), "{here}");
        }
        assert!(!STRICT.allows_ip("h", "10.0.0.1".parse().unwrap(), &HOME.parse().unwrap()));
    }

    #[test]
    fn operators_may_open_it() {
        assert!(check("http://store.example.com/", LIVE, &ArchivePolicy { allow_http: true, ..STRICT }));
        assert!(check("https://10.0.0.1/", LIVE, &ArchivePolicy { allow_private: true, ..STRICT }));
    }

    #[test]
    fn only_allowed_names_and_networks_may_be_private() {
        let listed = STRICT.allow(["Store.internal", "10.20.0.0/16", "fd00::7"]).unwrap();
        let base = LIVE.parse().unwrap();
        for (url, ok) in [
            ("https://store.internal/a", true),
            ("https://STORE.internal./a", true),
            ("https://10.20.255.1/a", true),
            ("https://[::ffff:10.20.0.1]/a", true),
            ("https://[fd00::7]/a", true),
            ("https://10.21.0.1/a", false),
            ("https://[fd00::8]/a", false),
            ("http://10.20.0.1/a", false),
            ("https://localhost/a", false),
            ("https://store.example.com/a", true),
        ] {
            assert_eq!(listed.check(url, &base).is_ok(), ok, "{url}");
        }
        for (host, ip, ok) in [
            ("store.internal", "192.168.0.1", true),
            ("evil.store.internal", "192.168.0.1", false),
            ("store.internal.evil", "192.168.0.1", false),
            ("evil", "10.20.0.1", true),
            ("evil", "::ffff:10.20.0.1", true),
            ("evil", "10.21.0.1", false),
            ("evil", "1.1.1.1", true),
        ] {
            assert_eq!(listed.allows_ip(host, ip.parse().unwrap(), &base), ok, "{host} {ip}");
        }
        let redirected = listed.check_redirect(&"https://h/".parse().unwrap(), "https://10.21.0.1/", &base);
        assert_eq!(redirected.unwrap_err().why, Why::Private);
    }

    #[test]
    fn nothing_but_the_list_where_that_is_asked_for() {
        let base = LIVE.parse().unwrap();
        let names = ArchivePolicy { only_allowed: true, ..STRICT.allow(["store.example.com"]).unwrap() };
        assert!(names.check("https://store.example.com/a", &base).is_ok());
        assert_eq!(names.check("https://other.example.com/a", &base).unwrap_err().why, Why::NotListed);
        assert_eq!(names.check("https://1.1.1.1/a", &base).unwrap_err().why, Why::NotListed);
        assert!(names.allows_ip("store.example.com", "1.1.1.1".parse().unwrap(), &base));
        assert!(!names.allows_ip("other.example.com", "1.1.1.1".parse().unwrap(), &base));
        let networks = ArchivePolicy { only_allowed: true, ..STRICT.allow(["1.1.0.0/16"]).unwrap() };
        assert!(networks.check("https://store.example.com/a", &base).is_ok(), "it depends on where it leads");
        assert!(networks.allows_ip("store.example.com", "1.1.1.1".parse().unwrap(), &base));
        assert!(!networks.allows_ip("store.example.com", "1.2.1.1".parse().unwrap(), &base));
        assert!(networks.check("https://1.2.1.1/a", &base).is_err());
        let home = HOME.parse().unwrap();
        assert!(networks.check("http://127.0.0.1:1/a", &home).is_err(), "only means only");
        assert!(!networks.allows_ip("localhost", "127.0.0.1".parse().unwrap(), &home));
    }

    #[test]
    fn a_redirect_is_checked_like_the_first_address_and_never_leaves_https() {
        let redirect = |from: &str, location, policy: &ArchivePolicy| {
            policy.check_redirect(&from.parse().unwrap(), location, &LIVE.parse().unwrap())
        };
        let from = "https://h/a/b.zip?sig=x";
        assert_eq!(redirect(from, "c.zip", &STRICT).unwrap().as_str(), "https://h/a/c.zip");
        assert_eq!(redirect(from, "../é.zip", &STRICT).unwrap().as_str(), "https://h/%C3%A9.zip");
        assert_eq!(redirect(from, "https://other/", &STRICT).unwrap().as_str(), "https://other/");
        let lax = ArchivePolicy { allow_http: true, ..STRICT };
        for (location, why) in [
            ("http://h/a/b.zip", Why::Downgrade),
            ("https://10.0.0.1/", Why::Private),
            ("//localhost/", Why::Private),
            ("ftp://h/c.zip", Why::Unusable("it must begin with https:// or http://".into())),
            ("//u:p@h/", Why::NotAbsolute),
            ("", Why::NotAbsolute),
        ] {
            assert_eq!(redirect(from, location, &lax).unwrap_err().why, why, "{location}");
        }
        assert!(redirect("http://h/", "http://h/b", &lax).is_ok());
        assert_eq!(redirect("http://h/", "http://h/b", &STRICT).unwrap_err().why, Why::Insecure);
    }

    #[test]
    fn a_refusal_never_shows_the_query() {
        let error = STRICT.check("http://h/a.zip?sig=hunter2", &LIVE.parse().unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"the archive's URL "http://h/a.zip" uses http; set `allow_http` to accept it"#
        );
    }
}
