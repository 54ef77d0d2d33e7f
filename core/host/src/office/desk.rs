//! Where a job's thread or task finds what it is to do next.

use std::{
    collections::VecDeque,
    fmt,
    mem::discriminant,
    sync::{Mutex, MutexGuard, PoisonError},
};

use abyssale_core::{Output, StoreError};

/// Wakes whoever sits at a desk: a condition variable, or what a runtime has for it.
pub trait Bell: Send + Sync + 'static {
    /// Wakes them, now or as soon as they wait. Called often, and must not wait for anything itself.
    fn ring(&self);
}

/// What a job's thread or task is told.
#[derive(Debug)]
pub enum Mail {
    /// To be carried out; what had to be saved first is saved.
    Output(Output),
    /// The job could not be saved when it was new, so nothing was asked for.
    NotSaved(StoreError),
}

/// The mail of one job.
pub(crate) struct Desk<B> {
    mail: Mutex<VecDeque<Mail>>,
    pub(crate) bell: B,
}

impl<B: Bell> Desk<B> {
    pub(crate) fn new(bell: B) -> Self {
        Self { mail: Mutex::default(), bell }
    }

    /// Puts something on the desk. What it makes pointless is taken away, so however long nobody looks there is little
    /// on it: one attempt, one abort, one notice of each kind.
    pub(crate) fn post(&self, mail: Mail) {
        let mut all = self.mail();
        match &mail {
            Mail::Output(Output::Abort(given_up)) => {
                let waits = all.len();
                all.retain(|other| attempt(other) != Some(*given_up));
                if all.len() < waits {
                    // It was not begun, and now it will not be.
                    return;
                }
                all.retain(|other| !matches!(other, Mail::Output(Output::Abort(_))));
            }
            Mail::Output(Output::Notice(notice)) => all.retain(|other| match other {
                Mail::Output(Output::Notice(older)) => discriminant(older) != discriminant(notice),
                _ => true,
            }),
            _ => {}
        }
        all.push_back(mail);
        drop(all);
        self.bell.ring();
    }

    /// Takes the oldest that is on it.
    pub(crate) fn take(&self) -> Option<Mail> {
        self.mail().pop_front()
    }

    fn mail(&self) -> MutexGuard<'_, VecDeque<Mail>> {
        // No panic can leave the queue half changed.
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> fmt::Debug for Desk<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

fn attempt(mail: &Mail) -> Option<abyssale_core::CallId> {
    match mail {
        Mail::Output(Output::Call { call, .. } | Output::Download { call, .. }) => Some(*call),
        _ => None,
    }
}
