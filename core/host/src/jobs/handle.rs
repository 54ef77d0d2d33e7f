//! Handles to a job: running, or stored and not yet resumed.

use std::{fmt, path::PathBuf, sync::Arc};

use abyssale_core::{Input, JobId, Order};

use super::{
    Jobs, State,
    mailbox::{Mailbox, Message, Waker},
};

/// A job that is being carried out, for as long as this lives.
///
/// Dropped before its result was taken, the job is cancelled, or held if there is a store.
pub struct RunningJob<'j, W: Waker> {
    jobs: &'j Jobs<W>,
    job: JobId,
    mailbox: Arc<Mailbox<W>>,
    is_over: bool,
}

impl<'j, W: Waker> RunningJob<'j, W> {
    pub(super) fn new(jobs: &'j Jobs<W>, job: JobId, mailbox: Arc<Mailbox<W>>) -> Self {
        Self { jobs, job, mailbox, is_over: false }
    }

    /// Returns the waker of the job's thread or task.
    pub fn waker(&self) -> &W {
        &self.mailbox.waker
    }

    /// The number of the job.
    pub fn job(&self) -> JobId {
        self.job
    }

    /// The next thing to be done, if there is one.
    pub fn take(&self) -> Option<Message> {
        self.mailbox.take()
    }

    /// Tells the job what happened. Whatever becomes of it, the next message says what follows.
    pub fn tell(&self, input: Input) {
        let shared = &self.jobs.shared;
        let mut state = shared.lock();
        let _ = state.exports.handle(shared.clock.now(), self.job, input);
        shared.pump(&mut state);
    }

    /// The result has been taken: the store may forget the job.
    pub fn finish(mut self) {
        self.is_over = true;
        let mut state = self.jobs.shared.lock();
        if let Some(save_queue) = &mut state.save_queue {
            save_queue.strike_out(self.job);
            self.jobs.shared.work.notify_one();
        }
    }
}

impl<W: Waker> Drop for RunningJob<'_, W> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let shared = &self.jobs.shared;
        let mut state = shared.lock();
        state.mailboxes.remove(&self.job);
        let now = shared.clock.now();
        if state.save_queue.is_some() {
            if state.exports.hold(now, self.job) {
                state.held.insert(self.job);
            }
        } else {
            let _ = state.exports.handle(now, self.job, Input::Cancel);
        }
        shared.pump(&mut state);
    }
}

impl<W: Waker> fmt::Debug for RunningJob<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningJob").field("job", &self.job).finish_non_exhaustive()
    }
}

/// A job that nobody carries out, and nobody else will while this lives.
pub struct StoredJob<'j, W: Waker> {
    jobs: &'j Jobs<W>,
    job: JobId,
    order: Order,
    target: Option<PathBuf>,
    is_taken: bool,
}

impl<'j, W: Waker> StoredJob<'j, W> {
    pub(super) fn new(jobs: &'j Jobs<W>, state: &State<W>, job: JobId) -> Option<Self> {
        let order = state.exports.get(job)?.order().clone();
        let target = state.save_queue.as_ref().and_then(|save_queue| save_queue.target(job)).cloned();
        Some(Self { jobs, job, order, target, is_taken: false })
    }

    /// What was ordered.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Where the archive goes, if one is wanted.
    pub fn target(&self) -> Option<&PathBuf> {
        self.target.as_ref()
    }

    /// Goes on with it.
    pub fn resume(mut self, waker: W) -> RunningJob<'j, W> {
        self.is_taken = true;
        let mut state = self.jobs.shared.lock();
        state.exports.release(self.jobs.shared.clock.now(), self.job);
        self.jobs.running(state, self.job, waker)
    }

    /// Gives it up: it is cancelled, and the store forgets it.
    pub fn cancel(mut self) {
        self.is_taken = true;
        let shared = &self.jobs.shared;
        let mut state = shared.lock();
        if let Some(save_queue) = &mut state.save_queue {
            save_queue.strike_out(self.job);
        }
        state.exports.release(shared.clock.now(), self.job);
        let _ = state.exports.handle(shared.clock.now(), self.job, Input::Cancel);
        shared.pump(&mut state);
    }
}

impl<W: Waker> Drop for StoredJob<'_, W> {
    fn drop(&mut self) {
        if !self.is_taken {
            self.jobs.shared.lock().held.insert(self.job);
        }
    }
}

impl<W: Waker> fmt::Debug for StoredJob<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredJob").field("job", &self.job).finish_non_exhaustive()
    }
}
