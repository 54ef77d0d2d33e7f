//! The storage of problems: three lists and one text.
//!
//! A path is a chain of elements, each with the index of the one before it, so that problems share the common beginning of
//! their paths. This keeps parsing linear: with a separate path for each problem, ten kilobytes of hostile nesting would
//! need megabytes. Elements refer to each other by index, so dropping the arena does not recurse.

use alloc::{string::String, vec::Vec};
use core::ops::Range;

use super::{
    bounds::{MemoryBudget, ReadLimits, Stop},
    list::ChunkedList,
    text::{Text, beginning},
};

/// The problems of a body. A [`Builder`] fills it.
#[derive(Clone, Debug, Default)]
pub(super) struct Arena {
    text: String,
    elements: ChunkedList<Element>,
    entries: ChunkedList<ProblemEntry>,
    /// Sorted by the index of the problem. Few problems have one.
    details: ChunkedList<(u32, Detail)>,
}

/// One problem: the last element of its path, and its message.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProblemEntry {
    element: Id,
    message: TextRange,
}

/// What only the current format says about a problem, or what was added later.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Detail {
    pub(super) code: Option<TextRange>,
    pub(super) expected: Option<TextRange>,
    pub(super) received: Option<TextRange>,
}

/// One element of a path.
#[derive(Clone, Copy, Debug)]
struct Element {
    before: Id,
    text: TextRange,
}

/// A piece of the arena's text. The top bit of the length marks an index, which keeps an element at twelve bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TextRange {
    start: u32,
    len: u32,
}

/// The index of an element. [`NOWHERE`] is the root, which has none.
type Id = u32;

const NOWHERE: Id = Id::MAX;
const IS_INDEX: u32 = 1 << 31;

/// The longest text that a [`TextRange`] can describe, without the bit for [`IS_INDEX`].
pub(super) const MAX_TEXT: usize = (IS_INDEX - 1) as usize;

impl Arena {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn entry(&self, index: usize) -> Option<ProblemEntry> {
        self.entries.get(index).copied()
    }

    pub(super) fn message(&self, entry: ProblemEntry) -> &str {
        self.slice(entry.message)
    }

    pub(super) fn detail(&self, index: usize) -> Detail {
        let found = self.details.find_by_key(&narrow(index), |(entry, _)| *entry);
        found.map(|(_, detail)| *detail).unwrap_or_default()
    }

    pub(super) fn slice(&self, span: TextRange) -> &str {
        let start = span.start as usize;
        self.text.get(start..start + (span.len & !IS_INDEX) as usize).unwrap_or_default()
    }

    /// Returns the memory that the arena holds, in bytes.
    pub(super) fn memory(&self) -> usize {
        let Self { text, elements, entries, details } = self;
        text.capacity() + elements.memory() + entries.memory() + details.memory()
    }

    /// Returns the elements of a path from its end to its root, each with whether it is an index.
    pub(super) fn upwards(&self, entry: ProblemEntry) -> impl Iterator<Item = (&str, bool)> + '_ {
        let mut at = entry.element;
        core::iter::from_fn(move || {
            let element = self.elements.get(at as usize)?;
            at = element.before;
            Some((self.slice(element.text), element.text.len & IS_INDEX != 0))
        })
    }

    /// Adds `received(index)` to problems without a received value.
    pub(super) fn add_received(&mut self, mut received: impl FnMut(&Self, usize) -> Option<String>) {
        let mut details = ChunkedList::default();
        // The caller bounds what it adds.
        let mut budget = MemoryBudget::unlimited();
        for index in 0..self.entries.len() {
            let mut detail = self.detail(index);
            if detail.received.is_none()
                && let Some(text) = received(self, index)
                && self.text.len() + text.len() <= MAX_TEXT
            {
                detail.received = Some(append(&mut self.text, &text));
            }
            if detail.code.or(detail.expected).or(detail.received).is_some() {
                let _never_full = details.push((narrow(index), detail), &mut budget);
            }
        }
        self.details = details;
    }
}

/// Fills an [`Arena`], within a memory budget and the caller's [`ReadLimits`].
///
/// Each operation that may need memory may return [`Stop::Full`]. What was stored before is kept.
pub(super) struct Builder<'l> {
    arena: Arena,
    /// The last element of the current path, and the path's length.
    here: Id,
    path_len: usize,
    limits: &'l ReadLimits,
    path_elements_left: usize,
    budget: MemoryBudget,
}

/// A state of a [`Builder`] that it can return to.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    text: u32,
    elements: u32,
    entries: u32,
    here: Id,
    path_len: usize,
    path_elements_left: usize,
}

impl Mark {
    /// Returns how many problems there were.
    pub(super) fn problems(self) -> u32 {
        self.entries
    }
}

impl<'l> Builder<'l> {
    pub(super) fn new(limits: &'l ReadLimits, budget: MemoryBudget) -> Self {
        Self {
            arena: Arena::default(),
            here: NOWHERE,
            path_len: 0,
            limits,
            path_elements_left: limits.path_elements,
            budget,
        }
    }

