//! What can go wrong when an export is carried out, the same in both transports.

use std::io;

use abyssale_core::{
    ApiError, AtCapacity, CallError, ErrorId, Failure, InvalidOrder, JobId, ResponseError, RestoreError,
    Sent, StoreError, download::DownloadError, http::InvalidUrl,
};
use thiserror::Error;

use crate::{InvalidSetting, NoRandomness};

/// Why there is no client, no receiver, no answer or no archive.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is missing or unusable.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// The order is not one.
    #[error(transparent)]
    Order(#[from] InvalidOrder),
    /// No callback address was given.
    #[error("no callback address: without one the result of an export can never be fetched; set `callback`")]
    NoCallback,
    /// The callback address is not one.
    #[error("callback: {0}")]
    Callback(InvalidUrl),
    /// The live service cannot reach the callback address: it is this machine's own, or one of a private network.
    #[error(
        "the service cannot reach the callback address: {host} is this machine or in a private network; give the public address of a proxy or tunnel that forwards to it"
    )]
    CallbackUnreachable {
        /// The host of the address.
        host: String,
    },
    /// Neither a token nor a signature would protect the callback address.
    #[error(
        "deliveries would be neither signed nor hard to guess; set a signing secret, keep the token, or accept unsigned ones by name"
    )]
    Unprotected,
    /// The receiver cannot listen where it was told to.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// The cryptography or the certificates behind TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// There are no random numbers for a token.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// A single call did not reach the service, or its answer did not reach us.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A single call was refused, or answered with something else than was asked for.
    #[error(transparent)]
    Response(#[from] ResponseError),
    /// The job came to an end without an archive.
    #[error(transparent)]
    Failure(Box<Failure>),
    /// The archive could not be stored here, and the job stays in the exporter's store. Resumed once the cause is gone,
    /// it downloads the archive, without another request for the export.
    #[error("{0}; the job stays in the store: resume it once the cause is gone")]
    Kept(Box<Failure>),
    /// The archive could not be stored, or is none.
    #[error(transparent)]
    File(#[from] DownloadError),
    /// As many jobs are under way as there may be. Holds the order.
    #[error(transparent)]
    AtCapacity(#[from] AtCapacity),
    /// The store cannot be read, or a job could not be saved in it; then nothing was asked for.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No job can be made of what is in the store under this name. It is left there.
    #[error("job {job} in the store: {source}")]
    Record {
        /// The job.
        job: JobId,
        /// What is wrong with it.
        source: RestoreError,
    },
    /// There is no thread to look at the time and to save jobs.
    #[error("no thread can be started: {0}")]
    Saver(io::Error),
    /// The working directory, which a path is relative to, cannot be told.
    #[error("the working directory cannot be told: {0}")]
    WorkingDirectory(io::Error),
    /// The archive could not be unpacked.
    #[cfg(feature = "unpack")]
    #[error(transparent)]
    Unpack(#[from] crate::unpack::UnpackError),
}

impl Error {
    /// For a receiver that cannot listen.
    pub fn listen(address: &str, source: io::Error) -> Self {
        Self::Listen { address: address.to_string(), source }
    }

    /// How the job failed, if it was a job that failed.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failure(failure) | Self::Kept(failure) => Some(failure),
            _ => None,
        }
    }
}

/// What a program decides by.
impl Error {
    /// Returns the service's refusal, if there was one.
    pub fn api_error(&self) -> Option<&ApiError> {
        match self {
            Self::Response(ResponseError::Api(error)) => Some(error),
            _ => match self.failure()? {
                Failure::Refused(error) => Some(error),
                Failure::Unknown(cause) => cause.answer(),
                _ => None,
            },
        }
    }

    /// Returns the HTTP status of the answer that ended it: the service's, or that of the archive's server.
    pub fn status(&self) -> Option<u16> {
        match self.failure() {
            Some(Failure::ArchiveGone { status, .. }) => Some(*status),
            _ => self.api_error().map(ApiError::status),
        }
    }

    /// Returns whether a job's wait was over: for the answer to its request, or for its event.
    pub fn is_timeout(&self) -> bool {
        match self.failure() {
            Some(Failure::NoEvent { .. }) => true,
            Some(Failure::Unknown(cause)) => cause.is_timeout(),
            _ => false,
        }
    }

    /// Returns whether the same may succeed later and certainly makes no export twice: the service was not reached, is busy,
    /// or this exporter is.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::AtCapacity(_) => true,
            Self::Call(error) => error.sent == Sent::Never,
            Self::Response(ResponseError::Api(error)) => is_throttled(error),
            _ => match self.failure() {
                Some(Failure::Unreachable { .. }) => true,
                Some(Failure::Refused(error)) => is_throttled(error),
                _ => false,
            },
        }
    }
}

/// A 429 without a wait stands for spent credits as well.
fn is_throttled(error: &ApiError) -> bool {
    error.status() == 429 && error.id() == Some(&ErrorId::RequestRateLimited)
}

impl From<Box<Failure>> for Error {
    fn from(failure: Box<Failure>) -> Self {
        Self::Failure(failure)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use abyssale_core::{NotTaken, UnknownCause};

    use super::*;

    fn refusal(status: u16, id: &str) -> ApiError {
        ApiError::parse(status, &(), format!(r#"{{"id":"{id}","message":"m"}}"#).as_bytes())
    }

    fn failed(failure: Failure) -> Error {
        Box::new(failure).into()
    }

    #[test]
    fn a_program_can_decide_by_an_error() {
        let no_event = Failure::NoEvent {
            export_id: "e".parse().unwrap(),
            waited: Duration::from_secs(1),
            not_taken: None,
        };
        let not_taken: NotTaken = serde_json::from_str(r#"{"count":1,"reason":"late"}"#).unwrap();
        let beside = |cause| {
            let (cause, not_taken) = (Box::new(cause), not_taken.clone());
            failed(Failure::Unknown(UnknownCause::NotTaken { cause, not_taken }))
        };
        let call = |sent| Error::Call(CallError { sent, reason: "reset".into() });
        let rows = [
            (failed(Failure::Refused(refusal(401, "unauthorized"))), Some(401), false, false),
            (failed(Failure::Refused(refusal(429, "request_rate_limited"))), Some(429), false, true),
            (failed(Failure::Refused(refusal(429, "rate_limit_exceeded"))), Some(429), false, false),
            (failed(Failure::Refused(refusal(429, "feature_not_in_plan"))), Some(429), false, false),
            (failed(Failure::Unknown(UnknownCause::Answer(refusal(502, "x")))), Some(502), false, false),
            (failed(Failure::Unknown(UnknownCause::TimedOut)), None, true, false),
            (beside(UnknownCause::Answer(refusal(502, "x"))), Some(502), false, false),
            (beside(UnknownCause::TimedOut), None, true, false),
            (failed(Failure::Unreachable { reason: "refused".into() }), None, false, true),
            (failed(no_event), None, true, false),
            (
                Error::Response(ResponseError::Api(refusal(429, "request_rate_limited"))),
                Some(429),
                false,
                true,
            ),
            (call(Sent::Never), None, false, true),
            (call(Sent::Maybe), None, false, false),
            (Error::NoCallback, None, false, false),
        ];
        for (error, status, is_timeout, is_retryable) in rows {
            assert_eq!(error.status(), status, "{error}");
            assert_eq!(error.api_error().map(ApiError::status), status, "{error}");
            assert_eq!((error.is_timeout(), error.is_retryable()), (is_timeout, is_retryable), "{error}");
        }
    }
}
