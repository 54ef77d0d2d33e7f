//! Reading JSON from a peer: into a struct, or token by token.

mod reader;
mod scan;

use serde::{Deserialize, de::Error as _};

pub(crate) use self::{
    reader::{Broken, Json, Raw, hex, unescape},
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
