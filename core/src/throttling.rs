//! What the headers of an answer say about the rate of requests: the rate limit, and when to retry (`PROTOCOL.md` §2, §3).

use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    decimal::saturating_decimal,
    http::{Headers, parse_http_date},
    time::Timestamp,
};

/// The service's rate limit, from the headers of an answer with status 200 or 429.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RateLimit {
    /// `X-RateLimit-Limit`: how many requests a window allows.
    pub limit: Option<u64>,
    /// `X-RateLimit-Remaining`: how many requests are left in this window.
    pub remaining: Option<u64>,
    /// `X-RateLimit-Reset`: when the next window begins.
    pub reset: Option<Timestamp>,
}

impl RateLimit {
    /// Parses the three headers. `None` if none of them contains a number.
    pub(crate) fn from_headers(headers: &dyn Headers) -> Option<Self> {
        let number = |name| headers.first(name).and_then(saturating_decimal);
        let limit = Self {
            limit: number("x-ratelimit-limit"),
            remaining: number("x-ratelimit-remaining"),
            reset: number("x-ratelimit-reset").map(Timestamp::from_secs),
        };
        (limit.limit.is_some() || limit.remaining.is_some() || limit.reset.is_some()).then_some(limit)
    }
}

/// When a request may be repeated, from `Retry-After`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// After this time.
    Delay(Duration),
    /// Not before this moment.
    At(Timestamp),
}

impl RetryAfter {
    /// Parses `Retry-After`: whole seconds or an HTTP date. `None` if the header is absent or neither.
    pub(crate) fn from_headers(headers: &dyn Headers) -> Option<Self> {
        let value = headers.first("retry-after")?.trim_ascii();
        match saturating_decimal(value) {
            Some(secs) => Some(Self::Delay(Duration::from_secs(secs))),
            // The century of a two-digit year is not worth a clock: dates of RFC 850 are extinct.
            None => parse_http_date(value, Timestamp::default()).map(Self::At),
        }
    }

    /// Returns how long to wait from `now`; zero if the time has passed.
    pub fn delay(self, now: Timestamp) -> Duration {
        match self {
            Self::Delay(delay) => delay,
            Self::At(moment) => moment.saturating_duration_since(now),
        }
    }
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay(delay) => write!(f, "in {} s", delay.as_secs()),
            Self::At(moment) => write!(f, "at {} (Unix seconds)", moment.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let read = |value: &str| RetryAfter::from_headers(&[("retry-after", value)]);
        let now = Timestamp::from_secs(784_111_770);
        assert_eq!(read("2").unwrap().delay(now), Duration::from_secs(2));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT").unwrap().delay(now), Duration::from_secs(7));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:00 GMT").unwrap().delay(now), Duration::ZERO);
        assert_eq!(read("99999999999999999999999").unwrap().delay(now), Duration::from_secs(u64::MAX));
        for nothing in ["", "-1", "1.5", "soon", "1 2"] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }
}
