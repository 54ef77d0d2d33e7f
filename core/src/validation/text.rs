//! A piece of a body, in whichever notation it came.

use alloc::{borrow::Cow, string::String};

use super::python;
use crate::json::{self, Raw};

/// A piece of the body, in one of the two notations for text that have escapes, or in none.
#[derive(Clone, Copy)]
pub(super) enum Text<'a> {
    Plain(&'a str),
    Json(&'a str),
    Python(&'a str),
}

impl<'a> From<Raw<'a>> for Text<'a> {
    fn from(raw: Raw<'a>) -> Self {
        match raw {
            Raw::Plain(text) => Self::Plain(text),
            Raw::Escaped(text) => Self::Json(text),
        }
    }
}

impl<'a> Text<'a> {
    /// No escape is shorter than what it stands for, so the text itself is the bound.
    pub(super) fn max_len(self) -> usize {
        match self {
            Self::Plain(text) | Self::Json(text) | Self::Python(text) => text.len(),
        }
    }

    pub(super) fn decode_into(self, out: &mut String) {
        match self {
            Self::Plain(text) => out.push_str(text),
            Self::Json(text) => json::unescape(text, out),
            Self::Python(text) => python::unescape(text, out),
        }
    }

    /// The text itself.
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

    /// The first `max` bytes of the text, or one to three less so as not to break a character.
    pub(super) fn decode_beginning(self, max: usize) -> String {
        // Six bytes of JSON are the most that stand for one.
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

/// As much of a text as fits into `max` bytes without breaking a character.
pub(super) fn beginning(text: &str, max: usize) -> &str {
    (max.saturating_sub(3)..=max).rev().find_map(|len| text.get(..len)).unwrap_or(text)
}
