//! The list of problems and one problem of it, as a caller sees them.
//!
//! [`Problems`] owns everything; [`Problem`] and [`Path`] are views into it that cost nothing to
//! copy. How it is kept is in `arena`; how it is read, in the readers.

use alloc::string::ToString;
use core::fmt;

use super::{
    arena::{Arena, Detail, ProblemEntry},
    path::Path,
};
use crate::redact::write_excerpt;

/// What was wrong with a request, in the order in which the service said it.
///
/// Owned and independent of the body; [`Problem`]s are views into it.
#[derive(Clone, Default)]
pub struct Problems {
    arena: Arena,
    source: Source,
    cut: bool,
    /// Whether the first element of a path may be a location, and is to be told apart from it.
    located: bool,
}

/// Which part of the body the problems were read from.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Source {
    /// The tree under `errors`: the legacy dialect.
    Tree,
    /// The Python repr of that tree inside `message`.
    Repr,
    /// The flat list under `errors`: the current dialect.
    Flat,
    /// Nothing in the body named a problem.
    #[default]
    None,
}

/// One thing that is wrong, and where. A view into [`Problems`].
///
/// Its `Display` is one printable line: `ids[0] ("x"): Length must be 36.`
#[derive(Clone, Copy)]
pub struct Problem<'a> {
    problems: &'a Problems,
    entry: ProblemEntry,
    detail: Detail,
}

impl Problems {
    pub(super) fn new(arena: Arena, source: Source, complete: bool, located: bool) -> Self {
        let source = if arena.len() == 0 { Source::None } else { source };
        Self { arena, source, cut: !complete, located }
    }

    /// How much memory this holds.
    pub(super) fn memory(&self) -> usize {
        self.arena.memory()
    }

    /// Adds what was sent to problems about one item of `list` that do not say it: `value` is asked
    /// for the item at an index. Shown as in `ids[0] ("x"): Length must be 36.`
    pub(crate) fn name_received<'a>(&mut self, list: &str, value: impl Fn(usize) -> Option<&'a str>) {
        let located = self.located;
        self.arena.add_received(|arena, index| {
            let path = split(arena, arena.entry(index)?, located).1;
            serde_json::to_string(value(path.index_in(list)?)?).ok()
        });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.arena.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The problem at a place in the list, from 0.
    pub fn get(&self, index: usize) -> Option<Problem<'_>> {
        let entry = self.arena.entry(index)?;
        Some(Problem { problems: self, entry, detail: self.arena.detail(index) })
    }

    /// All of them, in the order in which the service said them.
    pub fn iter(&self) -> Iter<'_> {
        Iter { problems: self, next: 0, end: self.len() }
    }

    /// Where they were read from.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Whether everything that named a problem was read to its end.
    ///
    /// Not so if the body broke off, held what is neither JSON nor a repr, or met a limit; the
    /// problems up to that place are here all the same.
    pub fn is_complete(&self) -> bool {
        !self.cut
    }
}

impl fmt::Debug for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problems")
            .field("source", &self.source())
            .field("complete", &self.is_complete())
            .field("problems", &format_args!("{:?}", Listed(self)))
            .finish()
    }
}

impl Eq for Problems {}

