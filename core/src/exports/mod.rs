//! Many exports behind one callback address: whose delivery it is, whose turn, whose time.
//!
//! Long, because the interface and the books that every call of it keeps are one thing; what is not lies in the files beside it.
//!
//! [`Exports`] owns any number of [`Export`] machines. It says what to do next and for which job, routes deliveries
//! by token and by export id, and keeps all of them together to the account's request budget. Like a single
//! export it performs nothing.
//!
//! ```text
//!   submit ──► ready ──► poll_output ──► (job, output)          handle(job, input) ◄── what came of it
//!                 no turn yet │  ▲                                handle_delivery   ◄── an event
//!                             ▼  │                                     │
//!                         the gates: budget, how much is under way     ▼
//!                                                             take_changes ──► what to save
//! ```
//!
//! # Saving
//!
//! [`take_changes`](Exports::take_changes) gives what has to be saved since the last time. Take and save it after
//! polling and before acting on what was polled, and after [`handle_delivery`](Exports::handle_delivery) before its
//! reply is sent: then no order is carried out twice and no acknowledged event is lost. Several outputs and several
//! deliveries may share one save. Only a [`Change::Remove`] comes last: after the job's result was acted on.
//!
//! # Cost
//!
//! A job that waits costs nothing but memory, some 530 bytes: jobs and their tokens stand in tables, timers and turns in
//! ordered sets, so every call takes time that grows with the logarithm of the number of jobs at most, and with nothing
//! a peer can choose. (The call that outgrows a table moves it, once each time that the number of jobs doubles.)

mod budget;
mod changes;
mod routes;
mod table;
mod turns;

#[cfg(test)]
mod tests;

use alloc::{
    boxed::Box,
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};
use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::{
    budget::Budget,
    table::Table,
    turns::{Gate, Ticket, learn},
};
use crate::{
    Config, Disposition, Export, ExportId, Input, Order, Output, RestoreError, Snapshot, Timestamp,
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

/// How much of everything there may be at once. Of calls, downloads and requests a second it is at least one.
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
    jobs: Table<JobId, Box<Job>>,
    /// When each job wants to be told the time, or earlier. At most two entries a job.
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
    /// Its entry in `timers` that comes first, not later than its time is up. A time that is put off, as that of a
    /// download is with every piece, is looked at again when the entry comes.
    timer: Option<Timestamp>,
    /// Another entry of it, if its time was brought forward: it costs less to wait for it than to look for it.
    later_timer: Option<Timestamp>,
    /// Where it waits for its turn to send.
    gate: Option<(Attempt, Ticket)>,
    /// Whether it stands in `ready`.
    is_ready: bool,
    /// What of it is under way, and counts against a limit.
    under_way: Option<Attempt>,
    stored: Stored,
    /// The export id by which the routes know it, which they do if it has no token.
    name: Option<ExportId>,
    /// Whether nobody carries it out at present.
    held: bool,
}

impl Job {
    /// When it must be told the time. The time of a request begins when it is given to be sent.
    fn time_is_up(&self) -> Option<Timestamp> {
        let has_time = !self.held && self.export.attempt_to_come().is_none();
        self.export.poll_timeout().filter(|_| has_time)
    }
}

/// What the store knows of a job.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stored {
    /// Nothing.
    Never,
    /// What it was in an earlier process. Restoring may have moved it on.
    Before,
    /// What it was at this revision.
    At(u64),
}

