//! The service's answers: an accepted export, the state of the signing secret, or a refusal (`PROTOCOL.md` §2, §3, §5).
//!
//! An answer with a 2xx status is parsed as the expected one. Every other answer, redirects included, is an [`ApiError`].

use alloc::string::String;

use serde::{Deserialize, Serialize, de::Error as _};
use thiserror::Error;

use crate::{
    error::ApiError, http::Headers, id::ExportId, redact::excerpt, secret::SigningSecret,
    throttling::RateLimit, time::Timestamp,
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

/// Deserialises a JSON object. Byte order marks before it are skipped, as RFC 8259 §8.1 allows.
///
/// A derived `Deserialize` reads an array as a struct as well, field by field; a peer that sends an array means
/// something else.
pub(crate) fn json_object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, serde_json::Error> {
    let body = without_byte_order_marks(body);
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(serde_json::Error::custom("a JSON object is expected"));
    }
    serde_json::from_slice(body)
}

/// The most bytes of an answer's body that an adapter should read: 1 MiB. The answer for an accepted export has about 100.
pub const MAX_ANSWER: usize = 1 << 20;

/// Skips U+FEFF, which some programs put before every text, and two programs in a row put there twice.
pub(crate) fn without_byte_order_marks(mut body: &[u8]) -> &[u8] {
    while let Some(rest) = body.strip_prefix(b"\xef\xbb\xbf") {
        body = rest;
    }
    body
}

const MAX_EXCERPT: usize = 200;
const MAX_REASON: usize = 120;

#[cfg(test)]
mod tests;
