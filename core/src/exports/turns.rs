//! Whose turn it is to send: the budget of the account, and how much may be under way at once.

use alloc::collections::VecDeque;

use super::{Budget, Exports, JobId, Place};
use crate::{ApiError, ErrorId, RateLimit, Timestamp, export::Attempt, http::Headers};

/// The queue before the sending of one kind of request.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate {
    pub(super) waiting: VecDeque<JobId>,
    pub(super) under_way: usize,
}

impl Exports {
    pub(super) fn may_send(&self, attempt: Attempt) -> bool {
        let [calls, downloads] = &self.gates;
        match attempt {
            Attempt::Call => {
                calls.waiting.is_empty()
                    && calls.under_way < self.limits.calls
                    && self.budget.opens_at() <= self.now
            }
            Attempt::Download => downloads.waiting.is_empty() && downloads.under_way < self.limits.downloads,
        }
    }

    pub(super) fn send(&mut self, id: JobId, attempt: Attempt) {
        if attempt == Attempt::Call {
            self.budget.spend(self.now);
        }
        attempt.gate(&mut self.gates).under_way += 1;
        if let Some(job) = self.jobs.get_mut(&id) {
            job.under_way = Some(attempt);
            job.admitted = false;
        }
    }

    pub(super) fn wait_for_turn(&mut self, id: JobId, attempt: Attempt) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.place = Place::Gate;
            attempt.gate(&mut self.gates).waiting.push_back(id);
        }
    }

    /// Lets in whose turn has come, in the order in which they came: one call and one download at most, since whether
    /// another may follow depends on what these send.
    pub(super) fn open_gates(&mut self) {
        let [calls, downloads] = &self.gates;
        let may_call = calls.under_way < self.limits.calls && self.budget.opens_at() <= self.now;
        let is_open = [may_call, downloads.under_way < self.limits.downloads];
        for (gate, _) in self.gates.iter_mut().zip(is_open).filter(|(_, is_open)| *is_open) {
            // Those that have left the gate in between are passed over.
            while let Some(id) = gate.waiting.pop_front() {
                if let Some(job) = self.jobs.get_mut(&id).filter(|job| job.place == Place::Gate) {
                    job.place = Place::Ready;
                    job.admitted = true;
                    // To the front: it has waited already, and none behind it may send before it does.
                    self.ready.push_front(id);
                    break;
                }
            }
        }
    }
}

impl Attempt {
    pub(super) fn gate(self, [calls, downloads]: &mut [Gate; 2]) -> &mut Gate {
        match self {
            Self::Call => calls,
            Self::Download => downloads,
        }
    }
}

/// What an answer says about the budget of all.
pub(super) fn learn(budget: &mut Budget, now: Timestamp, status: u16, headers: &dyn Headers, body: &[u8]) {
    if let Some(limit) = RateLimit::from_headers(headers) {
        budget.observe(now, limit);
    }
    if status == 429 {
        let error = ApiError::parse(status, headers, body);
        // A plan's restriction is one job's misfortune, and no reason for the others to wait.
        if error.id() != Some(&ErrorId::FeatureNotInPlan) {
            budget.throttled(now, &error);
        }
    }
}
