//! The changes that a store has to save.

use alloc::boxed::Box;
use core::iter;

use super::{Exports, JobId, managed_job::Stored};
use crate::export::Snapshot;

impl Exports {
    /// Returns what has to be saved since the last call, one change per job. Take and save all of it, or the jobs are not
    /// safe.
    pub fn take_changes(&mut self) -> impl Iterator<Item = (JobId, Change)> {
        iter::from_fn(|| {
            while let Some(id) = self.changed.pop_first() {
                let Some(job) = self.jobs.get_mut(&id) else { return Some((id, Change::Remove)) };
                let stored = Stored::At(job.export.revision());
                if job.stored != stored {
                    job.stored = stored;
                    return Some((id, Change::Save(Box::new(job.export.snapshot()))));
                }
            }
            None
        })
    }

    /// Forgets what would have to be saved: for a program without a store.
    pub fn forget_changes(&mut self) {
        self.changed.clear();
    }
}

/// A change of a job's record in the store.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// Replace the record: before acting on the outputs that were polled, and before acknowledging a delivery.
    Save(Box<Snapshot>),
    /// Remove the record, after the program has acted on the job's result.
    ///
    /// If the process ends before, the restored job gives its result again. A program that removed the record first might
    /// lose the result.
    Remove,
}
