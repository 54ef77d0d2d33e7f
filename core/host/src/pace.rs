//! Limits the warnings that a peer can cause to one a second of each kind.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use abyssale_core::webhook::{Refusal, Reply};

use crate::attempt::millis_since;

/// When each kind of warning was last given, in milliseconds; 0 for never.
#[derive(Debug, Default)]
pub(crate) struct Pace([AtomicU64; KINDS]);

impl Pace {
    /// Returns whether to warn of this reply now.
    pub(crate) fn allows(&self, reply: &Reply) -> bool {
        kind(reply).is_some_and(|kind| self.allows_at(kind, now()))
    }

    /// Returns whether to warn now that a connection was closed at once.
    pub(crate) fn allows_connection(&self) -> bool {
        self.allows_at(CONNECTION, now())
    }

    /// Returns whether to warn now that a connection could not be accepted.
    pub(crate) fn allows_accepting(&self) -> bool {
        self.allows_at(ACCEPTING, now())
    }

    fn allows_at(&self, kind: usize, now: u64) -> bool {
        let Some(told) = self.0.get(kind) else { return false };
        let last = told.load(Ordering::Relaxed);
        // Of two threads in the same moment, one warns.
        (last == 0 || now >= last.saturating_add(PAUSE))
            && told.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// Replies that an operator can do something about have a kind each. Those that any stranger can cause have none.
fn kind(reply: &Reply) -> Option<usize> {
    match reply {
        Reply::Acknowledged
        | Reply::NotFound
        | Reply::MethodNotAllowed
        | Reply::TooSlow
        | Reply::Unauthorized(Refusal::Missing) => None,
        Reply::Unauthorized(Refusal::Malformed) => Some(0),
        Reply::Unauthorized(Refusal::Stale { .. }) => Some(1),
        Reply::Unauthorized(Refusal::Unsigned) => Some(2),
        Reply::Unauthorized(_) => Some(3),
        Reply::BadEvent(_) => Some(4),
        Reply::TooLarge => Some(5),
        Reply::UnsupportedEncoding => Some(6),
        Reply::NoRoom => Some(7),
        _ => Some(8),
    }
}

/// Returns the milliseconds since a moment before the first warning.
fn now() -> u64 {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    millis_since(*BEGUN).saturating_add(1)
}

const KINDS: usize = 11;
const CONNECTION: usize = 9;
const ACCEPTING: usize = 10;
const PAUSE: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_warned_of_once_a_second() {
        let pace = Pace::default();
        let at = |kind, now| pace.allows_at(kind, now);
        assert_eq!(
            [at(3, 1), at(3, 2), at(3, 1000), at(3, 1001), at(3, 1002)],
            [true, false, false, true, false]
        );
        assert_eq!([at(1, 1002), at(CONNECTION, 1002), at(KINDS, 1002)], [true, true, false]);
    }

    #[test]
    fn a_reply_that_any_stranger_can_cause_is_no_warning() {
        let pace = Pace::default();
        for reply in [
            Reply::Acknowledged,
            Reply::NotFound,
            Reply::MethodNotAllowed,
            Reply::TooSlow,
            Reply::Unauthorized(Refusal::Missing),
        ] {
            assert!(!pace.allows(&reply), "{reply:?}");
        }
        for reply in [Reply::Unauthorized(Refusal::Mismatch), Reply::NoRoom, Reply::Unavailable] {
            assert_eq!([pace.allows(&reply), pace.allows(&reply)], [true, false], "{reply:?}");
        }
    }
}
