//! Many exports behind one callback address: whose delivery it is, whose turn, whose time.
//!
//! [`Exports`] owns any number of [`Export`] machines. It says what to do next and for which job, routes deliveries
//! by token and by export id, and keeps all of them together to the account's request budget. Like a single
//! export it performs nothing.
//!
//! ```text
//!   submit ──► ready ──► poll_output ──► (job, output)          handle(job, input) ◄── what came of it
//!                ▲            │ no turn yet                       handle_delivery   ◄── an event
//!                │            ▼                                        │
//!                └──────── the gate: budget, calls in flight           ▼
//!                                                             take_changes ──► what to save
//! ```
//!
//! # Saving
//!
//! [`take_changes`](Exports::take_changes) gives what has to be saved since the last time. Take and save it after
//! polling and before acting on what was polled, and after [`handle_delivery`](Exports::handle_delivery) before its
//! reply is sent: then no order is carried out twice and no acknowledged event is lost. Several outputs and several
//! deliveries may share one save.
//!
//! # Cost
//!
//! A job that waits costs nothing but memory: timers, turns and routes are ordered sets and maps, so every call takes
//! time that grows with the logarithm of the number of jobs, and with nothing a peer can choose.

mod budget;
mod changes;
mod routes;
mod turns;

#[cfg(test)]
mod tests;

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};
use core::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::{
    budget::Budget,
    turns::{Gate, learn},
};
use crate::{
    Config, Disposition, Export, Input, Order, Output, RestoreError, Snapshot, Timestamp,
    export::Attempt,
    webhook::{Delivery, Event, Reply},
};

pub use changes::{Change, Changes};
pub use routes::{Routed, Routes};

/// The name of a job: given once and never again, restarts included as long as the clock does not go back.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct JobId(u64);

impl JobId {
    /// The name as a number, for a key in a store.
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// The name that was [`as_u64`](Self::as_u64).
    pub fn from_u64(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How much of everything there may be at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// The most jobs: 1,000,000.
    pub jobs: usize,
    /// The most calls under way: 64.
    pub calls: usize,
    /// The most downloads under way: 16.
    pub downloads: usize,
    /// Requests a second, all jobs together: 10, the gateway's documented ceiling.
    pub requests_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { jobs: 1_000_000, calls: 64, downloads: 16, requests_per_second: 10 }
    }
}

/// Many jobs. See the [module](self) for how to drive them.
#[derive(Clone, Debug)]
pub struct Exports {
    config: Arc<Config>,
    limits: Limits,
    jobs: BTreeMap<JobId, Job>,
    /// When each job wants to be told the time. At most one entry a job.
    timers: BTreeSet<(Timestamp, JobId)>,
    /// Jobs that may have something to say, each at most once.
    ready: VecDeque<JobId>,
    /// Jobs that want to send something and have to wait for their turn, each at most once.
    gates: [Gate; 2],
    routes: Routes<JobId>,
    budget: Budget,
    changed: BTreeSet<JobId>,
    next_job: u64,
    now: Timestamp,
}

#[derive(Clone, Debug)]
struct Job {
    export: Export,
    timer: Option<Timestamp>,
    place: Place,
    /// Whether its turn to send has come.
    admitted: bool,
    /// What of it is under way, and counts against a limit.
    under_way: Option<Attempt>,
    saved_revision: Option<u64>,
    /// Whether its export id has been made known to the routes.
    named: bool,
}

/// In which queue a job stands: never in two.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Nowhere,
    Ready,
    Gate,
}

impl Exports {
    /// No jobs.
    pub fn new(config: Arc<Config>, limits: Limits) -> Self {
        let budget = Budget::new(limits.requests_per_second, config.retry.max_retry_wait);
        Self {
            config,
            limits,
            jobs: BTreeMap::new(),
            timers: BTreeSet::new(),
            ready: VecDeque::new(),
            gates: [Gate::default(), Gate::default()],
            routes: Routes::new(),
            budget,
            changed: BTreeSet::new(),
            next_job: 0,
            now: Timestamp::default(),
        }
    }

