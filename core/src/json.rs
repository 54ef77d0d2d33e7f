//! Reading a JSON object from a peer.

use serde::{Deserialize, de::Error as _};

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
