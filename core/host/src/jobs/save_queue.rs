//! What is to be saved, and what has to wait until it is: batch by batch, so that one write serves all that happened
//! while the last one was under way.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use abyssale_core::{JobId, Snapshot, StoreError, Timestamp, Write};

use super::mailbox::{Mailbox, Message, Waker};
use crate::store::Record;

/// The unsaved changes of jobs that have a store.
pub(super) struct SaveQueue<W> {
    pub(super) next: Batch<W>,
    is_writing: bool,
    /// Jobs of which nothing is in the store yet.
    new: BTreeSet<JobId>,
    /// Where each job's archive goes.
    targets: BTreeMap<JobId, Option<Arc<PathBuf>>>,
    /// While the store fails: how often it has, and when to try again.
    failed: u32,
    pause: Option<Timestamp>,
}

/// What is written at once, and what waits for it.
pub(super) struct Batch<W> {
    /// `None` for a job that is to be removed.
    changes: BTreeMap<JobId, Option<Moved>>,
    outbox: Vec<(Arc<Mailbox<W>>, Message)>,
    /// Called with whether everything that was queued before them is saved.
    waiting: Vec<Box<dyn FnOnce(bool) + Send>>,
}

/// A job as it stands, and where its archive goes.
type Moved = (Box<Snapshot>, Option<Arc<PathBuf>>);

impl<W: Waker> SaveQueue<W> {
    pub(super) fn new() -> Self {
        Self {
            next: Batch::default(),
            is_writing: false,
            new: BTreeSet::new(),
            targets: BTreeMap::new(),
            failed: 0,
            pause: None,
        }
    }

    /// A job that is in the store already, or is new.
    pub(super) fn add(&mut self, job: JobId, target: Option<PathBuf>, is_new: bool) {
        self.targets.insert(job, target.map(Arc::new));
        if is_new {
            self.new.insert(job);
        }
    }

    pub(super) fn target(&self, job: JobId) -> Option<&PathBuf> {
        self.targets.get(&job)?.as_deref()
    }

    /// A job has moved on. Nothing is kept of one that has been struck out.
    pub(super) fn save(&mut self, job: JobId, snapshot: Box<Snapshot>) {
        if let Some(target) = self.targets.get(&job) {
            self.next.changes.insert(job, Some((snapshot, target.clone())));
        }
    }

    /// A job is over, and whoever wanted its result has it.
    pub(super) fn strike_out(&mut self, job: JobId) {
        if self.targets.remove(&job).is_none() {
            return;
        }
        if self.new.remove(&job) && !self.is_writing {
            self.next.changes.remove(&job);
        } else {
            self.next.changes.insert(job, None);
        }
    }

    /// Delivers a message once everything that is queued now is saved.
    pub(super) fn post(&mut self, mailbox: &Arc<Mailbox<W>>, message: Message) {
        if self.is_settled() {
            mailbox.post(message);
        } else {
            self.next.outbox.push((Arc::clone(mailbox), message));
        }
    }

    /// Calls back once everything is saved that is in the save queue now, or could not be.
    pub(super) fn when_saved(&mut self, then: Box<dyn FnOnce(bool) + Send>) {
        if self.is_settled() {
            then(true);
        } else {
            self.next.waiting.push(then);
        }
    }

    /// Whether everything is saved.
    pub(super) fn is_settled(&self) -> bool {
        !self.is_writing && self.next.is_empty()
    }

    /// When there is something to write, if there is.
    pub(super) fn due(&self) -> Option<Timestamp> {
        (!self.next.is_empty()).then(|| self.pause.unwrap_or_default())
    }

    /// Hands out what is to be written now; [`end`](Self::end) must follow.
    pub(super) fn begin(&mut self) -> Batch<W> {
        self.is_writing = true;
        std::mem::take(&mut self.next)
    }

    /// Takes back what was written, or was not. Returns the new jobs that could not be saved.
    pub(super) fn end(
        &mut self,
        now: Timestamp,
        batch: Batch<W>,
        written: &Result<(), StoreError>,
    ) -> Vec<JobId> {
        self.is_writing = false;
        let saved = written.is_ok();
        for then in batch.waiting {
            then(saved);
        }
        if saved {
            (self.failed, self.pause) = (0, None);
            for job in batch.changes.keys() {
                self.new.remove(job);
            }
            for (mailbox, message) in batch.outbox {
                mailbox.post(message);
            }
            return Vec::new();
        }
        self.failed += 1;
        self.pause = Some(now.saturating_add((FIRST_PAUSE * self.failed).min(LONGEST_PAUSE)));
        // All of it is tried again together with what has come since, which is newer.
        let newer = std::mem::take(&mut self.next);
        self.next.changes = batch.changes;
        self.next.changes.extend(newer.changes);
        self.next.outbox = batch.outbox;
        self.next.outbox.extend(newer.outbox);
        self.next.waiting = newer.waiting;
        let unsaved: Vec<_> =
            self.new.iter().filter(|job| self.next.changes.contains_key(job)).copied().collect();
        for job in &unsaved {
            // Its messages are dropped: nothing was asked for it.
            self.strike_out(*job);
        }
        unsaved
    }
}

impl<W> Batch<W> {
    fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.outbox.is_empty() && self.waiting.is_empty()
    }

    /// As the store wants it.
    pub(super) fn records(&self) -> Vec<(JobId, Write)> {
        let write = |change: &Option<Moved>| match change {
            Some((snapshot, target)) => {
                Write::Save(Record::write(target.as_deref().map(PathBuf::as_path), snapshot))
            }
            None => Write::Remove,
        };
        self.changes.iter().map(|(job, change)| (*job, write(change))).collect()
    }
}

impl<W> Default for Batch<W> {
    fn default() -> Self {
        Self { changes: BTreeMap::new(), outbox: Vec::new(), waiting: Vec::new() }
    }
}

/// How long the store is left alone after it failed, growing by as much with each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
