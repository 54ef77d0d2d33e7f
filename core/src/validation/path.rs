//! The path of a problem in the request, and the service's notation for it.

use alloc::{string::ToString, vec::Vec};
use core::fmt;

use super::arena::{Arena, ProblemEntry};

/// The path from the root of the request to a problem: `ids[0]`, `formats[0].width`.
///
/// A view into [`Problems`](super::Problems). `Display` uses the service's notation: keys are joined with dots, indices
/// stand in brackets. The notation is ambiguous if a key contains a dot; [`Path::segments`] is not.
#[derive(Clone, Copy)]
pub struct Path<'a> {
    arena: &'a Arena,
    entry: ProblemEntry,
    /// The number of elements at the root that are not part of the path: the location.
    skip: usize,
}

/// One step of a [`Path`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Segment<'a> {
    /// The key of a field.
    Key(&'a str),
    /// The index of a list item. Negative only if a Python repr contains a negative number.
    Index(i64),
}

impl<'a> Path<'a> {
    pub(super) fn new(arena: &'a Arena, entry: ProblemEntry, skip: usize) -> Self {
        Self { arena, entry, skip }
    }

    /// Returns the segments from the root on. Allocates a list as long as the path.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = Segment<'a>> + ExactSizeIterator + use<'a> {
        let upwards = self.arena.upwards(self.entry);
        let mut segments: Vec<_> = upwards.map(|(text, is_index)| Segment::read(text, is_index)).collect();
        segments.truncate(segments.len().saturating_sub(self.skip));
        segments.into_iter().rev()
    }

    /// Returns the number of segments.
    pub fn len(&self) -> usize {
        self.arena.upwards(self.entry).count().saturating_sub(self.skip)
    }

    /// Returns whether the path is the root: the problem concerns the whole request.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the index behind `list` at the beginning of the path: 3 for `ids[3]` and `ids[3].name`, if `list` is `ids`.
    pub(crate) fn index_in(&self, list: &str) -> Option<usize> {
        // Upwards, the first two segments are the last two.
        let mut up = self.arena.upwards(self.entry);
        let second = up.nth(self.len().checked_sub(2)?)?;
        match (up.next()?, Segment::read(second.0, second.1)) {
            ((key, false), Segment::Index(index)) if key == list => usize::try_from(index).ok(),
            _ => None,
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_notation(f, self.segments())
    }
}

impl fmt::Debug for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.segments()).finish()
    }
}

impl Eq for Path<'_> {}

impl PartialEq for Path<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.segments().eq(other.segments())
    }
}

/// Compares a path with its notation: `path == *"ids[0]"`.
impl PartialEq<str> for Path<'_> {
    fn eq(&self, notation: &str) -> bool {
        let own = self.to_string();
        own == notation
    }
}

impl PartialEq<&str> for Path<'_> {
    fn eq(&self, notation: &&str) -> bool {
        *self == **notation
    }
}

/// Parses the notation into segments. Everything but an index in brackets is part of a key, so no text is lost.
pub(super) fn read_notation(mut rest: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut at_start = true;
    core::iter::from_fn(move || {
        if let Some((digits, after)) = leading_index(rest) {
            rest = after;
            at_start = false;
            return Some((digits, true));
        }
        if rest.is_empty() {
            return None;
        }
        if !at_start {
            rest = rest.strip_prefix('.').unwrap_or(rest);
        }
        at_start = false;
        let end = rest
            .char_indices()
            .find(|&(at, c)| {
                c == '.' || (c == '[' && at > 0 && rest.get(at..).and_then(leading_index).is_some())
            })
            .map_or(rest.len(), |(at, _)| at);
        let (key, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        rest = after;
        Some((key, false))
    })
}

impl<'a> Segment<'a> {
    fn read(text: &'a str, is_index: bool) -> Self {
        match text.parse() {
            Ok(index) if is_index => Self::Index(index),
            _ => Self::Key(text),
        }
    }
}

/// Splits `[12]…` into the index and the rest.
fn leading_index(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('[')?;
    // The search is bounded: otherwise a text of brackets would take quadratic time.
    let len = inside.bytes().take(MAX_DIGITS + 1).take_while(u8::is_ascii_digit).count();
    let (digits, after) = inside.split_at_checked(len)?;
    Some((digits, after.strip_prefix(']').filter(|_| is_index(digits))?))
}

/// Returns whether a text is an index: decimal, without sign and leading zero, and small enough for a list.
pub(super) fn is_index(text: &str) -> bool {
    let digits = text.as_bytes();
    matches!(digits.len(), 1..=MAX_DIGITS)
        && digits.iter().all(u8::is_ascii_digit)
        && (digits.len() == 1 || digits.first() != Some(&b'0'))
}

fn write_notation<'a>(out: &mut impl fmt::Write, segments: impl Iterator<Item = Segment<'a>>) -> fmt::Result {
    for (at, segment) in segments.enumerate() {
        match segment {
            Segment::Index(index) => write!(out, "[{index}]")?,
            Segment::Key(key) if at == 0 => out.write_str(key)?,
            Segment::Key(key) => write!(out, ".{key}")?,
        }
    }
    Ok(())
}

/// 18 digits always fit an `i64`.
const MAX_DIGITS: usize = 18;
