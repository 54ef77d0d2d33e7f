//! A piece of a body, still with the escapes of its notation.

use alloc::{borrow::Cow, string::String};

use super::escapes::{unescape_json, unescape_python};

/// A piece of a body: plain, or with escapes that were checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Text<'a> {
    Plain(&'a str),
    Json(&'a str),
    Python(&'a str),
}

impl<'a> Text<'a> {
    /// Returns an upper bound of the decoded length: no escape is shorter than its meaning.
    pub(super) fn max_len(self) -> usize {
        match self {
            Self::Plain(text) | Self::Json(text) | Self::Python(text) => text.len(),
        }
    }

    pub(super) fn decode_into(self, out: &mut String) {
        match self {
            Self::Plain(text) => out.push_str(text),
            Self::Json(text) => unescape_json(text, out),
            Self::Python(text) => unescape_python(text, out),
        }
    }

    /// Returns the text without escapes.
    pub(super) fn decode(self) -> Cow<'a, str> {
        match self {
            Self::Plain(text) => Cow::Borrowed(text),
            Self::Json(_) | Self::Python(_) => {
                let mut out = String::with_capacity(self.max_len());
                self.decode_into(&mut out);
                Cow::Owned(out)
            }
        }
    }

    /// Returns the first `max` bytes of the text, or up to three less so as not to break a character.
    pub(super) fn decode_beginning(self, max: usize) -> String {
        // An escape of JSON takes at most six bytes per byte of its meaning.
        let raw = match self {
            Self::Json(raw) => Self::Json(beginning(raw, max.saturating_mul(6))),
            other => other,
        };
        match raw.decode() {
            Cow::Borrowed(text) => beginning(text, max).into(),
            Cow::Owned(mut text) => {
                text.truncate(beginning(&text, max).len());
                text
            }
        }
    }
}

/// Returns as much of a text as fits into `max` bytes without breaking a character.
pub(super) fn beginning(text: &str, max: usize) -> &str {
    (max.saturating_sub(3)..=max).rev().find_map(|len| text.get(..len)).unwrap_or(text)
}
