//! What every adapter must do with the requests that core describes: the two transports, the examples of other runtimes,
//! and yours.
//!
//! Implement [`Adapter`], which makes a client, and [`Client`], which asks for an export and downloads an archive, both by
//! driving core's `Export`; then run each of [`checks`] as a test. A check plays the service on a socket of its own, byte by
//! byte, and panics if the client does otherwise than it must. Nothing leaves the machine.
//!
//! ```no_run
//! # use abyssale_conformance::{Adapter, checks};
//! fn every_check_passes(adapter: &dyn Adapter) {
//!     for check in checks() {
//!         println!("{}", check.name);
//!         (check.run)(adapter);
//!     }
//! }
//! ```

// All of it is test code, though in a library.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a check that panics has failed"
)]

mod calls;
mod downloads;
mod peer;

use std::{path::Path, time::Duration};

use abyssale_core::{ApiKey, ExportId, Failure, Order, webhook::NewExport};

/// Makes clients.
pub trait Adapter {
    /// A client of this service, with its own connections if it keeps any.
    fn client(&self, service: &Service) -> Box<dyn Client>;

    /// Whether it knows when it begins to send. One that has only a client's errors to go by may say `Sent::Maybe` where
    /// nothing was sent; never the other way round.
    fn watches(&self) -> bool {
        true
    }

    /// Whether it can reach a service over TLS. What depends on it is left out otherwise.
    fn speaks_tls(&self) -> bool {
        true
    }
}

/// Carries out what an `Export` says.
pub trait Client {
    /// Carries out a job with the goal `Acceptance` and the policy `UnknownOutcome::Fail`.
    fn create_export(&self, order: &Order) -> Result<ExportId, Box<Failure>>;

    /// Carries out a job that has its event already (as `abyssale_host::download_only` makes it), and returns the archive's
    /// size.
    fn download(&self, event: &NewExport, target: &Path) -> Result<u64, Box<Failure>>;
}

/// Where a service is, and how patient to be with it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Service {
    /// Its address.
    pub base_url: String,
    /// The key.
    pub api_key: ApiKey,
    /// `Config::call_timeout`.
    pub call_timeout: Duration,
    /// `Config::stall_timeout`, and `Config::first_byte_timeout`.
    pub stall_timeout: Duration,
    /// `RetryPolicy::max_retries`: none, so that what comes of one attempt is what comes of the job.
    pub max_retries: u32,
}

/// Something that every adapter must do.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Check {
    /// What it is that it must do.
    pub name: &'static str,
    /// Panics if it does not.
    pub run: fn(&dyn Adapter),
}

/// Everything that every adapter must do.
pub fn checks() -> impl Iterator<Item = Check> {
    calls::CHECKS.iter().chain(downloads::CHECKS).map(|&(name, run)| Check { name, run })
}

impl Service {
    fn at(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            api_key: ApiKey::new(KEY).unwrap(),
            call_timeout: PATIENCE,
            stall_timeout: PATIENCE,
            max_retries: 0,
        }
    }
}

/// Can be told from everything else on the wire.
const KEY: &str = "conformance-key";

/// Far longer than anything here takes; only a failing check meets it.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a client is told to wait where waiting is what is checked.
const SHORT: Duration = Duration::from_millis(800);