    /// How many jobs there are.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether there is no job.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// The job of this name, until it is done.
    pub fn get(&self, job: JobId) -> Option<&Export> {
        self.jobs.get(&job).map(|job| &job.export)
    }

    /// Takes an order, or hands it back if there are as many jobs as there may be.
    pub fn submit(&mut self, now: Timestamp, order: Order) -> Result<JobId, AtCapacity> {
        if self.jobs.len() >= self.limits.jobs {
            return Err(AtCapacity(Box::new(order)));
        }
        self.pass(now);
        let id = self.next_id();
        let export = Export::new(Arc::clone(&self.config), order, self.now);
        self.insert(id, export, None);
        Ok(id)
    }

    /// Takes back a job that was saved, under the name that it had.
    ///
    /// The limit on jobs does not apply: what was taken once is not lost. A name that is in use is an error of the
    /// caller's store, and leaves the job that has it alone.
    pub fn restore(&mut self, now: Timestamp, id: JobId, snapshot: Snapshot) -> Result<(), RestoreError> {
        self.pass(now);
        if self.jobs.contains_key(&id) {
            return Err(RestoreError::InUse);
        }
        let export = Export::restore(Arc::clone(&self.config), snapshot, self.now)?;
        self.next_job = self.next_job.max(id.0.saturating_add(1));
        // Restoring may have moved it on, so what is in the store is not what it is now.
        self.insert(id, export, None);
        Ok(())
    }

    /// Tells a job that something happened. A job that is over or never was is told nothing: [`Disposition::Stale`].
    pub fn handle(&mut self, now: Timestamp, id: JobId, input: Input<'_>) -> Disposition {
        self.pass(now);
        let Some(job) = self.jobs.get_mut(&id) else { return Disposition::Stale };
        let is_call = job.under_way == Some(Attempt::Call);
        if let (true, Input::Response { status, headers, body, .. }) = (is_call, &input) {
            learn(&mut self.budget, self.now, *status, *headers, body);
        }
        let disposition = job.export.handle(self.now, input);
        self.settle(id);
        disposition
    }

    /// Tells the jobs whose time has come what time it is.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.pass(now);
        while let Some((at, id)) = self.timers.first().copied() {
            if at > self.now {
                break;
            }
            self.timers.pop_first();
            if let Some(job) = self.jobs.get_mut(&id) {
                job.timer = None;
                if job.place == Place::Gate {
                    // It is not its own fault that nothing was sent.
                    job.export.postpone(self.now);
                } else {
                    let _ticked = job.export.handle(self.now, Input::Tick);
                }
            }
            self.settle(id);
        }
    }

    /// Brings a genuine delivery to the job that it belongs to, and says what to answer.
    ///
    /// The reply may be sent once [`take_changes`](Self::take_changes) is saved.
    pub fn handle_delivery(&mut self, now: Timestamp, delivery: &Delivery) -> Reply {
        self.pass(now);
        let Event::NewExport(event) = &delivery.event else { return Reply::Acknowledged };
        match self.routes.route(self.now, delivery) {
            Routed::Job(id) => {
                self.handle(now, id, Input::Event { event, token: delivery.token.as_ref() }).reply()
            }
            // It is kept, but only in memory: should the process end before its job is known, it must come again.
            Routed::Held => Reply::Unavailable,
            Routed::NoRoom => Reply::NoRoom,
            Routed::Unknown if delivery.token.is_some() => Reply::NotFound,
            // A repetition, or an export that somebody else in the workspace asked for.
            Routed::Over | Routed::Unknown => Reply::Acknowledged,
        }
    }

    /// The next thing to be done, and for which job; `None` until something happens.
    ///
    /// Jobs take turns, one output each. A job whose [`Output::Done`] was given is gone.
    pub fn poll_output(&mut self) -> Option<(JobId, Output)> {
        self.open_gates();
        while let Some(id) = self.ready.pop_front() {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            job.place = Place::Nowhere;
            if let Some(attempt) = job.export.next_attempt() {
                if !job.admitted && !self.may_send(attempt) {
                    self.wait_for_turn(id, attempt);
                    continue;
                }
                self.send(id, attempt);
            }
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            let Some(output) = job.export.poll_output() else { continue };
            if matches!(output, Output::Done(_)) {
                self.remove(id);
            } else {
                self.settle(id);
            }
            return Some((id, output));
        }
        None
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest, and then poll; `None` if there is no job.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let [calls, _] = &self.gates;
        let turn = (!calls.waiting.is_empty() && calls.under_way < self.limits.calls)
            .then(|| self.budget.opens_at());
        // The budget may have opened already; then polling is what is due, and a moment is soon enough.
        let turn = turn.map(|at| at.max(self.now.saturating_add(core::time::Duration::from_millis(1))));
        timer.into_iter().chain(turn).min()
    }

    /// What has to be saved since the last call: all of it, or the jobs are not safe.
    pub fn take_changes(&mut self) -> Changes<'_> {
        Changes { exports: self }
    }
}

