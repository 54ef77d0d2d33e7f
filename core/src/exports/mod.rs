//! Many exports behind one callback URL.

mod changes;
mod managed_job;
mod rate_limit;
mod routes;
mod send_queue;

#[cfg(test)]
mod tests;

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet, VecDeque},
    string::ToString as _,
    sync::Arc,
};
use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::{
    managed_job::{ManagedJob, Stored},
    rate_limit::RateLimiter,
    routes::{Routed, Routes},
    send_queue::SendQueues,
};
use crate::{
    export::{Config, Disposition, Export, Input, Output, RestoreError, Snapshot},
    http::Response,
    order::Order,
    time::Timestamp,
    token::Token,
    webhook::{Delivery, Event, Reply},
};

pub use changes::Change;

/// The id of a job. It is never given to another job, not even by a later process, as long as the clock does not go
/// back.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct JobId(u64);

impl JobId {
    /// Returns the id as a number, for a key in a store.
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// Restores an id from [`as_u64`](Self::as_u64).
    pub fn from_u64(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many jobs and requests [`Exports`] handles at once. Calls, downloads and requests per second count as at least
/// one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// The most jobs. Default: 1,000,000.
    pub jobs: usize,
    /// The most calls under way at once. Default: 64.
    pub calls: usize,
    /// The most downloads under way at once. Default: 16.
    pub downloads: usize,
    /// Requests per second of all jobs together. Default: 10, the documented ceiling of the gateway.
    pub requests_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { jobs: 1_000_000, calls: 64, downloads: 16, requests_per_second: 10 }
    }
}

/// Many exports behind one callback URL.
///
/// It owns any number of [`Export`] machines, says what to do next and for which job, routes deliveries by token and by
/// export id, and keeps all jobs together to the account's rate limit. Like a single export it performs no I/O.
///
/// ```text
///   submit ──► ready ──► poll_output ──► (job, output)          handle(job, input) ◄── the result of the output
///                 may not send yet │  ▲                         handle_delivery    ◄── an event
///                                  ▼  │                              │
///                            send queues, rate limit                 ▼
///                                                              take_changes ──► what to save
/// ```
///
/// # Saving
///
/// [`take_changes`](Self::take_changes) returns what changed since its last call. Take and save the changes after
/// polling and before acting on the outputs that were polled, and after
/// [`handle_delivery`](Self::handle_delivery) before its reply is sent: then no request is sent twice and no
/// acknowledged event is lost. Several outputs and several deliveries may share one save. Only a [`Change::Remove`] is
/// applied last: after the program has acted on the job's result.
///
/// # Cost
///
/// A waiting job takes about 600 bytes and no time. Jobs, timers, tokens and queues are ordered maps, so each call takes
/// time that grows with the logarithm of the number of jobs, whatever keys a peer chooses.
#[derive(Clone, Debug)]
pub struct Exports {
    config: Arc<Config>,
    max_jobs: usize,
    /// Boxed, because the nodes of the map are half empty.
    jobs: BTreeMap<JobId, Box<ManagedJob>>,
    /// When each job has to be told the time. At most one entry per job.
    timers: BTreeSet<(Timestamp, JobId)>,
    /// Jobs that may have an output, each at most once.
    ready: VecDeque<JobId>,
    queues: SendQueues,
    routes: Routes,
    changed: BTreeSet<JobId>,
    next_job: u64,
    now: Timestamp,
    /// The last delivery without a token that was not taken, and why.
    not_taken: Option<(Timestamp, Box<str>)>,
}

impl Exports {
    /// Creates a collection without jobs.
    pub fn new(config: Arc<Config>, limits: Limits) -> Self {
        let rate = RateLimiter::new(limits.requests_per_second, config.retry.max_retry_wait);
        Self {
            config,
            max_jobs: limits.jobs,
            jobs: BTreeMap::new(),
            timers: BTreeSet::new(),
            ready: VecDeque::new(),
            queues: SendQueues::new(&limits, rate),
            routes: Routes::default(),
            changed: BTreeSet::new(),
            next_job: 0,
            now: Timestamp::default(),
            not_taken: None,
        }
    }

    /// Returns the number of jobs.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Returns whether there is no job.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Returns a job, until its [`Output::Done`] was polled.
    pub fn get(&self, job: JobId) -> Option<&Export> {
        Some(&self.jobs.get(&job)?.export)
    }

