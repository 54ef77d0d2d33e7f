//! The legacy format: a tree of JSON objects whose leaves are messages.
//!
//! An object adds its keys to the path. A list adds nothing: its items are several messages for one path. For the items of
//! a list in the request, the service sends an object whose keys are their indices.

use alloc::vec::Vec;

use super::{arena::Builder, bounds::Stop, json::Json, path::is_index, text::Text};

/// How to read keys that look like an index.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Keys {
    /// As text.
    Text,
    /// As an index, which the service means.
    Numbered,
}

/// Reads a value with all its contents, without recursion.
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
        // The value is read. Continue in the container around it.
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

/// An open container. It takes one byte, because a peer determines how many there are.
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
