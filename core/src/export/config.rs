//! The configuration that all jobs of a program share.

use core::time::Duration;

use crate::{archive::ArchivePolicy, download::MinRate, request::Endpoint, retry::RetryPolicy};

/// The configuration of jobs. It is not saved: a restored job uses the configuration of the program that restores it.
///
/// Durations below a millisecond count as one millisecond.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The service's base URL and the API key.
    pub endpoint: Endpoint,
    /// How often to retry, and how long to wait.
    pub retry: RetryPolicy,
    /// The time limit for one call, from connecting to the last byte of the answer. Default: 30 s.
    pub call_timeout: Duration,
    /// The time limit for the event, from the acceptance of the export. Default: 30 min.
    ///
    /// The time during which the program does not run does not count.
    pub event_timeout: Duration,
    /// What to do if it is unknown whether the service accepted the request.
    pub unknown_outcome: UnknownOutcome,
    /// The time limit for resolving, connecting and the TLS handshake, of calls (within `call_timeout`) and of downloads.
    /// Default: 10 s.
    ///
    /// Adapters apply it; a job does not know about connections.
    pub connect_timeout: Duration,
    /// The time limit for the head of a download's answer, connecting included. Default: 30 s.
    pub first_byte_timeout: Duration,
    /// How long a download may make no progress after that. Default: 30 s.
    ///
    /// A whole download has no time limit.
    pub stall_timeout: Duration,
    /// The lowest rate of a download. Default: 1 KiB/s, measured over 60 s.
    ///
    /// A slower download is aborted, and retried like one whose connection broke. Adapters apply it
    /// ([`RateMeter`](crate::download::RateMeter)).
    pub min_download_rate: MinRate,
    /// Which URLs archives may be downloaded from.
    pub archive: ArchivePolicy,
    /// How many banners the service is asked about after an archive that holds fewer files than the order has banners.
    /// Default: 100. Adapters apply it.
    pub banner_lookups: usize,
}

impl Config {
    /// Creates a configuration with the defaults.
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
            min_download_rate: MinRate::default(),
            archive: ArchivePolicy::default(),
            banner_lookups: 100,
        }
    }
}

/// What to do if it is unknown whether the service accepted a request: its answer was lost, cannot be parsed or was a 5xx,
/// or the program ended before it arrived.
///
/// Such a request is never repeated silently, since that could make the export twice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum UnknownOutcome {
    /// Wait for the event, which arrives if the service accepted the request. If it does not arrive in time, fail.
    ///
    /// Without a [token](crate::Token) the event could not be matched to the job, so the job fails at once.
    AwaitEvent {
        /// How long to wait, at most [`Config::event_timeout`]. Default: 2 min.
        grace: Duration,
    },
    /// Fail at once.
    Fail,
    /// Repeat the request, as often as [`RetryPolicy::max_retries`] allows. This may make the export several times. The
    /// first event completes the job.
    AskAgain,
}

impl Default for UnknownOutcome {
    fn default() -> Self {
        Self::AwaitEvent { grace: Duration::from_secs(120) }
    }
}
