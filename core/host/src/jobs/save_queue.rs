//! The changes that are not saved yet, and the outputs and replies that wait for them. One write serves everything that
//! was queued during the write before it.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    path::{Path, PathBuf},
    time::Duration,
};

use abyssale_core::{JobId, Output, Snapshot, Timestamp, Write, webhook::Reply};

use crate::{Answer, store::Record};

/// The unsaved changes of all jobs.
#[derive(Default)]
pub(super) struct SaveQueue {
    /// Waits for the next write.
    next: Batch,
    /// Waits for the write under way. Its changes are with the saver.
    writing: Option<Batch>,
    /// Jobs of which nothing is in the store yet.
    new: BTreeSet<JobId>,
    /// The target of each job in the store or on its way there.
    targets: BTreeMap<JobId, Option<PathBuf>>,
    /// How many writes in a row have failed, and when the next one may begin.
    failures: u32,
    retry_at: Timestamp,
}

#[derive(Default)]
struct Batch {
    changes: BTreeMap<JobId, Write>,
    outputs: Vec<(JobId, Output)>,
    replies: Vec<Answer>,
}

impl SaveQueue {
    /// Adds a job, new or from the store.
    pub(super) fn add(&mut self, job: JobId, target: Option<PathBuf>, is_new: bool) {
        self.targets.insert(job, target);
        if is_new {
            self.new.insert(job);
        }
    }

    /// Returns the path that the job's archive is saved to.
    pub(super) fn target(&self, job: JobId) -> Option<&Path> {
        self.targets.get(&job)?.as_deref()
    }

    /// Queues a job as it is now. A job that was removed stays removed.
    pub(super) fn save(&mut self, job: JobId, snapshot: &Snapshot) {
        if let Some(target) = self.targets.get(&job) {
            let record = Record::write(target.as_deref(), snapshot);
            self.next.changes.insert(job, Write::Save(record));
        }
    }

    /// Removes a job from the store, and drops its outputs.
    pub(super) fn remove(&mut self, job: JobId) {
        if self.targets.remove(&job).is_none() {
            return;
        }
        self.drop_outputs(job);
        if self.new.remove(&job) && self.writing.is_none() {
            self.next.changes.remove(&job);
        } else {
            self.next.changes.insert(job, Write::Remove);
        }
    }

    /// Drops the outputs of a job whose handle is gone: a later handle must not carry them out.
    pub(super) fn drop_outputs(&mut self, job: JobId) {
        for batch in [Some(&mut self.next), self.writing.as_mut()].into_iter().flatten() {
            batch.outputs.retain(|(other, _)| *other != job);
        }
    }

    /// Releases an output once everything that is queued now is saved.
    pub(super) fn release_once_saved(&mut self, job: JobId, output: Output) {
        self.next.outputs.push((job, output));
    }

    /// Acknowledges a delivery once everything that is queued now is saved. If that fails, replies
    /// [`Reply::Unavailable`].
    pub(super) fn acknowledge_once_saved(&mut self, answer: Answer) {
        if self.is_settled() {
            answer(Reply::Acknowledged);
        } else {
            self.next.replies.push(answer);
        }
    }

    /// Returns whether everything is saved and nothing waits.
    pub(super) fn is_settled(&self) -> bool {
        self.writing.is_none() && self.next.is_empty()
    }

    /// Returns when the next write is due, if there is one.
    pub(super) fn due(&self) -> Option<Timestamp> {
        (!self.next.is_empty()).then_some(self.retry_at)
    }

    /// Begins a write and returns its changes. [`saved`](Self::saved) or [`failed`](Self::failed) must follow.
    pub(super) fn begin(&mut self) -> Vec<(JobId, Write)> {
        let mut batch = mem::take(&mut self.next);
        let changes = mem::take(&mut batch.changes).into_iter().collect();
        self.writing = Some(batch);
        changes
    }

    /// Ends a write that succeeded: acknowledges its deliveries, and returns the outputs to release.
    pub(super) fn saved(&mut self, changes: &[(JobId, Write)]) -> Vec<(JobId, Output)> {
        let Batch { outputs, replies, .. } = self.writing.take().unwrap_or_default();
        for answer in replies {
            answer(Reply::Acknowledged);
        }
        (self.failures, self.retry_at) = (0, Timestamp::default());
        for (job, _) in changes {
            self.new.remove(job);
        }
        outputs
    }

    /// Ends a write that failed: its changes are written again, together with later ones. Returns the new jobs among
    /// them, which are removed.
    pub(super) fn failed(&mut self, now: Timestamp, changes: Vec<(JobId, Write)>) -> Vec<JobId> {
        let Batch { mut outputs, replies, .. } = self.writing.take().unwrap_or_default();
        for answer in replies {
            answer(Reply::Unavailable);
        }
        self.failures += 1;
        self.retry_at = now.saturating_add((FIRST_PAUSE * self.failures).min(LONGEST_PAUSE));
        for (job, write) in changes {
            self.next.changes.entry(job).or_insert(write);
        }
        outputs.append(&mut self.next.outputs);
        self.next.outputs = outputs;
        let is_unsaved = |job: &&JobId| self.next.changes.contains_key(job);
        let unsaved: Vec<_> = self.new.iter().filter(is_unsaved).copied().collect();
        for job in &unsaved {
            self.remove(*job);
        }
        unsaved
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.outputs.is_empty() && self.replies.is_empty()
    }
}

/// How long the saver waits after a failed write; as much longer after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
