//! The account's request budget: when the next request may be sent, for all jobs together.
//!
//! The gateway's ceiling is a number of requests a second for the whole account (`PROTOCOL.md` §1), so
//! jobs that each keep to their own rules would still run into it together.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::{ApiError, RateLimit, Timestamp};

/// Counts requests in a sliding window of one second, and keeps everybody back when the service says so.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    per_second: usize,
    /// When the last requests were sent: at most `per_second` of them.
    sent: VecDeque<Timestamp>,
    /// Nobody sends before this.
    closed_until: Timestamp,
    /// The longest time that the service's word is taken for.
    longest_pause: Duration,
}

impl Budget {
    pub(super) fn new(per_second: u32, longest_pause: Duration) -> Self {
        let per_second = usize::try_from(per_second.max(1)).unwrap_or(usize::MAX);
        Self { per_second, sent: VecDeque::new(), closed_until: Timestamp::default(), longest_pause }
    }

    /// When the next request may be sent: not later than `now` if that is at once.
    pub(super) fn opens_at(&self) -> Timestamp {
        let window = match self.sent.front() {
            Some(first) if self.sent.len() >= self.per_second => first.saturating_add(WINDOW),
            _ => Timestamp::default(),
        };
        window.max(self.closed_until)
    }

    /// A request is sent.
    pub(super) fn spend(&mut self, now: Timestamp) {
        if self.sent.len() >= self.per_second {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
    }

    /// The service says how much is left of its own window.
    pub(super) fn observe(&mut self, now: Timestamp, limit: RateLimit) {
        if let (Some(0), Some(reset)) = (limit.remaining, limit.reset) {
            self.close_until(now, reset);
        }
    }

    /// The service refused with 429: what it said to one it said to all.
    pub(super) fn throttled(&mut self, now: Timestamp, error: &ApiError) {
        let pause = error.retry_delay(now).unwrap_or(WINDOW);
        self.close_until(now, now.saturating_add(pause));
    }

    fn close_until(&mut self, now: Timestamp, until: Timestamp) {
        self.closed_until = self.closed_until.max(until.min(now.saturating_add(self.longest_pause)));
    }
}

const WINDOW: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_755_561_234_000 + millis)
    }

    fn budget(per_second: u32) -> Budget {
        Budget::new(per_second, Duration::from_secs(30))
    }

    #[test]
    fn a_burst_fills_the_window_and_the_next_request_waits_for_its_end() {
        let mut budget = budget(3);
        for millis in [0, 10, 20] {
            assert!(budget.opens_at() <= at(millis));
            budget.spend(at(millis));
        }
        assert_eq!(budget.opens_at(), at(1000));
        budget.spend(at(1000));
        assert_eq!(budget.opens_at(), at(1010));
    }

    #[test]
    fn what_the_service_tells_one_holds_for_all_but_not_for_ever() {
        let mut budget = budget(3);
        let refusal = ApiError::parse(429, &[("retry-after", "2")], b"");
        budget.throttled(at(0), &refusal);
        assert_eq!(budget.opens_at(), at(2000));
        budget.throttled(at(0), &ApiError::parse(429, &(), b""));
        assert_eq!(budget.opens_at(), at(2000), "a shorter pause does not end a longer one");
        budget.throttled(at(0), &ApiError::parse(429, &[("retry-after", "1700")], b""));
        assert_eq!(budget.opens_at(), at(30_000));
    }

    #[test]
    fn a_spent_window_of_the_services_own_is_waited_out() {
        let mut budget = budget(3);
        let headers = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1755561239")];
        budget.observe(at(0), RateLimit::from_headers(&headers).unwrap());
        assert_eq!(budget.opens_at(), at(5000));
        let plenty = [("x-ratelimit-remaining", "5"), ("x-ratelimit-reset", "1755561299")];
        budget.observe(at(0), RateLimit::from_headers(&plenty).unwrap());
        assert_eq!(budget.opens_at(), at(5000));
    }

    proptest! {
        #[test]
        fn no_second_ever_holds_more_than_the_limit(limit in 1u32..20, waits in prop::collection::vec(0u64..300, 1..200)) {
            let mut budget = budget(limit);
            let mut now = at(0);
            let mut sent = alloc::vec::Vec::new();
            for wait in waits {
                now = now.saturating_add(Duration::from_millis(wait));
                if budget.opens_at() <= now {
                    budget.spend(now);
                    sent.push(now);
                }
            }
            for (n, first) in sent.iter().enumerate() {
                let in_a_second = sent.iter().skip(n).filter(|t| t.saturating_duration_since(*first) < WINDOW);
                prop_assert!(in_a_second.count() <= limit as usize);
            }
        }
    }
}