impl Exports {
    /// No jobs.
    pub fn new(config: Arc<Config>, limits: Limits) -> Self {
        let limits = Limits { calls: limits.calls.max(1), downloads: limits.downloads.max(1), ..limits };
        let budget = Budget::new(limits.requests_per_second, config.retry.max_retry_wait);
        Self {
            config,
            limits,
            jobs: Table::default(),
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
        Some(&self.jobs.get(&job)?.export)
    }

    /// Takes an order, or hands it back if there are as many jobs as there may be.
    pub fn submit(&mut self, now: Timestamp, order: Order) -> Result<JobId, AtCapacity> {
        if self.jobs.len() >= self.limits.jobs {
            return Err(AtCapacity(Box::new(order)));
        }
        self.pass(now);
        let id = self.next_id();
        let export = Export::new(Arc::clone(&self.config), order, self.now).seeded_beside(id.0);
        self.insert(id, export, Stored::Never);
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
        if id.0 >= END_OF_NAMES {
            return Err(RestoreError::damaged("no job was given this name"));
        }
        let export = Export::restore(Arc::clone(&self.config), snapshot, self.now)?;
        self.next_job = self.next_job.max(id.0 + 1);
        self.insert(id, export, Stored::Before);
        Ok(())
    }

    /// Never gives a new job this name or an earlier one: for a record that is in the store and is not restored.
    pub fn reserve(&mut self, id: JobId) {
        if id.0 < END_OF_NAMES {
            self.next_job = self.next_job.max(id.0 + 1);
        }
    }

    /// Sets a job aside that nobody carries out any more, or not yet: as if the process had ended for this one job.
    ///
    /// It says nothing, its time stands still and what it had under way has an unknown outcome; but it takes its event.
    /// To be saved like any change. `false` if there is no such job.
    pub fn hold(&mut self, now: Timestamp, id: JobId) -> bool {
        self.set_held(now, id, true)
    }

    /// Lets a job go on that was [held](Self::hold). `false` if there is no such job.
    pub fn release(&mut self, now: Timestamp, id: JobId) -> bool {
        self.set_held(now, id, false)
    }

    /// Tells a job that something happened. A job that is over or never was is told nothing: [`Disposition::Stale`].
    pub fn handle<'a>(&mut self, now: Timestamp, id: JobId, input: impl Into<Input<'a>>) -> Disposition {
        self.hear(now, id, input.into())
    }

    fn hear(&mut self, now: Timestamp, id: JobId, input: Input<'_>) -> Disposition {
        self.pass(now);
        let Some(job) = self.jobs.get_mut(&id) else { return Disposition::Stale };
        if job.held {
            let at = job.export.now();
            let disposition = job.export.handle(at, input);
            self.settle(id);
            return disposition;
        }
        job.export.postpone(self.now);
        let was_calling = job.under_way == Some(Attempt::Call);
        let disposition = job.export.handle(self.now, input);
        if let (true, Disposition::Accepted, Input::Response { status, headers, body, .. }) =
            (was_calling, disposition, input)
        {
            learn(&mut self.budget, self.now, status, headers, body);
        }
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
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            if job.timer == Some(at) {
                job.timer = job.later_timer.take();
            } else {
                job.later_timer = None;
            }
            if job.time_is_up().is_some_and(|time| time <= self.now) {
                let _ticked = job.export.handle(self.now, Input::Tick);
                self.settle(id);
            } else {
                self.set_timer(id);
            }
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
                let disposition =
                    self.handle(now, id, Input::Event { event, token: delivery.token.as_ref() });
                disposition.reply_of(self.jobs.get(&id).is_some_and(|job| job.export.took_event()))
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
    /// Jobs take turns, one output each. A job whose [`Output::Done`] was given is gone. What is given to be sent is
    /// taken to be sent at the time that was told last.
    pub fn poll_output(&mut self) -> Option<(JobId, Output)> {
        // First who has waited: the gates let in no more than may be under way, so the others have their turn, too.
        if let Some(sent) = self.poll_gates() {
            return Some(sent);
        }
        while let Some(id) = self.ready.pop_front() {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            job.is_ready = false;
            if job.held {
                continue;
            }
            let (attempt, waits) = (job.export.next_attempt(), job.gate.is_some());
            if let Some(attempt) = attempt
                && (waits || !self.may_send(attempt))
            {
                if !waits {
                    self.wait_for_turn(id, attempt);
                    self.settle(id);
                }
                continue;
            }
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            job.export.postpone(self.now);
            let output = job.export.poll_output();
            if let Some(given) = self.given(id, output) {
                return Some(given);
            }
        }
        None
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest, and then poll, if there is nothing to poll
    /// now; `None` if there is no job.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let timer = self.timers.first().map(|(at, _)| *at);
        // The budget may have opened already; then polling is what is due, and a moment is soon enough.
        let soon = self.now.saturating_add(Duration::from_millis(1));
        let turn = self.next_turn().map(|at| at.max(soon));
        timer.into_iter().chain(turn).min()
    }

    /// What has to be saved since the last call: all of it, or the jobs are not safe.
    pub fn take_changes(&mut self) -> Changes<'_> {
        Changes { exports: self }
    }

    /// For who saves nothing: forgets what would have to be saved.
    pub fn forget_changes(&mut self) {
        self.changed.clear();
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
        let by_clock = self.now.as_millis().min(END_OF_TIME) << COUNTER_BITS;
        let id = self.next_job.max(by_clock);
        self.next_job = id + 1;
        JobId(id)
    }

    fn insert(&mut self, id: JobId, export: Export, stored: Stored) {
        self.routes.add(export.order().token(), id);
        let (timer, later_timer, gate, under_way, name) = (None, None, None, None, None);
        let (is_ready, held) = (false, false);
        let job = Job { export, timer, later_timer, gate, is_ready, under_way, stored, name, held };
        self.jobs.insert(id, Box::new(job));
        self.settle(id);
    }