    /// Adds a job for an order.
    ///
    /// # Errors
    ///
    /// Returns the order if there are [`Limits::jobs`] jobs already.
    pub fn submit(&mut self, now: Timestamp, order: Order) -> Result<JobId, AtCapacity> {
        if self.jobs.len() >= self.max_jobs {
            return Err(AtCapacity(Box::new(order)));
        }
        self.advance(now);
        // A later process, which starts without this counter, begins behind all ids given here: no process submits
        // more than a thousand jobs per millisecond for long.
        let by_clock = self.now.as_millis().saturating_mul(1000).min(MAX_ID_BY_CLOCK);
        let id = JobId(self.next_job.max(by_clock));
        self.next_job = id.0 + 1;
        let export = Export::new(Arc::clone(&self.config), order, self.now).seeded_beside(id.0);
        self.insert(id, export, Stored::Nothing);
        Ok(id)
    }

    /// Adds a job that was saved, under the id that it had.
    ///
    /// [`Limits::jobs`] does not apply, so that no job that was accepted is lost.
    ///
    /// # Errors
    ///
    /// Fails if the snapshot is damaged or of a newer version, or if the id is in use. The job that uses it is not
    /// affected.
    pub fn restore(&mut self, now: Timestamp, id: JobId, snapshot: Snapshot) -> Result<(), RestoreError> {
        self.advance(now);
        if self.jobs.contains_key(&id) {
            return Err(RestoreError::InUse);
        }
        if id.0 >= END_OF_IDS {
            return Err(RestoreError::damaged("no job was given this id"));
        }
        let export = Export::restore(Arc::clone(&self.config), snapshot, self.now)?;
        self.reserve(id);
        self.insert(id, export, Stored::Earlier);
        Ok(())
    }

    /// Gives neither this id nor an earlier one to a new job: for a record that is in the store and is not restored.
    pub fn reserve(&mut self, id: JobId) {
        if id.0 < END_OF_IDS {
            self.next_job = self.next_job.max(id.0 + 1);
        }
    }

    /// Suspends a job whose outputs nobody carries out at present, as if the process had ended for this job alone.
    ///
    /// The job has no outputs, its time stands still, and the outcome of a request that was under way is unknown. It
    /// still takes its event. Save it like any change. Returns `false` if there is no such job.
    pub fn hold(&mut self, now: Timestamp, id: JobId) -> bool {
        self.set_held(now, id, true)
    }

    /// Resumes a job after [`hold`](Self::hold). Returns `false` if there is no such job.
    pub fn release(&mut self, now: Timestamp, id: JobId) -> bool {
        self.set_held(now, id, false)
    }

    /// Tells a job what happened. Returns [`Disposition::Stale`] if there is no such job.
    pub fn handle(&mut self, now: Timestamp, id: JobId, input: Input) -> Disposition {
        self.advance(now);
        let Some(job) = self.jobs.get_mut(&id) else { return Disposition::Stale };
        if job.held {
            let at = job.export.now();
            let disposition = job.export.handle(at, input);
            self.settle(id);
            return disposition;
        }
        job.export.postpone(self.now);
        if let Input::Response { call, response } = &input
            && job.export.is_requesting(*call)
        {
            self.queues.rate.learn(self.now, response);
        }
        let disposition = job.export.handle(self.now, input);
        self.settle(id);
        disposition
    }

    /// Counts a request that belongs to no job against the rate limit. Jobs that wait go first.
    ///
    /// # Errors
    ///
    /// Returns when to ask again, if no request may be sent now. That may have passed, if only other jobs are in the way.
    pub fn take_request(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        self.queues.take_request(now)
    }

    /// Learns from the answer to a request that belongs to no job what the service says about its rate limit.
    pub fn learn(&mut self, now: Timestamp, answer: &Response) {
        self.queues.rate.learn(now, answer);
    }

