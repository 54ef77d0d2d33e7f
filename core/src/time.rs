//! The only notion of time that core has: a number it is handed.
//!
//! Core never reads a clock. Every entry point that depends on time takes a [`Timestamp`], which the
//! caller reads from whatever clock it trusts, or makes up in a test.

use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since the Unix epoch.
///
/// It is wall-clock time because snapshots outlive a process and because signatures and
/// `Retry-After` dates are compared with it. Within one process it should not jump: take the wall
/// clock once and add a monotonic clock to it.
///
/// Arithmetic saturates, so no input from a peer can make it overflow.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The latest moment there is.
    pub const MAX: Self = Self(u64::MAX);

    /// A moment given in milliseconds since the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// A moment given in seconds since the Unix epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// This moment, `duration` later.
    ///
    /// A part of a millisecond counts as a whole one, so that a deadline in the future stays there.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let part = duration.subsec_nanos().div_ceil(1_000_000);
        let millis = duration.as_secs().saturating_mul(1000).saturating_add(part.into());
        Self(self.0.saturating_add(millis))
    }

    /// How long after `earlier` this is; zero if it is not.
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
