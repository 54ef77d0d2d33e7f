//! Where the jobs of one exporter are administered: core's [`Exports`] behind a lock, a store, and a mailbox for each job.
//!
//! ```text
//!   a job's thread or task          the jobs                         the saver thread
//!   ──────────────────────          ──────────                         ───────────────────
//!   RunningJob::tell ───────────────────► Exports ──► outputs ──┐
//!   Jobs::handle_later ─────────►         ──► changes ──┤
//!                                                         ▼
//!   RunningJob::take ◄── mailbox ◄── directly, if there is no store and nothing to save
//!                     ▲                                   │
//!                     └─── once the batch is saved ◄──────┴──► Store::write, one batch at a time; the time
//! ```
//!
//! Whoever tells the jobs something also takes what follows from it out of [`Exports`]. With a store, both the outputs
//! and the replies to deliveries wait for the next batch: nothing is done, and nothing acknowledged, that is not saved.
//! While a batch is being written the next one gathers, so however many jobs there are, they share the disk's time.
//!
//! When the store fails, deliveries are answered 503 and the batch is tried again until it is saved; jobs that it
//! would have been the first to save are given up, since nothing was asked for them. A job is struck out of the store
//! once its thread or task has taken the result. A job whose thread or task has gone before that is cancelled, or, with
//! a store, [held](Exports::hold) until somebody goes on with it, in this process or another.

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
    Change, Config, Exports, JobId, Limits, Order, Output, RestoreError, Store, Timestamp,
    webhook::{Delivery, Reply},
};

use self::{mailbox::Mailbox, save_queue::SaveQueue};
use crate::{Answer, Clock, Error, Handler, store::Record};

pub use self::{
    handle::{RunningJob, StoredJob},
    mailbox::{Message, Waker},
};

/// The jobs of one exporter. See the [module](self).
pub struct Jobs<W: Waker> {
    shared: Arc<Shared<W>>,
    saver: Mutex<Option<JoinHandle<()>>>,
}

struct Shared<W> {
    state: Mutex<State<W>>,
    /// Wakes the saver.
    work: Condvar,
    clock: Clock,
}

struct State<W> {
    exports: Exports,
    mailboxes: BTreeMap<JobId, Arc<Mailbox<W>>>,
    /// `None` without a store.
    save_queue: Option<SaveQueue<W>>,
    /// Jobs that nobody carries out.
    held: BTreeSet<JobId>,
    /// Records that no job could be made of, until somebody has been told.
    unread: Vec<(JobId, RestoreError)>,
    /// What is on its way from the jobs to the mailboxes.
    polled: Vec<(Arc<Mailbox<W>>, Output)>,
    /// When the saver looks at the time again.
    alarm: Option<Timestamp>,
    closing: bool,
}

impl<W: Waker> Jobs<W> {
    /// Reads the jobs that are in the store, each held, and starts the saver.
    pub fn open(
        config: Arc<Config>,
        limits: Limits,
        clock: Clock,
        store: Option<Box<dyn Store>>,
    ) -> Result<Self, Error> {
        let mut state = State {
            exports: Exports::new(config, limits),
            mailboxes: BTreeMap::new(),
            save_queue: store.is_some().then(SaveQueue::new),
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
        let saver = saver::start(Arc::clone(&shared), store).map_err(Error::Saver)?;
        Ok(Self { shared, saver: Mutex::new(Some(saver)) })
    }

    /// Adds a job for an order, and returns the handle that runs it.
    ///
    /// `target` is kept with it, as an absolute path.
    pub fn submit(
        &self,
        order: Order,
        target: Option<PathBuf>,
        waker: W,
    ) -> Result<RunningJob<'_, W>, Error> {
        let target = target.map(std::path::absolute).transpose().map_err(Error::WorkingDirectory)?;
        let mut state = self.shared.lock();
        let job = state.exports.submit(self.shared.clock.now(), order)?;
        if let Some(save_queue) = &mut state.save_queue {
            save_queue.add(job, target, true);
        }
        Ok(self.running(state, job, waker))
    }

