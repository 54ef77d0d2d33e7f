//! Refusals in each format, and how they are shown.

use alloc::{format, string::ToString, vec};

use super::*;

fn parse(status: u16, body: &str) -> ApiError {
    ApiError::parse(status, &(), body.as_bytes())
}

#[test]
fn the_legacy_tree_is_one_line() {
    let error = parse(
        400,
        r#"{"message": "body_validation_errors: {'media': {'ids': {0: ['Length must be 36.']}}}",
            "errors": {"media": {"ids": {"0": ["Length must be 36."]}}}}"#,
    );
    assert_eq!(error.to_string(), "the service answered 400: ids[0]: Length must be 36.");
    assert_eq!(error.id(), None);
}

#[test]
fn the_envelope_is_one_line() {
    let error = parse(401, r#"{"id": "unauthorized", "message": "No such key.", "version": "v2026-10-21"}"#);
    assert_eq!(error.to_string(), "the service answered 401 unauthorized: No such key");
    assert_eq!(error.id(), Some(&ErrorId::Unauthorized));
}

#[test]
fn a_byte_order_mark_hides_nothing() {
    let bare = r#"{"id": "wrong_type", "message": "ids[0]: Expected a string.",
        "errors": [{"path": "ids[0]", "code": "wrong_type", "message": "Expected a string."}]}"#;
    let marked = parse(400, &format!("\u{feff}{bare}"));
    assert_eq!(marked.to_string(), parse(400, bare).to_string());
    assert_eq!((marked.id(), marked.problems().len()), (Some(&ErrorId::WrongType), 1));
    let legacy = "\u{feff}{'media': {'ids': {0: ['Length must be 36.']}}}";
    assert_eq!(parse(400, legacy).to_string(), "the service answered 400: ids[0]: Length must be 36.");
}

#[test]
fn the_description_of_the_framework_is_part_of_the_line() {
    for (body, line) in [
        (
            r#"{"title": "Invalid JSON", "description": "Could not parse JSON body - Expecting value"}"#,
            "the service answered 400: Invalid JSON: Could not parse JSON body - Expecting value",
        ),
        (r#"{"description": "It is too long."}"#, "the service answered 400: It is too long"),
        (r#"{"title": "400 Bad Request", "description": null}"#, "the service answered 400: 400 Bad Request"),
        (r#"{"message": "m", "title": "t", "description": "d"}"#, "the service answered 400: m"),
    ] {
        assert_eq!(parse(400, body).to_string(), line);
    }
    let long = format!(r#"{{"title": "é{0}", "description": "é{0}"}}"#, "é".repeat(1 << 17));
    assert!(parse(400, &long).message().unwrap().len() <= validation::ReadLimits::default().text);
}

#[test]
fn every_documented_code_has_a_variant() {
    for (code, id) in [
        ("unauthorized", ErrorId::Unauthorized),
        ("api_access_denied", ErrorId::ApiAccessDenied),
        ("invalid_payload", ErrorId::InvalidPayload),
        ("invalid_json", ErrorId::InvalidJson),
        ("missing_required", ErrorId::MissingRequired),
        ("wrong_type", ErrorId::WrongType),
        ("out_of_range", ErrorId::OutOfRange),
        ("visual_not_found", ErrorId::VisualNotFound),
        ("endpoint_not_found", ErrorId::EndpointNotFound),
        ("method_not_allowed", ErrorId::MethodNotAllowed),
        ("not_acceptable", ErrorId::NotAcceptable),
        ("unsupported_media_type", ErrorId::UnsupportedMediaType),
        ("request_rate_limited", ErrorId::RequestRateLimited),
        ("rate_limit_exceeded", ErrorId::RateLimitExceeded),
        ("feature_not_in_plan", ErrorId::FeatureNotInPlan),
        ("previous_secret_still_active", ErrorId::PreviousSecretStillActive),
        ("internal_error", ErrorId::InternalError),
        ("internal_server_error", ErrorId::InternalServerError),
    ] {
        let error = parse(400, &format!(r#"{{"id": "{code}", "message": "m"}}"#));
        assert_eq!(error.id(), Some(&id), "{code}");
        assert_eq!(id.as_str(), code);
    }
}

#[test]
fn a_body_of_no_known_format_is_kept_and_printable() {
    assert_eq!(parse(502, "").to_string(), "the service answered 502 with an empty body");
    let page = parse(502, "<html>\n<h1>Bad\x1b[31m Gateway</h1>");
    assert_eq!(page.to_string(), "the service answered 502: <html> <h1>Bad\u{fffd}[31m Gateway</h1>");
    assert_eq!(parse(403, r#"{"message": "Forbidden"}"#).to_string(), "the service answered 403: Forbidden");
}

#[test]
fn a_huge_body_is_kept_in_part() {
    let error = ApiError::parse(500, &(), &vec![b'x'; 10 << 20]);
    assert_eq!(error.body().as_bytes().len(), RawBody::MAX_LEN);
    assert!(error.body().is_truncated());
    assert!(format!("{error} {error:?}").len() < 2000);
}

#[test]
fn an_unknown_code_is_kept_as_text() {
    let error = parse(418, r#"{"id": "teapot", "message": "short and stout"}"#);
    assert_eq!(error.id(), Some(&ErrorId::Other("teapot".into())));
    assert_eq!(error.id().unwrap().as_str(), "teapot");
}

#[test]
fn the_time_to_come_back_is_part_of_the_line() {
    let error = ApiError::parse(
        429,
        &[("Retry-After", "1700")],
        br#"{"id": "request_rate_limited", "message": "Slow down."}"#,
    );
    assert_eq!(
        error.to_string(),
        "the service answered 429 request_rate_limited: Slow down (come back in 1700 s)"
    );
    assert_eq!(error.retry_delay(Timestamp::default()), Some(Duration::from_secs(1700)));
}
