//! The jobs of one exporter: core's [`Exports`] behind a lock, with a store and a mailbox for each job.
//!
//! ```text
//!   a job's thread or task                                      the saver thread
//!   ──────────────────────                                      ────────────────
//!   RunningJob::tell ─────┐
//!   Jobs::handle_later ───┴─► Exports ──► changes ──► save queue ──► Store::write
//!                                    └──► outputs ──►     │
//!   RunningJob::poll_output ◄──── mailbox ◄───────────────┘ once the changes are saved
//! ```
//!
//! Whatever changes a job also queues the change, and behind it the outputs and replies that the change causes. The saver
//! writes everything that is queued in one batch and then releases what waited for it: an output to the mailbox of its
//! job, a reply to its delivery. So no request is sent and no delivery acknowledged before the job is saved, and a slow
//! store costs one write for many jobs. Without a store, outputs and replies are released at once.
//!
//! When a write fails, deliveries get status 503 and the saver tries again. A new job that cannot be saved is given up,
//! because no request was sent for it. A finished job is removed from the store when its thread or task has taken the
//! result. A job whose handle is dropped earlier is [held](Exports::hold) until it is resumed, in this process or
//! another; without a store it is cancelled.

mod handle;
mod mailbox;
mod save_queue;
mod saver;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread::JoinHandle,
};

use abyssale_core::{
    Change, Config, Exports, JobId, Limits, Order, Output, RestoreError, Store, Timestamp, Token,
    http::Response,
    webhook::{Delivery, Reply},
};

use tracing::info;

use self::{handle::JOB, mailbox::Mailbox, save_queue::SaveQueue};
use crate::{Answer, Clock, Error, Handler, store::Record};

pub use self::handle::{RunningJob, StoredJob};

/// The jobs of one exporter, with their store.
///
/// Nothing is sent and no delivery is acknowledged before the job that it belongs to is saved.
pub struct Jobs {
    shared: Arc<Shared>,
    saver: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    /// Wakes the saver.
    work: Condvar,
    clock: Clock,
}

struct State {
    exports: Exports,
    /// Of the jobs that have a handle.
    mailboxes: BTreeMap<JobId, Mailbox>,
    /// `None` without a store.
    queue: Option<SaveQueue>,
    /// The jobs that can be resumed.
    held: BTreeSet<JobId>,
    /// Records that cannot be restored, until [`Jobs::resume`] has reported them.
    unreadable: Vec<(JobId, RestoreError)>,
    /// When the saver wakes up by itself.
    alarm: Option<Timestamp>,
    closing: bool,
}

impl Jobs {
    /// Loads the jobs from the store, each held, and starts the saver.
    ///
    /// # Errors
    ///
    /// Fails if the store cannot be read or the thread cannot be started.
    pub fn open(
        config: Arc<Config>,
        limits: Limits,
        clock: Clock,
        mut store: Option<Box<dyn Store>>,
    ) -> Result<Self, Error> {
        let mut state = State {
            exports: Exports::new(config, limits),
            mailboxes: BTreeMap::new(),
            queue: store.is_some().then(SaveQueue::default),
            held: BTreeSet::new(),
            unreadable: Vec::new(),
            alarm: None,
            closing: false,
        };
        if let Some(store) = &mut store {
            for (job, record) in store.load()? {
                state.restore(clock.now(), job, &record);
            }
        }
        let shared = Arc::new(Shared { state: Mutex::new(state), work: Condvar::new(), clock });
        let saver = saver::start(Arc::clone(&shared), store).map_err(Error::Saver)?;
        Ok(Self { shared, saver: Mutex::new(Some(saver)) })
    }

