//! What all jobs of a program have in common: where the service is, and how patient to be.

use core::time::Duration;

use crate::{Endpoint, archive::ArchivePolicy, retry::RetryPolicy};

/// The settings of a job. Shared, never saved: a restored job takes those of the program it wakes up in.
///
/// Durations below a millisecond count as one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where the service is, and the key.
    pub endpoint: Endpoint,
    /// How often to ask again, and how long a wait to accept.
    pub retry: RetryPolicy,
    /// How long one call may take, from connecting to the last byte of the answer: 30 s.
    pub call_timeout: Duration,
    /// How long to wait for the event, from the acceptance of the export: 30 min.
    ///
    /// Time during which the program was not running does not count.
    pub event_timeout: Duration,
    /// What to do when it is not known whether the service took the request.
    pub unknown_outcome: UnknownOutcome,
    /// How long resolving a name, connecting and TLS may take, of a call (as part of its time) and of a download: 10 s.
    ///
    /// For whoever makes the connections: a job does not see them.
    pub connect_timeout: Duration,
    /// How long a download may take until the head of its answer is there, its connection included: 30 s.
    pub first_byte_timeout: Duration,
    /// How long a download may go without progress from then on: 30 s.
    ///
    /// There is no limit on the time a download takes in all.
    pub stall_timeout: Duration,
    /// Where archives may be fetched from.
    pub archive: ArchivePolicy,
}

impl Config {
    /// The default settings.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            retry: RetryPolicy::default(),
            call_timeout: Duration::from_secs(30),
            event_timeout: Duration::from_secs(30 * 60),
            unknown_outcome: UnknownOutcome::default(),
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(30),
            archive: ArchivePolicy::default(),
        }
    }
}

/// What to do when a request may or may not have been taken: its answer was lost or cannot be read,
/// it was a 5xx, or the program ended in the middle.
///
/// Such a request is never repeated silently, since that could make the export twice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum UnknownOutcome {
    /// Wait for the event: if the export was taken, it will come. When it has not come after the
    /// grace, fail with what is known. Without a [token](crate::Token) the event could not be told from
    /// that of another export, so the job fails at once.
    AwaitEvent {
        /// How long to wait: 2 min by default.
        grace: Duration,
    },
    /// Fail at once.
    Fail,
    /// Ask again, as often as [`RetryPolicy::max_retries`] allows, at the price of perhaps making the
    /// export several times. The first event that comes completes the job.
    AskAgain,
}

impl Default for UnknownOutcome {
    fn default() -> Self {
        Self::AwaitEvent { grace: Duration::from_secs(120) }
    }
}