    /// Returns the budget, which also covers the stack of a reader.
    pub(super) fn budget(&mut self) -> &mut MemoryBudget {
        &mut self.budget
    }

    pub(super) fn limits(&self) -> &'l ReadLimits {
        self.limits
    }

    /// Appends an element to the current path.
    pub(super) fn enter(&mut self, key: Text<'_>, is_index: bool) -> Result<(), Stop> {
        let text = self.append(key)?;
        let id = narrow(self.arena.elements.len());
        let len = if is_index { text.len | IS_INDEX } else { text.len };
        let element = Element { before: self.here, text: TextRange { len, ..text } };
        self.arena.elements.push(element, &mut self.budget)?;
        self.here = id;
        self.path_len += 1;
        Ok(())
    }

    /// Removes the last element of the current path.
    pub(super) fn leave(&mut self) {
        self.here = self.arena.elements.get(self.here as usize).map_or(NOWHERE, |element| element.before);
        self.path_len = self.path_len.saturating_sub(1);
    }

    /// Removes all elements of the current path.
    pub(super) fn leave_all(&mut self) {
        self.here = NOWHERE;
        self.path_len = 0;
    }

    /// Stores a problem at the current path.
    pub(super) fn problem(&mut self, message: Text<'_>) -> Result<(), Stop> {
        if self.arena.entries.len() >= self.limits.problems {
            return Err(Stop::Full);
        }
        self.path_elements_left = self.path_elements_left.checked_sub(self.path_len).ok_or(Stop::Full)?;
        let message = self.append(message)?;
        self.arena.entries.push(ProblemEntry { element: self.here, message }, &mut self.budget)
    }

    /// Stores the details of the last problem.
    pub(super) fn detail(&mut self, detail: Detail) -> Result<(), Stop> {
        let last = narrow(self.len().saturating_sub(1));
        self.arena.details.push((last, detail), &mut self.budget)
    }

    /// Appends to the arena's text.
    pub(super) fn append(&mut self, text: Text<'_>) -> Result<TextRange, Stop> {
        self.budget.room_for_text(&mut self.arena.text, text.max_len(), MAX_TEXT)?;
        let start = self.arena.text.len();
        text.decode_into(&mut self.arena.text);
        Ok(TextRange { start: narrow(start), len: narrow(self.arena.text.len() - start) })
    }

    /// Appends a text, or as much of it as fits into `max` bytes with an ellipsis.
    pub(super) fn append_beginning(&mut self, text: &str, max: usize) -> Result<TextRange, Stop> {
        if text.len() <= max {
            return self.append(Text::Plain(text));
        }
        let kept = self.append(Text::Plain(beginning(text, max.saturating_sub(ELLIPSIS.len()))))?;
        let ellipsis = self.append(Text::Plain(ELLIPSIS))?;
        Ok(TextRange { len: kept.len + ellipsis.len, ..kept })
    }

    /// Returns how many problems there are.
    pub(super) fn len(&self) -> usize {
        self.arena.len()
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            text: narrow(self.arena.text.len()),
            elements: narrow(self.arena.elements.len()),
            entries: narrow(self.arena.entries.len()),
            here: self.here,
            path_len: self.path_len,
            path_elements_left: self.path_elements_left,
        }
    }

    /// Removes everything that was stored since.
    pub(super) fn back_to(&mut self, mark: Mark) {
        self.arena.text.truncate(mark.text as usize);
        self.arena.elements.truncate(mark.elements as usize);
        self.arena.entries.truncate(mark.entries as usize);
        self.here = mark.here;
        self.path_len = mark.path_len;
        self.path_elements_left = mark.path_elements_left;
    }

    /// Reorders problems. `ranges` together cover all problems from the first of them on.
    pub(super) fn reorder(&mut self, ranges: impl Iterator<Item = Range<usize>> + Clone) -> Result<(), Stop> {
        let first = ranges.clone().map(|range| range.start).min().unwrap_or_default();
        let count = self.len().saturating_sub(first);
        if count == 0 {
            return Ok(());
        }
        let mut ordered = Vec::new();
        self.budget.clone().reserve(&mut ordered, count)?;
        ordered.extend(ranges.flatten().filter_map(|index| self.arena.entry(index)));
        for (at, entry) in ordered.into_iter().enumerate() {
            if let Some(place) = self.arena.entries.get_mut(first + at) {
                *place = entry;
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Arena {
        self.arena
    }
}

fn append(text: &mut String, piece: &str) -> TextRange {
    let start = narrow(text.len());
    text.push_str(piece);
    TextRange { start, len: narrow(piece.len()) }
}

/// Converts a count, which is below [`MAX_TEXT`]: longer bodies are cut off before they are read.
pub(super) fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(NOWHERE)
}

const ELLIPSIS: &str = "…";
