//! Whatever stands in `X-Abyssale-Signature`: no panic, nothing is accepted that was not signed, and nothing that was
//! signed is refused for what stands beside it.

use abyssale_core::{
    SigningSecret, Timestamp,
    webhook::{Refusal, Verifier, sign},
};

/// Text, so that a person can read the corpus: the time in seconds, the header's value, and the body. `SIGN` in the
/// value stands for a genuine signature.
///
/// # Panics
/// If what has to hold does not.
pub fn signature_header(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let now = parts.next().and_then(|line| str::from_utf8(line).ok()?.parse().ok()).unwrap_or(1_755_561_234);
    let now = Timestamp::from_secs(now);
    let (value, body) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let secret = SigningSecret::new("whsec_fuzzed").unwrap_or_else(|error| panic!("{error}"));
    let verifier = Verifier::new([secret.clone()]);
    let verify = |value: &[u8]| verifier.verify(now, &[("x-abyssale-signature", value)], body).map(drop);

    let genuine = sign(&secret, now, body);
    let value = replaced(value, &genuine);
    match verify(&value) {
        // Whatever it was, it holds the one digest that fits a time which is near enough.
        Ok(()) => assert!(signed_near(&secret, now, body, &value), "{}", String::from_utf8_lossy(&value)),
        Err(refusal) => {
            assert!(matches!(refusal, Refusal::Malformed | Refusal::Stale { .. } | Refusal::Mismatch));
        }
    }
    assert_eq!(verifier.verify(now, &(), body).map(drop), Err(Refusal::Missing));

    // A second signature beside a genuine one is another secret's, whatever it looks like.
    let beside: String = String::from_utf8_lossy(&value).chars().filter(|c| *c != ',').take(200).collect();
    assert_eq!(verify(format!("{genuine},v1={beside}").as_bytes()), Ok(()));
    let (time, digest) = genuine.split_once(',').unwrap_or_default();
    assert_eq!(verify(format!("{time},v1={beside},{digest}").as_bytes()), Ok(()));
    // One bit of the body is one too many.
    let mut altered = body.to_vec();
    altered.push(0);
    let headers = [("x-abyssale-signature", &*genuine)];
    assert_eq!(verifier.verify(now, &headers, &altered).map(drop), Err(Refusal::Mismatch));
}

/// Whether the digest that belongs to the header's own time is in it, found in another way than by taking it apart.
fn signed_near(secret: &SigningSecret, now: Timestamp, body: &[u8], value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value);
    (now.as_secs().saturating_sub(300)..=now.as_secs().saturating_add(300)).any(|secs| {
        text.contains(&secs.to_string())
            && sign(secret, Timestamp::from_secs(secs), body)
                .split_once(",v1=")
                .is_some_and(|(_, digest)| text.contains(digest))
    })
}

fn replaced(value: &[u8], genuine: &str) -> Vec<u8> {
    let mark = b"SIGN";
    match value.windows(mark.len()).position(|window| window == mark) {
        Some(at) => {
            let (before, behind) = value.split_at(at);
            [before, genuine.as_bytes(), behind.get(mark.len()..).unwrap_or_default()].concat()
        }
        None => value.to_vec(),
    }
}
