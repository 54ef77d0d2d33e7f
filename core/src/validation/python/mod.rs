//! The legacy dialect once more: the tree as Python prints it, inside the message.
//!
//! `body_validation_errors: {'media': {'ids': {0: ['Length must be 36.']}}}`. The service fills its
//! message with `repr()` of what its validator collected, so this reads what `repr` prints: dict,
//! list, tuple, set, frozenset, str, bytes, numbers of any size, the constants, `defaultdict` and
//! `OrderedDict`. Any other object is kept as it is spelled. `lexer` knows the tokens, `reader` the
//! containers.
//!
//! Not a reader of Python source: parentheses around a value, literals that stand side by side, raw
//! strings and `1_000` are refused, as `repr` never prints them.

mod lexer;
mod reader;

use super::{
    arena::{Arena, Builder},
    bounds::{MemoryBudget, ReadLimits},
};

/// What a message has to hold to be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Root {
    /// A mapping, as every tree of problems is one. A list in a message means something else:
    /// `banner_not_found: ['…']`.
    Mapping,
    /// Any value.
    Any,
}

/// Reads the repr in a message, and says whether it was read to the end of the message.
///
/// A message that holds none gives nothing, completely.
pub(super) fn read(message: &str, root: Root, limits: &ReadLimits, budget: MemoryBudget) -> (Arena, bool) {
    let mut out = Builder::new(limits, budget);
    let Some(repr) = repr_in(message, root) else { return (out.finish(), true) };
    let complete = reader::read(repr, root, &mut out).is_ok();
    (out.finish(), complete)
}

/// The repr behind the prefix of a message, if there is one.
fn repr_in(message: &str, root: Root) -> Option<&str> {
    // The prefix may vary, but it is made of words and ends with a colon.
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
