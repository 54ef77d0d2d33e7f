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

mod arena;
mod bounds;
mod envelope;
mod escapes;
mod flat;
mod json;
mod list;
mod path;
mod problems;
mod python;
#[cfg(test)]
mod tests;
mod text;
mod tree;

use alloc::string::String;

pub use self::{
    bounds::ReadLimits,
    path::{Path, Segment},
    problems::{Iter, MAX_VALUE, Problem, Problems, Source},
};

/// Everything an error body says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Reading {
    /// The machine code of the refusal. Only the current dialect has one.
    pub id: Option<String>,
    /// The prose of the refusal, at most [`ReadLimits::text`] bytes of it.
    pub message: Option<String>,
    /// The version of the answer's format. Only the current dialect has one.
    pub version: Option<String>,
    /// What was wrong with the request.
    pub problems: Problems,
}

/// Reads the body of an answer whose status is not 2xx, within the default [`ReadLimits`].
pub fn read(body: &[u8]) -> Reading {
    read_with(body, &ReadLimits::default())
}

/// Reads the body of an answer whose status is not 2xx.
pub fn read_with(body: &[u8], limits: &ReadLimits) -> Reading {
    envelope::read(body, limits)
}

/// Reads one part of a body and nothing else, as it stands: a location is the first element of its
/// path, and the keys of a tree stay text. For comparing the parts with each other.
///
/// [`Source::Tree`] and [`Source::Flat`] read `errors`, [`Source::Repr`] reads `message`, or the
/// whole body if it is no JSON object.
pub fn read_only(source: Source, body: &[u8], limits: &ReadLimits) -> Problems {
    envelope::read_only(source, body, limits)
}
