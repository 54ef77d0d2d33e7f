//! The outputs of one job that its thread or task has not taken yet.

use std::{
    collections::VecDeque,
    mem::discriminant,
    task::{Context, Poll, Waker},
};

use abyssale_core::{CallId, Output, StoreError};

/// An output to carry out, or the reason why a new job could not be saved: then no request was sent for it.
pub(super) type Message = Result<Output, StoreError>;

/// The outputs of one job that has a handle.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    messages: VecDeque<Message>,
    /// Wakes the thread or task that waits for a message.
    waker: Option<Waker>,
}

impl Mailbox {
    /// Adds a message and removes those that it supersedes, so that an unread mailbox stays small: one attempt, one
    /// abort, one notice of each kind.
    pub(super) fn push(&mut self, message: Message) {
        match &message {
            Ok(Output::Abort(aborted)) => {
                let before = self.messages.len();
                self.messages.retain(|other| attempt(other) != Some(*aborted));
                if self.messages.len() < before {
                    // The attempt was not begun, so there is nothing to abort.
                    return;
                }
                self.messages.retain(|other| !matches!(other, Ok(Output::Abort(_))));
            }
            Ok(Output::Notice(notice)) => self.messages.retain(|other| match other {
                Ok(Output::Notice(older)) => discriminant(older) != discriminant(notice),
                _ => true,
            }),
            _ => {}
        }
        self.messages.push_back(message);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Takes the oldest message. If there is none, the next one wakes the caller.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Message> {
        if let Some(message) = self.messages.pop_front() {
            return Poll::Ready(message);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

fn attempt(message: &Message) -> Option<CallId> {
    match message {
        Ok(Output::Call { call, .. } | Output::Download { call, .. }) => Some(*call),
        _ => None,
    }
}
