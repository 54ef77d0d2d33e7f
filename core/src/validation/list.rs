//! A list that grows without moving its items.
//!
//! While a vector grows it holds its items twice, so a body dense with problems could not be read in four times its size.

use alloc::vec::Vec;

use super::bounds::{MemoryBudget, Stop};

/// Items in chunks of equal size. Only the first chunk grows.
#[derive(Clone, Debug)]
pub(super) struct ChunkedList<T> {
    first: Vec<T>,
    rest: Vec<Vec<T>>,
}

impl<T> Default for ChunkedList<T> {
    fn default() -> Self {
        Self { first: Vec::new(), rest: Vec::new() }
    }
}

impl<T: Copy> ChunkedList<T> {
    pub(super) fn push(&mut self, item: T, budget: &mut MemoryBudget) -> Result<(), Stop> {
        let chunk = if self.first.len() < CHUNK {
            budget.room(&mut self.first)?;
            &mut self.first
        } else {
            if self.rest.last().is_none_or(|last| last.len() == CHUNK) {
                budget.room(&mut self.rest)?;
                let mut chunk = Vec::new();
                budget.reserve(&mut chunk, CHUNK)?;
                self.rest.push(chunk);
            }
            match self.rest.last_mut() {
                Some(last) => last,
                None => return Err(Stop::Full),
            }
        };
        chunk.push(item);
        Ok(())
    }

    /// Removes all but the first `len` items.
    pub(super) fn truncate(&mut self, len: usize) {
        self.first.truncate(len);
        let rest = len.saturating_sub(CHUNK);
        // An empty chunk stays: otherwise an item that is added and removed repeatedly would be charged each time.
        self.rest.truncate(rest / CHUNK + 1);
        let before_last = self.rest.len().saturating_sub(1) * CHUNK;
        if let Some(last) = self.rest.last_mut() {
            last.truncate(rest.saturating_sub(before_last));
        }
    }

    pub(super) fn len(&self) -> usize {
        match self.rest.last() {
            Some(last) if self.first.len() == CHUNK => self.rest.len() * CHUNK + last.len(),
            _ => self.first.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<&T> {
        match index.checked_sub(CHUNK) {
            None => self.first.get(index),
            Some(index) => self.rest.get(index / CHUNK)?.get(index % CHUNK),
        }
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        match index.checked_sub(CHUNK) {
            None => self.first.get_mut(index),
            Some(index) => self.rest.get_mut(index / CHUNK)?.get_mut(index % CHUNK),
        }
    }

    /// Finds the item with this key in a list that is sorted by it.
    pub(super) fn find_by_key<K: Ord>(&self, key: &K, key_of: impl Fn(&T) -> K) -> Option<&T> {
        let (mut start, mut end) = (0, self.len());
        while start < end {
            let middle = start.midpoint(end);
            let item = self.get(middle)?;
            match key_of(item).cmp(key) {
                core::cmp::Ordering::Equal => return Some(item),
                core::cmp::Ordering::Less => start = middle + 1,
                core::cmp::Ordering::Greater => end = middle,
            }
        }
        None
    }

    /// Returns the memory that the list holds, in bytes.
    pub(super) fn memory(&self) -> usize {
        let chunks = self.first.capacity() + self.rest.iter().map(Vec::capacity).sum::<usize>();
        chunks * size_of::<T>() + self.rest.capacity() * size_of::<Vec<T>>()
    }
}

/// A few kilobytes, which is little beside a body that needs a second chunk.
const CHUNK: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_reached_by_pushing_and_by_truncating() {
        let (mut list, mut budget) = (ChunkedList::default(), MemoryBudget::of(1 << 20));
        for item in 0..2_000_usize {
            assert_eq!(list.len(), item);
            list.push(item, &mut budget).unwrap();
        }
        assert!((0..2_000).all(|index| list.get(index) == Some(&index)));
        assert!((0..2_000).all(|index| list.find_by_key(&index, |item| *item) == Some(&index)));
        assert_eq!((list.get(2_000), list.find_by_key(&2_000, |item| *item)), (None, None));
        for len in (0..2_000).rev() {
            list.truncate(len);
            assert_eq!((list.len(), list.get(len)), (len, None));
            assert_eq!(list.get(len.wrapping_sub(1)).copied(), len.checked_sub(1));
        }
    }

    #[test]
    fn an_item_that_comes_and_goes_is_paid_for_once() {
        let (mut list, mut budget) = (ChunkedList::default(), MemoryBudget::of(0));
        for edge in [0, CHUNK, 2 * CHUNK] {
            while list.len() < edge {
                list.push(0_u32, &mut budget).unwrap();
            }
            for _ in 0..10_000 {
                list.push(1, &mut budget).unwrap();
                list.truncate(edge);
                assert_eq!((list.len(), list.get(edge)), (edge, None));
            }
        }
    }

    #[test]
    fn a_budget_that_is_spent_is_not_exceeded() {
        let (mut list, mut budget) = (ChunkedList::default(), MemoryBudget::of(0));
        while list.push([0_u64; 4], &mut budget).is_ok() {}
        assert!(list.memory() <= 64 << 10 && list.memory() > 32 << 10, "{}", list.memory());
    }
}
