//! The retry rules: whether and when to repeat a failed attempt (`PROTOCOL.md` §3). They are pure functions.
//!
//! Each answer is judged by itself. Whether repeating is safe depends on *this* attempt and not on the first one: a POST
//! that was refused with 429 and then with a 5xx is not repeated.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    error::{ApiError, ErrorId},
    http::Method,
    time::Timestamp,
};

/// How often to retry, and how long to wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How often one request is repeated at most. Default: 3. 0 turns retries off.
    ///
    /// A download that gets at least 16 KiB further than before has all its retries again.
    pub max_retries: u32,
    /// The longest `Retry-After` that is waited for. Default: 30 s. [`Duration::MAX`] means any.
    ///
    /// The service has asked for about 1,700 s. A refusal that asks for a longer wait is final at once, and its error
    /// contains the wait.
    pub max_retry_wait: Duration,
    /// How long to repeat a download while the archive does not exist yet. Default: 2 min. Zero means one attempt.
    ///
    /// Object stores are eventually consistent: shortly after the event, a store may answer 404 or 403, an empty body or an
    /// error page. If [`max_retries`](Self::max_retries) is 0, the download is not repeated.
    pub archive_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_retries: 3,
            max_retry_wait: Duration::from_secs(30),
            archive_wait: Duration::from_secs(120),
        }
    }
}

impl RetryPolicy {
    /// Decides about an archive that does not exist yet: retries with backoff until [`archive_wait`](Self::archive_wait) is
    /// over. Other retries do not count.
    pub(crate) fn archive_verdict(&self, tries: Tries, jitter: u64) -> Verdict {
        // The waits before this one: 1, 2, 4, … s.
        let waited = Duration::from_secs((1 << tries.not_ready.min(MAX_WAITS)) - 1);
        let left = self.archive_wait.saturating_sub(waited);
        if self.max_retries == 0 || left.is_zero() || tries.not_ready >= MAX_WAITS {
            return Verdict::Final;
        }
        let delay = Duration::from_secs(1 << tries.not_ready).min(left);
        Verdict::Retry { after: spread(delay, delay / 4, jitter), probe: false }
    }

    /// Decides what to do after an attempt that failed with `outcome`. `tries` counts the attempts before it.
    ///
    /// `jitter` is a random number; the same number gives the same verdict.
    pub(crate) fn verdict(
        &self,
        now: Timestamp,
        method: Method,
        outcome: AttemptFailure<'_>,
        tries: Tries,
        jitter: u64,
    ) -> Verdict {
        let wait = match outcome {
            AttemptFailure::NotSent => Wait::Backoff,
            AttemptFailure::Lost if method.is_idempotent() => Wait::Backoff,
            AttemptFailure::Lost => return Verdict::Unknown,
            AttemptFailure::Unavailable(told) => told.map_or(Wait::Backoff, Wait::Told),
            AttemptFailure::Refused(error) => match error.status() {
                429 => match (error.id(), error.retry_delay(now)) {
                    // Waiting does not change the plan, whatever the headers say.
                    (Some(ErrorId::FeatureNotInPlan), _) => return Verdict::Final,
                    (_, Some(delay)) => Wait::Told(delay),
                    // The limit per second, or spent credits: one probe shows which.
                    (_, None) if tries.probed => return Verdict::Final,
                    (_, None) => Wait::Probe,
                },
                500.. if !method.is_idempotent() => return Verdict::Unknown,
                500 | 502..=504 => error.retry_delay(now).map_or(Wait::Backoff, Wait::Told),
                _ => return Verdict::Final,
            },
        };
        if tries.retries >= self.max_retries {
            return Verdict::Final;
        }
        let (delay, width) = match wait {
            Wait::Told(delay) if delay > self.max_retry_wait => return Verdict::Final,
            Wait::Told(delay) => (delay, SPREAD),
            Wait::Probe => (PROBE_DELAY, SPREAD),
            Wait::Backoff => {
                let delay = Duration::from_secs(1 << tries.retries.min(MAX_DOUBLINGS));
                (delay, delay / 4)
            }
        };
        Verdict::Retry { after: spread(delay, width, jitter), probe: matches!(wait, Wait::Probe) }
    }
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AttemptFailure<'a> {
    /// No byte of the request can have reached the server.
    NotSent,
    /// The request may have reached the server, and there is no readable answer.
    Lost,
    /// The answer has another status than 2xx.
    Refused(&'a ApiError),
    /// The archive's server, for which the service's rules do not apply, answered 408, 425, 429 or a 5xx, and perhaps
    /// asked for a wait.
    Unavailable(Option<Duration>),
}

/// The attempts so far.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Tries {
    /// How often the request was repeated.
    pub(crate) retries: u32,
    /// Whether the one probe after a 429 without `Retry-After` was made.
    #[serde(default)]
    pub(crate) probed: bool,
    /// How often the download of an archive that did not exist yet was repeated.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) not_ready: u32,
    /// How many bytes of the archive had been received when the retries of its download began to count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) received: u64,
}

fn is_zero<N: Default + PartialEq>(count: &N) -> bool {
    *count == N::default()
}

