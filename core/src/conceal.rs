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
        }
    }
    concealed
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_taken_out_however_often_it_is_there() {
        let concealed = |text: &'static str| conceal(text.as_bytes(), &["hunter2hunter2", r#"a"b\c-long"#]);
        assert_eq!(*concealed("k: hunter2hunter2!"), *"k: …!".as_bytes());
        assert_eq!(*concealed("hunter2hunter2hunter2hunter2"), *"……".as_bytes());
        assert_eq!(*concealed(r#"{"m": "a\"b\\c-long and a"b\c-long"}"#), *r#"{"m": "… and …"}"#.as_bytes());
        for untouched in ["", "hunter2", "hunter2hunter", r"a\b"] {
            assert!(matches!(concealed(untouched), Cow::Borrowed(_)), "{untouched}");
        }
    }

    #[test]
    fn what_is_too_short_to_be_a_secret_is_left_alone() {
        assert_eq!(*conceal(b"a key", &["k", ""]), *b"a key");
    }
}
