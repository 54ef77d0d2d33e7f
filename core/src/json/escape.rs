//! A string of JSON as it is written, and what it stands for.
//!
//! All of it may be inlined: without that, whoever reads tokens is slower even where there is no escape, since the compiler
//! divides the crate by file. The benchmark `webhook` tells (1.26 times the bare HMAC, or 1.37).

use alloc::{borrow::Cow, string::String};

/// A string as it stands in the text, without its quotes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Raw<'a> {
    /// There are no escapes in it.
    Plain(&'a str),
    /// There are, and they were checked.
    Escaped(&'a str),
}

impl<'a> Raw<'a> {
    /// The string itself.
    #[inline]
    pub(crate) fn decode(self) -> Cow<'a, str> {
        match self {
            Self::Plain(text) => Cow::Borrowed(text),
            Self::Escaped(text) => {
                let mut out = String::with_capacity(text.len());
                unescape(text, &mut out);
                Cow::Owned(out)
            }
        }
    }
}

/// Appends what a string stands for. Escapes were checked; at one that is not valid, it ends.
#[inline]
pub(crate) fn unescape(mut raw: &str, out: &mut String) {
    while let Some(at) = raw.find('\\') {
        let (plain, rest) = raw.split_at_checked(at).unwrap_or((raw, ""));
        out.push_str(plain);
        let Some((c, len)) = escape(rest) else { return };
        out.push(c);
        raw = rest.get(len..).unwrap_or_default();
    }
    out.push_str(raw);
}

/// The character an escape stands for, and how long the escape is. A lone surrogate, which no text
/// can hold, is replaced.
#[inline]
pub(super) fn escape(text: &str) -> Option<(char, usize)> {
    let simple = match text.as_bytes().get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(text),
        _ => return None,
    };
    Some((simple, 2))
}

#[inline]
fn unicode_escape(text: &str) -> Option<(char, usize)> {
    let first = hex(text.get(2..6)?)?;
    if let Some(c) = char::from_u32(first) {
        return Some((c, 6));
    }
    let second = text.get(6..12).and_then(|rest| hex(rest.strip_prefix("\\u")?));
    match second {
        Some(second @ 0xDC00..=0xDFFF) if first < 0xDC00 => {
            let c = char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00))?;
            Some((c, 12))
        }
        _ => Some((char::REPLACEMENT_CHARACTER, 6)),
    }
}

/// The value of hexadecimal digits and nothing else; `from_str_radix` takes a sign as well.
#[inline]
pub(crate) fn hex(digits: &str) -> Option<u32> {
    digits.bytes().try_fold(0_u32, |value, byte| Some((value << 4) | char::from(byte).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_what_another_reader_says() {
        for text in [
            r#""\"\\\/\b\f\n\r\t""#,
            r#""a\u0000b\u001f\u007f\u00e9\uFFFD\uffff""#,
            r#""\ud83d\ude00\uD800\uDC00\udbff\udfff""#,
            r#""\u0022\u005c""#,
        ] {
            let inner = text.get(1..text.len() - 1).unwrap();
            let expected: String = serde_json::from_str(text).unwrap();
            assert_eq!(Raw::Escaped(inner).decode(), expected, "{text}");
        }
    }

    #[test]
    fn half_a_surrogate_is_replaced_and_what_is_no_escape_is_none() {
        let halves = [
            (r"\ud83d", "\u{fffd}"),
            (r"\ud83d!", "\u{fffd}!"),
            (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
            (r"\udc00\udc00", "\u{fffd}\u{fffd}"),
            (r"\ude00\ude00", "\u{fffd}\u{fffd}"),
            (r"\ud83d\n", "\u{fffd}\n"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}"),
        ];
        for (raw, expected) in halves {
            assert_eq!(Raw::Escaped(raw).decode(), expected, "{raw}");
        }
        for raw in [r"\", r"\x", r"\u", r"\u12", r"\u12g4", r"\u+123", r"\é"] {
            assert_eq!(escape(raw), None, "{raw}");
        }
    }
}