    /// Keeps the books about what a job has said.
    fn given(&mut self, id: JobId, output: Option<Output>) -> Option<(JobId, Output)> {
        let output = output?;
        let attempt = match output {
            Output::Done(_) => {
                self.remove(id);
                return Some((id, output));
            }
            Output::Call { .. } => Some(Attempt::Call),
            Output::Download { .. } => Some(Attempt::Download),
            _ => None,
        };
        if let (Some(attempt), Some(job)) = (attempt, self.jobs.get_mut(&id)) {
            job.under_way = Some(attempt);
            attempt.gate(&mut self.gates).under_way += 1;
            if attempt == Attempt::Call {
                self.budget.spend(self.now);
            }
        }
        self.settle(id);
        Some((id, output))
    }

    fn set_held(&mut self, now: Timestamp, id: JobId, held: bool) -> bool {
        self.pass(now);
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        if job.held != held {
            // What a restart does is what is wanted: it settles what was under way, and moves the deadlines by as much
            // time as has passed. A snapshot that was just taken is whole.
            let restored = Export::restore(Arc::clone(&self.config), job.export.snapshot(), self.now);
            if let Ok(export) = restored {
                job.export = export;
                // It counts its revisions anew.
                if job.stored != Stored::Never {
                    job.stored = Stored::Before;
                }
            }
            job.held = held;
            // Who is held must not be woken up for, and whose time was moved has another.
            for at in [job.timer.take(), job.later_timer.take()].into_iter().flatten() {
                self.timers.remove(&(at, id));
            }
            self.settle(id);
        }
        true
    }

    /// Brings everything that is derived from a job's state up to date.
    fn settle(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.stored != Stored::At(job.export.revision()) {
            self.changed.insert(id);
        }
        if let Some((attempt, ticket)) = job.gate
            && (job.held || job.export.attempt_to_come() != Some(attempt))
        {
            attempt.gate(&mut self.gates).waiting.remove(&ticket);
            job.gate = None;
        }
        // What is to be aborted is under way until whoever carries it out is told.
        if let Some(attempt) = job.under_way
            && job.export.attempt_under_way() != Some(attempt)
            && !job.export.has_abort_to_give()
        {
            job.under_way = None;
            let gate = attempt.gate(&mut self.gates);
            gate.under_way = gate.under_way.saturating_sub(1);
        }
        if !job.is_ready && !job.held && (job.gate.is_none() || job.export.next_attempt().is_none()) {
            job.is_ready = true;
            self.ready.push_back(id);
        }
        self.set_timer(id);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.name.is_none()
            && job.export.order().token().is_none()
            && let Some(export_id) = job.export.export_id()
        {
            let name = export_id.clone();
            let early = self.routes.name(self.now, &name, id);
            job.name = Some(name);
            if let Some(event) = early {
                let _taken = job.export.handle(self.now, Input::Event { event: &event, token: None });
                self.settle(id);
            }
        }
    }

    fn set_timer(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(time) = job.time_is_up() else { return };
        if job.timer.is_none_or(|timer| time < timer) {
            self.timers.insert((time, id));
            if let Some(later) = job.timer.replace(time)
                && let Some(between) = job.later_timer.replace(later)
            {
                self.timers.remove(&(between, id));
            }
        }
    }

    fn remove(&mut self, id: JobId) {
        let Some(job) = self.jobs.remove(&id) else { return };
        for at in [job.timer, job.later_timer].into_iter().flatten() {
            self.timers.remove(&(at, id));
        }
        if let Some(attempt) = job.under_way {
            let gate = attempt.gate(&mut self.gates);
            gate.under_way = gate.under_way.saturating_sub(1);
        }
        let token = job.export.order().token();
        let export_id = job.name.as_ref().or_else(|| job.export.export_id().filter(|_| token.is_some()));
        self.routes.remove(token, export_id, job.export.took_event());
        if job.stored == Stored::Never {
            self.changed.remove(&id);
        } else {
            self.changed.insert(id);
        }
    }
}

/// Of a name, the part that is counted: as many names a millisecond, on the average of a process's life.
const COUNTER_BITS: u32 = 20;

/// The clock goes further than names do: until the year 2248.
const END_OF_TIME: u64 = 1 << 43;

/// Far beyond the last name that a clock gives, and far from where counting on would overflow.
const END_OF_NAMES: u64 = 3 << 62;
