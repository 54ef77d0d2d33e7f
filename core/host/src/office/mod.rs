//! Where the jobs of one exporter are administered: core's [`Exports`] behind a lock, a store, and a desk for each job.
//!
//! ```text
//!   a job's thread or task          the office                         the clerk, a thread
//!   ──────────────────────          ──────────                         ───────────────────
//!   Seat::tell ───────────────────► Exports ──► outputs ──┐
//!   Office::handle_later ─────────►         ──► changes ──┤
//!                                                         ▼
//!   Seat::take ◄── desk ◄── directly, if there is no store and nothing to save
//!                     ▲                                   │
//!                     └─── once the batch is saved ◄──────┴──► Store::write, one batch at a time; the time
//! ```
//!
//! Whoever tells the office something also takes what follows from it out of [`Exports`]. With a store, both the outputs
//! and the replies to deliveries wait for the next batch: nothing is done, and nothing acknowledged, that is not saved.
//! While a batch is being written the next one gathers, so however many jobs there are, they share the disk's time.
//!
//! When the store fails, deliveries are answered 503 and the batch is tried again until it is saved; jobs that it
//! would have been the first to save are given up, since nothing was asked for them. A job is struck out of the store
//! once its thread or task has taken the result. A job whose thread or task has gone before that is cancelled, or, with
//! a store, [held](Exports::hold) until somebody goes on with it, in this process or another.

mod books;
mod clerk;
mod desk;
mod seat;

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
    Change, Config, Exports, JobId, Limits, Order, Output, RestoreError, Store, Timestamp,
    webhook::{Delivery, Reply},
};

use self::{books::Books, desk::Desk};
use crate::{Answer, Clock, Error, Handler, store::Record};

pub use self::{
    desk::{Bell, Mail},
    seat::{Claim, Seat},
};

/// The jobs of one exporter. See the [module](self).
pub struct Office<B: Bell> {
    shared: Arc<Shared<B>>,
    clerk: Mutex<Option<JoinHandle<()>>>,
}

struct Shared<B> {
    state: Mutex<State<B>>,
    /// Wakes the clerk.
    work: Condvar,
    clock: Clock,
}

struct State<B> {
    exports: Exports,
    desks: BTreeMap<JobId, Arc<Desk<B>>>,
    /// `None` without a store.
    books: Option<Books<B>>,
    /// Jobs that nobody carries out.
    held: BTreeSet<JobId>,
    /// Records that no job could be made of, until somebody has been told.
    unread: Vec<(JobId, RestoreError)>,
    /// What is on its way from the jobs to the desks.
    polled: Vec<(Arc<Desk<B>>, Output)>,
    /// When the clerk looks at the time again.
    alarm: Option<Timestamp>,
    closing: bool,
}

impl<B: Bell> Office<B> {
    /// An office with the jobs that are in the store, each held. Reads the store, and starts the clerk.
    pub fn open(
        config: Arc<Config>,
        limits: Limits,
        clock: Clock,
        store: Option<Box<dyn Store>>,
    ) -> Result<Self, Error> {
        let mut state = State {
            exports: Exports::new(config, limits),
            desks: BTreeMap::new(),
            books: store.is_some().then(Books::new),
            held: BTreeSet::new(),
            unread: Vec::new(),
            polled: Vec::new(),
            alarm: None,
            closing: false,
        };
        let mut store = store;
        if let Some(store) = &mut store {
            for (job, record) in store.load()? {
                state.restore(clock.now(), job, &record);
            }
        }
        let shared = Arc::new(Shared { state: Mutex::new(state), work: Condvar::new(), clock });
        let clerk = clerk::start(Arc::clone(&shared), store).map_err(Error::Clerk)?;
        Ok(Self { shared, clerk: Mutex::new(Some(clerk)) })
    }

    /// Takes an order, and gives a seat to who is going to carry it out.
    ///
    /// `target` is kept with it, as an absolute path.
    pub fn submit(&self, order: Order, target: Option<PathBuf>, bell: B) -> Result<Seat<'_, B>, Error> {
        let target = target.map(std::path::absolute).transpose().map_err(Error::WorkingDirectory)?;
        let mut state = self.shared.lock();
        let job = state.exports.submit(self.shared.clock.now(), order)?;
        if let Some(books) = &mut state.books {
            books.add(job, target, true);
        }
        Ok(self.seat(state, job, bell))
    }

    /// The jobs that are in the store and that nobody carries out, oldest first; and, once, those records that no job can
    /// be made of. They stay in the store.
    pub fn resume(&self) -> Vec<Result<Claim<'_, B>, Error>> {
        let mut state = self.shared.lock();
        let held = std::mem::take(&mut state.held).into_iter();
        let mut claims: Vec<_> = held.filter_map(|job| Claim::new(self, &state, job)).map(Ok).collect();
        let unread = std::mem::take(&mut state.unread);
        claims.extend(unread.into_iter().map(|(job, source)| Err(Error::Record { job, source })));
        claims
    }

    /// How many jobs there are, held ones included.
    pub fn len(&self) -> usize {
        self.shared.lock().exports.len()
    }

    /// Whether there is no job.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Saves what is not saved, and gives the store back. From then on every delivery is answered with 503, so that it
    /// comes again after the restart.
    pub fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_all();
        let clerk = self.clerk.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(clerk) = clerk {
            // A panic of the clerk has been printed; there is nothing left to clean up after it.
            let _ended = clerk.join();
        }
    }

    fn seat(&self, mut state: MutexGuard<'_, State<B>>, job: JobId, bell: B) -> Seat<'_, B> {
        let desk = Arc::new(Desk::new(bell));
        state.desks.insert(job, Arc::clone(&desk));
        self.shared.pump(&mut state);
        Seat::new(self, job, desk)
    }
}

