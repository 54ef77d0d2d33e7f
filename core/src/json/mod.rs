//! Reading JSON from a peer: into a struct, or token by token.

mod escape;
mod reader;
mod scan;

use serde::{Deserialize, de::Error as _};

pub(crate) use self::{
    escape::{Raw, hex, unescape},
    reader::{Broken, Json},
    scan::plain_run,
};

/// Reads an object into a struct.
///
/// A derived reader takes an array for a struct as well, field by field; a peer that sends one means
/// something else.
pub(crate) fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, serde_json::Error> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(serde_json::Error::custom("a JSON object is expected"));
    }
    serde_json::from_slice(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_not_taken_for_an_object() {
        #[derive(Debug, Deserialize)]
        struct One {
            a: u8,
        }
        assert_eq!(object::<One>(b" \n{\"a\":1}").unwrap().a, 1);
        assert_eq!(serde_json::from_slice::<One>(b"[1]").unwrap().a, 1, "which serde_json does");
        for body in ["[1]", " [1]", "\"a\"", "1", "null", ""] {
            assert!(object::<One>(body.as_bytes()).is_err(), "{body:?}");
        }
    }
}
