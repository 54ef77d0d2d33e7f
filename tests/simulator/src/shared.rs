//! What every connection and every delivery of one simulator share. Each part has its own lock, held for moments and
//! never across an await or another lock.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::archive::{Archive, Contents};
use crate::config::Config;
use crate::journal::{ExportRecord, Journal, Notice};
use crate::mint::Mint;
use crate::rate::{Allowance, RateLimit};
use crate::secrets::Secrets;
use crate::shelf::{Shelf, Stored};
use crate::trouble::Script;

/// What hears of every request and delivery.
pub(crate) type Observer = Box<dyn Fn(Notice<'_>) + Send + Sync>;

/// The state of one simulator.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) base_url: String,
    pub(crate) mint: Mint,
    pub(crate) journal: Journal,
    /// Bounds the deliveries under way.
    pub(crate) couriers: Semaphore,
    observer: Observer,
    connections: AtomicU64,
    contents: Mutex<Contents>,
    rate: Option<Mutex<RateLimit>>,
    script: Mutex<Script>,
    secrets: Mutex<Secrets>,
    shelf: Mutex<Shelf>,
}

impl Shared {
    pub(crate) fn new(config: Config, base_url: String, mint: Mint, observer: Observer) -> Self {
        let mut script = Script::default();
        config.troubles.iter().cloned().for_each(|trouble| script.add(trouble));
        let mut secrets = Secrets::default();
        secrets.set(config.signing_secret.clone(), SystemTime::now());
        Self {
            base_url,
            mint,
            journal: Journal::default(),
            couriers: Semaphore::new(COURIERS),
            observer,
            connections: AtomicU64::new(0),
            contents: Mutex::new(config.archive.clone()),
            rate: config.requests_per_second.map(|per_second| Mutex::new(RateLimit::new(per_second))),
            script: Mutex::new(script),
            secrets: Mutex::new(secrets),
            shelf: Mutex::default(),
            config,
        }
    }

    pub(crate) fn observe(&self, notice: Notice<'_>) {
        (self.observer)(notice);
    }

    pub(crate) fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        lock(&self.script)
    }

    pub(crate) fn secrets(&self) -> MutexGuard<'_, Secrets> {
        lock(&self.secrets)
    }

    /// What archives made from now on will hold.
    pub(crate) fn set_contents(&self, contents: Contents) {
        *lock(&self.contents) = contents;
    }

    /// Counts one request against the ceiling, if there is one.
    pub(crate) fn take_allowance(&self) -> Option<Allowance> {
        self.rate.as_ref().map(|rate| lock(rate).take(Instant::now()))
    }

    /// Accepts an export: gives it an id and an archive, and writes it down.
    pub(crate) fn accept(
        &self,
        ids: Vec<String>,
        known_ids: Vec<String>,
        callback_url: Option<String>,
    ) -> ExportRecord {
        let export_id = self.mint.uuid();
        let (path, query) = (format!("/archives/{export_id}.zip"), format!("sig={}", self.mint.token()));
        let since = SystemTime::now();
        let archive_url = format!("{}{path}?{query}", self.base_url);
        let contents = lock(&self.contents).clone();
        lock(&self.shelf).put(path, Stored { query, ids: known_ids.clone(), contents, since });
        let requested_at = crate::clock::unix_seconds(since);
        let record = ExportRecord { export_id, ids, known_ids, callback_url, requested_at, archive_url };
        self.journal.export(record.clone());
        record
    }

    pub(crate) fn stored(&self, path: &str) -> Option<Stored> {
        lock(&self.shelf).find(path)
    }

    /// The archive at `path`, made now if need be.
    pub(crate) async fn archive(&self, path: &str, stored: &Stored) -> Option<Archive> {
        let made = lock(&self.shelf).made(path);
        if made.is_some() {
            return made;
        }
        let stored = stored.clone();
        let archive = spawn_blocking(move || stored.make()).await.ok().flatten()?;
        lock(&self.shelf).keep(path, archive.clone());
        Some(archive)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// Nothing behind these locks is left half done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const COURIERS: usize = 256;
