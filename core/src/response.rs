//! The service's answers: an accepted export, the state of the signing secret, or a refusal (`PROTOCOL.md` §2, §3, §5).
//!
//! An answer with a 2xx status is parsed as the expected one. Every other answer, redirects included, is an [`ApiError`].

use alloc::string::String;
use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize, de::Error as _};
use thiserror::Error;

use crate::{
    ApiError, ExportId, SigningSecret, Timestamp,
    decimal::saturating_decimal,
    http::{Headers, parse_http_date},
    redact::excerpt,
};

/// An export that the service has accepted. Its `NewExport` event will be delivered.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ExportAccepted {
    /// The export's id, which the event will contain.
    pub export_id: ExportId,
    /// The rate limit from the headers.
    pub rate_limit: Option<RateLimit>,
}

impl ExportAccepted {
    /// Parses the answer to [`Endpoint::create_export`](crate::Endpoint::create_export). Cut the body off at
    /// [`MAX_ANSWER`] bytes first.
    pub fn parse(status: u16, headers: &dyn Headers, body: &[u8]) -> Result<Self, ResponseError> {
        #[derive(Deserialize)]
        struct AcceptedBody {
            export_id: ExportId,
        }
        let AcceptedBody { export_id } = read(status, headers, body)?;
        Ok(Self { export_id, rate_limit: RateLimit::from_headers(headers) })
    }
}

/// The workspace's signing secret, from the answer to one of the three signing-secret requests.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SigningSecretState {
    /// The secret that signs deliveries.
    pub secret: SigningSecret,
    /// When the secret was created.
    pub created_at: Option<Timestamp>,
    /// When the secret last replaced another one, if ever.
    pub rotated_at: Option<Timestamp>,
    /// Until when deliveries are also signed with the previous secret.
    pub previous_secret_expires_at: Option<Timestamp>,
}

impl SigningSecretState {
    /// Parses the answer to a signing-secret request.
    pub fn parse(status: u16, headers: &dyn Headers, body: &[u8]) -> Result<Self, ResponseError> {
        #[derive(Deserialize)]
        struct SecretBody {
            secret: String,
            #[serde(default)]
            created_at_ts: Option<u64>,
            #[serde(default)]
            rotated_at_ts: Option<u64>,
            #[serde(default)]
            previous_secret_expires_at_ts: Option<u64>,
        }
        let answer: SecretBody = read(status, headers, body).map_err(ResponseError::without_body)?;
        let moment = |secs: Option<u64>| secs.map(Timestamp::from_secs);
        Ok(Self {
            secret: SigningSecret::new(answer.secret).map_err(|_| UnexpectedAnswer {
                status,
                reason: "its secret cannot be a signing secret".into(),
                body: String::new(),
            })?,
            created_at: moment(answer.created_at_ts),
            rotated_at: moment(answer.rotated_at_ts),
            previous_secret_expires_at: moment(answer.previous_secret_expires_at_ts),
        })
    }
}

/// A request did not get the expected answer.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum ResponseError {
    /// The service, or a gateway before it, refused the request.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The status is 2xx, but the body is not the expected one.
    #[error(transparent)]
    Unexpected(#[from] UnexpectedAnswer),
}

impl ResponseError {
    /// Removes the body: an answer that was expected to contain a secret may contain one.
    fn without_body(self) -> Self {
        match self {
            Self::Unexpected(answer) => Self::Unexpected(UnexpectedAnswer {
                // serde_json quotes the offending value in some of its reasons.
                reason: "it is not a signing secret's state".into(),
                body: String::new(),
                ..answer
            }),
            api @ Self::Api(_) => api,
        }
    }
}

/// An answer with a 2xx status whose body is not the expected one.
#[derive(Clone, Debug, Deserialize, Eq, Error, PartialEq, Serialize)]
#[error("the answer with status {status} cannot be read: {reason}{}{body}", if body.is_empty() { "" } else { ": " })]
pub struct UnexpectedAnswer {
    status: u16,
    reason: String,
    body: String,
}

impl UnexpectedAnswer {
    /// Returns the status of the answer: 200 to 299.
    pub fn status(&self) -> u16 {
        self.status
    }
}

/// The service's rate limit, from the headers of an answer with status 200 or 429.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RateLimit {
    /// `X-RateLimit-Limit`: how many requests a window allows.
    pub limit: Option<u64>,
    /// `X-RateLimit-Remaining`: how many requests are left in this window.
    pub remaining: Option<u64>,
    /// `X-RateLimit-Reset`: when the next window begins.
    pub reset: Option<Timestamp>,
}

impl RateLimit {
    /// Parses the three headers. `None` if none of them contains a number.
    pub(crate) fn from_headers(headers: &dyn Headers) -> Option<Self> {
        let number = |name| headers.first(name).and_then(saturating_decimal);
        let limit = Self {
            limit: number("x-ratelimit-limit"),
            remaining: number("x-ratelimit-remaining"),
            reset: number("x-ratelimit-reset").map(Timestamp::from_secs),
        };
        (limit.limit.is_some() || limit.remaining.is_some() || limit.reset.is_some()).then_some(limit)
    }
}

/// When a request may be repeated, from `Retry-After`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// After this time.
    Delay(Duration),
    /// Not before this moment.
    At(Timestamp),
}

impl RetryAfter {
    /// Parses `Retry-After`: whole seconds or an HTTP date. `None` if the header is absent or neither.
    pub(crate) fn from_headers(headers: &dyn Headers) -> Option<Self> {
        let value = headers.first("retry-after")?.trim_ascii();
        match saturating_decimal(value) {
            Some(secs) => Some(Self::Delay(Duration::from_secs(secs))),
            // The century of a two-digit year is not worth a clock: dates of RFC 850 are extinct.
            None => parse_http_date(value, Timestamp::default()).map(Self::At),
        }
    }

    /// Returns how long to wait from `now`; zero if the time has passed.
    pub fn delay(self, now: Timestamp) -> Duration {
        match self {
            Self::Delay(delay) => delay,
            Self::At(moment) => moment.saturating_duration_since(now),
        }
    }
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay(delay) => write!(f, "in {} s", delay.as_secs()),
            Self::At(moment) => write!(f, "at {} (Unix seconds)", moment.as_secs()),
        }
    }
}

fn read<'a, T: Deserialize<'a>>(
    status: u16,
    headers: &dyn Headers,
    body: &'a [u8],
) -> Result<T, ResponseError> {
    if !(200..300).contains(&status) {
        return Err(ApiError::parse(status, headers, body).into());
    }
    json_object(body).map_err(|error| {
        let reason = excerpt(alloc::string::ToString::to_string(&error).as_bytes(), MAX_REASON);
        UnexpectedAnswer { status, reason, body: excerpt(body, MAX_EXCERPT) }.into()
    })
}

/// Deserialises a JSON object. A byte order mark before it is skipped, as RFC 8259 §8.1 allows.
///
/// A derived `Deserialize` reads an array as a struct as well, field by field; a peer that sends an array means
/// something else.
pub(crate) fn json_object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, serde_json::Error> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(serde_json::Error::custom("a JSON object is expected"));
    }
    serde_json::from_slice(body)
}

/// The most bytes of an answer's body that an adapter should read: 1 MiB. The answer for an accepted export has about 100.
pub const MAX_ANSWER: usize = 1 << 20;

/// U+FEFF in UTF-8, which some programs put before every text.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

const MAX_EXCERPT: usize = 200;
const MAX_REASON: usize = 120;

#[cfg(test)]
mod tests;
