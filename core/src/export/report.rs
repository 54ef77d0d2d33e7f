//! What came of an attempt, owned: what a thread, a task, a callback or another process hands to the loop around a job.

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{CallId, DownloadError, Input, Sent};
use crate::{download::TransferError, http::Response};

/// What there is to tell about an attempt: the owned twin of each [`Input`] that names a call.
///
/// An input borrows, so it cannot leave the place that made it; a report can be returned, sent through a channel and,
/// being `serde`, through a pipe or into a module. [`Export::handle`](crate::Export::handle) takes a reference to it.
///
/// ```
/// # use abyssale_core::{CallId, Report, Sent, export::CallError, http};
/// # use std::{sync::mpsc, thread};
/// # fn send(_: http::Request) -> Result<http::Response, CallError> {
/// #     Err(CallError { sent: Sent::Never, reason: "connection refused".into() })
/// # }
/// # fn begin(call: CallId, request: http::Request, outbox: mpsc::Sender<Report>) {
/// thread::spawn(move || outbox.send(Report::of_call(call, send(request))));
/// # }
/// // ... and where the job is:
/// # fn go_on(export: &mut abyssale_core::Export, inbox: &mpsc::Receiver<Report>, now: abyssale_core::Timestamp) {
/// for report in inbox.try_iter() {
///     let _ = export.handle(now, &report);
/// }
/// # }
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Report {
    /// A call was answered, or a download was answered with anything but a 2xx: [`Input::Response`].
    Response {
        /// Which attempt.
        call: CallId,
        /// The answer.
        response: Response,
    },
    /// A call got no answer: [`Input::CallFailed`].
    CallFailed {
        /// Which attempt.
        call: CallId,
        /// Why not, and whether the service may have seen it.
        error: CallError,
    },
    /// A download goes on: [`Input::Progress`].
    Progress {
        /// Which attempt.
        call: CallId,
        /// Bytes received so far.
        received: u64,
        /// Bytes there will be in all, where that is known.
        total: Option<u64>,
    },
    /// The archive is whole, checked, and where it belongs: [`Input::Downloaded`].
    Downloaded {
        /// Which attempt.
        call: CallId,
        /// Its size in bytes.
        bytes: u64,
    },
    /// A download came to nothing: [`Input::DownloadFailed`].
    DownloadFailed {
        /// Which attempt.
        call: CallId,
        /// Why.
        error: DownloadError,
    },
}

/// Why a call got no answer.
#[derive(Clone, Debug, Deserialize, Eq, Error, PartialEq, Serialize)]
#[error("{}: {reason}", match sent { Sent::Never => "the service could not be reached", Sent::Maybe => "the answer was lost" })]
pub struct CallError {
    /// Whether the service may have seen the request.
    pub sent: Sent,
    /// What went wrong, in a few words without a secret.
    pub reason: Box<str>,
}

/// What a download came to, when it did not come to an archive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NotFetched {
    /// The answer was not a 2xx: what [`Transfer::refused`](crate::download::Transfer::refused) has left of it.
    Refused(Response),
    /// It did not begin, broke off, is no archive, or cannot be stored.
    Failed(DownloadError),
}

impl Report {
    /// What came of an [`Output::Call`](super::Output::Call).
    pub fn of_call(call: CallId, result: Result<Response, CallError>) -> Self {
        match result {
            Ok(response) => Self::Response { call, response },
            Err(error) => Self::CallFailed { call, error },
        }
    }

    /// What came of an [`Output::Download`](super::Output::Download): the size of the archive in bytes, if it is here.
    pub fn of_download(call: CallId, result: Result<u64, NotFetched>) -> Self {
        match result {
            Ok(bytes) => Self::Downloaded { call, bytes },
            Err(NotFetched::Refused(response)) => Self::Response { call, response },
            Err(NotFetched::Failed(error)) => Self::DownloadFailed { call, error },
        }
    }
}

impl<'a> From<&'a Report> for Input<'a> {
    fn from(report: &'a Report) -> Self {
        match report {
            Report::Response { call, response: Response { status, headers, body } } => {
                Self::Response { call: *call, status: *status, headers, body }
            }
            Report::CallFailed { call, error: CallError { sent, reason } } => {
                Self::CallFailed { call: *call, sent: *sent, reason }
            }
            Report::Progress { call, received, total } => {
                Self::Progress { call: *call, received: *received, total: *total }
            }
            Report::Downloaded { call, bytes } => Self::Downloaded { call: *call, bytes: *bytes },
            Report::DownloadFailed { call, error } => Self::DownloadFailed { call: *call, error },
        }
    }
}

impl From<TransferError> for DownloadError {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Interrupted(reason) => Self::Interrupted(reason),
            TransferError::Address(source) => Self::Address(source),
            TransferError::NotAnArchive(source) => Self::NotAnArchive(source),
            // Trying again would bring the same that cannot be put behind what is there.
            TransferError::Changed { .. } => Self::Storage(alloc::format!("{error}").into()),
        }
    }
}

impl<E: Into<DownloadError>> From<E> for NotFetched {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString as _, vec};
    use core::mem::discriminant;

    use super::*;
    use crate::archive::check_ends;

    #[test]
    fn a_report_survives_its_way_and_says_what_the_input_of_its_name_says() {
        let call = CallId(7);
        let response = Response { status: 503, headers: vec![("a".into(), vec![0xff])], body: vec![0, 0xff] };
        let error = CallError { sent: Sent::Maybe, reason: "reset".into() };
        let not_an_archive = DownloadError::NotAnArchive(check_ends(b"<htm", b"<htm", 4).unwrap_err());
        let reports = [
            Report::of_call(call, Ok(response.clone())),
            Report::of_call(call, Err(error)),
            Report::Progress { call, received: 1, total: None },
            Report::of_download(call, Ok(9)),
            Report::of_download(call, Err(not_an_archive.into())),
            Report::of_download(call, Err(NotFetched::Refused(response))),
        ];
        for report in reports {
            let json = serde_json::to_string(&report).unwrap();
            assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report, "{json}");
            let again = report.clone();
            match (Input::from(&report), again) {
                (
                    Input::Response { call: CallId(7), status: 503, headers, body: [0, 0xff] },
                    Report::Response { .. },
                ) => assert_eq!(headers.first("A"), Some(&[0xff][..])),
                (
                    Input::CallFailed { call: CallId(7), sent: Sent::Maybe, reason: "reset" },
                    Report::CallFailed { .. },
                )
                | (Input::Progress { call: CallId(7), received: 1, total: None }, Report::Progress { .. })
                | (Input::Downloaded { call: CallId(7), bytes: 9 }, Report::Downloaded { .. })
                | (
                    Input::DownloadFailed { call: CallId(7), error: DownloadError::NotAnArchive(_) },
                    Report::DownloadFailed { .. },
                ) => {}
                (_, report) => panic!("{report:?} says something else"),
            }
        }
    }

    #[test]
    fn what_a_transfer_came_to_is_told_as_what_it_means_for_the_job() {
        let interrupted = TransferError::Interrupted("reset".into());
        assert_eq!(DownloadError::from(interrupted), DownloadError::Interrupted("reset".into()));
        let changed = TransferError::Changed { passed: 5 };
        let text = changed.to_string();
        assert_eq!(DownloadError::from(changed), DownloadError::Storage(text.into()));
        let failed = NotFetched::from(DownloadError::Storage("full".into()));
        assert_eq!(
            discriminant(&failed),
            discriminant(&NotFetched::Failed(DownloadError::Storage("".into())))
        );
    }
}
