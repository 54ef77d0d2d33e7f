//! Time, as the caller passes it in.
//!
//! Core never reads a clock. Every function that depends on time takes a [`Timestamp`], from a clock of the caller, or from
//! a test.

use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// A point in time, in milliseconds since the Unix epoch.
///
/// It is wall-clock time because snapshots outlive a process, and because signatures and `Retry-After` dates are compared
/// with it. Within a process it must not jump: read the wall clock once, and add the time of a monotonic clock.
///
/// Arithmetic saturates, so no value from a peer makes it overflow.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The latest point in time.
    pub const MAX: Self = Self(u64::MAX);

    /// Creates a timestamp from milliseconds since the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Creates a timestamp from seconds since the Unix epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Returns the milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the whole seconds since the Unix epoch.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Adds a duration, rounded up to whole milliseconds, so that a deadline in the future stays in the future.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let part = duration.subsec_nanos().div_ceil(1_000_000);
        let millis = duration.as_secs().saturating_mul(1000).saturating_add(part.into());
        Self(self.0.saturating_add(millis))
    }

    /// Returns the time from `earlier` to this, or zero if `earlier` is later.
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} s", self.0 / 1000, self.0 % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_a_nanosecond_ahead_is_in_the_future() {
        let now = Timestamp::from_secs(1_649_838_051);
        assert!(now.saturating_add(Duration::from_nanos(1)) > now);
        assert_eq!(now.saturating_add(Duration::ZERO), now);
    }

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Timestamp::from_secs(u64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.saturating_add(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::from_millis(1).saturating_duration_since(Timestamp::MAX), Duration::ZERO);
    }
}
