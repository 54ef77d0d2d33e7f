//! Whose turn it is to send: the budget of the account, and how much may be under way at once.

use alloc::collections::BTreeMap;

use super::{Budget, Exports, JobId};
use crate::{
    ApiError, ErrorId, Output, RateLimit, Timestamp,
    export::Attempt,
    http::{Headers, parse_http_date},
};

/// The queue before the sending of one kind of request.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate {
    /// Those who wait, in the order in which they came, each with one ticket.
    pub(super) waiting: BTreeMap<Ticket, JobId>,
    next_ticket: Ticket,
    pub(super) under_way: usize,
}

/// A place in a queue: the lower, the earlier.
pub(super) type Ticket = u64;

impl Exports {
    /// The next request of a job that has waited for its turn, and whose turn it is.
    pub(super) fn poll_gates(&mut self) -> Option<(JobId, Output)> {
        for attempt in [Attempt::Call, Attempt::Download] {
            if !self.is_open(attempt) {
                continue;
            }
            let Some((_, id)) = attempt.gate(&mut self.gates).waiting.pop_first() else { continue };
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            job.gate = None;
            job.export.postpone(self.now);
            let request = job.export.poll_attempt();
            return self.given(id, request);
        }
        None
    }

    /// Whether a job that has not waited may send.
    pub(super) fn may_send(&mut self, attempt: Attempt) -> bool {
        self.is_open(attempt) && attempt.gate(&mut self.gates).waiting.is_empty()
    }

    pub(super) fn wait_for_turn(&mut self, id: JobId, attempt: Attempt) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let gate = attempt.gate(&mut self.gates);
        let ticket = gate.next_ticket;
        gate.next_ticket += 1;
        gate.waiting.insert(ticket, id);
        job.gate = Some((attempt, ticket));
    }

    /// When a call that waits may be made, if it is the budget that it waits for.
    pub(super) fn next_turn(&self) -> Option<Timestamp> {
        let [calls, _] = &self.gates;
        let waits = !calls.waiting.is_empty() && calls.under_way < self.limits.calls;
        waits.then(|| self.budget.opens_at())
    }

    fn is_open(&self, attempt: Attempt) -> bool {
        let [calls, downloads] = &self.gates;
        match attempt {
            Attempt::Call => calls.under_way < self.limits.calls && self.budget.opens_at() <= self.now,
            Attempt::Download => downloads.under_way < self.limits.downloads,
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
    if let Some(mut limit) = RateLimit::from_headers(headers) {
        // The reset is a time by the service's clock, which its answers show.
        if let Some(theirs) = headers.first("date").and_then(|date| parse_http_date(date, now)) {
            let left = |reset: Timestamp| reset.saturating_duration_since(theirs);
            limit.reset = limit.reset.map(|reset| now.saturating_add(left(reset)));
        }
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