/// Two lists are equal if they say the same, however they came to be.
impl PartialEq for Problems {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.cut == other.cut && self.iter().eq(other)
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = Problem<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The problems of a list: [`Problems::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    problems: &'a Problems,
    next: usize,
    end: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Problem<'a>;

    fn next(&mut self) -> Option<Problem<'a>> {
        if self.next == self.end {
            return None;
        }
        self.next += 1;
        self.problems.get(self.next - 1)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> Problem<'a> {
    /// Which part of the request was read, in the words of the service's own validator: `media` is
    /// the JSON body, and there are `query`, `headers` and others. Absent in the flat dialect.
    pub fn location(&self) -> Option<&'a str> {
        split(&self.problems.arena, self.entry, self.problems.located).0
    }

    /// Where in that part; empty if the problem is about all of it.
    pub fn path(&self) -> Path<'a> {
        split(&self.problems.arena, self.entry, self.problems.located).1
    }

    /// The machine code, such as `out_of_range`. Only the flat dialect has one.
    pub fn code(&self) -> Option<&'a str> {
        self.detail.code.map(|code| self.problems.arena.slice(code))
    }

    /// What is wrong, in prose, as it was sent.
    pub fn message(&self) -> &'a str {
        self.problems.arena.message(self.entry)
    }

    /// What would have been right: JSON text, at most [`MAX_VALUE`] bytes of it. Only in the flat dialect.
    pub fn expected(&self) -> Option<&'a str> {
        self.detail.expected.map(|value| self.problems.arena.slice(value))
    }

    /// What was sent: JSON text, at most [`MAX_VALUE`] bytes of it. In the flat dialect, or added by
    /// the export, which knows what it asked for.
    pub fn received(&self) -> Option<&'a str> {
        self.detail.received.map(|value| self.problems.arena.slice(value))
    }

    /// Which item of a list the problem is about: 3 for `ids[3]` if the list is `ids`.
    pub fn index_in(&self, list: &str) -> Option<usize> {
        self.path().index_in(list)
    }
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The path alone would be a line that begins with a colon.
        let path = self.path();
        let place = match self.location() {
            Some(location) if path.is_empty() => location.to_string(),
            _ => path.to_string(),
        };
        write_excerpt(f, &place, MAX_VALUE)?;
        if let Some(received) = self.received() {
            f.write_str(if place.is_empty() { "(" } else { " (" })?;
            write_excerpt(f, received, MAX_VALUE)?;
            f.write_str(")")?;
        }
        if !place.is_empty() || self.received().is_some() {
            f.write_str(": ")?;
        }
        let what = if self.message().is_empty() { self.code().unwrap_or("invalid") } else { self.message() };
        write_excerpt(f, what, MAX_SHOWN)
    }
}

impl fmt::Debug for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem")
            .field("location", &self.location())
            .field("path", &self.path())
            .field("code", &self.code())
            .field("message", &self.message())
            .field("expected", &self.expected())
            .field("received", &self.received())
            .finish()
    }
}

impl Eq for Problem<'_> {}

impl PartialEq for Problem<'_> {
    fn eq(&self, other: &Self) -> bool {
        let parts =
            |problem: &Self| (problem.code(), problem.message(), problem.expected(), problem.received());
        parts(self) == parts(other) && self.location() == other.location() && self.path() == other.path()
    }
}

/// The first problems of a list, so that a log line with a hostile body in it stays a line.
struct Listed<'a>(&'a Problems);

impl fmt::Debug for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        list.entries(self.0.iter().take(MAX_LISTED));
        match self.0.len().checked_sub(MAX_LISTED) {
            None | Some(0) => list.finish(),
            Some(_) => list.finish_non_exhaustive(),
        }
    }
}

/// The location of a problem and the path in it.
fn split(arena: &Arena, entry: ProblemEntry, located: bool) -> (Option<&str>, Path<'_>) {
    let root = if located { arena.upwards(entry).last() } else { None };
    match root {
        Some((key, false)) if LOCATIONS.contains(&key) => (Some(key), Path::new(arena, entry, 1)),
        _ => (None, Path::new(arena, entry, 0)),
    }
}

/// The most bytes that are kept of what was expected or received.
pub const MAX_VALUE: usize = 256;

const MAX_SHOWN: usize = 1024;
const MAX_LISTED: usize = 20;

/// The parts of a request as webargs names them, with every framework it serves.
const LOCATIONS: [&str; 11] = [
    "media",
    "json",
    "json_or_form",
    "query",
    "querystring",
    "form",
    "headers",
    "cookies",
    "files",
    "path",
    "view_args",
];
