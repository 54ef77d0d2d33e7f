//! How much memory the bodies of one listener take together.
//!
//! A delivery is small, and a small body always finds room: there are no more of them than connections. What is larger
//! shares a budget, so that strangers who send a megabyte each neither fill the memory nor keep a delivery out.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::ListenerSettings;

/// The memory that the large bodies of one listener share.
#[derive(Debug)]
pub struct Memory {
    free: AtomicUsize,
}

impl Memory {
    /// As much as these settings allow.
    pub fn new(settings: &ListenerSettings) -> Arc<Self> {
        Arc::new(Self { free: AtomicUsize::new(settings.body_memory) })
    }

    fn take(&self, bytes: usize) -> bool {
        let taken =
            self.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| free.checked_sub(bytes));
        taken.is_ok()
    }
}

/// What one body takes of it; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Share {
    pub(super) fn none_of(memory: &Arc<Memory>) -> Self {
        Self { memory: Arc::clone(memory), bytes: 0 }
    }

    /// Holds what a body of `len` bytes takes, which is more than before. Whether there is as much.
    pub(super) fn grow(&mut self, len: usize) -> bool {
        // A buffer that grows is up to twice as large as what is in it.
        let needed = if len > SMALL { len.saturating_mul(2) } else { 0 };
        let more = needed.saturating_sub(self.bytes);
        let enough = more == 0 || self.memory.take(more);
        if enough {
            self.bytes += more;
        }
        enough
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.free.fetch_add(self.bytes, Ordering::AcqRel);
    }
}

/// The longest body that needs no part of the budget, in bytes.
const SMALL: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(body_memory: usize) -> Arc<Memory> {
        Memory::new(&ListenerSettings { body_memory, ..ListenerSettings::default() })
    }

    #[test]
    fn small_bodies_need_no_part_of_it() {
        let memory = memory(0);
        assert!(Share::none_of(&memory).grow(SMALL));
        assert!(!Share::none_of(&memory).grow(SMALL + 1));
    }

    #[test]
    fn what_is_held_is_given_back_whatever_became_of_it() {
        let memory = memory(400_000);
        let [mut one, mut other] = [(); 2].map(|()| Share::none_of(&memory));
        assert!(one.grow(50_000) && one.grow(100_000) && one.grow(150_000));
        assert!(!other.grow(100_000), "a third of it is left");
        assert!(one.grow(200_000), "what did not fit took nothing");
        assert!(!one.grow(200_001));
        drop(one);
        assert!(other.grow(200_000));
        drop(other);
        assert_eq!(memory.free.load(Ordering::Relaxed), 400_000);
    }
}
