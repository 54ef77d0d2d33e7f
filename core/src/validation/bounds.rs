//! What bounds the reading of a body: limits that the caller sets, and a budget of memory.

use alloc::{string::String, vec::Vec};

/// How much of a body is read. The defaults are far beyond what any real body needs.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ReadLimits {
    /// How many levels of containers are read. Default: 1,000,000. A level takes one byte and no recursion, so this is
    /// for a caller whose own code recurses over a path.
    pub depth: usize,
    /// How many problems are kept. Default: 1,000,000.
    pub problems: usize,
    /// How many elements the paths of all problems may have together. Default: 4,194,304. Paths share their common
    /// elements, but a caller that writes out each path takes time for all of them.
    pub path_elements: usize,
    /// How many bytes are kept of the id, of the message and of the version. Default: 65,536.
    pub text: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { depth: 1_000_000, problems: 1_000_000, path_elements: 4 << 20, text: 64 << 10 }
    }
}

/// Why reading stopped before the end. What was read until then is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stop {
    /// The text breaks off, or is not what is expected.
    Broken,
    /// A limit is reached, or the memory budget is spent.
    Full,
}

/// How many more bytes reading a body may reserve: at first four times the body's length and 64 KiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemoryBudget(usize);

impl MemoryBudget {
    /// Creates the budget for a body of this length.
    pub(super) fn of(body: usize) -> Self {
        Self(body.saturating_mul(4).saturating_add(SMALL))
    }

    /// Returns the budget without `bytes` that are held elsewhere.
    pub(super) fn less(self, bytes: usize) -> Self {
        Self(self.0.saturating_sub(bytes))
    }

    /// Creates a budget for memory whose size no peer determines.
    pub(super) fn unlimited() -> Self {
        Self(usize::MAX)
    }

    /// Makes room for one more item. While a vector grows it holds everything twice, which has to fit in as well.
    pub(super) fn room<T>(&mut self, list: &mut Vec<T>) -> Result<(), Stop> {
        if list.len() < list.capacity() {
            return Ok(());
        }
        let affordable = self.0.saturating_sub(list.capacity() * size_of::<T>()) / size_of::<T>();
        self.reserve(list, growth(list.capacity()).min(affordable))
    }

    /// Makes room for `more` items, at least one.
    pub(super) fn reserve<T>(&mut self, list: &mut Vec<T>, more: usize) -> Result<(), Stop> {
        let bytes = more
            .checked_mul(size_of::<T>())
            .filter(|bytes| (1..=self.0).contains(bytes))
            .ok_or(Stop::Full)?;
        self.0 -= bytes;
        list.reserve_exact(list.capacity() - list.len() + more);
        Ok(())
    }

    /// Makes room for `needed` more bytes of a text, which may not grow beyond `max` bytes.
    pub(super) fn room_for_text(&mut self, text: &mut String, needed: usize, max: usize) -> Result<(), Stop> {
        let missing = needed.saturating_sub(text.capacity() - text.len());
        if missing == 0 {
            return Ok(());
        }
        let affordable = self.0.saturating_sub(text.capacity());
        if missing > affordable || text.len() + needed > max {
            return Err(Stop::Full);
        }
        let more = growth(text.capacity()).max(missing).max(FIRST_TEXT).min(affordable);
        self.0 -= more;
        // `reserve_exact` counts from the length, not from the capacity.
        text.reserve_exact(text.capacity() - text.len() + more);
        Ok(())
    }
}

/// Grows by a half: doubling would reserve up to twice what is needed, and the budget counts what is reserved.
fn growth(capacity: usize) -> usize {
    (capacity / 2).max(FIRST)
}

const SMALL: usize = 64 << 10;
const FIRST: usize = 16;
const FIRST_TEXT: usize = 64;
