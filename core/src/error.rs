//! Refusals: answers of the service, or of a gateway before it, with a status other than 2xx (`PROTOCOL.md` §3).

use alloc::{boxed::Box, string::String, vec::Vec};
use core::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::{
    http::Headers,
    id::BannerId,
    order::Order,
    redact::{excerpt, write_excerpt},
    throttling::{RateLimit, RetryAfter},
    time::Timestamp,
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
            Self::Other(text) => text,
            known => KNOWN_IDS.iter().find(|(id, _)| id == known).map_or("", |(_, text)| text),
        }
    }
}

impl From<String> for ErrorId {
    fn from(text: String) -> Self {
        match KNOWN_IDS.iter().find(|(_, known)| *known == text) {
            Some((id, _)) => id.clone(),
            None => Self::Other(text.chars().take(MAX_ID).collect()),
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

const KNOWN_IDS: [(ErrorId, &str); 18] = [
    (ErrorId::Unauthorized, "unauthorized"),
    (ErrorId::ApiAccessDenied, "api_access_denied"),
    (ErrorId::InvalidPayload, "invalid_payload"),
    (ErrorId::MissingRequired, "missing_required"),
    (ErrorId::WrongType, "wrong_type"),
    (ErrorId::OutOfRange, "out_of_range"),
    (ErrorId::InvalidJson, "invalid_json"),
    (ErrorId::VisualNotFound, "visual_not_found"),
    (ErrorId::EndpointNotFound, "endpoint_not_found"),
    (ErrorId::RequestRateLimited, "request_rate_limited"),
    (ErrorId::RateLimitExceeded, "rate_limit_exceeded"),
    (ErrorId::FeatureNotInPlan, "feature_not_in_plan"),
    (ErrorId::PreviousSecretStillActive, "previous_secret_still_active"),
    (ErrorId::MethodNotAllowed, "method_not_allowed"),
    (ErrorId::NotAcceptable, "not_acceptable"),
    (ErrorId::UnsupportedMediaType, "unsupported_media_type"),
    (ErrorId::InternalError, "internal_error"),
    (ErrorId::InternalServerError, "internal_server_error"),
];

const MAX_SHOWN: usize = 200;
const MAX_ID: usize = 128;

#[cfg(test)]
mod tests;
