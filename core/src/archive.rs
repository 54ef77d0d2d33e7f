//! Where an archive may be fetched from, and how to tell that it is one. Decisions only, no bytes.

use alloc::boxed::Box;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    excerpt::excerpt,
    http::{Scheme, Url},
};

/// Where archives may be fetched from.
///
/// An archive's address comes from outside, so by default it must be `https` and must not lead into a
/// private network. The exception is a service that is itself on this machine (a simulator): then
/// archives may be on this machine too.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ArchivePolicy {
    /// Also accept plain `http`. Off by default.
    pub allow_http: bool,
    /// Also accept private, loopback, link-local and other special addresses. Off by default.
    pub allow_private: bool,
}

impl ArchivePolicy {
    /// Checks the address that an event names, as far as its spelling tells.
    ///
    /// Whoever connects checks the resolved address with [`allows_ip`](Self::allows_ip).
    pub fn check(self, archive_url: &str, base: &Url) -> Result<Url, ArchiveUrlError> {
        let refused = |why| ArchiveUrlError { url: shown(archive_url), why };
        let url: Url = archive_url.parse().map_err(|_| refused(Why::NotAbsolute))?;
        let at_home = url.is_loopback() && base.is_loopback();
        if url.scheme() == Scheme::Http && !self.allow_http && !at_home {
            return Err(refused(Why::Insecure));
        }
        let literal = url.host().parse::<IpAddr>().ok();
        let inside = url.is_loopback() || literal.is_some_and(|ip| !is_public(ip));
        if inside && !at_home && !self.allow_private {
            return Err(refused(Why::Private));
        }
        Ok(url)
    }

    /// Checks where a redirect leads that was met at `from`: like the first address, and never from `https` to `http`.
    pub fn check_redirect(self, from: &Url, location: &str, base: &Url) -> Result<Url, ArchiveUrlError> {
        let refused = |why| ArchiveUrlError { url: shown(location), why };
        let target = from.join(location).ok_or_else(|| refused(Why::NotAbsolute))?;
        if from.scheme() == Scheme::Https && target.scheme() == Scheme::Http {
            return Err(refused(Why::Downgrade));
        }
        self.check(target.as_str(), base)
    }

    /// Whether an archive may be fetched from a resolved address.
    pub fn allows_ip(self, ip: IpAddr, base: &Url) -> bool {
        self.allow_private || is_public(ip) || (ip.is_loopback() && base.is_loopback())
    }
}

/// An archive is not fetched, because of where it is said to be, or where a redirect leads.
#[derive(Clone, Debug, Deserialize, Eq, Error, PartialEq, Serialize)]
#[error("the archive's address {url:?} {why}")]
pub struct ArchiveUrlError {
    url: Box<str>,
    why: Why,
}

impl ArchiveUrlError {
    /// For a redirect after too many of them.
    pub(crate) fn redirects(location: &str) -> Self {
        Self { url: shown(location), why: Why::Redirects }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, Error, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Why {
    #[error("is not an absolute http or https address, so there is nothing to download from")]
    NotAbsolute,
    #[error("is plain http; set `allow_http` if that is meant to be")]
    Insecure,
    #[error("leads into a private network; set `allow_private` if that is meant to be")]
    Private,
    #[error("is plain http, where https redirects to")]
    Downgrade,
    #[error("is behind more redirects than the 5 that are followed")]
    Redirects,
}

/// Whether an address is one of the public internet's.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => match (ip.to_ipv4_mapped(), embedded_v4(ip)) {
            (Some(v4), _) | (None, Some(v4)) => is_public_v4(v4),
            (None, None) => is_public_v6(ip),
        },
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = match a {
        // This network, 10/8, loopback, multicast and reserved (with broadcast).
        0 | 10 | 127 | 224.. => true,
        100 => (64..128).contains(&b),
        169 => b == 254,
        172 => (16..32).contains(&b),
        192 => b == 168 || (b == 0 && (c == 0 || c == 2)) || (b == 88 && c == 99),
        198 => b == 18 || b == 19 || (b == 51 && c == 100),
        203 => b == 0 && c == 113,
        _ => false,
    };
    !special
}

/// Global unicast is `2000::/3`; inside it documentation and the ranges for protocols are not.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    let documentation = (a == 0x2001 && b == 0x0db8) || (a == 0x3fff && b < 0x1000);
    (0x2000..0x4000).contains(&a) && !documentation && !(a == 0x2001 && b < 0x0200)
}

/// The IPv4 address that NAT64 (`64:ff9b::/96`) or 6to4 (`2002::/16`) would lead to.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// Whether a status says that an archive is not there any more, or may not be read: its address has expired.
pub(crate) fn is_gone(status: u16) -> bool {
    matches!(status, 403 | 404 | 410)
}

/// Checks that what was downloaded is a ZIP archive, by its two ends.
///
/// `head` is its first bytes (4 are enough), `tail` its last (up to [`TAIL_LEN`]). An error page that
/// came with status 200 is found out here, and so is an archive that was cut off.
pub fn check_ends(head: &[u8], tail: &[u8]) -> Result<(), NotAnArchive> {
    // A local file header, or the end record of an archive without entries.
    if !head.starts_with(b"PK\x03\x04") && !head.starts_with(END_RECORD) {
        return Err(NotAnArchive::NoMagic { begins_with: excerpt(head, 200).into() });
    }
    // The end record has 22 bytes and a comment, whose length is its last field.
    let ends_here = |at: usize| {
        let record = tail.get(at..)?;
        let comment = record.get(20..22).and_then(|len| <[u8; 2]>::try_from(len).ok())?;
        (record.starts_with(END_RECORD) && record.len() == 22 + usize::from(u16::from_le_bytes(comment)))
            .then_some(())
    };
    let last = tail.len().checked_sub(22).ok_or(NotAnArchive::NoEnd)?;
    (0..=last).rev().find_map(ends_here).ok_or(NotAnArchive::NoEnd)
}

