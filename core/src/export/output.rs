//! The outputs of a job: what to do, and what to report.

use alloc::boxed::Box;
use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    download::{DownloadLimits, Transfer},
    error::ApiError,
    export::{CallId, Failure, NotTaken, UnknownCause},
    http::Request,
    id::ExportId,
    store::StoreError,
    time::Timestamp,
    webhook::NewExport,
};

/// Something to do. A job gives each output once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send a request to the service. The result is an [`Input::of_call`](crate::Input::of_call).
    Call {
        /// The id of this attempt.
        call: CallId,
        /// The request.
        request: Request,
        /// When to give up. The job itself stops waiting at that time.
        deadline: Timestamp,
    },
    /// Download the archive, and report the progress. The result is an
    /// [`Input::of_download`](crate::Input::of_download).
    Download {
        /// The id of this attempt.
        call: CallId,
        /// Builds the requests, and interprets the answers.
        transfer: Box<Transfer>,
        /// How slow the download may be.
        limits: DownloadLimits,
    },
    /// Abort this attempt: the job does not use its result. Its connection may be closed.
    Abort(CallId),
    /// Something to show to the user, or to log.
    Notice(Notice),
    /// The job is over. This is its last output, given once per process.
    Done(Result<Finished, Box<Failure>>),
}

/// Something that happened to a job. Until it is polled, a job keeps the newest of each kind.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Notice {
    /// The service has accepted the export. Its event will be delivered.
    Accepted {
        /// The export's id.
        export_id: ExportId,
    },
    /// The request or the download will be repeated.
    Retrying {
        /// When it will be repeated.
        at: Timestamp,
        /// How long that is from now.
        after: Duration,
        /// The number of the retry, from 1.
        retry: u32,
        /// Whether the download is repeated. Otherwise the request is.
        is_download: bool,
        /// Why it is repeated.
        reason: RetryReason,
    },
    /// It is unknown whether the service accepted the export. If it did, the event will be delivered.
    OutcomeUnknown {
        /// Why it is unknown.
        cause: UnknownCause,
        /// Until when the job waits for the event.
        until: Timestamp,
    },
    /// The archive is ready.
    EventReceived(NewExport),
    /// An event contradicts the first event or the answer. The job ignored it.
    ConflictingEvent(NewExport),
    /// The store fails, so nothing of the job is saved, and nothing is done that must be saved first. Repeated while it
    /// lasts; the job goes on by itself afterwards. Comes from an exporter, never from [`Export`](crate::Export).
    NotSaved(StoreError),
    /// A delivery to the job's callback URL was not taken.
    DeliveryNotTaken(NotTaken),
}

/// Why a request or a download is repeated.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RetryReason {
    /// The answer was a refusal that permits a retry.
    Refused(ApiError),
    /// The service could not be reached, or the download failed.
    Failed(Box<str>),
    /// The outcome is unknown, and the policy is to repeat the request.
    Unknown(UnknownCause),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { export_id } => write!(f, "export {export_id} was accepted"),
            Self::Retrying { after, retry, is_download, reason, .. } => {
                let tenths = after.as_millis().div_ceil(100);
                let what = if *is_download { "download" } else { "request" };
                write!(f, "retry {retry} of the {what} in {}.{} s: {reason}", tenths / 10, tenths % 10)
            }
            Self::OutcomeUnknown { cause, .. } => {
                write!(f, "unknown whether the export was accepted, waiting for its event: {cause}")
            }
            Self::EventReceived(event) => write!(f, "the archive of export {} is ready", event.export_id),
            Self::DeliveryNotTaken(not_taken) => not_taken.fmt(f),
            Self::NotSaved(reason) => write!(f, "the job waits, because it cannot be saved: {reason}"),
            Self::ConflictingEvent(event) => {
                write!(f, "a contradicting event for export {} was ignored", event.export_id)
            }
        }
    }
}

impl fmt::Display for RetryReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Failed(reason) => f.write_str(reason),
            Self::Unknown(cause) => cause.fmt(f),
        }
    }
}

/// The result of a successful job.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finished {
    /// The service has accepted the export: the result for [`Goal::Acceptance`](crate::Goal::Acceptance).
    Accepted {
        /// The export's id.
        export_id: ExportId,
    },
    /// The archive is ready: the result for [`Goal::Event`](crate::Goal::Event).
    Event(NewExport),
    /// The archive was downloaded.
    Archive {
        /// The export's event.
        event: NewExport,
        /// The archive's size in bytes.
        bytes: u64,
    },
}

impl Finished {
    /// Returns the export's id.
    pub fn export_id(&self) -> &ExportId {
        match self {
            Self::Accepted { export_id } => export_id,
            Self::Event(event) | Self::Archive { event, .. } => &event.export_id,
        }
    }

    /// Returns the export's event, unless the job ended before it.
    pub fn event(&self) -> Option<&NewExport> {
        match self {
            Self::Accepted { .. } => None,
            Self::Event(event) | Self::Archive { event, .. } => Some(event),
        }
    }
}
