//! The legacy format as Python prints it, in the message.
//!
//! `body_validation_errors: {'media': {'ids': {0: ['Length must be 36.']}}}`. The message contains the `repr()` of the tree,
//! so this parses what `repr` prints: dict, list, tuple, set, frozenset, str, bytes, numbers of any size, the constants,
//! `defaultdict` and `OrderedDict`. Any other object is kept as it is spelled. `lexer` parses the tokens, `reader` the
//! containers.
//!
//! This is not a parser of Python source: parentheses around a value, adjacent literals, raw strings and `1_000` are
//! refused, since `repr` never prints them.

mod lexer;
mod reader;

use super::{
    arena::{Arena, Builder},
    bounds::{MemoryBudget, ReadLimits},
};

/// What a message has to contain to be parsed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Root {
    /// A mapping, which every tree of problems is. A list in a message has another meaning: `banner_not_found: ['…']`.
    Mapping,
    /// Any value.
    Any,
}

/// Parses the repr in a message. Returns the problems, and whether the message was parsed to its end.
///
/// A message without a repr has no problems, and is complete.
pub(super) fn read(message: &str, root: Root, limits: &ReadLimits, budget: MemoryBudget) -> (Arena, bool) {
    let mut out = Builder::new(limits, budget);
    let Some(repr) = repr_in(message, root) else { return (out.finish(), true) };
    let complete = reader::read(repr, root, &mut out).is_ok();
    (out.finish(), complete)
}

/// Returns the repr behind the prefix of a message, if there is one.
fn repr_in(message: &str, root: Root) -> Option<&str> {
    // The prefix varies. It consists of words, and ends with a colon.
    let words =
        message.bytes().take(MAX_PREFIX).take_while(|&b| b.is_ascii_alphanumeric() || b" _-.".contains(&b));
    let repr = match message.split_at_checked(words.count()) {
        Some((_, rest)) => rest.strip_prefix(':').unwrap_or(message),
        None => message,
    };
    let repr = repr.trim_start_matches(' ');
    (root == Root::Any || MAPPINGS.iter().any(|start| repr.starts_with(start))).then_some(repr)
}

const MAX_PREFIX: usize = 256;
const MAPPINGS: [&str; 3] = ["{", "defaultdict(", "OrderedDict("];
