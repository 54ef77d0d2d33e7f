//! The clock that core is handed: wall-clock time that does not jump.

use std::time::{Instant, SystemTime};

use abyssale_core::Timestamp;

/// The wall clock as it stood when this was made, moved on by the monotonic clock.
///
/// So a deadline is neither skipped nor prolonged when somebody sets the machine's clock. The price
/// is that such a correction is not seen until the program starts again.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    epoch: Timestamp,
}

impl Clock {
    /// Takes the time.
    pub fn new() -> Self {
        Self { started: Instant::now(), epoch: Self::wall() }
    }

    /// What time the wall clock shows at this moment, corrections and all.
    ///
    /// For comparing with other people's clocks, as signatures ask for: there a clock that was set right, or a
    /// machine that slept, has to count at once. Not for deadlines.
    pub fn wall() -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        // A machine whose clock stands before 1970 lives in 1970.
        Timestamp::default().saturating_add(since_epoch.unwrap_or_default())
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.epoch.saturating_add(self.started.elapsed())
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