/// What was downloaded is not a whole ZIP archive.
#[derive(Clone, Debug, Deserialize, Eq, Error, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotAnArchive {
    /// It begins with something else, perhaps an error page.
    #[error("what was downloaded is no ZIP archive; it begins with {begins_with:?}")]
    NoMagic {
        /// At most 200 printable characters.
        begins_with: Box<str>,
    },
    /// Its end record is missing: it was cut off.
    #[error("the archive has no end record, so it was cut off")]
    NoEnd,
    /// It came compressed, although it was asked for as it is, so its length means nothing.
    #[error("the archive came encoded as {coding:?}, although it was asked for as it is")]
    Encoded {
        /// The content coding, at most 40 printable characters.
        coding: Box<str>,
    },
}

/// The end record and the longest comment there may be: 65,557 bytes.
pub const TAIL_LEN: usize = 22 + 65_535;

const END_RECORD: &[u8] = b"PK\x05\x06";

fn shown(url: &str) -> Box<str> {
    excerpt(url.split('?').next().unwrap_or_default().as_bytes(), 100).into()
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec, vec::Vec};

    use super::*;

    fn check(url: &str, base: &str, policy: ArchivePolicy) -> bool {
        policy.check(url, &base.parse().unwrap()).is_ok()
    }

    const LIVE: &str = "https://api.abyssale.com";
    const HOME: &str = "http://127.0.0.1:8080";
    const STRICT: ArchivePolicy = ArchivePolicy { allow_http: false, allow_private: false };

    #[test]
    fn an_archive_is_fetched_over_https_from_the_public_internet() {
        assert!(check("https://store.example.com/a.zip?sig=x", LIVE, STRICT));
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
            assert!(!check(refused, LIVE, STRICT), "{refused}");
        }
    }

    #[test]
    fn a_service_on_this_machine_may_have_its_archives_here() {
        assert!(check("http://127.0.0.1:9000/a.zip", HOME, STRICT));
        assert!(!check("http://10.0.0.1/a.zip", HOME, STRICT));
        assert!(!check("http://store.example.com/a.zip", HOME, STRICT));
        assert!(STRICT.allows_ip("127.0.0.1".parse().unwrap(), &HOME.parse().unwrap()));
        assert!(!STRICT.allows_ip("127.0.0.1".parse().unwrap(), &LIVE.parse().unwrap()));
    }

    #[test]
    fn operators_may_open_it() {
        assert!(check("http://store.example.com/", LIVE, ArchivePolicy { allow_http: true, ..STRICT }));
        assert!(check("https://10.0.0.1/", LIVE, ArchivePolicy { allow_private: true, ..STRICT }));
    }

    #[test]
    fn a_redirect_is_checked_like_the_first_address_and_never_leaves_https() {
        let redirect = |from: &str, location, policy: ArchivePolicy| {
            policy.check_redirect(&from.parse().unwrap(), location, &LIVE.parse().unwrap())
        };
        let from = "https://h/a/b.zip?sig=x";
        assert_eq!(redirect(from, "c.zip", STRICT).unwrap().as_str(), "https://h/a/c.zip");
        assert_eq!(redirect(from, "https://other/", STRICT).unwrap().as_str(), "https://other/");
        let lax = ArchivePolicy { allow_http: true, ..STRICT };
        for (location, policy, why) in [
            ("http://h/a/b.zip", lax, Why::Downgrade),
            ("https://10.0.0.1/", lax, Why::Private),
            ("//localhost/", lax, Why::Private),
            ("../c.zip", lax, Why::NotAbsolute),
        ] {
            assert_eq!(redirect(from, location, policy).unwrap_err().why, why, "{location}");
        }
        assert!(redirect("http://h/", "http://h/b", lax).is_ok());
        assert_eq!(redirect("http://h/", "http://h/b", STRICT).unwrap_err().why, Why::Insecure);
    }

    #[test]
    fn a_refusal_never_shows_the_query() {
        let error = STRICT.check("http://h/a.zip?sig=hunter2", &LIVE.parse().unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"the archive's address "http://h/a.zip" is plain http; set `allow_http` if that is meant to be"#
        );
    }

    #[test]
    fn public_addresses_are_told_from_special_ones() {
        for public in
            ["1.1.1.1", "172.32.0.1", "192.0.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for special in [
            "255.255.255.255",
            "224.0.0.1",
            "198.18.0.1",
            "192.0.2.1",
            "203.0.113.1",
            "::",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2002:a00:1::1",
            "2001::1",
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
        }
    }

    #[test]
    fn an_archive_is_known_by_its_two_ends() {
        let mut empty = END_RECORD.to_vec();
        empty.extend([0; 18]);
        assert_eq!(check_ends(&empty, &empty), Ok(()));
        let mut commented = [b"PK\x03\x04....".to_vec(), empty.clone(), b"hello".to_vec()].concat();
        *commented.get_mut(8 + 20).unwrap() = 5;
        assert_eq!(check_ends(&commented, &commented), Ok(()));
        let cut: Vec<u8> = commented.iter().copied().take(commented.len() - 1).collect();
        assert_eq!(check_ends(&cut, &cut), Err(NotAnArchive::NoEnd));
        assert!(matches!(check_ends(b"<html>", b"<html>"), Err(NotAnArchive::NoMagic { .. })));
        assert!(check_ends(b"", b"").is_err());
        assert_eq!(check_ends(b"PK\x03\x04", &vec![b'P'; TAIL_LEN]), Err(NotAnArchive::NoEnd));
    }
}
