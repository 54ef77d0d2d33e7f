//! A job of [`Exports`], and how its entries in the collections are kept up to date.

use alloc::{boxed::Box, sync::Arc};

use super::{Exports, JobId, send_queue::Position};
use crate::{
    export::{Export, Input, Output, RequestKind},
    id::ExportId,
    time::Timestamp,
};

/// A job, and its entries in the collections of [`Exports`].
#[derive(Clone, Debug)]
pub(super) struct ManagedJob {
    pub(super) export: Export,
    /// Its entry in `timers`.
    pub(super) timer: Option<Timestamp>,
    /// Its position in a send queue.
    pub(super) queued: Option<(RequestKind, Position)>,
    /// Whether it stands in `ready`.
    pub(super) is_ready: bool,
    /// The request of the job that counts as under way.
    pub(super) under_way: Option<RequestKind>,
    pub(super) stored: Stored,
    /// The export id under which `routes` knows a job without a token.
    pub(super) routed_as: Option<ExportId>,
    /// Whether it is [held](Exports::hold).
    pub(super) held: bool,
}

impl ManagedJob {
    /// Returns when the job has to be told the time. The time of a request starts when the request is polled.
    fn deadline(&self) -> Option<Timestamp> {
        let has_timer = !self.held && self.export.attempt_to_come().is_none();
        self.export.poll_timeout().filter(|_| has_timer)
    }
}

/// What the store holds of a job.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stored {
    Nothing,
    /// A snapshot that an earlier process took. Restoring may have changed the job since.
    Earlier,
    /// A snapshot of this revision.
    At(u64),
}

impl Exports {
    pub(super) fn advance(&mut self, now: Timestamp) {
        self.now = now.max(self.now);
    }

    pub(super) fn insert(&mut self, id: JobId, export: Export, stored: Stored) {
        self.routes.add(export.order().token(), id);
        let job = ManagedJob {
            export,
            timer: None,
            queued: None,
            is_ready: false,
            under_way: None,
            stored,
            routed_as: None,
            held: false,
        };
        self.jobs.insert(id, Box::new(job));
        self.settle(id);
    }

    /// Records what a job has just been polled for.
    pub(super) fn record(&mut self, id: JobId, output: Option<Output>) -> Option<(JobId, Output)> {
        let output = output?;
        let attempt = match output {
            Output::Done(_) => {
                self.remove(id);
                return Some((id, output));
            }
            Output::Call { .. } => Some(RequestKind::Call),
            Output::Download { .. } => Some(RequestKind::Download),
            _ => None,
        };
        if let (Some(attempt), Some(job)) = (attempt, self.jobs.get_mut(&id)) {
            job.under_way = Some(attempt);
            self.queues.began(attempt, self.now);
        }
        self.settle(id);
        Some((id, output))
    }

    pub(super) fn set_held(&mut self, now: Timestamp, id: JobId, held: bool) -> bool {
        self.advance(now);
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        if job.held != held {
            // The effect of a restart is what is wanted: it settles what was under way, and moves the deadlines by the
            // time that has passed. Restoring a snapshot that was just taken does not fail.
            let restored = Export::restore(Arc::clone(&self.config), job.export.snapshot(), self.now);
            if let Ok(export) = restored {
                job.export = export;
                // Its revisions start anew.
                if job.stored != Stored::Nothing {
                    job.stored = Stored::Earlier;
                }
            }
            job.held = held;
            self.settle(id);
        }
        true
    }

    /// Brings everything that is derived from a job's state up to date.
    pub(super) fn settle(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.stored != Stored::At(job.export.revision()) {
            self.changed.insert(id);
        }
        if let Some((attempt, position)) = job.queued
            && (job.held || job.export.attempt_to_come() != Some(attempt))
        {
            self.queues.leave(attempt, position);
            job.queued = None;
        }
        // An attempt counts as under way until its abort was polled.
        if let Some(attempt) = job.under_way
            && job.export.attempt_under_way() != Some(attempt)
            && !job.export.has_abort_to_give()
        {
            job.under_way = None;
            self.queues.ended(attempt);
        }
        if !job.is_ready && !job.held && (job.queued.is_none() || job.export.next_attempt().is_none()) {
            job.is_ready = true;
            self.ready.push_back(id);
        }
        let deadline = job.deadline();
        if deadline != job.timer {
            if let Some(at) = job.timer {
                self.timers.remove(&(at, id));
            }
            if let Some(at) = deadline {
                self.timers.insert((at, id));
            }
            job.timer = deadline;
        }
        if job.routed_as.is_none()
            && job.export.order().token().is_none()
            && let Some(export_id) = job.export.export_id().cloned()
        {
            let early = self.routes.name(self.now, &export_id, id);
            job.routed_as = Some(export_id);
            if let Some(event) = early {
                let _taken = job.export.handle(self.now, Input::Event { event, token: None });
                self.settle(id);
            }
        }
    }

    pub(super) fn remove(&mut self, id: JobId) {
        let Some(job) = self.jobs.remove(&id) else { return };
        if let Some(at) = job.timer {
            self.timers.remove(&(at, id));
        }
        if let Some(attempt) = job.under_way {
            self.queues.ended(attempt);
        }
        let token = job.export.order().token();
        let export_id = job.routed_as.as_ref().or_else(|| job.export.export_id().filter(|_| token.is_some()));
        self.routes.remove(token, export_id, job.export.took_event());
        if job.stored == Stored::Nothing {
            self.changed.remove(&id);
        } else {
            self.changed.insert(id);
        }
    }
}
