//! The clock of the jobs: wall-clock time that does not jump.

use std::time::{Instant, SystemTime};

use abyssale_core::Timestamp;

/// The wall clock's time at creation, advanced by the monotonic clock.
///
/// A deadline is therefore neither skipped nor prolonged when the machine's clock is set. Such a correction counts only
/// after the program is restarted.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    epoch: Timestamp,
}

impl Clock {
    /// Reads the wall clock.
    pub fn new() -> Self {
        Self { started: Instant::now(), epoch: Self::wall() }
    }

    /// Returns the time of the machine's wall clock now.
    ///
    /// Use it to compare with another machine's time, as in a signature: a corrected clock must count at once there. Do
    /// not use it for deadlines.
    pub fn wall() -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        // A clock that is set before 1970 counts as 1970.
        Timestamp::default().saturating_add(since_epoch.unwrap_or_default())
    }

    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        self.epoch.saturating_add(self.started.elapsed())
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
