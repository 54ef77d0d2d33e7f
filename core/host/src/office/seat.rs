//! Who carries out a job: a seat for who does, a claim for who is about to go on with one.

use std::{fmt, path::PathBuf, sync::Arc};

use abyssale_core::{Input, JobId, Order};

use super::{
    Office, State,
    desk::{Bell, Desk, Mail},
};

/// A job that is being carried out, for as long as this lives.
///
/// Dropped before its result was taken, the job is cancelled, or held if there is a store.
pub struct Seat<'o, B: Bell> {
    office: &'o Office<B>,
    job: JobId,
    desk: Arc<Desk<B>>,
    is_over: bool,
}

impl<'o, B: Bell> Seat<'o, B> {
    pub(super) fn new(office: &'o Office<B>, job: JobId, desk: Arc<Desk<B>>) -> Self {
        Self { office, job, desk, is_over: false }
    }

    /// The bell that rings when there is mail.
    pub fn bell(&self) -> &B {
        &self.desk.bell
    }

    /// The number of the job.
    pub fn job(&self) -> JobId {
        self.job
    }

    /// The next thing to be done, if there is one.
    pub fn take(&self) -> Option<Mail> {
        self.desk.take()
    }

    /// Tells the job what happened. Whatever becomes of it, the next mail says what follows.
    pub fn tell(&self, input: Input) {
        let shared = &self.office.shared;
        let mut state = shared.lock();
        let _ = state.exports.handle(shared.clock.now(), self.job, input);
        shared.pump(&mut state);
    }

    /// The result has been taken: the store may forget the job.
    pub fn finish(mut self) {
        self.is_over = true;
        let mut state = self.office.shared.lock();
        if let Some(books) = &mut state.books {
            books.strike_out(self.job);
            self.office.shared.work.notify_one();
        }
    }
}

impl<B: Bell> Drop for Seat<'_, B> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let shared = &self.office.shared;
        let mut state = shared.lock();
        state.desks.remove(&self.job);
        let now = shared.clock.now();
        if state.books.is_some() {
            if state.exports.hold(now, self.job) {
                state.held.insert(self.job);
            }
        } else {
            let _ = state.exports.handle(now, self.job, Input::Cancel);
        }
        shared.pump(&mut state);
    }
}

impl<B: Bell> fmt::Debug for Seat<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("job", &self.job).finish_non_exhaustive()
    }
}

/// A job that nobody carries out, and nobody else will while this lives.
pub struct Claim<'o, B: Bell> {
    office: &'o Office<B>,
    job: JobId,
    order: Order,
    target: Option<PathBuf>,
    is_taken: bool,
}

impl<'o, B: Bell> Claim<'o, B> {
    pub(super) fn new(office: &'o Office<B>, state: &State<B>, job: JobId) -> Option<Self> {
        let order = state.exports.get(job)?.order().clone();
        let target = state.books.as_ref().and_then(|books| books.target(job)).cloned();
        Some(Self { office, job, order, target, is_taken: false })
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
    pub fn go_on(mut self, bell: B) -> Seat<'o, B> {
        self.is_taken = true;
        let mut state = self.office.shared.lock();
        state.exports.release(self.office.shared.clock.now(), self.job);
        self.office.seat(state, self.job, bell)
    }

    /// Gives it up: it is cancelled, and the store forgets it.
    pub fn cancel(mut self) {
        self.is_taken = true;
        let shared = &self.office.shared;
        let mut state = shared.lock();
        if let Some(books) = &mut state.books {
            books.strike_out(self.job);
        }
        state.exports.release(shared.clock.now(), self.job);
        let _ = state.exports.handle(shared.clock.now(), self.job, Input::Cancel);
        shared.pump(&mut state);
    }
}

impl<B: Bell> Drop for Claim<'_, B> {
    fn drop(&mut self) {
        if !self.is_taken {
            self.office.shared.lock().held.insert(self.job);
        }
    }
}

impl<B: Bell> fmt::Debug for Claim<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("job", &self.job).finish_non_exhaustive()
    }
}
