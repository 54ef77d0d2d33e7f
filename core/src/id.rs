//! The ids of the protocol. A value of these types was checked when it was created.

use alloc::{boxed::Box, string::String};
use core::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::{
    hex,
    redact::{excerpt, write_excerpt},
};

/// The id of a banner: a UUID in hyphenated form, 36 ASCII characters. It is kept as it was given.
///
/// The service refuses other texts with `Length must be 36.`, newer versions of it with 404 (`PROTOCOL.md` §1).
///
/// ```
/// # use abyssale_core::BannerId;
/// let id: BannerId = "64238d01-d402-474b-8c2d-fbc957e9d290".parse()?;
/// assert_eq!(id.as_str(), "64238d01-d402-474b-8c2d-fbc957e9d290");
/// assert!("64238d01".parse::<BannerId>().is_err());
/// # Ok::<(), abyssale_core::InvalidBannerId>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BannerId([u8; Self::LEN]);

impl BannerId {
    /// The length of a banner id, in characters and in bytes.
    pub const LEN: usize = 36;

    /// Returns the id as it was given.
    pub fn as_str(&self) -> &str {
        // All bytes are ASCII, so this does not fail.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for BannerId {
    type Err = InvalidBannerId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |reason| InvalidBannerId { given: excerpt(text.as_bytes(), MAX_SHOWN).into(), reason };
        let length = text.chars().count();
        if length != Self::LEN {
            return Err(invalid(InvalidBannerIdReason::Length(length)));
        }
        let misfit = |(i, c): (usize, char)| match i {
            8 | 13 | 18 | 23 => c != '-',
            _ => !c.is_ascii_hexdigit(),
        };
        if let Some(at) = text.chars().enumerate().position(misfit) {
            return Err(invalid(InvalidBannerIdReason::NotAUuid { at }));
        }
        <[u8; Self::LEN]>::try_from(text.as_bytes())
            .map(Self)
            .map_err(|_| invalid(InvalidBannerIdReason::NotAUuid { at: 0 }))
    }
}

impl AsRef<str> for BannerId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for BannerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BannerId({})", self.as_str())
    }
}

impl fmt::Display for BannerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for BannerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for BannerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A text that is not a banner id.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{given:?} is not a banner id: {reason}")]
pub struct InvalidBannerId {
    given: Box<str>,
    reason: InvalidBannerIdReason,
}

impl InvalidBannerId {
    /// Returns the text, shortened and with unprintable characters replaced.
    pub fn given(&self) -> &str {
        &self.given
    }

    /// Returns what is wrong with the text.
    pub fn reason(&self) -> InvalidBannerIdReason {
        self.reason
    }
}

/// Why a text is not a banner id.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum InvalidBannerIdReason {
    /// The text has this many characters instead of 36.
    #[error("it must be a UUID of 36 characters, such as 64238d01-d402-474b-8c2d-fbc957e9d290, and has {0}")]
    Length(usize),
    /// The text has 36 characters, but is not a UUID in hyphenated form.
    #[error("it must be a UUID such as 64238d01-d402-474b-8c2d-fbc957e9d290, which it leaves at character {}", at + 1)]
    NotAUuid {
        /// The index of the first character that does not fit.
        at: usize,
    },
}

/// The id of an export. The service assigns it when it accepts the export.
///
/// It is documented as a UUID; any 1 to 128 visible ASCII characters are accepted. Like UUIDs, two ids are equal if they
/// differ only in the case of their letters.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct ExportId(Box<str>);

impl ExportId {
    /// The longest id that is accepted, in bytes.
    pub const MAX_LEN: usize = 128;

    /// Returns the id as the service spelled it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ExportId {
    type Err = InvalidExportId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !(1..=Self::MAX_LEN).contains(&text.len()) || !is_visible {
            return Err(InvalidExportId { given: excerpt(text.as_bytes(), MAX_SHOWN).into() });
        }
        Ok(Self(text.into()))
    }
}

impl ExportId {
    /// Returns the bytes that are compared.
    pub(crate) fn folded(&self) -> impl Iterator<Item = u8> {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl Eq for ExportId {}

impl PartialEq for ExportId {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Ord for ExportId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}

impl PartialOrd for ExportId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for ExportId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_ascii_lowercase().hash(state);
    }
}

impl AsRef<str> for ExportId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for ExportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExportId({})", self.as_str())
    }
}

impl fmt::Display for ExportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ExportId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A text that is not an export id.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{given:?} is not an export id: 1 to 128 visible ASCII characters are expected")]
pub struct InvalidExportId {
    given: Box<str>,
}

/// The id of a delivery, the same on every attempt of one delivery (`PROTOCOL.md` §4).
///
/// The signature does not cover it: use it in logs, never for a decision.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DeliveryId([u8; Self::LEN]);

impl DeliveryId {
    /// The length of a delivery id.
    pub const LEN: usize = 64;

    /// Parses the value of `X-Abyssale-Delivery-Id`. `None` unless it is 64 lowercase hexadecimal digits.
    pub fn from_header(value: &[u8]) -> Option<Self> {
        let digits = <[u8; Self::LEN]>::try_from(value).ok()?;
        hex::decode::<32>(value).map(|_| Self(digits))
    }

    /// Returns the 64 digits.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeliveryId({})", self.as_str())
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_excerpt(f, self.as_str(), Self::LEN)
    }
}

/// How many characters of an invalid text an error shows.
const MAX_SHOWN: usize = 64;

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_banner_id_is_kept_as_given() {
        for given in ["64238d01-d402-474b-8c2d-fbc957e9d290", "64238D01-D402-474B-8C2D-FBC957E9D290"] {
            assert_eq!(given.parse::<BannerId>().unwrap().to_string(), given);
        }
    }

    #[test]
    fn a_refused_banner_id_says_what_is_wrong_with_it() {
        let refused = |text: &str| text.parse::<BannerId>().unwrap_err().to_string();
        assert!(refused("x").starts_with(r#""x" is not a banner id: it must be a UUID of 36 characters"#));
        assert!(refused("x").ends_with("and has 1"));
        assert!(refused("64238d01-d402-474b-8c2d-fbc957e9d29z").ends_with("at character 36"));
        // 36 bytes, but not 36 characters; 36 characters, but not 36 bytes.
        assert!(refused(&"é".repeat(18)).contains("has 18"));
        assert!(refused(&"é".repeat(36)).ends_with("at character 1"));
        assert!(refused(&"x".repeat(100_000)).len() < 200);
    }

    #[test]
    fn an_export_id_is_opaque_but_bounded() {
        assert!("54e62358-2656-455c-afd7-66d5ed3dd581".parse::<ExportId>().is_ok());
        assert!("export_1".parse::<ExportId>().is_ok());
        let id = |text: &str| text.parse::<ExportId>().unwrap();
        assert_eq!(id("54E62358-export"), id("54e62358-EXPORT"));
        assert_eq!(id("54E62358-export").as_str(), "54E62358-export", "kept as it was given");
        assert!(id("a") < id("B") && id("A") < id("b") && id("a") != id("b"));
        for refused in ["", "a b", "a\n", "é"] {
            assert!(refused.parse::<ExportId>().is_err(), "{refused:?}");
        }
        assert!("x".repeat(129).parse::<ExportId>().is_err());
    }

    #[test]
    fn a_delivery_id_is_64_lowercase_hexadecimal_digits() {
        assert!(DeliveryId::from_header(&[b'a'; 64]).is_some());
        assert!(DeliveryId::from_header(&[b'A'; 64]).is_none());
        assert!(DeliveryId::from_header(&[b'a'; 63]).is_none());
    }
}
