//! The saver thread: it writes what is to be saved, and looks at the time.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use abyssale_core::{Store, StoreError};

use super::{
    Shared,
    mailbox::{Message, Waker},
    save_queue::{Batch, SaveQueue},
};
use crate::trace::Saving;

pub(super) fn start<W: Waker>(
    shared: Arc<Shared<W>>,
    store: Option<Box<dyn Store>>,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("abyssale-saver".into()).spawn(move || work(&shared, store))
}

fn work<W: Waker>(shared: &Shared<W>, mut store: Option<Box<dyn Store>>) {
    let mut state = shared.lock();
    loop {
        let now = shared.clock.now();
        if state.exports.poll_timeout().is_some_and(|next| next <= now) && !state.closing {
            state.exports.handle_timeout(now);
            shared.pump(&mut state);
        }
        let due = state.save_queue.as_ref().and_then(SaveQueue::due);
        let is_due = due.is_some_and(|due| due <= now || state.closing);
        if let (true, Some(save_queue), Some(store)) = (is_due, &mut state.save_queue, &mut store) {
            let batch = save_queue.begin();
            drop(state);
            let written = write(&mut **store, &batch);
            state = shared.lock();
            let Some(save_queue) = &mut state.save_queue else { return };
            let lost = save_queue.end(shared.clock.now(), batch, &written);
            if let Err(error) = written {
                for job in lost {
                    if let Some(mailbox) = state.mailboxes.remove(&job) {
                        mailbox.post(Message::NotSaved(error.clone()));
                    }
                    let _ = state.exports.handle(now, job, abyssale_core::Input::Cancel);
                }
                shared.pump(&mut state);
                if state.closing {
                    // What could not be saved was not acted on either.
                    return;
                }
            }
            continue;
        }
        if state.closing {
            return;
        }
        // Waking up for nothing is looked after by the loop.
        state.alarm = state.exports.poll_timeout().into_iter().chain(due).min();
        let wait = state.alarm.map_or(FOREVER, |alarm| alarm.saturating_duration_since(now));
        let woken = shared.work.wait_timeout(state, wait.clamp(SHORTEST, FOREVER));
        state = woken.unwrap_or_else(PoisonError::into_inner).0;
    }
}

fn write<W: Waker>(store: &mut dyn Store, batch: &Batch<W>) -> Result<(), StoreError> {
    let records = batch.records();
    if records.is_empty() {
        return Ok(());
    }
    let saving = Saving::begin();
    // Without the saver every job would stand still for ever.
    let written = catch_unwind(AssertUnwindSafe(|| store.write(&records)))
        .unwrap_or_else(|_| Err(StoreError::refused("it panicked")));
    saving.end(records.len(), &written);
    written
}

/// A clock counts milliseconds, and a wait for less would spin.
const SHORTEST: Duration = Duration::from_millis(1);
const FOREVER: Duration = Duration::from_secs(60 * 60);
