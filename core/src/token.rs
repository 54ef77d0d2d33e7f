//! The correlation token, which matches an event to its job without the export's id.
//!
//! Each export is requested with a callback URL of its own, which contains a random token. An event that arrives at this
//! URL belongs to that export, even if the answer to the request was lost or has not arrived yet.

use alloc::string::String;
use core::{fmt, hint::black_box, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::hex;

/// 128 random bits in a callback URL, as 32 lowercase hexadecimal digits.
///
/// Anybody who knows the token can complete the export, so `Debug` shows only its first six digits, and comparing two
/// tokens takes constant time.
#[derive(Clone, Copy)]
pub struct Token([u8; Self::LEN]);

impl Token {
    /// The length of the text form, in characters.
    pub const LEN: usize = 32;

    /// Creates a token from 16 bytes, which must come from a cryptographic random source.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        let mut digits = [0; Self::LEN];
        digits.iter_mut().zip(hex::encode(&bytes).bytes()).for_each(|(to, from)| *to = from);
        Self(digits)
    }

    /// Returns the 32 digits.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        let difference = self.0.iter().zip(&other.0).fold(0, |all, (a, b)| all | (a ^ b));
        // Prevents the compiler from ending the loop early.
        black_box(difference) == 0
    }
}

impl Eq for Token {}

impl FromStr for Token {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = <[u8; Self::LEN]>::try_from(text.as_bytes()).map_err(|_| InvalidToken)?;
        hex::decode::<16>(&digits).map(|_| Self(digits)).ok_or(InvalidToken)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}…)", self.as_str().get(..6).unwrap_or_default())
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A text that is not a correlation token. The error does not contain the text, which may be almost a token.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a correlation token has 32 lowercase hexadecimal digits")]
pub struct InvalidToken;

/// Where a callback URL contains the token.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenPlacement {
    /// As the last segment of the path: `https://hooks.example.com/abyssale/<token>`.
    #[default]
    PathSegment,
    /// As the value of the query parameter of this name: letters, digits, `-`, `_`, `.` and `~`.
    QueryParameter(String),
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn a_token_is_the_hexadecimal_form_of_its_bytes() {
        let token = Token::from_random([0x00, 0x9a, 0xff, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0b]);
        assert_eq!(token.as_str(), "009aff1000000000000000000000000b");
        assert_eq!(token.as_str().parse(), Ok(token));
        assert_ne!(token, Token::from_random([0; 16]));
    }

    #[test]
    fn only_the_exact_form_is_a_token() {
        for text in [
            "",
            "009AFF1000000000000000000000000B",
            "009aff1000000000000000000000000",
            "é09aff100000000000000000000000b",
        ] {
            assert_eq!(text.parse::<Token>(), Err(InvalidToken), "{text}");
        }
    }

    #[test]
    fn debug_shortens_it() {
        assert_eq!(format!("{:?}", Token::from_random([0xab; 16])), "Token(ababab…)");
    }
}
