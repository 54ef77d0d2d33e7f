//! How slow a download may be.

use alloc::format;
use core::time::Duration;

use super::DownloadError;

/// The time limits of a download, and its minimum rate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct DownloadLimits {
    /// How long to wait for the head of the answer, connecting included. The job applies it to the whole chain of
    /// redirects.
    pub first_byte_timeout: Duration,
    /// How long to wait for each further piece of the body.
    pub stall_timeout: Duration,
    /// The lowest rate. A [`RateMeter`] checks it.
    pub min_rate: MinRate,
}

/// The lowest rate of a download.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MinRate {
    /// Bytes per second. Default: 1024. 0 accepts any rate.
    pub bytes_per_second: u64,
    /// The time over which the rate is measured. Default: 60 s.
    pub over: Duration,
}

impl Default for MinRate {
    fn default() -> Self {
        Self { bytes_per_second: 1024, over: Duration::from_secs(60) }
    }
}

/// Checks that a body arrives at a minimum rate.
///
/// Only the time spent waiting for the peer counts, so a slow disk does not make a download too slow.
///
/// ```
/// # use abyssale_core::download::{MinRate, RateMeter};
/// # use std::time::Duration;
/// let mut meter = RateMeter::new(MinRate::default());
/// // One byte a second is too slow.
/// let slow = (1..).find(|_| meter.received(Duration::from_secs(1), 1).is_err());
/// assert_eq!(slow, Some(60));
/// ```
#[derive(Clone, Debug)]
pub struct RateMeter {
    min: MinRate,
    waited: Duration,
    bytes: u64,
}

impl RateMeter {
    /// Starts measuring.
    pub fn new(min: MinRate) -> Self {
        Self { min, waited: Duration::ZERO, bytes: 0 }
    }

    /// Counts bytes, and the time that the caller waited for them.
    ///
    /// # Errors
    ///
    /// Fails, as an interruption, if the time over which the rate is measured has brought too few bytes.
    pub fn received(&mut self, waited: Duration, bytes: usize) -> Result<(), DownloadError> {
        self.waited = self.waited.saturating_add(waited);
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.waited < self.min.over {
            return Ok(());
        }
        let Self { min, waited, bytes } = *self;
        *self = Self::new(min);
        let asked = u128::from(min.bytes_per_second).saturating_mul(waited.as_millis()) / 1000;
        if u128::from(bytes) >= asked {
            return Ok(());
        }
        let reason = format!("too slow: {bytes} bytes came in {} s", waited.as_secs_f32());
        Err(DownloadError::Interrupted(reason.into()))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn meter(bytes_per_second: u64) -> RateMeter {
        RateMeter::new(MinRate { bytes_per_second, ..MinRate::default() })
    }

    /// Returns the number of pieces until the rate is too low.
    fn pieces(mut meter: RateMeter, waited: Duration, bytes: usize) -> Option<usize> {
        (1..=1000).find(|_| meter.received(waited, bytes).is_err())
    }

    #[test]
    fn a_lower_rate_is_too_slow_after_a_minute() {
        assert_eq!(pieces(meter(1024), SECOND, 1), Some(60));
        assert_eq!(pieces(meter(1024), SECOND, 1023), Some(60));
        assert_eq!(pieces(meter(1024), 29 * SECOND, 29 * 1023), Some(3));
        assert_eq!(pieces(meter(1), 31 * SECOND, 0), Some(2));
    }

    #[test]
    fn the_rate_itself_is_fast_enough() {
        assert_eq!(pieces(meter(1024), SECOND, 1024), None);
        assert_eq!(pieces(meter(1024), 29 * SECOND, 29 * 1024), None);
        assert_eq!(pieces(meter(1024), Duration::from_millis(999), 1024), None);
        assert_eq!(pieces(meter(0), SECOND, 0), None);
    }

    #[test]
    fn each_minute_is_judged_by_itself() {
        let mut meter = meter(1024);
        assert!(meter.received(59 * SECOND, 1 << 30).is_ok());
        assert!(meter.received(SECOND, 1).is_ok());
        assert!(meter.received(59 * SECOND, 1).is_ok());
        assert_eq!(meter.received(SECOND, 1).unwrap_err().to_string(), "too slow: 2 bytes came in 60 s");
    }

    #[test]
    fn another_time_may_be_measured_over() {
        let min = MinRate { bytes_per_second: 10, over: Duration::from_millis(500) };
        let quarter = Duration::from_millis(250);
        assert_eq!(pieces(RateMeter::new(min), quarter, 2), Some(2));
        assert_eq!(pieces(RateMeter::new(min), quarter, 3), None);
    }

    #[test]
    fn nothing_overflows() {
        let mut meter = meter(u64::MAX);
        for _ in 0..2 {
            assert!(meter.received(Duration::MAX, usize::MAX).is_err());
        }
    }
}
