//! What a job wants done, and what it tells on the way.

use alloc::boxed::Box;
use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    ApiError, ExportId, Timestamp,
    download::Transfer,
    export::{CallId, Failure, UnknownCause},
    http::Request,
    webhook::NewExport,
};

/// Something to be done. Each is given once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send a request to the service, and say what came of it.
    Call {
        /// The name under which to report.
        call: CallId,
        /// What to send.
        request: Request,
        /// When to give up; the job does so by itself at that time.
        deadline: Timestamp,
    },
    /// Fetch the archive, and say how it goes.
    Download {
        /// The name under which to report.
        call: CallId,
        /// What to request, and what each answer means.
        transfer: Box<Transfer>,
        /// How long to wait for the head of the answer, connecting included. A redirect begins anew, but the job does not.
        first_byte_timeout: Duration,
        /// How long to wait for a sign of life from then on, each time.
        stall_timeout: Duration,
    },
    /// Nobody waits for this attempt any more; its connection may be closed.
    Abort(CallId),
    /// Something that a person may want to know.
    Notice(Notice),
    /// The job is over. The last output, and given once in the life of a process.
    Done(Result<Finished, Box<Failure>>),
}

/// Something that happened on the way. At most one of each kind is kept until it is polled.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Notice {
    /// The service took the order; the event will come.
    Accepted {
        /// The id that it will name.
        export_id: ExportId,
    },
    /// The request, or the download, will be repeated.
    Retrying {
        /// When.
        at: Timestamp,
        /// How long that is from now.
        after: Duration,
        /// Which retry this is, counted from 1.
        retry: u32,
        /// Why.
        reason: RetryReason,
    },
    /// It is not known whether the service took the order; if it did, the event will tell.
    OutcomeUnknown {
        /// Why not.
        cause: UnknownCause,
        /// Until when the event is waited for.
        until: Timestamp,
    },
    /// The archive is ready.
    EventReceived(NewExport),
    /// A second event contradicts the first, or the answer. It was not obeyed.
    ConflictingEvent(NewExport),
}

/// Why something is repeated.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RetryReason {
    /// There was an answer, and it asks for patience.
    Refused(ApiError),
    /// The service could not be reached, or the download broke off.
    Failed(Box<str>),
    /// The outcome is unknown, and the policy is to ask again.
    Unknown(UnknownCause),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { export_id } => write!(f, "export {export_id} was accepted"),
            Self::Retrying { after, retry, reason, .. } => {
                let tenths = after.as_millis().div_ceil(100);
                write!(f, "retry {retry} in {}.{} s: {reason}", tenths / 10, tenths % 10)
            }
            Self::OutcomeUnknown { cause, .. } => {
                write!(f, "not known whether the export was accepted, waiting for its event: {cause}")
            }
            Self::EventReceived(event) => write!(f, "the archive of export {} is ready", event.export_id),
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

/// What a job came to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finished {
    /// The service took the order: as far as [`Goal::Acceptance`](crate::Goal::Acceptance) goes.
    Accepted {
        /// The id that the event will name.
        export_id: ExportId,
    },
    /// The archive is ready: as far as [`Goal::Event`](crate::Goal::Event) goes.
    Event(NewExport),
    /// The archive is here.
    Archive {
        /// The event that said where it was.
        event: NewExport,
        /// Its size in bytes.
        bytes: u64,
    },
}

impl Finished {
    /// The id of the export.
    pub fn export_id(&self) -> &ExportId {
        match self {
            Self::Accepted { export_id } => export_id,
            Self::Event(event) | Self::Archive { event, .. } => &event.export_id,
        }
    }

    /// The event that said where the archive is, if the job went as far.
    pub fn event(&self) -> Option<&NewExport> {
        match self {
            Self::Accepted { .. } => None,
            Self::Event(event) | Self::Archive { event, .. } => Some(event),
        }
    }
}