impl Tries {
    /// Counts a retry.
    #[must_use]
    pub(crate) fn after(self, probe: bool) -> Self {
        Self { retries: self.retries.saturating_add(1), probed: self.probed || probe, ..self }
    }

    /// Gives the retries back if a download got further than ever before: a server that breaks off every download still
    /// delivers the archive, piece by piece. A few bytes do not count, so that this ends.
    #[must_use]
    pub(crate) fn after_progress(self, received: u64) -> Self {
        if received < self.received.saturating_add(PROGRESS) {
            return self;
        }
        Self { retries: 0, received, ..self }
    }

    /// Counts a retry for an archive that did not exist yet.
    #[must_use]
    pub(crate) fn after_not_ready(self) -> Self {
        Self { not_ready: self.not_ready.saturating_add(1), ..self }
    }

    /// Returns the number of all retries.
    pub(crate) fn total(self) -> u32 {
        self.retries.saturating_add(self.not_ready)
    }
}

/// What to do after an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// Repeat the request after a wait.
    Retry {
        /// How long to wait, counted from now.
        after: Duration,
        /// Whether this is the probe after a 429 without `Retry-After`.
        probe: bool,
    },
    /// Do not repeat: it does not help, the wait is too long, or the retries are used up.
    Final,
    /// The request may have been carried out; repeating it could make the export twice.
    Unknown,
}

enum Wait {
    Told(Duration),
    Probe,
    Backoff,
}

/// A wait that is up to `width` longer than `delay`.
fn spread(delay: Duration, width: Duration, jitter: u64) -> Duration {
    let width = u64::try_from(width.as_millis()).unwrap_or(u64::MAX);
    delay.saturating_add(Duration::from_millis(jitter % width.max(1)))
}

/// The gateway's limit is per second, so a second clears it.
const PROBE_DELAY: Duration = Duration::from_secs(1);

/// Spreads the retries of many jobs that were told the same time.
const SPREAD: Duration = Duration::from_millis(100);

/// The longest backoff is 64 s.
const MAX_DOUBLINGS: u32 = 6;

/// How many further bytes of an archive count as progress.
const PROGRESS: u64 = 16 << 10;

/// The most waits for an archive: they would add up to 12 days.
const MAX_WAITS: u32 = 20;

#[cfg(test)]
mod tests {
    use alloc::{format, string::String};