    /// Adds a job. Its first request waits until the job is saved.
    ///
    /// `target` is saved with the job, as an absolute path.
    ///
    /// # Errors
    ///
    /// Fails if there are as many jobs as the limits allow, or if the working directory is unknown.
    pub fn submit(&self, order: &Order, target: Option<PathBuf>) -> Result<RunningJob<'_>, Error> {
        let target = target.map(std::path::absolute).transpose().map_err(Error::WorkingDirectory)?;
        let mut state = self.shared.lock();
        let job = state.exports.submit(self.shared.clock.now(), order.clone())?;
        if let Some(queue) = &mut state.queue {
            queue.add(job, target, true);
        }
        let running = self.start(state, job, order);
        info!(target: JOB, parent: running.span().id(), "job begun");
        Ok(running)
    }

    /// Returns the jobs in the store that have no handle, oldest first, then the records that cannot be restored. Those
    /// are reported once and stay in the store.
    pub fn resume(&self) -> Vec<Result<StoredJob<'_>, Error>> {
        let mut state = self.shared.lock();
        let held = std::mem::take(&mut state.held).into_iter();
        let mut stored: Vec<_> = held.filter_map(|job| StoredJob::new(self, &state, job)).map(Ok).collect();
        let unreadable = std::mem::take(&mut state.unreadable);
        stored.extend(unreadable.into_iter().map(|(job, source)| Err(Error::Record { job, source })));
        stored
    }

    /// Returns the number of jobs, including held ones.
    pub fn len(&self) -> usize {
        self.shared.lock().exports.len()
    }

    /// Returns whether there is no job.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counts a request that belongs to no job against the rate limit, or returns when to ask again.
    pub(crate) fn take_request(&self) -> Result<(), Timestamp> {
        self.shared.lock().exports.take_request(self.now())
    }

    /// Learns from an answer about the rate limit.
    pub(crate) fn learn(&self, answer: &Response) {
        self.shared.lock().exports.learn(self.now(), answer);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Saves what is unsaved and closes the store. Every later delivery gets status 503, so that the service delivers it
    /// again after the restart.
    pub fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_all();
        let saver = self.saver.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(saver) = saver {
            // A panic of the saver has been printed; there is nothing left to clean up after it.
            let _ended = saver.join();
        }
    }

    fn start(&self, mut state: MutexGuard<'_, State>, job: JobId, order: &Order) -> RunningJob<'_> {
        state.mailboxes.insert(job, Mailbox::default());
        self.shared.advance(&mut state);
        drop(state);
        RunningJob::new(self, job, order)
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic inside a job's machine damages at most that job.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues what has changed, and behind it the outputs that follow.
    fn advance(&self, state: &mut State) {
        // A job whose last output is polled below no longer exists; its result is saved first.
        state.queue_changes();
        let mut outputs = Vec::new();
        while let Some(output) = state.exports.poll_output() {
            outputs.push(output);
        }
        // Polling makes a request count as sent, which is saved before the request is released.
        state.queue_changes();
        for (job, output) in outputs {
            match &mut state.queue {
                Some(queue) if !queue.is_settled() => queue.release_once_saved(job, output),
                _ => state.release(job, output),
            }
        }
        let is_unsaved = state.queue.as_ref().is_some_and(|queue| !queue.is_settled());
        let next = state.exports.poll_timeout();
        if is_unsaved || next.is_some_and(|next| state.alarm.is_none_or(|alarm| next < alarm)) {
            self.work.notify_one();
        }
    }
}

impl State {
    fn restore(&mut self, now: Timestamp, job: JobId, record: &[u8]) {
        let restored = Record::read(record).and_then(|Record { target, snapshot }| {
            self.exports.restore(now, job, snapshot)?;
            self.exports.hold(now, job);
            Ok(target)
        });
        match (restored, &mut self.queue) {
            (Ok(target), Some(queue)) => {
                queue.add(job, target, false);
                self.held.insert(job);
            }
            (Err(error), _) => {
                self.exports.reserve(job);
                self.unreadable.push((job, error));
            }
            (Ok(_), None) => {}
        }
    }

    /// Queues the jobs that have changed. A finished job stays in the store, with its result, until the result is taken.
    fn queue_changes(&mut self) {
        let Some(queue) = &mut self.queue else { return self.exports.forget_changes() };
        for (job, change) in self.exports.take_changes() {
            if let Change::Save(snapshot) = change {
                queue.save(job, &snapshot);
            }
        }
    }

    /// Hands an output to the job's handle, if it has one.
    fn release(&mut self, job: JobId, output: Output) {
        if let Some(mailbox) = self.mailboxes.get_mut(&job) {
            mailbox.push(Ok(output));
        }
    }
}

impl Handler for Arc<Jobs> {
    fn handle(&self, now: Timestamp, delivery: Delivery) -> Reply {
        let (sender, reply) = mpsc::sync_channel(1);
        let answer = move |reply| {
            // The receiving end waits below.
            let _taken = sender.send(reply);
        };
        self.handle_later(now, delivery, Box::new(answer));
        reply.recv().unwrap_or(Reply::Unavailable)
    }

    fn handle_later(&self, now: Timestamp, delivery: Delivery, answer: Answer) {
        let mut state = self.shared.lock();
        if state.closing {
            return answer(Reply::Unavailable);
        }
        let reply = state.exports.handle_delivery(now, &delivery);
        self.shared.advance(&mut state);
        match &mut state.queue {
            Some(queue) if reply == Reply::Acknowledged => {
                queue.acknowledge_once_saved(answer);
                self.shared.work.notify_one();
            }
            // All jobs are in memory only: delivering the event again would make nothing safer.
            None if reply == Reply::Unavailable => answer(Reply::Acknowledged),
            _ => answer(reply),
        }
    }

    fn refused(&self, now: Timestamp, token: Option<&Token>, reply: &Reply) {
        let mut state = self.shared.lock();
        state.exports.handle_not_taken(now, token, &reply.to_string());
        self.shared.advance(&mut state);
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").field("jobs", &self.len()).finish_non_exhaustive()
    }
}