impl<B: Bell> Drop for Office<B> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<B: Bell> Shared<B> {
    fn lock(&self) -> MutexGuard<'_, State<B>> {
        // A job that panicked while it was told something is damaged at most itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out of the jobs what has to be done, and leaves it where it is found.
    fn pump(&self, state: &mut State<B>) {
        state.gather();
        while let Some((job, output)) = state.exports.poll_output() {
            let is_done = matches!(output, Output::Done(_));
            let desk = if is_done { state.desks.remove(&job) } else { state.desks.get(&job).cloned() };
            state.polled.extend(desk.map(|desk| (desk, output)));
        }
        // From here on, what was polled may have been sent.
        state.gather();
        for (desk, output) in std::mem::take(&mut state.polled) {
            match &mut state.books {
                Some(books) => books.post(&desk, Mail::Output(output)),
                None => desk.post(Mail::Output(output)),
            }
        }
        let is_due = state.books.as_ref().is_some_and(|books| !books.is_settled());
        let next = state.exports.poll_timeout();
        if is_due || next.is_some_and(|next| state.alarm.is_none_or(|alarm| next < alarm)) {
            self.work.notify_one();
        }
    }
}

impl<B: Bell> State<B> {
    fn restore(&mut self, now: Timestamp, job: JobId, record: &[u8]) {
        let restored = Record::read(record).and_then(|Record { target, snapshot }| {
            self.exports.restore(now, job, snapshot)?;
            self.exports.hold(now, job);
            Ok(target)
        });
        match (restored, &mut self.books) {
            (Ok(target), Some(books)) => {
                books.add(job, target, false);
                self.held.insert(job);
            }
            (Err(error), _) => {
                self.exports.reserve(job);
                self.unread.push((job, error));
            }
            (Ok(_), None) => {}
        }
    }

    /// Writes into the books what has moved on. A job that is over stays in the store, with its result, until somebody has
    /// taken that.
    fn gather(&mut self) {
        let Some(books) = &mut self.books else { return self.exports.forget_changes() };
        for (job, change) in self.exports.take_changes() {
            if let Change::Save(snapshot) = change {
                books.save(job, snapshot);
            }
        }
    }
}

impl<B: Bell> Handler for Office<B> {
    fn handle(&self, now: Timestamp, delivery: Delivery) -> Reply {
        let (sender, reply) = mpsc::sync_channel(1);
        self.handle_later(
            now,
            delivery,
            Box::new(move |reply| {
                // Who asked waits for it below.
                let _taken = sender.send(reply);
            }),
        );
        reply.recv().unwrap_or(Reply::Unavailable)
    }

    fn handle_later(&self, now: Timestamp, delivery: Delivery, answer: Answer) {
        let mut state = self.shared.lock();
        if state.closing {
            return answer(Reply::Unavailable);
        }
        let reply = state.exports.handle_delivery(now, &delivery);
        self.shared.pump(&mut state);
        match &mut state.books {
            Some(books) if reply == Reply::Acknowledged => {
                let reply = |saved| if saved { Reply::Acknowledged } else { Reply::Unavailable };
                books.when_saved(Box::new(move |saved| answer(reply(saved))));
                self.shared.work.notify_one();
            }
            // It is kept in memory, as everything is here: to have it again would make nothing safer.
            None if reply == Reply::Unavailable => answer(Reply::Acknowledged),
            _ => answer(reply),
        }
    }
}

/// The office as a handler, for who shares it.
#[derive(Debug)]
pub struct Reception<B: Bell>(pub Arc<Office<B>>);

impl<B: Bell> Handler for Reception<B> {
    fn handle(&self, now: Timestamp, delivery: Delivery) -> Reply {
        self.0.handle(now, delivery)
    }

    fn handle_later(&self, now: Timestamp, delivery: Delivery, answer: Answer) {
        self.0.handle_later(now, delivery, answer);
    }
}

impl<B: Bell> fmt::Debug for Office<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Office").field("jobs", &self.len()).finish_non_exhaustive()
    }
}
