//! The reasons why a job can fail.

use alloc::boxed::Box;
use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    archive::{ArchiveUrlError, NotAnArchive},
    error::{ApiError, ErrorId},
    id::ExportId,
    response::UnexpectedAnswer,
    webhook::NewExport,
};

/// Why a job failed.
#[derive(Clone, Debug, Deserialize, Eq, Error, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Failure {
    /// The service refused the request, or asked for a longer wait than the configuration allows.
    #[error("the export was refused: {}{}", .0, advice(.0))]
    Refused(ApiError),
    /// The service could not be reached. It has certainly not accepted the export.
    #[error(
        "the service could not be reached, so no export was requested: {reason}; check the network and the base URL"
    )]
    Unreachable {
        /// Why the last attempt failed.
        reason: Box<str>,
    },
    /// It is unknown whether the service accepted the export, and no event arrived. Repeating the request may make the
    /// export a second time.
    #[error(
        "it is unknown whether the export was accepted, no delivery of its event was taken, and repeating the request could make it twice: {0}"
    )]
    Unknown(UnknownCause),
    /// The service accepted the export, but its event did not arrive in time.
    #[error(
        "export {export_id} was accepted, but its event did not arrive within {} s; {}",
        waited.as_secs(),
        LastWord(not_taken.as_ref())
    )]
    NoEvent {
        /// The export's id.
        export_id: ExportId,
        /// How long the job waited for the event.
        waited: Duration,
        /// The deliveries to the callback URL that were not taken.
        #[serde(default)]
        not_taken: Option<NotTaken>,
    },
    /// Archives are not downloaded from the URL in the event.
    #[error("export {id} is ready, but {source}", id = event.export_id)]
    ArchiveUrl {
        /// The export's event.
        event: NewExport,
        /// What is wrong with the URL.
        source: ArchiveUrlError,
    },
    /// The archive does not exist, or must not be read: status 410, or 403 or 404 until
    /// [`RetryPolicy::archive_wait`](crate::RetryPolicy::archive_wait) was over.
    #[error("the archive of export {id} is expired or gone: {host} answered {status}{}{reason}", if reason.is_empty() { "" } else { " " }, id = event.export_id)]
    ArchiveGone {
        /// The export's event.
        event: NewExport,
        /// The host of the archive's URL.
        host: Box<str>,
        /// The HTTP status.
        status: u16,
        /// What the store says: its code, such as `NoSuchKey`, and its message; empty if it says neither.
        #[serde(default)]
        reason: Box<str>,
    },
    /// The archive could not be downloaded.
    #[error("the archive of export {id} could not be downloaded from {host}: {reason}", id = event.export_id)]
    Download {
        /// The export's event.
        event: NewExport,
        /// The host of the archive's URL.
        host: Box<str>,
        /// Why the last attempt failed.
        reason: Box<str>,
    },
    /// The downloaded file is not an archive.
    #[error("export {id} is ready, but {source}", id = event.export_id)]
    NotAnArchive {
        /// The export's event.
        event: NewExport,
        /// What the file is instead.
        source: NotAnArchive,
    },
    /// The archive could not be stored.
    #[error("the archive of export {id} could not be stored: {reason}", id = event.export_id)]
    Storage {
        /// The export's event.
        event: NewExport,
        /// What went wrong.
        reason: Box<str>,
    },
    /// The user has cancelled the job. The export itself cannot be cancelled.
    #[error("the export was cancelled")]
    Cancelled,
}

/// The deliveries to a job's callback URL that were not taken.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NotTaken {
    /// How many there were.
    pub count: u32,
    /// Why the last one was not taken, at most 200 characters.
    pub reason: Box<str>,
}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deliveries = if self.count == 1 { "delivery" } else { "deliveries" };
        write!(
            f,
            "{} {deliveries} reached the callback URL and could not be taken: {}",
            self.count, self.reason
        )
    }
}

/// What the user can do about an event that did not arrive.
struct LastWord<'a>(Option<&'a NotTaken>);

impl fmt::Display for LastWord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(not_taken) => not_taken.fmt(f),
            None => f.write_str("no delivery reached the callback URL; check that the service can reach it"),
        }
    }
}

impl Failure {
    /// Returns the export's event, if it arrived. The archive may still be at its URL.
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

    /// Returns the export's id, if it is known.
    pub fn export_id(&self) -> Option<&ExportId> {
        match self {
            Self::NoEvent { export_id, .. } => Some(export_id),
            failure => failure.event().map(|event| &event.export_id),
        }
    }
}

/// Returns what the user can do about a refusal.
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

impl UnknownCause {
    /// Returns the service's answer, if that is why it is unknown.
    pub fn answer(&self) -> Option<&ApiError> {
        match self {
            Self::Answer(error) => Some(error),
            Self::NotTaken { cause, .. } => cause.answer(),
            _ => None,
        }
    }

    /// The same, to be completed.
    pub(super) fn answer_mut(&mut self) -> Option<&mut ApiError> {
        match self {
            Self::Answer(error) => Some(error),
            Self::NotTaken { cause, .. } => cause.answer_mut(),
            _ => None,
        }
    }

    /// Returns whether the answer did not arrive in time.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::NotTaken { cause, .. } => cause.is_timeout(),
            _ => false,
        }
    }
}

/// Why it is unknown whether the service accepted an export.
#[derive(Clone, Debug, Deserialize, Eq, Error, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UnknownCause {
    /// The service or a gateway answered with a 5xx.
    #[error(transparent)]
    Answer(ApiError),
    /// The answer has a 2xx status, but cannot be parsed.
    #[error(transparent)]
    Unreadable(UnexpectedAnswer),
    /// The connection broke before the answer arrived.
    #[error("the answer was lost: {0}")]
    Lost(Box<str>),
    /// The answer did not arrive in time.
    #[error("the answer did not arrive in time")]
    TimedOut,
    /// One of the others, and the callback URL received deliveries that were not taken.
    #[error("{cause}; {not_taken}")]
    NotTaken {
        /// Why it is unknown.
        cause: Box<UnknownCause>,
        /// The deliveries.
        not_taken: NotTaken,
    },
    /// The program ended while the request was under way.
    #[error("the program ended while the request was under way")]
    Interrupted,
}
