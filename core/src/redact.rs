//! Makes what a peer sent fit for errors, logs and snapshots: secrets replaced, length bounded, all characters printable.
//!
//! An error page may repeat the request with its key, and a log or a terminal must not receive control characters.

use alloc::{borrow::Cow, string::String, vec::Vec};
use core::fmt;

use zeroize::Zeroizing;

/// Returns at most `max` characters of `bytes`, with unprintable characters replaced, and an ellipsis if something was
/// omitted.
pub(crate) fn excerpt(bytes: &[u8], max: usize) -> String {
    let mut out = String::with_capacity(bytes.len().min(max).saturating_add('…'.len_utf8()));
    // A character takes at most four bytes, so the bytes behind 4 × max are not needed.
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

/// Writes an [`excerpt`] of a text to a formatter.
pub(crate) fn write_excerpt(f: &mut fmt::Formatter<'_>, text: &str, max: usize) -> fmt::Result {
    f.write_str(&excerpt(text.as_bytes(), max))
}

/// Replaces each of these secrets with an ellipsis, in its plain form and escaped as in JSON.
///
/// A secret whose beginning stands at the end of `bytes` was cut off there, and is replaced as well.
pub(crate) fn redact<'b>(bytes: &'b [u8], secrets: &[&str]) -> Cow<'b, [u8]> {
    let mut redacted = Cow::Borrowed(bytes);
    for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST) {
        let spelled = secret.contains(['"', '\\']).then(|| as_json(secret));
        for spelling in [Some(*secret), spelled.as_ref().map(|text| text.as_str())].into_iter().flatten() {
            if let Some(without) = without(&redacted, spelling.as_bytes()) {
                redacted = Cow::Owned(without);
            }
            if let Some(len) = begun_at_the_end(&redacted, spelling.as_bytes()) {
                let mut cut = redacted.into_owned();
                cut.truncate(cut.len() - len);
                cut.extend_from_slice("…".as_bytes());
                redacted = Cow::Owned(cut);
            }
        }
    }
    redacted
}

/// Replaces the query of a URL, which may contain a signature, and each value in it.
pub(crate) fn redact_query<'b>(bytes: &'b [u8], query: &str) -> Cow<'b, [u8]> {
    let values = query.split('&').filter_map(|pair| Some(pair.split_once('=')?.1)).take(MAX_VALUES);
    let secrets: Vec<_> = [query].into_iter().chain(values).collect();
    redact(bytes, &secrets)
}

fn printable(c: char) -> char {
    match c {
        '\n' | '\r' | '\t' => ' ',
        // Control characters, and characters that reorder or hide the text around them.
        c if c.is_control() => '\u{fffd}',
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {
            '\u{fffd}'
        }
        c => c,
    }
}

/// Returns how many bytes of a secret's beginning `bytes` ends with.
fn begun_at_the_end(bytes: &[u8], secret: &[u8]) -> Option<usize> {
    (SHORTEST..secret.len()).rev().find(|len| secret.get(..*len).is_some_and(|begun| bytes.ends_with(begun)))
}

/// Replaces all occurrences of a secret. `None` if there is none.
fn without(bytes: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some((before, behind)) = split(rest, secret) {
        out.extend_from_slice(before);
        out.extend_from_slice("…".as_bytes());
        rest = behind;
    }
    (rest.len() < bytes.len()).then(|| {
        out.extend_from_slice(rest);
        out
    })
}

fn split<'b>(bytes: &'b [u8], at: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let place = bytes.windows(at.len()).position(|window| window == at)?;
    Some((bytes.get(..place)?, bytes.get(place + at.len()..)?))
}

/// Escapes a text as in JSON, without quotes around it.
fn as_json(text: &str) -> Zeroizing<String> {
    let escaped = text.chars().flat_map(|c| [matches!(c, '"' | '\\').then_some('\\'), Some(c)]);
    Zeroizing::new(escaped.flatten().collect())
}

/// A shorter text is no secret, and would be found everywhere.
const SHORTEST: usize = 8;

/// How many values of a query are replaced. Signed URLs have about ten.
const MAX_VALUES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_direction_characters_do_not_survive() {
        assert_eq!(excerpt(b"a\x1b[31mb\nc", 20), "a\u{fffd}[31mb c");
        assert_eq!(excerpt("x\u{202e}y".as_bytes(), 20), "x\u{fffd}y");
    }

    #[test]
    fn an_omission_is_shown() {
        assert_eq!(excerpt(b"abcdef", 3), "abc…");
        assert_eq!(excerpt(b"abc", 3), "abc");
        assert_eq!(excerpt(&[b'x'; 100], 3), "xxx…");
        assert_eq!(excerpt(b"\xff\xfe", 3), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn a_secret_is_taken_out_however_often_it_is_there() {
        let redacted = |text: &'static str| redact(text.as_bytes(), &["hunter2hunter2", r#"a"b\c-long"#]);
        assert_eq!(*redacted("k: hunter2hunter2!"), *"k: …!".as_bytes());
        assert_eq!(*redacted("hunter2hunter2hunter2hunter2"), *"……".as_bytes());
        assert_eq!(*redacted(r#"{"m": "a\"b\\c-long and a"b\c-long"}"#), *r#"{"m": "… and …"}"#.as_bytes());
        for untouched in ["", "hunter2", "hunter2hunter?", r"a\b"] {
            assert!(matches!(redacted(untouched), Cow::Borrowed(_)), "{untouched}");
        }
    }

    #[test]
    fn a_secret_that_was_cut_off_is_replaced() {
        for (cut, redacted) in [
            ("k: hunter2hunter", "k: …"),
            ("k: hunter2h", "k: …"),
            ("k: hunter2", "k: hunter2"),
            ("hunter2hunter2 hunter2hunter", "… …"),
        ] {
            assert_eq!(*redact(cut.as_bytes(), &["hunter2hunter2"]), *redacted.as_bytes());
        }
    }

    #[test]
    fn a_query_is_taken_out_as_a_whole_and_value_by_value() {
        let redacted = |text: &'static str| redact_query(text.as_bytes(), "a=12345678&s=hunter2hunter2");
        assert_eq!(*redacted("/x?a=12345678&s=hunter2hunter2"), *"/x?…".as_bytes());
        assert_eq!(*redacted("a=12345678&amp;s=hunter2hunter2"), *"a=…&amp;s=…".as_bytes());
    }

    #[test]
    fn a_text_too_short_for_a_secret_is_kept() {
        assert_eq!(*redact(b"a key", &["k", ""]), *b"a key");
    }
}
