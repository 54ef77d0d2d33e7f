//! Keeps what is secret out of what is kept of an answer: an error page may repeat the request, key and all, and what is kept
//! of it ends in errors, logs and snapshots.

use alloc::{borrow::Cow, string::String, vec::Vec};

use zeroize::Zeroizing;

/// The same bytes with an ellipsis in the place of each of these secrets, as it is or as JSON spells it.
pub(crate) fn conceal<'b>(bytes: &'b [u8], secrets: &[&str]) -> Cow<'b, [u8]> {
    let mut concealed = Cow::Borrowed(bytes);
    for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST) {
        let spelled = secret.contains(['"', '\\']).then(|| as_json(secret));
        for spelling in [Some(*secret), spelled.as_ref().map(|text| text.as_str())].into_iter().flatten() {
            if let Some(without) = without(&concealed, spelling.as_bytes()) {
                concealed = Cow::Owned(without);
            }
            if let Some(len) = begun_at_the_end(&concealed, spelling.as_bytes()) {
                let mut cut = concealed.into_owned();
                cut.truncate(cut.len() - len);
                cut.extend_from_slice("…".as_bytes());
                concealed = Cow::Owned(cut);
            }
        }
    }
    concealed
}

/// The same for the query of an address, whole and value by value: it may hold a signature.
pub(crate) fn conceal_query<'b>(bytes: &'b [u8], query: &str) -> Cow<'b, [u8]> {
    let values = query.split('&').filter_map(|pair| Some(pair.split_once('=')?.1)).take(MAX_VALUES);
    let secrets: Vec<_> = [query].into_iter().chain(values).collect();
    conceal(bytes, &secrets)
}

/// How much of a secret stands at the end of what was cut off there.
fn begun_at_the_end(bytes: &[u8], secret: &[u8]) -> Option<usize> {
    (SHORTEST..secret.len()).rev().find(|len| secret.get(..*len).is_some_and(|begun| bytes.ends_with(begun)))
}

/// `None` if it is not in there.
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

/// Without the quotes around it.
fn as_json(text: &str) -> Zeroizing<String> {
    let escaped = text.chars().flat_map(|c| [matches!(c, '"' | '\\').then_some('\\'), Some(c)]);
    Zeroizing::new(escaped.flatten().collect())
}

/// A shorter one is found everywhere, and is no secret.
const SHORTEST: usize = 8;

/// How many values of a query are looked for: signed addresses have about ten.
const MAX_VALUES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_taken_out_however_often_it_is_there() {
        let concealed = |text: &'static str| conceal(text.as_bytes(), &["hunter2hunter2", r#"a"b\c-long"#]);
        assert_eq!(*concealed("k: hunter2hunter2!"), *"k: …!".as_bytes());
        assert_eq!(*concealed("hunter2hunter2hunter2hunter2"), *"……".as_bytes());
        assert_eq!(*concealed(r#"{"m": "a\"b\\c-long and a"b\c-long"}"#), *r#"{"m": "… and …"}"#.as_bytes());
        for untouched in ["", "hunter2", "hunter2hunter?", r"a\b"] {
            assert!(matches!(concealed(untouched), Cow::Borrowed(_)), "{untouched}");
        }
    }

    #[test]
    fn what_is_cut_off_in_a_secret_ends_before_it() {
        for (cut, concealed) in [
            ("k: hunter2hunter", "k: …"),
            ("k: hunter2h", "k: …"),
            ("k: hunter2", "k: hunter2"),
            ("hunter2hunter2 hunter2hunter", "… …"),
        ] {
            assert_eq!(*conceal(cut.as_bytes(), &["hunter2hunter2"]), *concealed.as_bytes());
        }
    }

    #[test]
    fn a_query_is_taken_out_as_a_whole_and_value_by_value() {
        let concealed = |text: &'static str| conceal_query(text.as_bytes(), "a=12345678&s=hunter2hunter2");
        assert_eq!(*concealed("/x?a=12345678&s=hunter2hunter2"), *"/x?…".as_bytes());
        assert_eq!(*concealed("a=12345678&amp;s=hunter2hunter2"), *"a=…&amp;s=…".as_bytes());
    }

    #[test]
    fn what_is_too_short_to_be_a_secret_is_left_alone() {
        assert_eq!(*conceal(b"a key", &["k", ""]), *b"a key");
    }
}