/// There are as many jobs as there may be. Holds the order, so that it is not lost.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("there are as many exports under way as there may be; try again when one is done")]
pub struct AtCapacity(pub Box<Order>);

/// What the public methods share.
impl Exports {
    fn pass(&mut self, now: Timestamp) {
        self.now = now.max(self.now);
    }

    /// Milliseconds and a counter: above every name that an earlier process can have given.
    fn next_id(&mut self) -> JobId {
        let by_clock = self.now.as_millis().saturating_mul(1 << 20);
        let id = self.next_job.max(by_clock);
        self.next_job = id.saturating_add(1);
        JobId(id)
    }

    fn insert(&mut self, id: JobId, export: Export, saved_revision: Option<u64>) {
        self.routes.add(export.order().token(), id);
        let job = Job {
            export,
            timer: None,
            place: Place::Nowhere,
            admitted: false,
            under_way: None,
            saved_revision,
            named: false,
        };
        self.jobs.insert(id, job);
        self.settle(id);
    }

    /// Brings everything that is derived from a job's state up to date.
    fn settle(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.saved_revision != Some(job.export.revision()) {
            self.changed.insert(id);
        }
        let timer = job.export.poll_timeout();
        if job.timer != timer {
            if let Some(old) = job.timer.take() {
                self.timers.remove(&(old, id));
            }
            self.timers.extend(timer.map(|at| (at, id)));
            job.timer = timer;
        }
        if let Some(attempt) = job.under_way
            && job.export.attempt_under_way() != Some(attempt)
        {
            job.under_way = None;
            let gate = attempt.gate(&mut self.gates);
            gate.under_way = gate.under_way.saturating_sub(1);
        }
        // A job at the gate that has no use for its turn any more has something else to say.
        let left_the_gate = job.place == Place::Gate && job.export.next_attempt().is_none();
        if job.place == Place::Nowhere || left_the_gate {
            job.place = Place::Ready;
            self.ready.push_back(id);
        }
        let id_to_name =
            (!job.named && job.export.order().token().is_none()).then(|| job.export.export_id()).flatten();
        if let Some(export_id) = id_to_name.cloned() {
            job.named = true;
            if let Some(event) = self.routes.name(self.now, &export_id, id) {
                let _taken = job.export.handle(self.now, Input::Event { event: &event, token: None });
                self.settle(id);
            }
        }
    }

    fn remove(&mut self, id: JobId) {
        let Some(job) = self.jobs.remove(&id) else { return };
        if let Some(at) = job.timer {
            self.timers.remove(&(at, id));
        }
        if let Some(attempt) = job.under_way {
            let gate = attempt.gate(&mut self.gates);
            gate.under_way = gate.under_way.saturating_sub(1);
        }
        let export_id = job.export.export_id().filter(|_| job.named || job.export.order().token().is_some());
        self.routes.remove(job.export.order().token(), export_id, job.export.took_event());
        self.changed.insert(id);
    }
}
