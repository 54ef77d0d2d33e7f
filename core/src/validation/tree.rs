//! The legacy dialect: a tree of JSON objects whose leaves are messages.
//!
//! An object adds its keys to the path. A list adds nothing: its members are several things said
//! about one place, and where the service means the items of a list of the request, it sends an
//! object with their numbers as keys.

use alloc::vec::Vec;

use super::{arena::Builder, bounds::Stop, json::Json, path::is_index, text::Text};

/// What to make of keys that look like a place in a list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Keys {
    /// Text, as JSON has it.
    Text,
    /// An index, as the service means it.
    Numbered,
}

/// Reads a value and all that is in it, without recursion.
pub(super) fn read(json: &mut Json<'_>, out: &mut Builder<'_>, keys: Keys) -> Result<(), Stop> {
    let mut open: Vec<Container> = Vec::new();
    loop {
        match json.peek() {
            Some(b'"') => out.problem(json.string()?)?,
            Some(b'{') => {
                json.expect(b'{')?;
                if !json.take(b'}') {
                    push(&mut open, Container::Object, out)?;
                    enter(json, out, keys)?;
                    continue;
                }
            }
            Some(b'[') => {
                json.expect(b'[')?;
                if !json.take(b']') {
                    push(&mut open, Container::List, out)?;
                    continue;
                }
            }
            _ => out.problem(Text::Plain(json.scalar()?))?,
        }
        // The value is read; now for what it is in.
        loop {
            let Some(frame) = open.last() else { return Ok(()) };
            match frame {
                Container::Object => {
                    out.leave();
                    if json.take(b',') {
                        enter(json, out, keys)?;
                        break;
                    }
                    json.expect(b'}')?;
                }
                Container::List => {
                    if json.take(b',') {
                        break;
                    }
                    json.expect(b']')?;
                }
            }
            open.pop();
        }
    }
}

/// A container that is open. One byte each, for these are as many as a peer likes.
#[derive(Clone, Copy)]
enum Container {
    Object,
    List,
}

fn push(open: &mut Vec<Container>, frame: Container, out: &mut Builder<'_>) -> Result<(), Stop> {
    if open.len() >= out.limits().depth {
        return Err(Stop::Full);
    }
    out.budget().room(open)?;
    open.push(frame);
    Ok(())
}

fn enter(json: &mut Json<'_>, out: &mut Builder<'_>, keys: Keys) -> Result<(), Stop> {
    let key = json.key()?;
    let numbered = keys == Keys::Numbered && matches!(key, Text::Plain(text) if is_index(text));
    out.enter(key, numbered)
}
