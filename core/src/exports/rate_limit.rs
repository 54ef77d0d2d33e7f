//! The account's rate limit: when the next request may be sent, for all jobs together.
//!
//! The gateway limits the requests per second of the whole account (`PROTOCOL.md` §1), so jobs that each kept to the
//! limit alone would exceed it together.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::{
    error::{ApiError, ErrorId},
    http::{Headers, Response, parse_http_date},
    throttling::RateLimit,
    time::Timestamp,
};

/// Counts requests in a sliding window of one second, and holds all of them back when the service asks for it.
#[derive(Clone, Debug)]
pub(super) struct RateLimiter {
    per_second: usize,
    /// When the last requests were sent: at most `per_second` of them.
    sent: VecDeque<Timestamp>,
    /// No request is sent before this.
    closed_until: Timestamp,
    /// The service's own window, as its last answer described it.
    window: Option<Window>,
    /// The longest pause that an answer can ask for.
    longest_pause: Duration,
}

impl RateLimiter {
    pub(super) fn new(per_second: u32, longest_pause: Duration) -> Self {
        let per_second = usize::try_from(per_second.max(1)).unwrap_or(usize::MAX);
        let closed_until = Timestamp::default();
        Self { per_second, sent: VecDeque::new(), closed_until, window: None, longest_pause }
    }

    /// Returns when the next request may be sent. A time that has passed means at once.
    pub(super) fn opens_at(&self) -> Timestamp {
        let window = match self.sent.front() {
            Some(first) if self.sent.len() >= self.per_second => first.saturating_add(WINDOW),
            _ => Timestamp::default(),
        };
        window.max(self.closed_until)
    }

    /// Counts a request that is sent now.
    pub(super) fn spend(&mut self, now: Timestamp) {
        let is_over = |first: &Timestamp| first.saturating_add(WINDOW) <= now;
        while self.sent.len() >= self.per_second || self.sent.front().is_some_and(is_over) {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
        if let Some(window) = self.window.as_mut().filter(|window| now < window.end) {
            window.left = window.left.saturating_sub(1);
            if window.left == 0 {
                let end = window.end;
                self.close_until(now, end);
            }
        }
    }

    /// Learns from an answer of the service to any job.
    pub(super) fn learn(&mut self, now: Timestamp, Response { status, headers, body }: &Response) {
        if let Some(mut limit) = RateLimit::from_headers(headers) {
            // `X-RateLimit-Reset` is a time of the service's clock, which the `Date` of the same answer shows.
            if let Some(theirs) = headers.first("date").and_then(|date| parse_http_date(date, now)) {
                let left = |reset: Timestamp| reset.saturating_duration_since(theirs);
                limit.reset = limit.reset.map(|reset| now.saturating_add(left(reset)));
            }
            self.observe(now, limit);
        }
        if *status == 429 {
            let error = ApiError::parse(*status, headers, body);
            // A restriction of the plan concerns one job, and no waiting of the others lifts it.
            if error.id() != Some(&ErrorId::FeatureNotInPlan) {
                self.throttled(now, &error);
            }
        }
    }

    /// Takes over what the service says about its own window.
    fn observe(&mut self, now: Timestamp, limit: RateLimit) {
        let (Some(mut left), Some(end)) = (limit.remaining, limit.reset) else { return };
        match self.window.as_ref().filter(|window| now < window.end) {
            // Answers overtake each other: requests sent after this answer was written still count.
            Some(window) if window.end == end => left = left.min(window.left),
            Some(window) if window.end > end => return,
            _ => {}
        }
        self.window = Some(Window { left, end });
        if left == 0 {
            self.close_until(now, end);
        }
    }

    /// Holds all requests back after a 429 to one of them.
    fn throttled(&mut self, now: Timestamp, error: &ApiError) {
        let pause = error.retry_delay(now).unwrap_or(WINDOW);
        self.close_until(now, now.saturating_add(pause));
    }

    fn close_until(&mut self, now: Timestamp, until: Timestamp) {
        self.closed_until = self.closed_until.max(until.min(now.saturating_add(self.longest_pause)));
    }
}

/// The service's own window, shared by all users of the account's key.
#[derive(Clone, Copy, Debug)]
struct Window {
    left: u64,
    end: Timestamp,
}

const WINDOW: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_755_561_234_000 + millis)
    }

    fn budget(per_second: u32) -> RateLimiter {
        RateLimiter::new(per_second, Duration::from_secs(30))
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
    fn a_429_holds_all_requests_back_for_a_bounded_time() {
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
    fn the_services_own_window_is_waited_for() {
        let mut budget = budget(3);
        let headers = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1755561239")];
        budget.observe(at(0), RateLimit::from_headers(&headers).unwrap());
        assert_eq!(budget.opens_at(), at(5000));
        let plenty = [("x-ratelimit-remaining", "5"), ("x-ratelimit-reset", "1755561299")];
        budget.observe(at(0), RateLimit::from_headers(&plenty).unwrap());
        assert_eq!(budget.opens_at(), at(5000));
    }

    #[test]
    fn requests_before_the_window_are_forgotten() {
        let mut budget = budget(u32::MAX);
        for second in 0..1000 {
            budget.spend(at(second * 1000));
            budget.spend(at(second * 1000 + 1));
        }
        assert!(budget.sent.len() <= 3, "{}", budget.sent.len());
    }

    #[test]
    fn the_rest_of_the_services_window_is_not_exceeded() {
        let mut budget = budget(10);
        let left = |remaining| {
            let headers = [("x-ratelimit-remaining", remaining), ("x-ratelimit-reset", "1755561239")];
            RateLimit::from_headers(&headers).unwrap()
        };
        budget.observe(at(0), left("3"));
        budget.spend(at(0));
        budget.spend(at(0));
        assert!(budget.opens_at() <= at(0));
        // An answer that was overtaken knows of fewer requests than there were.
        budget.observe(at(0), left("2"));
        budget.spend(at(0));
        assert_eq!(budget.opens_at(), at(5000));
        // The next window begins with nothing known.
        budget.spend(at(5000));
        assert!(budget.opens_at() <= at(5000));
        // A window that would end in a year is believed for as long as a Retry-After is.
        let year = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1787097234")];
        budget.observe(at(5000), RateLimit::from_headers(&year).unwrap());
        assert_eq!(budget.opens_at(), at(35_000));
    }

    #[test]
    fn an_answer_about_an_earlier_window_changes_nothing_and_one_about_a_later_counts() {
        let mut budget = budget(10);
        let told = |remaining, reset| {
            let headers = [("x-ratelimit-remaining", remaining), ("x-ratelimit-reset", reset)];
            RateLimit::from_headers(&headers).unwrap()
        };
        budget.observe(at(0), told("1", "1755561239"));
        budget.observe(at(0), told("0", "1755561236"));
        assert!(
            budget.opens_at() <= at(0),
            "that window is over, or its answer would not come after this one's"
        );
        budget.spend(at(0));
        assert_eq!(budget.opens_at(), at(5000));
        budget.observe(at(0), told("0", "1755561244"));
        assert_eq!(budget.opens_at(), at(10_000));
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
