//! The one place that reads the wall clock. Only durations are scaled, never dates: a receiver checks the `t` of a
//! signature against its own clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Whole seconds since the Unix epoch.
pub(crate) fn unix_now() -> u64 {
    unix_seconds(SystemTime::now())
}

/// Whole seconds from the Unix epoch to `time`; 0 for anything before it.
pub(crate) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
