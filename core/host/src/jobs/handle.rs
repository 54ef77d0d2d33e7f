//! Handles to a job: running, or stored and not yet resumed.

use std::{
    fmt,
    path::{Path, PathBuf},
    task::{Context, Poll},
    time::Duration,
};

use abyssale_core::{Export, Input, JobId, Order, Output};

use super::{Jobs, State};
use crate::{Clock, Error};

/// A job that its thread or task carries out.
///
/// Dropping it before [`finish`](Self::finish) cancels the job, or holds it if there is a store.
pub struct RunningJob<'j> {
    kind: Kind<'j>,
}

enum Kind<'j> {
    /// One of an exporter's jobs. The saver tells it the time.
    Shared { jobs: &'j Jobs, job: JobId, is_finished: bool },
    /// A job by itself, which nothing saves.
    Alone { export: Box<Export>, clock: Clock },
}

impl<'j> RunningJob<'j> {
    pub(super) fn of(jobs: &'j Jobs, job: JobId) -> Self {
        Self { kind: Kind::Shared { jobs, job, is_finished: false } }
    }

    /// Creates a handle to a job outside of [`Jobs`], which nothing saves.
    pub fn alone(export: Export, clock: Clock) -> Self {
        Self { kind: Kind::Alone { export: Box::new(export), clock } }
    }

    /// Returns the id of the job, if it is one of [`Jobs`].
    pub fn job(&self) -> Option<JobId> {
        match self.kind {
            Kind::Shared { job, .. } => Some(job),
            Kind::Alone { .. } => None,
        }
    }

    /// Returns the next output to carry out. If there is none, the caller is woken when there is one, or must
    /// [tell](Self::tell) the time after [`time_left`](Self::time_left).
    ///
    /// # Errors
    ///
    /// Fails if the job is new and could not be saved. No request was sent for it.
    pub fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Result<Output, Error>> {
        match &mut self.kind {
            Kind::Shared { jobs, job, .. } => match jobs.shared.lock().mailboxes.get_mut(job) {
                Some(mailbox) => mailbox.poll(cx).map_err(Error::from),
                None => Poll::Pending,
            },
            Kind::Alone { export, .. } => {
                export.poll_output().map_or(Poll::Pending, |output| Poll::Ready(Ok(output)))
            }
        }
    }

    /// Returns how long to wait for an output before telling the job [`Input::Tick`]; `None` for as long as it takes.
    pub fn time_left(&self) -> Option<Duration> {
        match &self.kind {
            Kind::Shared { .. } => None,
            Kind::Alone { export, clock } => {
                export.poll_timeout().map(|timeout| timeout.saturating_duration_since(clock.now()))
            }
        }
    }

    /// Tells the job what happened. The next output says what follows.
    pub fn tell(&mut self, input: Input) {
        match &mut self.kind {
            Kind::Shared { jobs, job, .. } => {
                let mut state = jobs.shared.lock();
                let _ = state.exports.handle(jobs.shared.clock.now(), *job, input);
                jobs.shared.advance(&mut state);
            }
            Kind::Alone { export, clock } => {
                let _ = export.handle(clock.now(), input);
            }
        }
    }

    /// Removes the job from the store, because its result was taken.
    pub fn finish(mut self) {
        if let Kind::Shared { jobs, job, is_finished } = &mut self.kind {
            *is_finished = true;
            let mut state = jobs.shared.lock();
            state.mailboxes.remove(job);
            if let Some(queue) = &mut state.queue {
                queue.remove(*job);
                jobs.shared.work.notify_one();
            }
        }
    }
}

impl Drop for RunningJob<'_> {
    fn drop(&mut self) {
        let Kind::Shared { jobs, job, is_finished: false } = self.kind else { return };
        let mut state = jobs.shared.lock();
        state.mailboxes.remove(&job);
        let now = jobs.shared.clock.now();
        if let Some(queue) = &mut state.queue {
            queue.drop_outputs(job);
            if state.exports.hold(now, job) {
                state.held.insert(job);
            }
        } else {
            let _ = state.exports.handle(now, job, Input::Cancel);
        }
        jobs.shared.advance(&mut state);
    }
}

impl fmt::Debug for RunningJob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningJob").field("job", &self.job()).finish_non_exhaustive()
    }
}

/// A stored job without a running handle. No other handle to the job exists while this one does.
pub struct StoredJob<'j> {
    jobs: &'j Jobs,
    job: JobId,
    order: Order,
    target: Option<PathBuf>,
    is_taken: bool,
}

impl<'j> StoredJob<'j> {
    pub(super) fn new(jobs: &'j Jobs, state: &State, job: JobId) -> Option<Self> {
        let order = state.exports.get(job)?.order().clone();
        let target = state.queue.as_ref().and_then(|queue| queue.target(job)).map(Path::to_owned);
        Some(Self { jobs, job, order, target, is_taken: false })
    }

    /// Returns the order.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Returns the path that the archive is saved to, if the job downloads one.
    pub fn target(&self) -> Option<&Path> {
        self.target.as_deref()
    }

    /// Resumes the job.
    pub fn resume(mut self) -> RunningJob<'j> {
        self.is_taken = true;
        let mut state = self.jobs.shared.lock();
        state.exports.release(self.jobs.shared.clock.now(), self.job);
        self.jobs.start(state, self.job)
    }

    /// Cancels the job and removes it from the store.
    pub fn cancel(mut self) {
        self.is_taken = true;
        let shared = &self.jobs.shared;
        let mut state = shared.lock();
        if let Some(queue) = &mut state.queue {
            queue.remove(self.job);
        }
        state.exports.release(shared.clock.now(), self.job);
        let _ = state.exports.handle(shared.clock.now(), self.job, Input::Cancel);
        shared.advance(&mut state);
    }
}

impl Drop for StoredJob<'_> {
    fn drop(&mut self) {
        if !self.is_taken {
            self.jobs.shared.lock().held.insert(self.job);
        }
    }
}

impl fmt::Debug for StoredJob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredJob").field("job", &self.job).finish_non_exhaustive()
    }
}
