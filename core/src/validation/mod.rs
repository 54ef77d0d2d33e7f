//! Parses what the service found wrong with a request (`PROTOCOL.md` §3).
//!
//! The documented refusal contains a tree of problems twice: as JSON in `errors`, and as a Python repr in `message`. The
//! current format contains a flat list. All of them are parsed into one flat list, [`Problems`]:
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
//! # What is parsed
//! `errors` is preferred. If it is missing, unusable or cut off, the repr in `message` is parsed. Parsing does not fail: a
//! body without problems gives an empty list. A body that breaks off gives the problems before the break, and
//! [`Problems::is_complete`] returns false.
//!
//! # Numbers in paths
//! Keys of JSON are text, so the tree contains `"0"` where the service means the first item of a list. Therefore a key of
//! the *tree* that looks like an index (decimal, without sign and leading zero) is a [`Segment::Index`]: the service has no
//! fields that are named by numbers, and a problem has to be traceable to its banner. In the *repr*, integers and strings
//! differ, and only an integer is an index.
//!
//! # Cost
//! Parsing takes time linear in the body's length, no recursion, and no more memory than four times the body and 64 KiB.

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
    problems::{MAX_VALUE, Problem, Problems, Source},
};

/// The content of an error body.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Reading {
    /// The machine code. Only the current format has one.
    pub id: Option<String>,
    /// The prose, at most [`ReadLimits::text`] bytes of it.
    pub message: Option<String>,
    /// The version of the format. Only the current format has one.
    pub version: Option<String>,
    /// What was wrong with the request.
    pub problems: Problems,
}

/// Parses the body of an answer whose status is not 2xx, with the default [`ReadLimits`].
pub fn read(body: &[u8]) -> Reading {
    read_with(body, &ReadLimits::default())
}

/// Parses the body of an answer whose status is not 2xx.
pub fn read_with(body: &[u8], limits: &ReadLimits) -> Reading {
    envelope::read(body, limits)
}

/// Parses only one part of a body, to compare the parts with each other.
///
/// The result is not interpreted: a location is the first element of its path, and the keys of a tree stay text.
/// [`Source::Tree`] and [`Source::Flat`] parse `errors`; [`Source::Repr`] parses `message`, or the whole body if it is not a
/// JSON object.
pub fn read_only(source: Source, body: &[u8], limits: &ReadLimits) -> Problems {
    envelope::read_only(source, body, limits)
}
