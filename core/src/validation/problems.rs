//! The list of problems.
//!
//! [`Problems`] owns the data, in an arena; [`Problem`] and [`Path`] are views that are cheap to copy.

use alloc::string::ToString;
use core::fmt;

use super::{
    arena::{Arena, Detail, ProblemEntry},
    path::Path,
};
use crate::redact::write_excerpt;

/// The problems of a request, in the order of the answer.
#[derive(Clone, Default)]
pub struct Problems {
    arena: Arena,
    source: Source,
    cut: bool,
    /// Whether the first element of a path may be a location.
    located: bool,
}

/// The part of a body that the problems were parsed from.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Source {
    /// The tree in `errors`: the legacy format.
    Tree,
    /// The Python repr of that tree in `message`.
    Repr,
    /// The flat list in `errors`: the current format.
    Flat,
    /// The body contains no problem.
    #[default]
    None,
}

/// One problem of a request. A view into [`Problems`].
///
/// `Display` is one printable line: `ids[0] ("x"): Length must be 36.`
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

    /// Returns the memory that the problems hold, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.arena.memory()
    }

    /// Adds the sent value to problems that concern an item of `list` and do not contain it. `value` returns the item at an
    /// index.
    pub(crate) fn name_received<'a>(&mut self, list: &str, value: impl Fn(usize) -> Option<&'a str>) {
        let located = self.located;
        self.arena.add_received(|arena, index| {
            let path = split(arena, arena.entry(index)?, located).1;
            serde_json::to_string(value(path.index_in(list)?)?).ok()
        });
    }

    /// Returns the number of problems.
    pub fn len(&self) -> usize {
        self.arena.len()
    }

    /// Returns whether there is no problem.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the problem at an index.
    pub fn get(&self, index: usize) -> Option<Problem<'_>> {
        let entry = self.arena.entry(index)?;
        Some(Problem { problems: self, entry, detail: self.arena.detail(index) })
    }

    /// Returns all problems, in the order of the answer.
    pub fn iter(&self) -> impl Iterator<Item = Problem<'_>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Returns the part of the body that the problems were parsed from.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Returns whether all problems of the body were parsed.
    ///
    /// It returns false if the body broke off, was neither JSON nor a repr, or exceeded a limit. The problems before that
    /// place are in the list.
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

/// Compares the problems, not how they are stored.
impl PartialEq for Problems {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.cut == other.cut && self.iter().eq(other.iter())
    }
}

impl<'a> Problem<'a> {
    /// Returns the part of the request that the problem concerns, as the service's validator names it: `media` is the JSON
    /// body; others are `query` and `headers`. The current format has none.
    pub fn location(&self) -> Option<&'a str> {
        split(&self.problems.arena, self.entry, self.problems.located).0
    }

    /// Returns the path in that part of the request. Empty if the problem concerns all of it.
    pub fn path(&self) -> Path<'a> {
        split(&self.problems.arena, self.entry, self.problems.located).1
    }

    /// Returns the machine code, such as `out_of_range`. Only the current format has one.
    pub fn code(&self) -> Option<&'a str> {
        self.detail.code.map(|code| self.problems.arena.slice(code))
    }

    /// Returns the prose as it was sent.
    pub fn message(&self) -> &'a str {
        self.problems.arena.message(self.entry)
    }

    /// Returns the expected value: JSON, at most [`MAX_VALUE`] bytes of it. Only the current format has one.
    pub fn expected(&self) -> Option<&'a str> {
        self.detail.expected.map(|value| self.problems.arena.slice(value))
    }

    /// Returns the value that was sent: JSON, at most [`MAX_VALUE`] bytes of it. It comes from the current format, or from
    /// the job, which knows its order.
    pub fn received(&self) -> Option<&'a str> {
        self.detail.received.map(|value| self.problems.arena.slice(value))
    }

    /// Returns the item of a list that the problem concerns: 3 for `ids[3]`, if `list` is `ids`.
    pub fn index_in(&self, list: &str) -> Option<usize> {
        self.path().index_in(list)
    }
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An empty path would give a line that begins with a colon.
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

/// Shows only the first problems, so that a log line stays short.
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

/// Splits the location from the path of a problem.
fn split(arena: &Arena, entry: ProblemEntry, located: bool) -> (Option<&str>, Path<'_>) {
    let root = if located { arena.upwards(entry).last() } else { None };
    match root {
        Some((key, false)) if LOCATIONS.contains(&key) => (Some(key), Path::new(arena, entry, 1)),
        _ => (None, Path::new(arena, entry, 0)),
    }
}

/// How many bytes are kept of an expected or received value.
pub const MAX_VALUE: usize = 256;

const MAX_SHOWN: usize = 1024;
const MAX_LISTED: usize = 20;

/// The parts of a request, as webargs names them for all its frameworks.
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
