//! What a job is told, and what it makes of it.

use alloc::boxed::Box;
use core::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    Token,
    archive::{ArchiveUrlError, NotAnArchive},
    http::Headers,
    webhook::{NewExport, Reply},
};

/// The name of one attempt: never used twice by a job, restarts of the program included.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct CallId(pub(crate) u64);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Something that happened. Every input is legal at every time.
///
/// It borrows, so that nothing is copied on its way into the machine; what has to travel first is a
/// [`Report`](super::Report).
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Input<'a> {
    /// Nothing but time has passed.
    Tick,
    /// A call was answered, or a download was answered with anything but a 2xx.
    Response {
        /// Which attempt.
        call: CallId,
        /// The HTTP status.
        status: u16,
        /// The header fields.
        headers: &'a dyn Headers,
        /// The body, cut off past [`MAX_ANSWER`](crate::MAX_ANSWER) bytes.
        body: &'a [u8],
    },
    /// A call got no answer.
    CallFailed {
        /// Which attempt.
        call: CallId,
        /// Whether the service may have seen it.
        sent: Sent,
        /// What went wrong, in a few words without a secret; at most 200 characters are kept.
        reason: &'a str,
    },
    /// A genuine event was delivered.
    Event {
        /// The event.
        event: &'a NewExport,
        /// The token of the address it was delivered to.
        token: Option<&'a Token>,
    },
    /// A download goes on.
    Progress {
        /// Which attempt.
        call: CallId,
        /// Bytes received so far.
        received: u64,
        /// Bytes there will be in all, where that is known.
        total: Option<u64>,
    },
    /// The archive is whole, checked, and where it belongs.
    Downloaded {
        /// Which attempt.
        call: CallId,
        /// Its size in bytes.
        bytes: u64,
    },
    /// A download came to nothing.
    DownloadFailed {
        /// Which attempt.
        call: CallId,
        /// Why.
        error: &'a DownloadError,
    },
    /// Whoever wanted the archive does not want it any more.
    Cancel,
}

/// Whether the service may have seen a request.
///
/// When in doubt say [`Maybe`](Self::Maybe): the price is a wait, that of a wrong `Never` a second export.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sent {
    /// Not a byte of it can have arrived: the name did not resolve, the connection was refused, the
    /// TLS handshake failed.
    Never,
    /// Some of it may have arrived: the connection broke, or time ran out, after sending had begun.
    Maybe,
}

/// Why a download came to nothing, apart from an answer that says so.
#[derive(Clone, Debug, Deserialize, Eq, Error, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DownloadError {
    /// It did not begin, or broke off; worth repeating. At most 200 characters of the reason are kept.
    #[error("{0}")]
    Interrupted(Box<str>),
    /// It came to its end, and is not an archive.
    #[error(transparent)]
    NotAnArchive(NotAnArchive),
    /// A redirect leads where archives are not fetched from.
    #[error(transparent)]
    Address(ArchiveUrlError),
    /// It cannot be stored here: the disk is full, the folder may not be written.
    #[error("{0}")]
    Storage(Box<str>),
}

/// What became of an input.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a delivery is answered by what became of its event"]
#[non_exhaustive]
pub enum Disposition {
    /// It was what the job waited for, or it moves it on.
    Accepted,
    /// An event that may be this job's; the answer to its request will tell.
    Held,
    /// An event that was taken before.
    Duplicate,
    /// Of an attempt or a job that is over; nothing changed.
    Stale,
    /// An event of another export; nothing changed.
    Unrelated,
    /// An event that claims to be this job's and contradicts what is known; reported, not obeyed.
    Conflicting,
    /// An event that may be this job's, but as many are held already as there is room for.
    NoRoom,
}

impl Disposition {
    /// What to answer to the delivery that brought the event, once the job is saved, as far as this alone can tell;
    /// [`Export::handle_delivery`](crate::Export::handle_delivery) knows more.
    pub fn reply(self) -> Reply {
        match self {
            Self::NoRoom => Reply::NoRoom,
            // Whatever else there is to say about it, it would be no different the next time.
            _ => Reply::Acknowledged,
        }
    }

    /// The same for a job of which it is known whether it took its event: one that is over without it has taken
    /// nothing, so nothing is acknowledged in its name.
    pub(crate) fn reply_of(self, took_event: bool) -> Reply {
        match self {
            Self::Stale if !took_event => Reply::NotFound,
            disposition => disposition.reply(),
        }
    }
}
