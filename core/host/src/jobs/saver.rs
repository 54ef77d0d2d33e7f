//! The saver thread: it writes what is queued, and tells the jobs when a deadline has come.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use abyssale_core::{Input, JobId, Notice, Output, Store, StoreError, Write};

use tracing::{trace, warn};

use super::{SaveQueue, Shared, State};
use crate::attempt::millis_since;

pub(super) fn start(shared: Arc<Shared>, store: Option<Box<dyn Store>>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("abyssale-saver".into()).spawn(move || work(&shared, store))
}

fn work(shared: &Shared, mut store: Option<Box<dyn Store>>) {
    let mut state = shared.lock();
    loop {
        let now = shared.clock.now();
        if state.exports.poll_timeout().is_some_and(|next| next <= now) && !state.closing {
            state.exports.handle_timeout(now);
            shared.advance(&mut state);
        }
        let due = state.queue.as_ref().and_then(SaveQueue::due);
        let is_due = due.is_some_and(|due| due <= now || state.closing);
        if let (true, Some(queue), Some(store)) = (is_due, &mut state.queue, &mut store) {
            let changes = queue.begin();
            drop(state);
            let written = write(&mut **store, &changes);
            state = shared.lock();
            let is_saved = written.is_ok();
            end(shared, &mut state, changes, written);
            if is_saved || !state.closing {
                continue;
            }
            // What could not be saved was not acted on either.
            return;
        }
        if state.closing {
            return;
        }
        // The loop copes with waking up for nothing.
        state.alarm = state.exports.poll_timeout().into_iter().chain(due).min();
        let wait = state.alarm.map_or(FOREVER, |alarm| alarm.saturating_duration_since(now));
        let woken = shared.work.wait_timeout(state, wait.clamp(SHORTEST, FOREVER));
        state = woken.unwrap_or_else(PoisonError::into_inner).0;
    }
}

fn write(store: &mut dyn Store, changes: &[(JobId, Write)]) -> Result<(), StoreError> {
    if changes.is_empty() {
        return Ok(());
    }
    let begun = Instant::now();
    // Without this thread every job would stand still for ever.
    let written = catch_unwind(AssertUnwindSafe(|| store.write(changes)))
        .unwrap_or_else(|_| Err(StoreError::refused("it panicked")));
    let jobs = changes.len();
    match &written {
        Ok(()) => trace!(target: STORE, jobs, duration_ms = millis_since(begun), "jobs saved"),
        Err(reason) => warn!(target: STORE, jobs, %reason, "jobs not saved"),
    }
    written
}

/// Releases what waited for the write, or gives up the new jobs that could not be saved.
fn end(shared: &Shared, state: &mut State, changes: Vec<(JobId, Write)>, written: Result<(), StoreError>) {
    let Some(queue) = &mut state.queue else { return };
    let now = shared.clock.now();
    match written {
        Ok(()) => {
            for (job, output) in queue.saved(&changes) {
                state.release(job, output);
            }
        }
        Err(error) => {
            for (job, _) in &changes {
                if let Some(mailbox) = state.mailboxes.get_mut(job) {
                    mailbox.push(Ok(Output::Notice(Notice::NotSaved(error.clone()))));
                }
            }
            for job in queue.failed(now, changes) {
                if let Some(mailbox) = state.mailboxes.get_mut(&job) {
                    mailbox.push(Err(error.clone()));
                }
                let _ = state.exports.handle(now, job, Input::Cancel);
            }
            shared.advance(state);
        }
    }
}

const STORE: &str = "abyssale::store";

/// A clock counts milliseconds, and a shorter wait would spin.
const SHORTEST: Duration = Duration::from_millis(1);
const FOREVER: Duration = Duration::from_secs(60 * 60);
