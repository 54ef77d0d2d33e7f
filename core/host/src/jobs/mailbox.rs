//! Where a job's thread or task finds what it is to do next.

use std::{
    collections::VecDeque,
    fmt,
    mem::discriminant,
    sync::{Mutex, MutexGuard, PoisonError},
};

use abyssale_core::{Output, StoreError};

/// Wakes the thread or task that runs a job: a condition variable, or the equivalent of a runtime.
pub trait Waker: Send + Sync + 'static {
    /// Wakes it now, or as soon as it waits. Called often; must not block.
    fn wake(&self);
}

/// What a job's thread or task is told.
#[derive(Debug)]
pub enum Message {
    /// To be carried out; what had to be saved first is saved.
    Output(Output),
    /// The job could not be saved when it was new, so nothing was asked for.
    NotSaved(StoreError),
}

/// The messages of one job.
pub(crate) struct Mailbox<W> {
    messages: Mutex<VecDeque<Message>>,
    pub(crate) waker: W,
}

impl<W: Waker> Mailbox<W> {
    pub(crate) fn new(waker: W) -> Self {
        Self { messages: Mutex::default(), waker }
    }

    /// Adds a message and removes those that it supersedes, so an unread mailbox stays small: one attempt, one abort,
    /// one notice of each kind.
    pub(crate) fn post(&self, message: Message) {
        let mut all = self.lock();
        match &message {
            Message::Output(Output::Abort(given_up)) => {
                let waits = all.len();
                all.retain(|other| attempt(other) != Some(*given_up));
                if all.len() < waits {
                    // It was not begun, and now it will not be.
                    return;
                }
                all.retain(|other| !matches!(other, Message::Output(Output::Abort(_))));
            }
            Message::Output(Output::Notice(notice)) => all.retain(|other| match other {
                Message::Output(Output::Notice(older)) => discriminant(older) != discriminant(notice),
                _ => true,
            }),
            _ => {}
        }
        all.push_back(message);
        drop(all);
        self.waker.wake();
    }

    /// Takes the oldest message.
    pub(crate) fn take(&self) -> Option<Message> {
        self.lock().pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Message>> {
        // No panic can leave the queue half changed.
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W> fmt::Debug for Mailbox<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

fn attempt(message: &Message) -> Option<abyssale_core::CallId> {
    match message {
        Message::Output(Output::Call { call, .. } | Output::Download { call, .. }) => Some(*call),
        _ => None,
    }
}
