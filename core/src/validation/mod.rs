//! What the service found wrong with a request, as one flat list.
//!
//! The documented refusal holds the same tree twice: as JSON under `errors`, and as a Python repr
//! inside `message`. The current one holds a flat list. Whatever came, it is read into [`Problems`]:
//!
//! ```
//! use abyssale_core::validation;
//!
//! let body = br#"{"message": "body_validation_errors: {'media': {'ids': {0: ['Length must be 36.']}}}",
//!                 "errors": {"media": {"ids": {"0": ["Length must be 36."]}}}}"#;
//! let problems = validation::read(body).problems;
//! let problem = problems.get(0).ok_or("no problem")?;
//! assert_eq!(problem.location(), Some("media"));
//! assert_eq!(problem.path(), "ids[0]");
//! assert_eq!(problem.index_in("ids"), Some(0));
//! assert_eq!(problem.to_string(), "ids[0]: Length must be 36.");
//! # Ok::<(), &str>(())
//! ```
//!
//! # What is read
//! `errors` is preferred; where it is missing, unusable or cut off, the repr inside `message` is
//! read. Nothing fails: a body that names no problem gives an empty list, and one that breaks off
//! gives the problems up to there and [`Problems::is_complete`] answers no.
//!
//! # Numbers in paths
//! JSON has only text for keys, so the tree says `"0"` where the service meant the first item of a
//! list. A key of the *tree* that looks like a place in a list (decimal, no sign, no leading zero)
//! is therefore taken for [`Segment::Index`]: no field of this service is named by a number, and a
//! problem that cannot be traced to its banner is worse than one that is shown with brackets. The
//! *repr* tells the two apart, and there only a number is an index.
//!
//! # What a peer can make it cost
//! Time that grows with the body and no faster, no recursion however deep it is nested, and no more
//! memory than four times the body and 64 KiB.

mod envelope;
mod flat;
mod list;
mod path;
mod problems;
mod python;
mod store;
#[cfg(test)]
mod tests;
mod text;
mod tree;

use alloc::string::String;

pub use self::{
    path::{Path, Segment},
    problems::{Iter, MAX_VALUE, Problem, Problems, Source},
};

/// Everything an error body says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Reading {
    /// The machine code of the refusal. Only the current dialect has one.
    pub id: Option<String>,
    /// The prose of the refusal, at most [`Limits::text`] bytes of it.
    pub message: Option<String>,
    /// The version of the answer's format. Only the current dialect has one.
    pub version: Option<String>,
    /// What was wrong with the request.
    pub problems: Problems,
}

/// How much is read of a body. The defaults are far beyond what any real body needs.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// How deep containers may be nested: 1,000,000. A level costs a byte and no recursion, so this
    /// is for a caller whose own code recurses over a path.
    pub depth: usize,
    /// How many problems are kept: 1,000,000.
    pub problems: usize,
    /// How many elements the paths of all problems may have together: 4,194,304. Paths share what
    /// they have in common, but whoever writes them out one by one pays for each.
    pub path_elements: usize,
    /// How many bytes are kept of the id, the message and the version: 65,536.
    pub text: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 1_000_000, problems: 1_000_000, path_elements: 4 << 20, text: 64 << 10 }
    }
}

/// Reads the body of an answer whose status is not 2xx, within the default [`Limits`].
pub fn read(body: &[u8]) -> Reading {
    read_with(body, &Limits::default())
}

/// Reads the body of an answer whose status is not 2xx.
pub fn read_with(body: &[u8], limits: &Limits) -> Reading {
    envelope::read(body, limits)
}

/// Reads one part of a body and nothing else, as it stands: a location is the first element of its
/// path, and the keys of a tree stay text. For comparing the parts with each other.
///
/// [`Source::Tree`] and [`Source::Flat`] read `errors`, [`Source::Repr`] reads `message`, or the
/// whole body if it is no JSON object.
pub fn read_only(source: Source, body: &[u8], limits: &Limits) -> Problems {
    envelope::read_only(source, body, limits)
}
