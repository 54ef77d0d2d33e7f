//! Answers that are parsed, and bodies that are not.

use alloc::{format, string::ToString};

use super::*;

#[test]
fn an_accepted_export_is_read_with_and_without_a_version() {
    for body in [
        &b"\xef\xbb\xbf{\"export_id\": \"54e62358-2656-455c-afd7-66d5ed3dd581\"}"[..],
        b"\xef\xbb\xbf\r\n{\"export_id\": \"54e62358-2656-455c-afd7-66d5ed3dd581\"}",
        &br#"{"export_id": "54e62358-2656-455c-afd7-66d5ed3dd581"}"#[..],
        br#"{"version":"v2026-10-21","export_id":"54e62358-2656-455c-afd7-66d5ed3dd581","new":[{}]}"#,
    ] {
        let accepted = ExportAccepted::parse(200, &[("X-RateLimit-Remaining", "9")], body).unwrap();
        assert_eq!(accepted.export_id.as_str(), "54e62358-2656-455c-afd7-66d5ed3dd581");
        assert_eq!(accepted.rate_limit.unwrap().remaining, Some(9));
    }
}

#[test]
fn a_2xx_answer_that_cannot_be_parsed_is_not_a_refusal() {
    for body in [&b""[..], b"<html>", b"{}", br#"{"export_id": 3}"#, br#"{"export_id": "a b"}"#, b"\xff"] {
        let error = ExportAccepted::parse(200, &(), body).unwrap_err();
        assert!(matches!(error, ResponseError::Unexpected(_)), "{error}");
    }
}

#[test]
fn an_array_is_not_taken_for_an_object() {
    #[derive(Debug, Deserialize)]
    struct One {
        a: u8,
    }
    assert_eq!(json_object::<One>(b" \n{\"a\":1}").unwrap().a, 1);
    assert_eq!(serde_json::from_slice::<One>(b"[1]").unwrap().a, 1, "which serde_json does");
    for body in ["[1]", " [1]", "\"a\"", "1", "null", ""] {
        assert!(json_object::<One>(body.as_bytes()).is_err(), "{body:?}");
    }
}

#[test]
fn a_redirect_is_a_refusal() {
    assert!(matches!(ExportAccepted::parse(302, &(), b""), Err(ResponseError::Api(_))));
}

#[test]
fn the_signing_secret_is_read_and_never_shown() {
    let body = br#"{"secret": "whsec_hunter2", "created_at_ts": 1755561234, "rotated_at_ts": null,
        "previous_secret_expires_at_ts": 1755647634}"#;
    let state = SigningSecretState::parse(200, &(), body).unwrap();
    assert_eq!(state.secret.expose(), "whsec_hunter2");
    assert_eq!(state.created_at, Some(Timestamp::from_secs(1_755_561_234)));
    assert_eq!(
        (state.rotated_at, state.previous_secret_expires_at),
        (None, Some(Timestamp::from_secs(1_755_647_634)))
    );
    assert!(!format!("{state:?}").contains("hunter2"));
    for damaged in
        [&br#"{"secret": "whsec_hunter2" "#[..], br#"{"secret": "whsec hunter2"}"#, br#"["whsec_hunter2"]"#]
    {
        let error = SigningSecretState::parse(200, &(), damaged).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[test]
fn a_reason_is_bounded_and_printable() {
    let body = format!(r#"{{"export_id": "\u001b{}"}}"#, "x".repeat(10_000));
    let shown = ExportAccepted::parse(200, &(), body.as_bytes()).unwrap_err().to_string();
    assert!(shown.len() < 1000 && !shown.contains('\u{1b}'), "{shown}");
}
