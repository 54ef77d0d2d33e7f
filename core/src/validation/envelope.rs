//! Detects the format of a body, and chooses the better of two readings.
//!
//! One pass reads the members of the body: `errors` is parsed, `message` is noted. Only if `errors` gave nothing, or not
//! everything, the repr in `message` is parsed as well, and the reading with more problems is kept.

use alloc::{borrow::Cow, string::String};

use super::{
    Reading,
    arena::{Builder, MAX_TEXT},
    bounds::{MemoryBudget, ReadLimits, Stop},
    flat,
    json::Json,
    problems::{Problems, Source},
    python::{self, Root},
    text::Text,
    tree::{self, Keys},
};
use crate::response::without_byte_order_marks;

/// Parses a body in any format.
pub(super) fn read(body: &[u8], limits: &ReadLimits) -> Reading {
    let text = text_of(body);
    let mut out = Builder::new(limits, MemoryBudget::of(body.len()));
    let top = Top::read(&text, &mut out, Errors::Known);
    let tree = Problems::new(out.finish(), top.source, top.complete, top.source == Source::Tree);
    let short = |text: Text<'_>| text.decode_beginning(limits.text);
    Reading {
        problems: if tree.is_empty() || !tree.is_complete() {
            better(tree, &top, &text, limits)
        } else {
            tree
        },
        id: top.id.map(short),
        message: top.message.map(short).or_else(|| {
            // In the framework's own answers, the description has the reason.
            let Some(title) = top.title.map(short) else { return top.description.map(short) };
            let room = limits.text.saturating_sub(title.len() + ": ".len());
            let description = top.description.map(|text| text.decode_beginning(room));
            let description = description.filter(|text| !text.is_empty());
            Some(description.map_or_else(|| title.clone(), |text| [&*title, ": ", &*text].concat()))
        }),
        version: top.version.map(short),
    }
}

/// Parses one part of a body without interpreting it.
pub(super) fn read_only(source: Source, body: &[u8], limits: &ReadLimits) -> Problems {
    let text = text_of(body);
    let mut out = Builder::new(limits, MemoryBudget::of(body.len()));
    let errors = match source {
        Source::Tree => Errors::Tree,
        Source::Flat => Errors::Known,
        Source::Repr | Source::None => Errors::Ignored,
    };
    let top = Top::read(&text, &mut out, errors);
    match source {
        Source::Tree | Source::Flat => Problems::new(out.finish(), source, top.complete, false),
        Source::Repr => {
            let message = top.message.unwrap_or(Text::Plain(if top.is_object { "" } else { &text })).decode();
            let (arena, complete) =
                python::read(&message, Root::Any, limits, MemoryBudget::of(body.len()).less(message.len()));
            Problems::new(arena, source, complete, false)
        }
        Source::None => Problems::default(),
    }
}

/// Returns the better of the problems from `errors` and those of a repr.
fn better(tree: Problems, top: &Top<'_>, text: &str, limits: &ReadLimits) -> Problems {
    let whole = if top.is_object { None } else { Some(Text::Plain(text)) };
    let mut best = tree;
    // `errors` itself may be that text.
    for candidate in [top.message, top.errors_text, whole].into_iter().flatten() {
        let candidate = candidate.decode();
        let budget = MemoryBudget::of(text.len()).less(candidate.len()).less(best.memory());
        let (arena, complete) = python::read(&candidate, Root::Mapping, limits, budget);
        let found = Problems::new(arena, Source::Repr, complete, true);
        let says_more = found.len() > best.len() || (found.len() == best.len() && found.is_complete());
        // An incomplete reading without problems says more than none at all.
        if (says_more && !found.is_empty()) || (best.is_empty() && !found.is_complete()) {
            best = found;
        }
        if best.is_complete() && !best.is_empty() {
            break;
        }
    }
    best
}

/// The members of a body, not decoded yet.
#[derive(Default)]
struct Top<'a> {
    id: Option<Text<'a>>,
    message: Option<Text<'a>>,
    /// The prose, as the service's framework names it in its own answers.
    title: Option<Text<'a>>,
    /// The description beside the title.
    description: Option<Text<'a>>,
    version: Option<Text<'a>>,
    /// `errors`, if it is a string.
    errors_text: Option<Text<'a>>,
    /// The format of `errors`.
    source: Source,
    /// Whether `errors` was read to its end, or the body if it has no `errors`.
    complete: bool,
    is_object: bool,
}

/// How to read `errors`.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Errors {
    /// In the format that it has.
    Known,
    /// As a tree, whose keys stay text.
    Tree,
    /// Skip it.
    Ignored,
}

impl<'a> Top<'a> {
    fn read(text: &'a str, out: &mut Builder<'_>, errors: Errors) -> Self {
        let mut json = Json::new(text);
        // A body that is not an object, such as an HTML page, has no member that could be cut off.
        let mut top = Self { complete: true, ..Self::default() };
        if json.take(b'{') {
            let mut errors_read = false;
            let end = top.members(&mut json, out, errors, &mut errors_read);
            top.complete = end.is_ok() || errors_read;
        }
        top
    }

    fn members(
        &mut self,
        json: &mut Json<'a>,
        out: &mut Builder<'_>,
        errors: Errors,
        errors_read: &mut bool,
    ) -> Result<(), Stop> {
        if json.take(b'}') {
            self.is_object = true;
            return Ok(());
        }
        loop {
            let key = json.key()?.decode();
            self.is_object = true;
            match (&*key, json.peek()) {
                ("id", Some(b'"')) => self.id = Some(json.string()?),
                ("version", Some(b'"')) => self.version = Some(json.string()?),
                ("title", Some(b'"')) => self.title = Some(json.string()?),
                ("description", Some(b'"')) => self.description = Some(json.string()?),
                ("message", Some(b'"')) => Self::text(json, &mut self.message)?,
                ("errors", Some(b'"')) if errors == Errors::Known => Self::text(json, &mut self.errors_text)?,
                ("errors", Some(b'{' | b'[')) if errors == Errors::Tree => {
                    *errors_read = false;
                    tree::read(json, out, Keys::Text)?;
                    *errors_read = true;
                }
                ("errors", Some(first @ (b'{' | b'['))) if errors == Errors::Known => {
                    *errors_read = false;
                    let is_tree = first == b'{';
                    self.source = if is_tree { Source::Tree } else { Source::Flat };
                    if is_tree {
                        tree::read(json, out, Keys::Numbered)?;
                    } else {
                        flat::read(json, out)?;
                    }
                    *errors_read = true;
                }
                _ => drop(json.skip()?),
            }
            if !json.take(b',') {
                return json.expect(b'}');
            }
        }
    }

    /// Reads a string, and keeps its beginning if it breaks off.
    fn text(json: &mut Json<'a>, into: &mut Option<Text<'a>>) -> Result<(), Stop> {
        let (text, whole) = json.string_or_beginning();
        *into = Some(text);
        if whole { Ok(()) } else { Err(Stop::Broken) }
    }
}

/// Returns the body as text, without a byte order mark. Each sequence that is not UTF-8 is replaced by one byte, so that the
/// text does not grow.
fn text_of(body: &[u8]) -> Cow<'_, str> {
    let body = without_byte_order_marks(body);
    let body = body.get(..MAX_TEXT).unwrap_or(body);
    if let Ok(text) = str::from_utf8(body) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(body.len());
    for chunk in body.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push('?');
        }
    }
    Cow::Owned(text)
}
