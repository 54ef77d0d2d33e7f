//! The inputs of a job, and what it does with each.

use alloc::boxed::Box;
use core::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    download::DownloadError,
    http::Response,
    token::Token,
    webhook::{NewExport, Reply},
};

/// The id of one attempt to carry out an output. A job never uses an id twice, not even after a restart of the program.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct CallId(pub(crate) u64);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Something that happened. Every input is legal at any time.
///
/// An input owns its content, so it can be sent through a channel, and serialised to another process.
///
/// ```
/// # use abyssale_core::{CallError, CallId, Input, Sent, http};
/// # use std::{sync::mpsc, thread};
/// # fn send(_: http::Request) -> Result<http::Response, CallError> {
/// #     Err(CallError { sent: Sent::Never, reason: "connection refused".into() })
/// # }
/// # fn begin(call: CallId, request: http::Request, outbox: mpsc::Sender<Input>) {
/// thread::spawn(move || outbox.send(Input::of_call(call, send(request))));
/// # }
/// // ... and where the job is:
/// # fn go_on(export: &mut abyssale_core::Export, inbox: &mpsc::Receiver<Input>, now: abyssale_core::Timestamp) {
/// for input in inbox.try_iter() {
///     let _ = export.handle(now, input);
/// }
/// # }
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Input {
    /// Nothing has happened but that time has passed.
    Tick,
    /// A call was answered, or a download was answered with another status than 2xx.
    Response {
        /// The attempt.
        call: CallId,
        /// The answer.
        response: Response,
    },
    /// A call was not answered.
    CallFailed {
        /// The attempt.
        call: CallId,
        /// Why it was not answered, and whether the service may have received it.
        error: CallError,
    },
    /// A genuine event was delivered.
    Event {
        /// The event.
        event: NewExport,
        /// The token of the callback URL that it was delivered to.
        token: Option<Token>,
    },
    /// A delivery to the job's callback URL was not taken: it was refused, or it was not an export's event.
    DeliveryNotTaken {
        /// Why, without a secret. A job keeps at most 200 characters.
        reason: Box<str>,
    },
    /// A download has received bytes.
    Progress {
        /// The attempt.
        call: CallId,
        /// How many bytes have been received so far.
        received: u64,
        /// How many bytes the archive has, if that is known.
        total: Option<u64>,
    },
    /// The archive was received, checked and stored.
    Downloaded {
        /// The attempt.
        call: CallId,
        /// The archive's size in bytes.
        bytes: u64,
    },
    /// A download failed.
    DownloadFailed {
        /// The attempt.
        call: CallId,
        /// Why it failed.
        error: DownloadError,
    },
    /// The user has cancelled the job.
    Cancel,
}

impl Input {
    /// Creates the input for the result of an [`Output::Call`](super::Output::Call).
    pub fn of_call(call: CallId, result: Result<Response, CallError>) -> Self {
        match result {
            Ok(response) => Self::Response { call, response },
            Err(error) => Self::CallFailed { call, error },
        }
    }

    /// Creates the input for the result of an [`Output::Download`](super::Output::Download): the archive's size in
    /// bytes, or an error.
    pub fn of_download(call: CallId, result: Result<u64, DownloadError>) -> Self {
        match result {
            Ok(bytes) => Self::Downloaded { call, bytes },
            Err(error) => Self::DownloadFailed { call, error },
        }
    }
}

/// Whether the service may have received a request.
///
/// When in doubt use [`Maybe`](Self::Maybe): it costs a wait, while a wrong `Never` costs a second export.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sent {
    /// No byte of the request can have arrived: the name did not resolve, the connection was refused, or the TLS
    /// handshake failed.
    Never,
    /// Some of the request may have arrived: the connection broke, or time ran out, after sending had begun.
    Maybe,
}

/// Why a call was not answered.
#[derive(Clone, Debug, Deserialize, Eq, Error, PartialEq, Serialize)]
#[error("{}: {reason}", match sent { Sent::Never => "the service could not be reached", Sent::Maybe => "the answer was lost" })]
pub struct CallError {
    /// Whether the service may have received the request.
    pub sent: Sent,
    /// What went wrong, in a few words without a secret. A job keeps at most 200 characters.
    pub reason: Box<str>,
}

/// What a job did with an input.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "it determines the reply to a delivery"]
#[non_exhaustive]
pub enum Disposition {
    /// The job waited for the input, or changed its state because of it.
    Accepted,
    /// The job keeps the event, which may be its own: the answer to its request will tell.
    Held,
    /// The job has taken the same event before.
    Duplicate,
    /// The input belongs to an attempt or a job that is over. Nothing changed.
    Stale,
    /// The event belongs to another export. Nothing changed.
    Unrelated,
    /// The event claims to be this job's and contradicts what the job knows. The job reports it, and does not follow it.
    Conflicting,
    /// The event may be this job's, but the job cannot keep more events.
    NoRoom,
}

impl Disposition {
    /// Returns the reply to the delivery of an event, to be sent once the job is saved. A job that is over without its
    /// event has not taken this one either, so its delivery is not acknowledged.
    pub(crate) fn reply_of(self, took_event: bool) -> Reply {
        match self {
            Self::Stale if !took_event => Reply::NotFound,
            Self::NoRoom => Reply::NoRoom,
            // Another delivery of the same event would have the same result.
            _ => Reply::Acknowledged,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::archive::check_ends;

    #[test]
    fn an_input_survives_serialisation() {
        let call = CallId(7);
        let response = Response { status: 503, headers: vec![("a".into(), vec![0xff])], body: vec![0, 0xff] };
        let error = CallError { sent: Sent::Maybe, reason: "reset".into() };
        let not_an_archive = DownloadError::NotAnArchive(check_ends(b"<htm", b"<htm", 4).unwrap_err());
        let event = serde_json::from_str(r#"{"export_id":"e","archive_url":"u"}"#).unwrap();
        for input in [
            Input::Tick,
            Input::of_call(call, Ok(response.clone())),
            Input::of_call(call, Err(error)),
            Input::Event { event, token: Some(Token::from_random([7; 16])) },
            Input::Progress { call, received: 1, total: None },
            Input::of_download(call, Ok(9)),
            Input::of_download(call, Err(not_an_archive)),
            Input::of_download(call, Err(DownloadError::Refused(response))),
            Input::Cancel,
        ] {
            let json = serde_json::to_string(&input).unwrap();
            assert_eq!(serde_json::from_str::<Input>(&json).unwrap(), input, "{json}");
        }
    }
}
