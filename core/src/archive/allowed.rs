//! One entry of the list of allowed sources: a host name, or a network.

use alloc::boxed::Box;
use core::{net::IpAddr, str::FromStr};

use thiserror::Error;

use crate::{decimal::decimal, http::Url, redact::excerpt};

/// A host name, or a network.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum AllowedPlace {
    /// The name in lower case, without a dot at its end.
    Host(Box<str>),
    /// The address in its canonical form, and the length of the prefix.
    Network(IpAddr, u32),
}

impl AllowedPlace {
    pub(super) fn is_network(&self) -> bool {
        matches!(self, Self::Network(..))
    }

    pub(super) fn is_host(&self, host: &str) -> bool {
        matches!(self, Self::Host(name) if name.eq_ignore_ascii_case(undotted(host)))
    }

    pub(super) fn holds(&self, ip: IpAddr) -> bool {
        match (self, ip.to_canonical()) {
            (Self::Network(IpAddr::V4(net), len), IpAddr::V4(ip)) => {
                (net.to_bits() ^ ip.to_bits()).leading_zeros() >= *len
            }
            (Self::Network(IpAddr::V6(net), len), IpAddr::V6(ip)) => {
                (net.to_bits() ^ ip.to_bits()).leading_zeros() >= *len
            }
            _ => false,
        }
    }
}

impl FromStr for AllowedPlace {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidPlace { given: excerpt(text.as_bytes(), 100).into() };
        let (address, len) = text.split_once('/').map_or((text, None), |(ip, len)| (ip, Some(len)));
        if let Ok(ip) = address.parse::<IpAddr>() {
            let bits = if ip.is_ipv4() { 32 } else { 128 };
            let len = match len {
                None => Some(bits),
                Some(len) => {
                    decimal(len.as_bytes()).and_then(|len| u8::try_from(len).ok()).filter(|len| *len <= bits)
                }
            };
            // A single mapped IPv4 address is that IPv4 address. A network of mapped addresses stays as it is.
            let ip = if len == Some(bits) { ip.to_canonical() } else { ip };
            let bits = if ip.is_ipv4() { 32 } else { 128 };
            return len.map(|len| Self::Network(ip, len.min(bits).into())).ok_or_else(invalid);
        }
        // The text has to be the host of a URL, and nothing else.
        let url: Url = ["https://", text, "/"].concat().parse().map_err(|_| invalid())?;
        let is_host = url.host() == text && !text.contains(':');
        is_host.then(|| Self::Host(undotted(text).to_ascii_lowercase().into())).ok_or_else(invalid)
    }
}

/// A text that is neither a host name nor a network.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{given:?} is neither a host name nor an IP address nor a network such as 10.20.0.0/16")]
pub struct InvalidPlace {
    given: Box<str>,
}

/// Removes the dot at the end of a name: `host.` and `host` are the same name.
fn undotted(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, ip: &str) -> bool {
        network.parse::<AllowedPlace>().unwrap().holds(ip.parse().unwrap())
    }

    #[test]
    fn a_network_is_all_addresses_that_begin_alike() {
        for (network, inside, outside) in [
            ("10.20.0.0/16", "10.20.255.255", "10.21.0.0"),
            ("10.20.99.99/16", "10.20.0.0", "10.19.255.255"),
            ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("10.0.0.0/31", "10.0.0.1", "10.0.0.2"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::/0", "ffff::", "1.1.1.1"),
            ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("10.0.0.1", "::ffff:10.0.0.1", "::10.0.0.1"),
        ] {
            assert!(holds(network, inside), "{network} {inside}");
            assert!(!holds(network, outside), "{network} {outside}");
        }
    }

    #[test]
    fn a_text_that_is_no_source_is_refused() {
        for text in [
            "",
            "/",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0/8",
            "::/129",
            "host/8",
            "https://host/",
            "host:443",
            "*.host",
            "user@host",
            "host/path",
            "host?x",
            "10.0.0.256",
            "[::1]",
            "h h",
            "é",
        ] {
            assert!(text.parse::<AllowedPlace>().is_err(), "{text:?}");
        }
    }
}
