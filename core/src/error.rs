//! Refusals: answers of the service, or of a gateway before it, with a status other than 2xx (`PROTOCOL.md` §3).

use alloc::{boxed::Box, string::String, vec::Vec};
use core::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::{
    BannerId, Order, RateLimit, RetryAfter, Timestamp,
    http::Headers,
    redact::{excerpt, write_excerpt},
    validation::{self, Problems},
};

/// An answer with a status other than 2xx, in one of the service's formats or in none of them.
///
/// `Display` is one line: the status, the machine code, and the first problem or else the message. The error also holds
/// all problems, the rate limit and the body.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub struct ApiError(Box<Details>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Details {
    status: u16,
    id: Option<ErrorId>,
    message: Option<String>,
    problems: Problems,
    retry_after: Option<RetryAfter>,
    rate_limit: Option<RateLimit>,
    body: RawBody,
}

impl ApiError {
    /// Parses an answer whose status is not 2xx. It never fails: of an unknown format, it keeps status and body.
    pub fn parse(status: u16, headers: &dyn Headers, body: &[u8]) -> Self {
        let reading = validation::read(body);
        Self(Box::new(Details {
            status,
            id: reading.id.map(ErrorId::from),
            message: reading.message,
            problems: reading.problems,
            retry_after: RetryAfter::from_headers(headers),
            rate_limit: RateLimit::from_headers(headers),
            body: RawBody::new(body),
        }))
    }

    /// Adds the banner id to each problem that concerns one.
    pub(crate) fn naming_ids(mut self, order: &Order) -> Self {
        self.0.problems.name_received("ids", |index| order.ids().get(index).map(BannerId::as_str));
        self
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// Returns the machine code. The legacy format and a gateway's answers have none.
    pub fn id(&self) -> Option<&ErrorId> {
        self.0.id.as_ref()
    }

    /// Returns the prose of the refusal, as it was sent.
    pub fn message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }

    /// Returns what was wrong with the request, in the order of the answer. Empty if the answer names no problem.
    pub fn problems(&self) -> &Problems {
        &self.0.problems
    }

    /// Returns when the request may be repeated, from `Retry-After`.
    pub fn retry_after(&self) -> Option<RetryAfter> {
        self.0.retry_after
    }

    /// Returns how long to wait before the request may be repeated, counted from `now`.
    pub fn retry_delay(&self, now: Timestamp) -> Option<Duration> {
        self.0.retry_after.map(|after| after.delay(now))
    }

    /// Returns the rate limit from the headers.
    pub fn rate_limit(&self) -> Option<RateLimit> {
        self.0.rate_limit
    }

    /// Returns the body as it was sent, at most [`RawBody::MAX_LEN`] bytes of it. In a job's error, the key and the token
    /// of the request are replaced if the body repeats them.
    pub fn body(&self) -> &RawBody {
        &self.0.body
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { status, id, message, problems, retry_after, body, .. } = &*self.0;
        write!(f, "the service answered {status}")?;
        if let Some(id) = id {
            write!(f, " {id}")?;
        }
        match (problems.iter().next(), message) {
            (Some(problem), _) => {
                f.write_str(": ")?;
                write_excerpt(f, &alloc::string::ToString::to_string(&problem), MAX_SHOWN)?;
                match problems.len() - 1 {
                    0 => {}
                    1 => f.write_str(" (and 1 more problem)")?,
                    more => write!(f, " (and {more} more problems)")?,
                }
            }
            (None, Some(message)) => {
                f.write_str(": ")?;
                // The sentence continues, here or in an error around this one.
                write_excerpt(f, message.strip_suffix('.').unwrap_or(message), MAX_SHOWN)?;
            }
            (None, None) if body.as_bytes().is_empty() => f.write_str(" with an empty body")?,
            (None, None) => write!(f, ": {body}")?,
        }
        match retry_after {
            Some(after) => write!(f, " (come back {after})"),
            None => Ok(()),
        }
    }
}

/// The serialised form: the answer as it was sent. Everything else is parsed from it again.
#[derive(Deserialize, Serialize)]
struct Saved {
    status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after: Option<RetryAfter>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate_limit: Option<RateLimit>,
    body: RawBody,
}

impl Serialize for ApiError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Details { status, retry_after, rate_limit, body, .. } = (*self.0).clone();
        Saved { status, retry_after, rate_limit, body }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ApiError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Saved { status, retry_after, rate_limit, body } = Saved::deserialize(deserializer)?;
        let mut error = Self::parse(status, &(), body.as_bytes());
        error.0.retry_after = retry_after;
        error.0.rate_limit = rate_limit;
        error.0.body = body;
        Ok(error)
    }
}

/// The machine code of a refusal. The set is open: an unknown code is kept as text.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ErrorId {
    /// The key is missing, unknown or revoked.
    Unauthorized,
    /// The workspace's plan has no access to the API.
    ApiAccessDenied,
    /// The body is not what the endpoint expects, in more than one way.
    InvalidPayload,
    /// A field is missing.
    MissingRequired,
    /// A field has a value of another type.
    WrongType,
    /// A field has a value beyond its bounds.
    OutOfRange,
    /// The body is not JSON.
    InvalidJson,
    /// A banner cannot be found.
    VisualNotFound,
    /// There is no such endpoint. Also the answer to an id that is not a UUID.
    EndpointNotFound,
    /// Too many requests for this workspace; `Retry-After` says when to come back.
    RequestRateLimited,
    /// One of two refusals: the gateway's limit per second is reached, or the credits are spent.
    RateLimitExceeded,
    /// The plan does not include this. Waiting does not help.
    FeatureNotInPlan,
    /// A signing secret was rotated less than 24 hours ago, and the previous one still signs.
    PreviousSecretStillActive,
    /// The endpoint does not accept this method. Never an answer to a request of this crate.
    MethodNotAllowed,
    /// The endpoint does not answer in the requested format. Never an answer to a request of this crate.
    NotAcceptable,
    /// The endpoint does not accept a body of this type. Never an answer to a request of this crate.
    UnsupportedMediaType,
    /// An error of the service. The request may have been carried out.
    InternalError,
    /// The same error, as older answers name it.
    InternalServerError,
    /// Any other code, cut off after 128 characters.
    Other(Box<str>),
}

