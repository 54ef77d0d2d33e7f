//! The escapes of Python's string literals.
//!
//! `repr` prints few of them, but what a literal may hold is read in full. Python's text can hold
//! half a surrogate pair and ours cannot: each half becomes U+FFFD, and two that stand side by side
//! are still two, since Python would have printed a whole pair as one character.

use alloc::string::String;

use crate::json::hex;

/// Appends what a string stands for. Escapes were checked; at one that is not valid, it ends.
pub(in crate::validation) fn unescape(mut raw: &str, out: &mut String) {
    while let Some(at) = raw.find('\\') {
        let (plain, rest) = raw.split_at_checked(at).unwrap_or((raw, ""));
        out.push_str(plain);
        let Some((meaning, len)) = escape(rest) else { return };
        match meaning {
            Meaning::Char(c) => out.push(c),
            Meaning::Itself => out.push('\\'),
            Meaning::Nothing => {}
        }
        raw = rest.get(len..).unwrap_or_default();
    }
    out.push_str(raw);
}

/// How long the escape at the beginning of a text is, if it is one.
pub(super) fn escape_len(text: &str) -> Option<usize> {
    escape(text).map(|(_, len)| len)
}

enum Meaning {
    Char(char),
    /// Not an escape: the backslash stands for itself.
    Itself,
    /// A line that goes on.
    Nothing,
}

fn escape(text: &str) -> Option<(Meaning, usize)> {
    let (c, len) = match text.as_bytes().get(1)? {
        b'\n' => return Some((Meaning::Nothing, 2)),
        byte @ (b'\\' | b'\'' | b'"') => (char::from(*byte), 2),
        b'a' => ('\u{7}', 2),
        b'b' => ('\u{8}', 2),
        b'f' => ('\u{c}', 2),
        b'n' => ('\n', 2),
        b'r' => ('\r', 2),
        b't' => ('\t', 2),
        b'v' => ('\u{b}', 2),
        b'x' => numbered(text, 2)?,
        b'u' => numbered(text, 4)?,
        b'U' => numbered(text, 8)?,
        b'0'..=b'7' => octal(text)?,
        // By the name of a character, which would take all of Unicode's names; `repr` has no such thing.
        b'N' | b'\r' | b'\0' => return None,
        _ => return Some((Meaning::Itself, 1)),
    };
    Some((Meaning::Char(c), len))
}

fn numbered(text: &str, digits: usize) -> Option<(char, usize)> {
    let value = hex(text.get(2..2 + digits)?)?;
    Some((character(value)?, 2 + digits))
}

fn octal(text: &str) -> Option<(char, usize)> {
    let digits = text.bytes().skip(1).take(3).take_while(|byte| matches!(byte, b'0'..=b'7'));
    let (value, len) =
        digits.fold((0, 1), |(value, len), byte| (value * 8 + u32::from(byte - b'0'), len + 1));
    Some((character(value)?, len))
}

fn character(value: u32) -> Option<char> {
    match value {
        0xD800..=0xDFFF => Some(char::REPLACEMENT_CHARACTER),
        _ => char::from_u32(value),
    }
}
