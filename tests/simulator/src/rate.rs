//! The gateway's ceiling: so many requests in each second, counted in fixed windows, and the three headers that say so.

use std::time::{Duration, Instant};

use hyper::header::{HeaderName, HeaderValue};

use crate::clock::unix_now;

/// The ceiling and the current window.
#[derive(Debug)]
pub(crate) struct RateLimit {
    per_second: u32,
    window: Option<Instant>,
    used: u32,
}

/// What the ceiling says to one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    pub(crate) granted: bool,
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    /// Unix seconds.
    pub(crate) reset: u64,
}

impl RateLimit {
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second, window: None, used: 0 }
    }

    /// Counts one request.
    pub(crate) fn take(&mut self, now: Instant) -> Allowance {
        if self.window.is_none_or(|since| now.duration_since(since) >= WINDOW) {
            self.window = Some(now);
            self.used = 0;
        }
        let granted = self.used < self.per_second;
        self.used += u32::from(granted);
        Allowance {
            granted,
            limit: self.per_second,
            remaining: self.per_second.saturating_sub(self.used),
            reset: unix_now() + 1,
        }
    }
}

impl Allowance {
    /// Nothing left until the next second.
    pub(crate) fn spent(limit: u32) -> Self {
        Self { granted: false, limit, remaining: 0, reset: unix_now() + 1 }
    }

    /// The headers a 200 and a 429 carry.
    pub(crate) fn headers(self) -> [(HeaderName, HeaderValue); 3] {
        [
            (HeaderName::from_static("x-ratelimit-limit"), self.limit.into()),
            (HeaderName::from_static("x-ratelimit-remaining"), self.remaining.into()),
            (HeaderName::from_static("x-ratelimit-reset"), self.reset.into()),
        ]
    }
}

const WINDOW: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_holds_within_a_second_and_clears_with_the_next() {
        let (mut limit, now) = (RateLimit::new(2), Instant::now());
        let granted = [0, 1, 2].map(|_| limit.take(now).granted);
        assert_eq!(granted, [true, true, false]);
        assert!(limit.take(now + WINDOW).granted);
    }
}
