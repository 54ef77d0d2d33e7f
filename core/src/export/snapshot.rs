//! The saved form of a job, from which another process can continue it.

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use super::{CallId, Config, Export, NotTaken, Rare, State, Tries, UnknownCause, transitions::MAX_HELD};
use crate::{order::Order, redact::excerpt, time::Timestamp, webhook::NewExport};

/// The saved state of a job. It has a version, is readable as JSON, and contains neither the API key nor a signing secret.
///
/// It does contain the correlation token, and perhaps the archive's URL, which let a reader complete or download this
/// export: other users must not be able to read it.
///
/// ```
/// # use abyssale_core::{ApiKey, Config, Endpoint, Export, Order, Snapshot, Timestamp};
/// # let config = std::sync::Arc::new(Config::new(Endpoint::new("https://h", ApiKey::new("k")?)?));
/// # let order = Order::new(["64238d01-d402-474b-8c2d-fbc957e9d290"], "https://hooks.example.com")?;
/// let now = Timestamp::from_secs(1_649_838_051);
/// let export = Export::new(config.clone(), order, now);
/// let json = export.snapshot().to_json();
/// let restored = Export::restore(config, Snapshot::from_json(&json)?, now)?;
/// assert_eq!(restored.order(), export.order());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot(SavedJob);

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct SavedJob {
    version: u32,
    saved_at: Timestamp,
    order: Order,
    state: State,
    /// Absent in snapshots of the first release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(default)]
    tries: Tries,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    held: Vec<NewExport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doubt: Option<UnknownCause>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_taken: Option<NotTaken>,
    next_call: u64,
}

impl Snapshot {
    /// The version that is written. All earlier versions are read.
    pub const VERSION: u32 = 1;

    /// Returns the snapshot as JSON.
    pub fn to_json(&self) -> String {
        // Serialising plain data with text keys does not fail.
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    /// Parses the result of [`to_json`](Self::to_json).
    ///
    /// # Errors
    ///
    /// Fails if the text is not a snapshot, or was written by a newer release.
    pub fn from_json(json: &str) -> Result<Self, RestoreError> {
        #[derive(Deserialize)]
        struct VersionOnly {
            version: u32,
        }
        let damaged =
            |error: serde_json::Error| RestoreError::damaged(&alloc::string::ToString::to_string(&error));
        let VersionOnly { version } = serde_json::from_str(json).map_err(damaged)?;
        check_version(version)?;
        serde_json::from_str(json).map_err(damaged)
    }

    /// Returns when the snapshot was taken.
    pub fn saved_at(&self) -> Timestamp {
        self.0.saved_at
    }

    /// Returns the order of the job.
    pub fn order(&self) -> &Order {
        &self.0.order
    }

    pub(super) fn take(export: &Export) -> Self {
        Self(SavedJob {
            version: Self::VERSION,
            saved_at: export.now,
            order: export.order.clone(),
            state: export.state.clone(),
            seed: Some(export.seed),
            tries: export.tries,
            held: export.held().to_vec(),
            doubt: export.doubt().cloned(),
            not_taken: export.not_taken().cloned(),
            next_call: export.next_call,
        })
    }

    pub(super) fn into_export(self, config: Arc<Config>, now: Timestamp) -> Result<Export, RestoreError> {
        let SavedJob { saved_at, order, mut state, seed, tries, held, doubt, not_taken, next_call, .. } =
            self.0;
        let known = |call: &CallId| call.0 < next_call;
        let whole = match &state {
            State::Requesting { call, .. } | State::Downloading { call, .. } => known(call),
            _ => true,
        };
        if !whole || held.len() > MAX_HELD || next_call > MAX_CALLS {
            return Err(RestoreError::damaged("its attempts contradict each other"));
        }
        // Even if the clock was set since: as much time has passed and remains as when the job was saved.
        if let State::AwaitingEvent { since, .. } = &mut state {
            let waited = saved_at.as_millis().saturating_sub(since.as_millis());
            *since = Timestamp::from_millis(now.as_millis().saturating_sub(waited));
        }
        if let Some(deadline) = state.deadline_mut() {
            *deadline = now.saturating_add(deadline.saturating_duration_since(saved_at));
        }
        let seed = seed.unwrap_or_else(|| super::seed_of(&order));
        let mut export = Export {
            config,
            order,
            state,
            seed,
            tries,
            next_call,
            now,
            revision: 0,
            transfer: None,
            abort: None,
            rare: Some(Box::new(Rare { held, doubt, notices: Vec::new(), not_taken })),
            done_was_given: false,
        };
        export.drop_what_is_empty();
        export.resume();
        Ok(export)
    }
}

impl Export {
    /// Decides about the attempt that was under way when the job was saved.
    fn resume(&mut self) {
        match &self.state {
            // The job was saved before the request was polled, so the request was never sent.
            State::Requesting { sent: false, .. } => self.call(),
            State::Requesting { sent: true, .. } => self.unknown(UnknownCause::Interrupted),
            // Downloading twice does no harm.
            State::Downloading { event, .. } => {
                let event = event.clone();
                self.fetch(event);
            }
            _ => {}
        }
        self.expire();
    }
}

impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Snapshot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = SavedJob::deserialize(deserializer)?;
        check_version(fields.version).map_err(de::Error::custom)?;
        // A refusal is saved as the service sent it. The order tells which banners its problems concern.
        let state = fields.state.naming_ids(&fields.order);
        // A snapshot of an earlier version is written in the current one.
        Ok(Self(SavedJob { version: Self::VERSION, state, ..fields }))
    }
}

/// More attempts than a job can make, and far from an overflow.
const MAX_CALLS: u64 = u64::MAX / 2;

fn check_version(version: u32) -> Result<(), RestoreError> {
    match version {
        1..=Snapshot::VERSION => Ok(()),
        0 => Err(RestoreError::damaged("there is no version 0")),
        found => Err(RestoreError::Newer { found }),
    }
}

/// A job cannot be restored from a snapshot.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum RestoreError {
    /// A newer release wrote the snapshot.
    #[error("the snapshot has version {found}, and this release reads up to {}", Snapshot::VERSION)]
    Newer {
        /// The snapshot's version.
        found: u32,
    },
    /// There is a job with this id already.
    #[error("there is a job with this id already")]
    InUse,
    /// The text is not a snapshot, or contradicts itself.
    #[error("the snapshot is damaged: {reason}")]
    Damaged {
        /// What is wrong with the snapshot.
        reason: Box<str>,
    },
}

impl RestoreError {
    pub(crate) fn damaged(reason: &str) -> Self {
        // serde_json quotes the value in some of its messages, and that may be a token or a URL.
        let shown = match (reason.find('"'), reason.rfind('"')) {
            (Some(begin), Some(end)) => [reason.get(..begin), Some("…"), reason.get(end + 1..)],
            _ => [Some(reason), None, None],
        };
        let reason: String = shown.into_iter().flatten().collect();
        Self::Damaged { reason: excerpt(reason.as_bytes(), 200).into() }
    }
}
