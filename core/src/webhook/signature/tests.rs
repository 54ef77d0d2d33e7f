//! Valid signatures, and all kinds of invalid ones.

use alloc::{format, string::ToString, vec};

use proptest::prelude::*;

use super::*;

const BODY: &[u8] = br#"{"export_id":"e","archive_url":"url.zip"}"#;
const NOW: Timestamp = Timestamp::from_secs(1_755_561_234);

fn secret(text: &str) -> SigningSecret {
    SigningSecret::new(text).unwrap()
}

fn verify(value: &str) -> Result<(), Refusal> {
    let headers = [("X-Abyssale-Signature", value)];
    Verifier::new([secret("whsec_a")]).verify(NOW, &headers, BODY).map(drop)
}

#[test]
fn the_signature_is_that_of_openssl() {
    // printf 'v1:webhook:1755561234.{"export_id":"e","archive_url":"url.zip"}' | openssl dgst -sha256 -hmac whsec_a
    assert_eq!(sign(&secret("whsec_a"), NOW, BODY), OPENSSL);
    assert_eq!(verify(OPENSSL), Ok(()));
}

const OPENSSL: &str = "t=1755561234,v1=9a7e98f1750556aee791f9ce5e05dc5db43ea581000afc8db6392338cfd3ca3f";

#[test]
fn one_fitting_signature_of_several_is_enough() {
    let good = sign(&secret("whsec_a"), NOW, BODY);
    let v1 = good.split_once(",v1=").unwrap().1;
    let zeros = "0".repeat(64);
    assert_eq!(verify(&format!("t=1755561234,v1={zeros},v1={v1}")), Ok(()));
    assert_eq!(verify(&format!("t=1755561234, v1={v1} ,v0=x,v1=junk")), Ok(()));
    assert_eq!(verify(&format!("v1={v1},t=1755561234")), Ok(()));
    assert_eq!(verify(&format!("t=1755561234,v1={zeros}")), Err(Refusal::Mismatch));
    assert_eq!(verify(&format!("t=1755561234,v1={}", v1.to_uppercase())), Err(Refusal::Mismatch));
}

#[test]
fn one_fitting_secret_of_several_is_enough() {
    let headers = [(SIGNATURE_HEADER, sign(&secret("whsec_b"), NOW, BODY))];
    assert!(Verifier::new([secret("whsec_a"), secret("whsec_b")]).verify(NOW, &headers, BODY).is_ok());
    assert_eq!(
        Verifier::new([secret("whsec_a")]).verify(NOW, &headers, BODY).unwrap_err(),
        Refusal::Mismatch
    );
    assert_eq!(Verifier::new([]).verify(NOW, &headers, BODY).unwrap_err(), Refusal::Mismatch);
}

#[test]
fn secrets_can_be_replaced() {
    let headers = [(SIGNATURE_HEADER, OPENSSL)];
    let mut verifier = Verifier::new([secret("whsec_a")]);
    verifier.set_secrets([secret("whsec_b"), secret("whsec_a")]);
    assert!(verifier.verify(NOW, &headers, BODY).is_ok());
    verifier.set_secrets([secret("whsec_b")]);
    assert_eq!(verifier.verify(NOW, &headers, BODY).unwrap_err(), Refusal::Mismatch);
}

#[test]
fn an_altered_body_is_refused() {
    let headers = [(SIGNATURE_HEADER, sign(&secret("whsec_a"), NOW, BODY))];
    let verifier = Verifier::new([secret("whsec_a")]);
    let altered = BODY.iter().map(|b| if *b == b'u' { b'v' } else { *b }).collect::<Vec<_>>();
    assert_eq!(verifier.verify(NOW, &headers, &altered).unwrap_err(), Refusal::Mismatch);
}