impl ErrorId {
    /// Returns the code as the service spells it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::ApiAccessDenied => "api_access_denied",
            Self::InvalidPayload => "invalid_payload",
            Self::MissingRequired => "missing_required",
            Self::WrongType => "wrong_type",
            Self::OutOfRange => "out_of_range",
            Self::InvalidJson => "invalid_json",
            Self::VisualNotFound => "visual_not_found",
            Self::EndpointNotFound => "endpoint_not_found",
            Self::RequestRateLimited => "request_rate_limited",
            Self::RateLimitExceeded => "rate_limit_exceeded",
            Self::FeatureNotInPlan => "feature_not_in_plan",
            Self::PreviousSecretStillActive => "previous_secret_still_active",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NotAcceptable => "not_acceptable",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::InternalError => "internal_error",
            Self::InternalServerError => "internal_server_error",
            Self::Other(text) => text,
        }
    }
}

impl From<String> for ErrorId {
    fn from(text: String) -> Self {
        match text.as_str() {
            "unauthorized" => Self::Unauthorized,
            "api_access_denied" => Self::ApiAccessDenied,
            "invalid_payload" => Self::InvalidPayload,
            "missing_required" => Self::MissingRequired,
            "wrong_type" => Self::WrongType,
            "out_of_range" => Self::OutOfRange,
            "invalid_json" => Self::InvalidJson,
            "visual_not_found" => Self::VisualNotFound,
            "endpoint_not_found" => Self::EndpointNotFound,
            "request_rate_limited" => Self::RequestRateLimited,
            "rate_limit_exceeded" => Self::RateLimitExceeded,
            "feature_not_in_plan" => Self::FeatureNotInPlan,
            "previous_secret_still_active" => Self::PreviousSecretStillActive,
            "method_not_allowed" => Self::MethodNotAllowed,
            "not_acceptable" => Self::NotAcceptable,
            "unsupported_media_type" => Self::UnsupportedMediaType,
            "internal_error" => Self::InternalError,
            "internal_server_error" => Self::InternalServerError,
            _ => Self::Other(text.chars().take(MAX_ID).collect()),
        }
    }
}

impl fmt::Display for ErrorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_excerpt(f, self.as_str(), MAX_ID)
    }
}

/// The beginning of a body as it was sent. `Display` shows 200 printable characters of it.
///
/// Serialised as text if it is UTF-8, otherwise as a list of bytes.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "SavedBody", into = "SavedBody")]
pub struct RawBody {
    bytes: Vec<u8>,
    truncated: bool,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum SavedBody {
    Text { text: String, truncated: bool },
    Bytes { bytes: Vec<u8>, truncated: bool },
}

impl From<RawBody> for SavedBody {
    fn from(RawBody { bytes, truncated }: RawBody) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text { text, truncated },
            Err(error) => Self::Bytes { bytes: error.into_bytes(), truncated },
        }
    }
}

impl From<SavedBody> for RawBody {
    fn from(saved: SavedBody) -> Self {
        match saved {
            SavedBody::Text { text, truncated } => Self { bytes: text.into_bytes(), truncated },
            SavedBody::Bytes { bytes, truncated } => Self { bytes, truncated },
        }
    }
}

impl RawBody {
    /// The most bytes that are kept of a body: 64 KiB.
    pub const MAX_LEN: usize = 64 << 10;

    fn new(body: &[u8]) -> Self {
        let kept = body.get(..Self::MAX_LEN).unwrap_or(body);
        Self { bytes: kept.to_vec(), truncated: kept.len() < body.len() }
    }

    /// Returns the bytes that were kept.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns whether the body was longer.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }
}

impl fmt::Debug for RawBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawBody({} bytes: {self})", self.bytes.len())
    }
}

impl fmt::Display for RawBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&excerpt(&self.bytes, MAX_SHOWN))
    }
}

const MAX_SHOWN: usize = 200;
const MAX_ID: usize = 128;

#[cfg(test)]
mod tests {
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
        let error =
            parse(401, r#"{"id": "unauthorized", "message": "No such key.", "version": "v2026-10-21"}"#);
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
            (
                r#"{"title": "400 Bad Request", "description": null}"#,
                "the service answered 400: 400 Bad Request",
            ),
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
    fn what_is_neither_is_kept_and_printable() {
        assert_eq!(parse(502, "").to_string(), "the service answered 502 with an empty body");
        let page = parse(502, "<html>\n<h1>Bad\x1b[31m Gateway</h1>");
        assert_eq!(page.to_string(), "the service answered 502: <html> <h1>Bad\u{fffd}[31m Gateway</h1>");
        assert_eq!(
            parse(403, r#"{"message": "Forbidden"}"#).to_string(),
            "the service answered 403: Forbidden"
        );
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
}
