//! The escapes of JSON's strings and of Python's string literals.
//!
//! Half of a surrogate pair, which both may contain and Rust's text cannot, becomes U+FFFD. In JSON, two halves side by
//! side are one character. In Python they are two, since Python would have printed a pair as one character.

use alloc::string::String;

/// Returns how many bytes precede the first that is `quote`, a backslash or a control character.
pub(super) fn plain_len(bytes: &[u8], quote: u8) -> usize {
    let is_special = |byte: &u8| *byte == quote || *byte == b'\\' || *byte < b' ';
    bytes.iter().position(is_special).unwrap_or(bytes.len())
}

/// Appends the meaning of a JSON string's content, whose escapes were checked. Stops at an invalid one.
pub(super) fn unescape_json(raw: &str, out: &mut String) {
    unescape(raw, out, |text| json_escape(text).map(|(c, len)| (Meaning::Char(c), len)));
}

/// Appends the meaning of a Python literal's content, whose escapes were checked. Stops at an invalid one.
pub(super) fn unescape_python(raw: &str, out: &mut String) {
    unescape(raw, out, python_escape);
}

fn unescape(mut raw: &str, out: &mut String, escape: impl Fn(&str) -> Option<(Meaning, usize)>) {
    while let Some(at) = raw.find('\\') {
        let (plain, rest) = raw.split_at_checked(at).unwrap_or((raw, ""));
        out.push_str(plain);
        let Some((meaning, len)) = escape(rest) else { return };
        match meaning {
            Meaning::Char(c) => out.push(c),
            Meaning::Backslash => out.push('\\'),
            Meaning::Nothing => {}
        }
        raw = rest.get(len..).unwrap_or_default();
    }
    out.push_str(raw);
}

/// Returns the length of the JSON escape at the beginning of a text, if it is a valid one.
pub(super) fn json_escape_len(text: &str) -> Option<usize> {
    json_escape(text).map(|(_, len)| len)
}

/// Returns the length of the Python escape at the beginning of a text, if it is a valid one.
pub(super) fn python_escape_len(text: &str) -> Option<usize> {
    python_escape(text).map(|(_, len)| len)
}

fn json_escape(text: &str) -> Option<(char, usize)> {
    let simple = match text.as_bytes().get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return json_unicode_escape(text),
        _ => return None,
    };
    Some((simple, 2))
}

fn json_unicode_escape(text: &str) -> Option<(char, usize)> {
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

enum Meaning {
    Char(char),
    /// Not an escape.
    Backslash,
    /// A backslash before a line end.
    Nothing,
}

fn python_escape(text: &str) -> Option<(Meaning, usize)> {
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
        // `\\N{…}` names a character. `repr` never prints it, and reading it would take Unicode's list of names.
        b'N' | b'\r' | b'\0' => return None,
        _ => return Some((Meaning::Backslash, 1)),
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

/// Reads hexadecimal digits and nothing else; `from_str_radix` would accept a sign.
fn hex(digits: &str) -> Option<u32> {
    digits.bytes().try_fold(0_u32, |value, byte| Some((value << 4) | char::from(byte).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn json(raw: &str) -> String {
        let mut out = String::new();
        unescape_json(raw, &mut out);
        out
    }

    #[test]
    fn a_special_byte_is_found_at_every_place() {
        for len in (0..20).chain(60..70) {
            assert_eq!(plain_len(&vec![b'x'; len], b'"'), len);
            for place in 0..len {
                for byte in 0..=u8::MAX {
                    let mut bytes = vec![b'x'; len];
                    bytes[place] = byte;
                    let is_special = byte < 0x20 || byte == b'\'' || byte == b'\\';
                    assert_eq!(
                        plain_len(&bytes, b'\''),
                        if is_special { place } else { len },
                        "{byte} at {place}"
                    );
                }
            }
        }
    }

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
            assert_eq!(json(inner), expected, "{text}");
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
            assert_eq!(json(raw), expected, "{raw}");
        }
        for raw in [r"\", r"\x", r"\u", r"\u12", r"\u12g4", r"\u+123", r"\é"] {
            assert_eq!(json_escape_len(raw), None, "{raw}");
        }
    }
}