    /// Tells the time to all jobs whose deadline has come.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.advance(now);
        while let Some((_, id)) = self.timers.first().copied().filter(|(at, _)| *at <= self.now) {
            self.timers.pop_first();
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            job.timer = None;
            // It may have been this job's delivery. Telling it to all jobs at once would let a stranger cause much work.
            if job.export.order().token().is_none()
                && let Some((at, reason)) = &self.not_taken
                && job.export.awaits_event_since().is_some_and(|since| since <= *at)
            {
                let _told =
                    job.export.handle(job.export.now(), Input::DeliveryNotTaken { reason: reason.clone() });
            }
            let _ticked = job.export.handle(self.now, Input::Tick);
            self.settle(id);
        }
    }

    /// Routes a genuine delivery to its job. Returns the reply to the delivery.
    ///
    /// Send the reply once the result of [`take_changes`](Self::take_changes) is saved.
    pub fn handle_delivery(&mut self, now: Timestamp, delivery: &Delivery) -> Reply {
        self.advance(now);
        let event = match &delivery.event {
            Event::NewExport(event) => event,
            Event::Other(other) => {
                // At a URL without a token it may be meant for another program.
                if let Some(token) = &delivery.token {
                    self.handle_not_taken(now, Some(token), &other.to_string());
                }
                return Reply::Acknowledged;
            }
        };
        let token = delivery.token.as_ref();
        match self.routes.route(self.now, token, event) {
            Routed::Job(id) => {
                let event = Input::Event { event: event.clone(), token: delivery.token };
                let disposition = self.handle(now, id, event);
                disposition.reply_of(self.jobs.get(&id).is_some_and(|job| job.export.took_event()))
            }
            // It is kept in memory only: should the process end before its job is known, it must be delivered again.
            Routed::Kept => Reply::Unavailable,
            Routed::NoRoom => Reply::NoRoom,
            Routed::Unknown if token.is_some() => Reply::NotFound,
            // A repetition, or an export of another program in the workspace.
            Routed::Over | Routed::Unknown => Reply::Acknowledged,
        }
    }

    /// Records that a delivery to the callback URL with this token was not taken, and why. A job without a token tells of
    /// it when its event does not arrive.
    pub fn handle_not_taken(&mut self, now: Timestamp, token: Option<&Token>, reason: &str) {
        let Some(token) = token else {
            self.not_taken = Some((now, reason.into()));
            return;
        };
        if let Some(id) = self.routes.job_of(token) {
            let _told = self.handle(now, id, Input::DeliveryNotTaken { reason: reason.into() });
        }
    }

    /// Returns the next thing to do and the job to do it for, or `None` until the next input or timeout.
    ///
    /// Jobs take turns, one output each. A job whose [`Output::Done`] was polled no longer exists. A request counts as
    /// sent at the last `now`.
    pub fn poll_output(&mut self) -> Option<(JobId, Output)> {
        // Jobs in the send queues go first. They cannot starve the others, since few requests are under way at once.
        if let Some(id) = self.queues.pop(self.now)
            && let Some(job) = self.jobs.get_mut(&id)
        {
            job.queued = None;
            job.export.postpone(self.now);
            let request = job.export.poll_attempt();
            return self.record(id, request);
        }
        while let Some(id) = self.ready.pop_front() {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            job.is_ready = false;
            if job.held {
                continue;
            }
            if let Some(attempt) = job.export.next_attempt() {
                if job.queued.is_some() {
                    continue;
                }
                if !self.queues.may_send(attempt, self.now) {
                    job.queued = Some((attempt, self.queues.join(attempt, id)));
                    self.settle(id);
                    continue;
                }
            }
            job.export.postpone(self.now);
            let output = job.export.poll_output();
            if let Some(output) = self.record(id, output) {
                return Some(output);
            }
        }
        None
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout) and then poll, if nothing happens earlier; `None`
    /// if there is nothing to wait for.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let timer = self.timers.first().map(|(at, _)| *at);
        // If the queue has opened already, polling is due now; a moment later is soon enough.
        let soon = self.now.saturating_add(Duration::from_millis(1));
        let turn = self.queues.opens_at().map(|at| at.max(soon));
        timer.into_iter().chain(turn).min()
    }
}

/// There are as many jobs as [`Limits::jobs`] allows. Holds the order, so that it is not lost.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("there are as many exports under way as there may be; try again when one is done")]
pub struct AtCapacity(pub Box<Order>);

/// An id that comes from the clock stays below this, whatever the clock says.
const MAX_ID_BY_CLOCK: u64 = 1 << 63;

/// Beyond every id that is given, and far from where counting on would overflow.
const END_OF_IDS: u64 = 3 << 62;
