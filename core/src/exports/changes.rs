//! What has to be saved: every job that moved since the last time, once.

use alloc::boxed::Box;

use super::{Exports, JobId, Stored};
use crate::Snapshot;

/// What changed, one job at a time; ends when all of it was taken. See [`Exports::take_changes`].
#[derive(Debug)]
pub struct Changes<'e> {
    pub(super) exports: &'e mut Exports,
}

impl Iterator for Changes<'_> {
    type Item = (JobId, Change);

    fn next(&mut self) -> Option<(JobId, Change)> {
        while let Some(id) = self.exports.changed.pop_first() {
            let Some(job) = self.exports.jobs.get_mut(&id) else { return Some((id, Change::Remove)) };
            if job.stored != Stored::At(job.export.revision()) {
                job.stored = Stored::At(job.export.revision());
                return Some((id, Change::Save(Box::new(job.export.snapshot()))));
            }
        }
        None
    }
}

/// What to do in the store about a job.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// Save this, instead of what is there: before acting on what was polled, and before a delivery is acknowledged.
    Save(Box<Snapshot>),
    /// The job is over and its result was given: remove it, once whatever is to be done about the result is done. A
    /// process that ends in between is given the result again by the job that it restores; one that removes first may
    /// have told nobody.
    Remove,
}
