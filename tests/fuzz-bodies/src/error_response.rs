//! Any status with any body is an error that can be shown, logged and saved.

use abyssale_core::ApiError;

/// One byte for the status, the rest is the body.
///
/// # Panics
/// If what has to hold does not.
pub fn error_response(data: &[u8]) {
    let Some((status, body)) = data.split_first() else { return };
    let error = ApiError::parse(300 + u16::from(*status), &(), body);
    let line = error.to_string();
    assert!(line.chars().count() < 1000, "a line of {} characters", line.chars().count());
    assert!(!line.chars().any(char::is_control), "{line:?}");
    assert_eq!(error.problems().iter().count(), error.problems().len());

    let saved = serde_json::to_string(&error).unwrap_or_else(|error| panic!("not saved: {error}"));
    let restored: ApiError =
        serde_json::from_str(&saved).unwrap_or_else(|error| panic!("not restored: {error}: {saved}"));
    if error.body().is_truncated() {
        assert_eq!((restored.status(), restored.body()), (error.status(), error.body()));
    } else {
        assert_eq!(restored, error);
    }
}
