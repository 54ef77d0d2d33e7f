//! How a job can fail.

use alloc::boxed::Box;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    ApiError, ErrorId, ExportId, UnexpectedAnswer,
    archive::{ArchiveUrlError, NotAnArchive},
    webhook::NewExport,
};

/// Why there is no archive.
#[derive(Clone, Debug, Deserialize, Eq, Error, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Failure {
    /// The service refused the order, or asked for more patience than the settings have.
    #[error("the export was refused: {}{}", .0, advice(.0))]
    Refused(ApiError),
    /// The service could not be reached; the order was certainly not taken.
    #[error(
        "the service could not be reached, so nothing was asked for: {reason}; check the network and the base URL"
    )]
    Unreachable {
        /// What the last attempt came to.
        reason: Box<str>,
    },
    /// It is not known whether the order was taken, and no event has come. Asking again may make the
    /// export a second time.
    #[error("it is not known whether the export was accepted, and asking again could make it twice: {0}")]
    Unknown(UnknownCause),
    /// The order was taken, but its event has not come in time.
    #[error(
        "export {export_id} was accepted, but its event did not arrive within {} s; can the service reach the callback address?",
        waited.as_secs()
    )]
    NoEvent {
        /// The id that it was accepted under.
        export_id: ExportId,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The archive is not fetched because of where it is said to be.
    #[error("export {id} is ready, but {source}", id = event.export_id)]
    ArchiveUrl {
        /// The event that said where it is.
        event: NewExport,
        /// What is wrong with the address.
        source: ArchiveUrlError,
    },
    /// The archive is not there (any more), or may not be read: 403, 404 or 410.
    #[error("the archive of export {id} is expired or gone: {host} answered {status}", id = event.export_id)]
    ArchiveGone {
        /// The event that said where it is.
        event: NewExport,
        /// Where it was looked for.
        host: Box<str>,
        /// The HTTP status.
        status: u16,
    },
    /// The archive could not be fetched.
    #[error("the archive of export {id} could not be downloaded from {host}: {reason}", id = event.export_id)]
    Download {
        /// The event that said where it is.
        event: NewExport,
        /// Where it was fetched from.
        host: Box<str>,
        /// What the last attempt came to.
        reason: Box<str>,
    },
    /// What was fetched is not an archive.
    #[error("export {id} is ready, but {source}", id = event.export_id)]
    NotAnArchive {
        /// The event that said where it is.
        event: NewExport,
        /// What it is instead.
        source: NotAnArchive,
    },
    /// The archive could not be stored here.
    #[error("the archive of export {id} could not be stored: {reason}", id = event.export_id)]
    Storage {
        /// The event that said where it is.
        event: NewExport,
        /// What went wrong.
        reason: Box<str>,
    },
    /// Whoever wanted the archive has cancelled the job. The export itself cannot be called back.
    #[error("the export was cancelled")]
    Cancelled,
}

impl Failure {
    /// The event of the export, if it had come: the archive may still be where it says.
    pub fn event(&self) -> Option<&NewExport> {
        match self {
            Self::ArchiveUrl { event, .. }
            | Self::ArchiveGone { event, .. }
            | Self::Download { event, .. }
            | Self::NotAnArchive { event, .. }
            | Self::Storage { event, .. } => Some(event),
            _ => None,
        }
    }

    /// The id of the export, if it was known.
    pub fn export_id(&self) -> Option<&ExportId> {
        match self {
            Self::NoEvent { export_id, .. } => Some(export_id),
            failure => failure.event().map(|event| &event.export_id),
        }
    }
}

/// What the reader of a refusal can do about it.
fn advice(error: &ApiError) -> &'static str {
    match (error.status(), error.id()) {
        (401, Some(ErrorId::ApiAccessDenied)) | (429, Some(ErrorId::FeatureNotInPlan)) => {
            "; the workspace's plan does not include this"
        }
        (401 | 403, _) => "; check the API key",
        (404, _) => "; check the banner ids, and that they belong to the key's workspace",
        _ => "",
    }
}

/// Why it is not known whether the service took an order.
#[derive(Clone, Debug, Deserialize, Eq, Error, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UnknownCause {
    /// The service, or a gateway, answered with a fault of its own.
    #[error(transparent)]
    Answer(ApiError),
    /// The answer says yes, but cannot be read.
    #[error(transparent)]
    Unreadable(UnexpectedAnswer),
    /// The connection broke before the answer was there.
    #[error("the answer was lost: {0}")]
    Lost(Box<str>),
    /// The answer did not come in time.
    #[error("the answer did not come in time")]
    TimedOut,
    /// The program ended while the request was under way.
    #[error("the program ended while the request was under way")]
    Interrupted,
}