    use proptest::prelude::*;

    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        max_retries: 3,
        max_retry_wait: Duration::from_secs(30),
        archive_wait: Duration::from_secs(120),
    };
    const NOW: Timestamp = Timestamp::from_secs(784_111_770);

    fn error(status: u16, id: &str, retry_after: Option<&str>) -> ApiError {
        let body = if id.is_empty() { String::new() } else { format!(r#"{{"id":"{id}","message":"m"}}"#) };
        let headers: alloc::vec::Vec<_> =
            retry_after.map(|value| ("retry-after", value)).into_iter().collect();
        ApiError::parse(status, &headers, body.as_bytes())
    }

    fn post(error: &ApiError, tries: Tries) -> Verdict {
        POLICY.verdict(NOW, Method::Post, AttemptFailure::Refused(error), tries, 0)
    }

    fn retry(secs: u64, probe: bool) -> Verdict {
        Verdict::Retry { after: Duration::from_secs(secs), probe }
    }

    const FIRST: Tries = Tries { retries: 0, probed: false, not_ready: 0, received: 0 };

    #[test]
    fn a_throttled_request_waits_as_long_as_it_is_told() {
        assert_eq!(post(&error(429, "request_rate_limited", Some("2")), FIRST), retry(2, false));
        assert_eq!(
            post(&error(429, "request_rate_limited", Some("Sun, 06 Nov 1994 08:49:37 GMT")), FIRST),
            retry(7, false)
        );
        assert_eq!(post(&error(429, "", Some("30")), FIRST), retry(30, false));
    }

    #[test]
    fn a_cool_off_beyond_the_cap_is_final() {
        let refusal = error(429, "request_rate_limited", Some("1700"));
        assert_eq!(post(&refusal, FIRST), Verdict::Final);
        let patient = RetryPolicy { max_retry_wait: Duration::MAX, ..POLICY };
        let verdict = patient.verdict(NOW, Method::Post, AttemptFailure::Refused(&refusal), FIRST, 0);
        assert_eq!(verdict, retry(1700, false));
    }

    #[test]
    fn a_plan_restriction_is_final_whatever_the_headers_say() {
        assert_eq!(post(&error(429, "feature_not_in_plan", Some("1")), FIRST), Verdict::Final);
    }

    #[test]
    fn a_bare_429_is_probed_once_after_a_second() {
        for id in ["", "rate_limit_exceeded"] {
            assert_eq!(post(&error(429, id, None), FIRST), retry(1, true));
            assert_eq!(post(&error(429, id, None), FIRST.after(true)), Verdict::Final);
            assert_eq!(post(&error(429, id, None), FIRST.after(false)), retry(1, true));
        }
    }

    #[test]
    fn a_post_that_met_a_5xx_is_not_repeated_even_if_it_was_throttled_before() {
        for status in [500, 501, 502, 503, 504, 520, 599] {
            for tries in [FIRST, FIRST.after(false), FIRST.after(true)] {
                assert_eq!(post(&error(status, "", Some("1")), tries), Verdict::Unknown);
            }
        }
        assert_eq!(POLICY.verdict(NOW, Method::Post, AttemptFailure::Lost, FIRST, 0), Verdict::Unknown);
    }

    #[test]
    fn a_get_that_met_a_5xx_is_repeated() {
        let get =
            |error: &ApiError| POLICY.verdict(NOW, Method::Get, AttemptFailure::Refused(error), FIRST, 0);
        assert_eq!(get(&error(503, "", Some("2"))), retry(2, false));
        assert_eq!(get(&error(500, "", None)), retry(1, false));
        assert_eq!(get(&error(501, "", None)), Verdict::Final);
        assert_eq!(POLICY.verdict(NOW, Method::Get, AttemptFailure::Lost, FIRST, 0), retry(1, false));
    }

    #[test]
    fn a_store_that_cannot_answer_now_is_asked_again_as_it_says_or_with_backoff() {
        let verdict = |told, retries| {
            let tries = Tries { retries, probed: true, ..FIRST };
            POLICY.verdict(NOW, Method::Get, AttemptFailure::Unavailable(told), tries, 0)
        };
        assert_eq!(
            [verdict(None, 0), verdict(None, 1), verdict(None, 2)],
            [1, 2, 4].map(|s| retry(s, false))
        );
        assert_eq!(verdict(None, 3), Verdict::Final);
        assert_eq!(verdict(Some(Duration::from_secs(7)), 0), retry(7, false));
        assert_eq!(verdict(Some(Duration::from_secs(31)), 0), Verdict::Final);
    }

    #[test]
    fn an_archive_that_is_not_there_yet_is_asked_for_with_backoff_for_two_minutes() {
        let waits = |policy: RetryPolicy| {
            // All other retries are spent, which makes no difference.
            let mut tries = Tries { retries: 3, probed: true, ..FIRST };
            let mut waits = alloc::vec::Vec::new();
            while let Verdict::Retry { after, probe: false } = policy.archive_verdict(tries, 0) {
                waits.push(after.as_secs_f32());
                tries = tries.after_not_ready();
            }
            waits
        };
        assert_eq!(waits(POLICY), [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 57.0]);
        let short = RetryPolicy { archive_wait: Duration::from_millis(1500), ..POLICY };
        assert_eq!(waits(short), [1.0, 0.5]);
        assert!(waits(RetryPolicy { archive_wait: Duration::ZERO, ..POLICY }).is_empty());
        assert!(waits(RetryPolicy { max_retries: 0, ..POLICY }).is_empty());
        assert_eq!(waits(RetryPolicy { archive_wait: Duration::MAX, ..POLICY }).len(), 20);
    }

    #[test]
    fn progress_of_a_download_gives_its_retries_back() {
        let spent = FIRST.after(false).after(false).after(false).after_not_ready();
        assert_eq!(spent.after_progress(PROGRESS - 1), spent, "too little");
        let begun = spent.after_progress(100_000);
        assert_eq!((begun.retries, begun.not_ready), (0, 1));
        let spent = begun.after(false);
        for received in [0, 99_999, 100_000, 100_000 + PROGRESS - 1] {
            assert_eq!(spent.after_progress(received), spent, "no further than before: {received}");
        }
        assert_eq!(spent.after_progress(100_000 + PROGRESS).retries, 0);
        assert_eq!(spent.after_progress(u64::MAX).after_progress(u64::MAX).retries, 0);
    }

    #[test]
    fn a_request_that_was_never_sent_backs_off_until_the_retries_are_used_up() {
        let after = |retries| {
            POLICY.verdict(NOW, Method::Post, AttemptFailure::NotSent, Tries { retries, ..FIRST }, 0)
        };
        assert_eq!([after(0), after(1), after(2)], [retry(1, false), retry(2, false), retry(4, false)]);
        assert_eq!(after(3), Verdict::Final);
        let off = RetryPolicy { max_retries: 0, ..POLICY };
        assert_eq!(off.verdict(NOW, Method::Post, AttemptFailure::NotSent, FIRST, 0), Verdict::Final);
    }

    #[test]
    fn any_other_refusal_is_final() {
        for status in [301, 302, 307, 400, 401, 403, 404, 408, 409, 422] {
            assert_eq!(post(&error(status, "", Some("1")), FIRST), Verdict::Final, "{status}");
        }
    }

    proptest! {
        #[test]
        fn jitter_only_adds_and_at_most_a_quarter(retries in 0u32..1000, jitter: u64) {
            let policy = RetryPolicy { max_retries: u32::MAX, ..POLICY };
            let tries = Tries { retries, ..FIRST };
            let Verdict::Retry { after, .. } = policy.verdict(NOW, Method::Post, AttemptFailure::NotSent, tries, jitter) else {
                return Err(TestCaseError::fail("not retried"));
            };
            let base = Duration::from_secs(1 << retries.min(6));
            prop_assert!(after >= base && after <= base + base / 4);
        }
    }
}
