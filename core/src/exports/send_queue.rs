//! The order in which waiting jobs send, and how many requests may be under way at once.
//!
//! There is one queue for requests to the service and one for downloads. The first also keeps to the account's
//! [rate limit](RateLimiter).

use alloc::collections::BTreeMap;

use super::{JobId, Limits, rate_limit::RateLimiter};
use crate::{export::RequestKind, time::Timestamp};

/// Both queues, and the rate limit.
#[derive(Clone, Debug)]
pub(super) struct SendQueues {
    calls: SendQueue,
    downloads: SendQueue,
    pub(super) rate: RateLimiter,
}

/// A job's position in its queue. Lower positions send first.
pub(super) type Position = u64;

#[derive(Clone, Debug, Default)]
struct SendQueue {
    waiting: BTreeMap<Position, JobId>,
    next_position: Position,
    under_way: usize,
    max_under_way: usize,
}

impl SendQueues {
    /// Makes empty queues. At least one request of each kind may always be under way.
    pub(super) fn new(limits: &Limits, rate: RateLimiter) -> Self {
        let queue = |max: usize| SendQueue { max_under_way: max.max(1), ..SendQueue::default() };
        Self { calls: queue(limits.calls), downloads: queue(limits.downloads), rate }
    }

    /// Returns whether a job that is not in the queue may send at once.
    pub(super) fn may_send(&self, attempt: RequestKind, now: Timestamp) -> bool {
        self.is_open(attempt, now) && self.queue(attempt).waiting.is_empty()
    }

    /// Appends a job to the queue.
    pub(super) fn join(&mut self, attempt: RequestKind, id: JobId) -> Position {
        let queue = self.queue_mut(attempt);
        let position = queue.next_position;
        queue.next_position += 1;
        queue.waiting.insert(position, id);
        position
    }

    /// Removes a job that no longer has to send.
    pub(super) fn leave(&mut self, attempt: RequestKind, position: Position) {
        self.queue_mut(attempt).waiting.remove(&position);
    }

    /// Removes and returns the first job of a queue that is open.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<JobId> {
        [RequestKind::Call, RequestKind::Download].into_iter().find_map(|attempt| {
            let is_open = self.is_open(attempt, now);
            let waiting = &mut self.queue_mut(attempt).waiting;
            is_open.then(|| waiting.pop_first())?.map(|(_, id)| id)
        })
    }

    /// Counts a request that is sent now.
    pub(super) fn began(&mut self, attempt: RequestKind, now: Timestamp) {
        self.queue_mut(attempt).under_way += 1;
        if attempt == RequestKind::Call {
            self.rate.spend(now);
        }
    }

    /// Counts a call that no job makes, or returns when the rate limit opens.
    pub(super) fn take_request(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        let opens_at = self.rate.opens_at();
        if opens_at > now || !self.calls.waiting.is_empty() {
            return Err(opens_at);
        }
        self.rate.spend(now);
        Ok(())
    }

    /// Counts a request as over.
    pub(super) fn ended(&mut self, attempt: RequestKind) {
        let queue = self.queue_mut(attempt);
        queue.under_way = queue.under_way.saturating_sub(1);
    }

    /// Returns when the rate limit lets the first waiting call pass, if nothing else keeps it back.
    pub(super) fn opens_at(&self) -> Option<Timestamp> {
        (!self.calls.waiting.is_empty() && self.calls.has_room()).then(|| self.rate.opens_at())
    }

    fn is_open(&self, attempt: RequestKind, now: Timestamp) -> bool {
        let within_rate = attempt == RequestKind::Download || self.rate.opens_at() <= now;
        within_rate && self.queue(attempt).has_room()
    }

    fn queue(&self, attempt: RequestKind) -> &SendQueue {
        match attempt {
            RequestKind::Call => &self.calls,
            RequestKind::Download => &self.downloads,
        }
    }

    fn queue_mut(&mut self, attempt: RequestKind) -> &mut SendQueue {
        match attempt {
            RequestKind::Call => &mut self.calls,
            RequestKind::Download => &mut self.downloads,
        }
    }
}

impl SendQueue {
    fn has_room(&self) -> bool {
        self.under_way < self.max_under_way
    }
}

#[cfg(test)]
impl SendQueues {
    pub(super) fn under_way(&self) -> usize {
        self.calls.under_way + self.downloads.under_way
    }

    pub(super) fn waiting_downloads(&self) -> usize {
        self.downloads.waiting.len()
    }
}