#[test]
fn a_signature_ages_after_300_seconds_in_both_directions() {
    let headers = [(SIGNATURE_HEADER, sign(&secret("whsec_a"), NOW, BODY))];
    let verifier = Verifier::new([secret("whsec_a")]);
    let at = |secs| verifier.verify(Timestamp::from_secs(secs), &headers, BODY).map(drop);
    let now = NOW.as_secs();
    assert_eq!((at(now + 300), at(now - 300)), (Ok(()), Ok(())));
    assert_eq!(
        (at(now + 301), at(now - 301)),
        (Err(Refusal::Stale { ahead_secs: -301 }), Err(Refusal::Stale { ahead_secs: 301 }))
    );
    let late = Refusal::Stale { ahead_secs: -301 };
    assert_eq!(
        late.to_string(),
        "the delivery was signed 301 s before this machine's time; check this machine's clock"
    );
}

#[test]
fn a_header_that_makes_the_official_clients_raise_is_malformed() {
    let v1 = "0".repeat(64);
    for value in [
        String::new(),
        "t".into(),
        format!("v1={v1}"),
        "t=1755561234".into(),
        format!("t=,v1={v1}"),
        format!("t={},v1={v1}", "9".repeat(5000)),
        format!("t={},v1={v1}", "9".repeat(21)),
        format!("t=99999999999999999999,v1={v1}"),
        format!("t=+1755561234,v1={v1}"),
        format!("t=١٧,v1={v1}"),
        format!("t=1755561234,t=1755561234,v1={v1}"),
        format!("t=1755561234.0,v1={v1}"),
        format!("t=01755561234,v1={v1}"),
    ] {
        assert_eq!(verify(&value), Err(Refusal::Malformed), "{value}");
    }
    assert_eq!(verify("t=1755561234,v1=é"), Err(Refusal::Mismatch));
    assert!(matches!(verify("t=0,v1=0"), Err(Refusal::Stale { .. })), "a number all the same");
    let verifier = Verifier::new([secret("whsec_a")]);
    let twice = [(SIGNATURE_HEADER, OPENSSL), (SIGNATURE_HEADER, OPENSSL)];
    assert!(verifier.verify(NOW, &twice, BODY).is_ok(), "some proxies repeat a header");
    let different = [(SIGNATURE_HEADER, OPENSSL), (SIGNATURE_HEADER, "t=1755561234,v1=0")];
    assert_eq!(verifier.verify(NOW, &different, BODY).unwrap_err(), Refusal::Malformed);
}

#[test]
fn unsigned_deliveries_are_accepted_only_by_name() {
    let verifier = Verifier::new([secret("whsec_a")]);
    assert_eq!(verifier.verify(NOW, &(), BODY).unwrap_err(), Refusal::Missing);
    let lenient = verifier.accept_unsigned();
    assert_eq!(lenient.verify(NOW, &(), BODY).unwrap().signed_at(), None);
    let forged = [(SIGNATURE_HEADER, format!("t=1755561234,v1={}", "0".repeat(64)))];
    assert_eq!(lenient.verify(NOW, &forged, BODY).unwrap_err(), Refusal::Mismatch);
    assert!(Verifier::new([]).accept_unsigned().verify(NOW, &forged, BODY).is_ok());
}

#[test]
fn a_delivery_that_should_be_signed_is_told_from_a_request_that_is_none() {
    let verifier = Verifier::new([secret("whsec_a")]);
    let id = "0a".repeat(32);
    let refused = |headers: &dyn Headers| verifier.verify(NOW, headers, BODY).unwrap_err();
    assert_eq!(refused(&[(DELIVERY_ID_HEADER, id.as_str())]), Refusal::Unsigned);
    assert_eq!(refused(&[(DELIVERY_ID_HEADER, "0a")]), Refusal::Missing);
    assert_eq!(refused(&()), Refusal::Missing);
    assert_eq!(refused(&[(SIGNATURE_HEADER, "")]), Refusal::Malformed);
}