    /// The jobs that are in the store and that nobody carries out, oldest first; and, once, those records that no job can
    /// be made of. They stay in the store.
    pub fn resume(&self) -> Vec<Result<StoredJob<'_, W>, Error>> {
        let mut state = self.shared.lock();
        let held = std::mem::take(&mut state.held).into_iter();
        let mut stored: Vec<_> = held.filter_map(|job| StoredJob::new(self, &state, job)).map(Ok).collect();
        let unread = std::mem::take(&mut state.unread);
        stored.extend(unread.into_iter().map(|(job, source)| Err(Error::Record { job, source })));
        stored
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
        let saver = self.saver.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(saver) = saver {
            // A panic of the saver has been printed; there is nothing left to clean up after it.
            let _ended = saver.join();
        }
    }

    fn running(&self, mut state: MutexGuard<'_, State<W>>, job: JobId, waker: W) -> RunningJob<'_, W> {
        let mailbox = Arc::new(Mailbox::new(waker));
        state.mailboxes.insert(job, Arc::clone(&mailbox));
        self.shared.pump(&mut state);
        RunningJob::new(self, job, mailbox)
    }
}

impl<W: Waker> Drop for Jobs<W> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<W: Waker> Shared<W> {
    fn lock(&self) -> MutexGuard<'_, State<W>> {
        // A job that panicked while it was told something is damaged at most itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out of the jobs what has to be done, and leaves it where it is found.
    fn pump(&self, state: &mut State<W>) {
        state.gather();
        while let Some((job, output)) = state.exports.poll_output() {
            let is_done = matches!(output, Output::Done(_));
            let mailbox =
                if is_done { state.mailboxes.remove(&job) } else { state.mailboxes.get(&job).cloned() };
            state.polled.extend(mailbox.map(|mailbox| (mailbox, output)));
        }
        // From here on, what was polled may have been sent.
        state.gather();
        for (mailbox, output) in std::mem::take(&mut state.polled) {
            match &mut state.save_queue {
                Some(save_queue) => save_queue.post(&mailbox, Message::Output(output)),
                None => mailbox.post(Message::Output(output)),
            }
        }
        let is_due = state.save_queue.as_ref().is_some_and(|save_queue| !save_queue.is_settled());
        let next = state.exports.poll_timeout();
        if is_due || next.is_some_and(|next| state.alarm.is_none_or(|alarm| next < alarm)) {
            self.work.notify_one();
        }
    }
}

impl<W: Waker> State<W> {
    fn restore(&mut self, now: Timestamp, job: JobId, record: &[u8]) {
        let restored = Record::read(record).and_then(|Record { target, snapshot }| {
            self.exports.restore(now, job, snapshot)?;
            self.exports.hold(now, job);
            Ok(target)
        });
        match (restored, &mut self.save_queue) {
            (Ok(target), Some(save_queue)) => {
                save_queue.add(job, target, false);
                self.held.insert(job);
            }
            (Err(error), _) => {
                self.exports.reserve(job);
                self.unread.push((job, error));
            }
            (Ok(_), None) => {}
        }
    }

    /// Writes into the save queue what has moved on. A job that is over stays in the store, with its result, until somebody has
    /// taken that.
    fn gather(&mut self) {
        let Some(save_queue) = &mut self.save_queue else { return self.exports.forget_changes() };
        for (job, change) in self.exports.take_changes() {
            if let Change::Save(snapshot) = change {
                save_queue.save(job, snapshot);
            }
        }
    }
}

impl<W: Waker> Handler for Jobs<W> {
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
        match &mut state.save_queue {
            Some(save_queue) if reply == Reply::Acknowledged => {
                let reply = |saved| if saved { Reply::Acknowledged } else { Reply::Unavailable };
                save_queue.when_saved(Box::new(move |saved| answer(reply(saved))));
                self.shared.work.notify_one();
            }
            // It is kept in memory, as everything is here: to have it again would make nothing safer.
            None if reply == Reply::Unavailable => answer(Reply::Acknowledged),
            _ => answer(reply),
        }
    }
}

/// Hands deliveries to jobs that are shared.
#[derive(Debug)]
pub struct JobsHandler<W: Waker>(pub Arc<Jobs<W>>);

impl<W: Waker> Handler for JobsHandler<W> {
    fn handle(&self, now: Timestamp, delivery: Delivery) -> Reply {
        self.0.handle(now, delivery)
    }

    fn handle_later(&self, now: Timestamp, delivery: Delivery, answer: Answer) {
        self.0.handle_later(now, delivery, answer);
    }
}

impl<W: Waker> fmt::Debug for Jobs<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").field("jobs", &self.len()).finish_non_exhaustive()
    }
}
