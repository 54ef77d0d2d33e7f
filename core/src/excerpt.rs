//! Bounded, printable pieces of what a peer sent, for errors and logs.
//!
//! Nothing a peer says reaches a terminal or a log unbounded or with control characters in it.

use alloc::string::String;
use core::fmt;

/// Writes at most `max` characters of `bytes`, with everything that is not printable replaced and
/// an ellipsis where something was left out.
pub(crate) fn excerpt(bytes: &[u8], max: usize) -> String {
    let mut out = String::with_capacity(bytes.len().min(max).saturating_add('…'.len_utf8()));
    // A character takes at most four bytes, so what lies behind 4 × max bytes is never needed.
    let head = bytes.get(..max.saturating_mul(4)).unwrap_or(bytes);
    let text = String::from_utf8_lossy(head);
    let mut chars = text.trim().chars();
    for c in chars.by_ref().take(max) {
        out.push(printable(c));
    }
    if chars.next().is_some() || head.len() < bytes.len() {
        out.push('…');
    }
    out
}

/// The same for text that is shown through a formatter.
pub(crate) fn write_excerpt(f: &mut fmt::Formatter<'_>, text: &str, max: usize) -> fmt::Result {
    f.write_str(&excerpt(text.as_bytes(), max))
}

fn printable(c: char) -> char {
    match c {
        '\n' | '\r' | '\t' => ' ',
        // Control characters, and those that reorder or hide the text around them.
        c if c.is_control() => '\u{fffd}',
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {
            '\u{fffd}'
        }
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_direction_characters_do_not_survive() {
        assert_eq!(excerpt(b"a\x1b[31mb\nc", 20), "a\u{fffd}[31mb c");
        assert_eq!(excerpt("x\u{202e}y".as_bytes(), 20), "x\u{fffd}y");
    }

    #[test]
    fn what_is_left_out_is_shown_as_left_out() {
        assert_eq!(excerpt(b"abcdef", 3), "abc…");
        assert_eq!(excerpt(b"abc", 3), "abc");
        assert_eq!(excerpt(&[b'x'; 100], 3), "xxx…");
        assert_eq!(excerpt(b"\xff\xfe", 3), "\u{fffd}\u{fffd}");
    }
}