#[test]
fn the_tolerance_is_the_operators() {
    let headers = [(SIGNATURE_HEADER, OPENSSL)];
    let at = |tolerance, secs| {
        let verifier = Verifier::new([secret("whsec_a")]).tolerance(Duration::from_secs(tolerance));
        verifier.verify(Timestamp::from_secs(secs), &headers, BODY).map(drop)
    };
    let now = NOW.as_secs();
    assert_eq!((at(10, now + 10), at(10, now + 11)), (Ok(()), Err(Refusal::Stale { ahead_secs: -11 })));
    assert_eq!((at(0, now), at(0, now - 1)), (Ok(()), Err(Refusal::Stale { ahead_secs: 1 })));
    assert_eq!((at(u64::MAX, 0), at(u64::MAX, u64::MAX)), (Ok(()), Ok(())));
}

#[test]
fn every_signature_of_a_header_is_tried_wherever_it_stands() {
    let v1 = OPENSSL.split_once(",v1=").unwrap().1;
    for place in 0..14 {
        let mut all = vec!["0".repeat(64); 14];
        all[place] = v1.to_string();
        assert_eq!(verify(&format!("t=1755561234,v1={}", all.join(",v1="))), Ok(()), "{place}");
    }
    let long = |len: usize| format!("{OPENSSL},{}", "0".repeat(len - OPENSSL.len() - 1));
    assert_eq!(verify(&long(1024)), Ok(()));
    assert_eq!(
        verify(&long(1025)),
        Err(Refusal::Malformed),
        "a length that is capped before anything is read"
    );
}

#[test]
fn a_digest_has_one_spelling() {
    // What stands beside the digits and letters of ASCII is one off, and no other spelling of them.
    for (digit, other) in [("a", ":"), ("9", "i"), ("f", "F"), ("0", "@"), ("0", "`")] {
        assert!(OPENSSL.contains(digit));
        let (time, v1) = OPENSSL.split_once(",v1=").unwrap();
        let misspelled = v1.replacen(digit, other, 1);
        assert_eq!(verify(&format!("{time},v1={misspelled}")), Err(Refusal::Mismatch), "{digit} as {other}");
    }
}

#[test]
fn a_verifier_tells_when_a_delivery_was_signed_and_whether_it_requires_a_signature() {
    let headers = [(SIGNATURE_HEADER, OPENSSL)];
    let verifier = Verifier::new([secret("whsec_a")]);
    let later = NOW.saturating_add(Duration::from_secs(60));
    assert_eq!(verifier.verify(later, &headers, BODY).unwrap().signed_at(), Some(NOW));
    assert!(verifier.requires_signature() && !verifier.accept_unsigned().requires_signature());
}

#[test]
fn nothing_shows_a_secret_or_an_address() {
    let verifier = Verifier::new([secret("whsec_hunter2")]).tolerance(Duration::from_secs(9));
    assert_eq!(format!("{verifier:?}"), "Verifier { secrets: 1, accept_unsigned: false, tolerance: 9s }");
    let shown = verifier.accept_unsigned().verify(NOW, &(), BODY).map(|verified| format!("{verified:?}"));
    assert_eq!(shown.unwrap(), "Verified { body: (41 bytes), signed_at: None }");
    assert!(!Refusal::Mismatch.to_string().contains("hunter2"));
}

proptest! {
    #[test]
    fn no_header_panics(value: Vec<u8>, now: u64) {
        let headers = [(SIGNATURE_HEADER, value)];
        let _ = Verifier::new([secret("a")]).verify(Timestamp::from_millis(now), &headers, b"");
    }

    #[test]
    fn a_signed_body_is_accepted(body: Vec<u8>, secs in 0u64..1 << 50, key in "[!-~]{1,100}") {
        let now = Timestamp::from_secs(secs);
        let headers = [(SIGNATURE_HEADER, sign(&secret(&key), now, &body))];
        prop_assert!(Verifier::new([secret(&key)]).verify(now, &headers, &body).is_ok());
    }
}
