//! A job written down, so that it can go on after the end of the process that began it.

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use super::{CallId, Config, Export, Rare, State, Tries, UnknownCause, transitions::MAX_HELD};
use crate::{Order, Timestamp, redact::excerpt, webhook::NewExport};

/// A job as it is saved: versioned, readable by a person as JSON, and without the key or a secret.
///
/// It does hold the correlation token and perhaps the archive's address, each of which lets its
/// reader fetch or complete this one export. Keep it where other people's files are not.
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
    /// Absent from what the first release wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(default)]
    tries: Tries,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    held: Vec<NewExport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doubt: Option<UnknownCause>,
    next_call: u64,
}

impl Snapshot {
    /// The version that is written. All versions up to it are read.
    pub const VERSION: u32 = 1;

    /// The snapshot as JSON.
    pub fn to_json(&self) -> String {
        // Plain data with text keys into a string: nothing here can fail.
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
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

    /// When it was taken.
    pub fn saved_at(&self) -> Timestamp {
        self.0.saved_at
    }

    /// The order of the job.
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
            next_call: export.next_call,
        })
    }

    pub(super) fn into_export(self, config: Arc<Config>, now: Timestamp) -> Result<Export, RestoreError> {
        let SavedJob { saved_at, order, mut state, seed, tries, held, doubt, next_call, .. } = self.0;
        let known = |call: &CallId| call.0 < next_call;
        let whole = match &state {
            State::Requesting { call, .. } | State::Downloading { call, .. } => known(call),
            _ => true,
        };
        if !whole || held.len() > MAX_HELD || next_call > MAX_CALLS {
            return Err(RestoreError::damaged("its attempts do not add up"));
        }
        // Whatever the clock was set to in between: as much time has passed and is left as when it was saved.
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
            rare: Some(Box::new(Rare { held, doubt, notices: Vec::new() })),
            done_was_given: false,
        };
        export.drop_what_is_empty();
        export.resume();
        Ok(export)
    }
}

impl Export {
    /// What a restored job does about an attempt that it finds under way.
    fn resume(&mut self) {
        match &self.state {
            // Saved before it was polled, so by the rule of saving it was never sent.
            State::Requesting { sent: false, .. } => self.call(),
            State::Requesting { sent: true, .. } => self.unknown(UnknownCause::Interrupted),
            // Reading twice does no harm.
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
        // A refusal is saved as it came; which banners it speaks of is known from the order.
        let state = fields.state.naming_ids(&fields.order);
        // Whatever was read is written in the current version.
        Ok(Self(SavedJob { version: Self::VERSION, state, ..fields }))
    }
}

/// More attempts than any job can make, and far from where counting them would overflow.
const MAX_CALLS: u64 = u64::MAX / 2;

fn check_version(version: u32) -> Result<(), RestoreError> {
    match version {
        1..=Snapshot::VERSION => Ok(()),
        0 => Err(RestoreError::damaged("there is no version 0")),
        found => Err(RestoreError::Newer { found }),
    }
}

/// A snapshot cannot be turned into a job.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum RestoreError {
    /// A newer release wrote it.
    #[error("the snapshot has version {found}, and this release reads up to {}", Snapshot::VERSION)]
    Newer {
        /// Its version.
        found: u32,
    },
    /// There is a job of that name already.
    #[error("there is a job of that name already")]
    InUse,
    /// It is not a snapshot, or not a whole one.
    #[error("the snapshot is damaged: {reason}")]
    Damaged {
        /// What is wrong with it.
        reason: Box<str>,
    },
}

impl RestoreError {
    pub(crate) fn damaged(reason: &str) -> Self {
        // serde_json quotes the offending value in some of its reasons, and that may be a token or an address.
        let shown = match (reason.find('"'), reason.rfind('"')) {
            (Some(begin), Some(end)) => [reason.get(..begin), Some("…"), reason.get(end + 1..)],
            _ => [Some(reason), None, None],
        };
        let reason: String = shown.into_iter().flatten().collect();
        Self::Damaged { reason: excerpt(reason.as_bytes(), 200).into() }
    }
}
