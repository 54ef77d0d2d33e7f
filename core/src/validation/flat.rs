//! The current format: a list of objects, each with its path in one string.
//!
//! `{"path": "formats[0].width", "code": "out_of_range", "message": "…", "expected": …, "received": …}`.
//! An item of another form is read as a tree.

use super::{
    arena::{Builder, Detail},
    bounds::Stop,
    json::Json,
    path::read_notation,
    problems::MAX_VALUE,
    text::Text,
    tree::{self, Keys},
};

/// Reads the list.
pub(super) fn read(json: &mut Json<'_>, out: &mut Builder<'_>) -> Result<(), Stop> {
    json.expect(b'[')?;
    if json.take(b']') {
        return Ok(());
    }
    loop {
        let start = json.clone();
        let item = if json.peek() == Some(b'{') { FlatProblem::read(json)? } else { FlatProblem::default() };
        if item.says_something() {
            item.store(out)?;
        } else {
            *json = start;
            tree::read(json, out, Keys::Numbered)?;
        }
        if !json.take(b',') {
            return json.expect(b']');
        }
    }
}

/// One problem, not decoded yet.
#[derive(Default)]
struct FlatProblem<'a> {
    path: Option<Text<'a>>,
    code: Option<Text<'a>>,
    message: Option<Text<'a>>,
    expected: Option<&'a str>,
    received: Option<&'a str>,
}

impl<'a> FlatProblem<'a> {
    fn read(json: &mut Json<'a>) -> Result<Self, Stop> {
        let mut item = Self::default();
        json.expect(b'{')?;
        if json.take(b'}') {
            return Ok(item);
        }
        loop {
            let key = json.key()?;
            let is_text = json.peek() == Some(b'"');
            match key {
                Text::Plain("path") if is_text => item.path = Some(json.string()?),
                Text::Plain("code") if is_text => item.code = Some(json.string()?),
                Text::Plain("message") if is_text => item.message = Some(json.string()?),
                Text::Plain("expected") => item.expected = Some(json.skip()?),
                Text::Plain("received") => item.received = Some(json.skip()?),
                _ => drop(json.skip()?),
            }
            if !json.take(b',') {
                json.expect(b'}')?;
                return Ok(item);
            }
        }
    }

    fn says_something(&self) -> bool {
        self.path.or(self.code).or(self.message).is_some()
    }

    fn store(self, out: &mut Builder<'_>) -> Result<(), Stop> {
        let path = self.path.unwrap_or(Text::Plain("")).decode();
        for (text, is_index) in read_notation(&path) {
            out.enter(Text::Plain(text), is_index)?;
        }
        out.problem(self.message.unwrap_or(Text::Plain("")))?;
        out.leave_all();
        let code = self.code.map(|code| out.append(code)).transpose()?;
        let expected = self.expected.map(|value| out.append_beginning(value, MAX_VALUE)).transpose()?;
        let received = self.received.map(|value| out.append_beginning(value, MAX_VALUE)).transpose()?;
        if code.or(expected).or(received).is_some() {
            out.detail(Detail { code, expected, received })?;
        }
        Ok(())
    }
}
