//! Problems for programs: a line in, a line out, and never more than one line in memory.

use std::{
    fmt,
    io::{self, BufRead, Read as _, Write},
};

use abyssale_core::validation::{Problem, Problems, Segment, Source};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::ser::{Formatter, Serializer};

/// What was wrong with lines that could not be read. An empty list was written for each.
#[derive(Debug)]
pub(crate) struct BadLines {
    count: u64,
    first: (u64, String),
}

impl fmt::Display for BadLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, first: (number, reason) } = self;
        match count {
            1 => write!(f, "line {number} cannot be read: {reason}"),
            _ => write!(f, "{count} lines cannot be read, the first of them is line {number}: {reason}"),
        }
    }
}

impl std::error::Error for BadLines {}

/// Writes a line for each line that is not empty, with what `read` makes of its body.
pub(crate) fn explain(
    mut input: impl BufRead,
    out: &mut impl Write,
    read: impl Fn(&[u8]) -> Problems,
) -> io::Result<Option<BadLines>> {
    let mut line = Vec::new();
    let mut bad: Option<BadLines> = None;
    for number in 1.. {
        line.clear();
        if input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let is_cut = line.len() as u64 == MAX_LINE && !line.ends_with(b"\n");
        let parsed = if is_cut {
            skip_line(&mut input)?;
            Err(format!("it is longer than {MAX_LINE} bytes"))
        } else {
            serde_json::from_slice::<Line>(&line).map_err(|error| error.to_string())
        };
        match parsed {
            Ok(Line { body: Body(body) }) => write_problems(out, &read(&body))?,
            Err(reason) => {
                out.write_all(b"{\"problems\": [], \"source\": \"none\", \"complete\": false}\n")?;
                bad.get_or_insert(BadLines { count: 0, first: (number, reason) }).count += 1;
            }
        }
    }
    Ok(bad)
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let available = input.fill_buf()?;
        let end = available.iter().position(|&byte| byte == b'\n');
        let len = end.map_or(available.len(), |end| end + 1);
        input.consume(len);
        if end.is_some() || len == 0 {
            return Ok(());
        }
    }
}

fn write_problems(out: &mut impl Write, problems: &Problems) -> io::Result<()> {
    out.write_all(b"{\"problems\": [")?;
    for (at, problem) in problems.iter().enumerate() {
        out.write_all(if at == 0 { b"" } else { b", " })?;
        write_problem(out, problem)?;
    }
    let source = match problems.source() {
        Source::Tree => "tree",
        Source::Repr => "repr",
        Source::Flat => "flat",
        _ => "none",
    };
    writeln!(out, "], \"source\": \"{source}\", \"complete\": {}}}", problems.is_complete())
}

fn write_problem(out: &mut impl Write, problem: Problem<'_>) -> io::Result<()> {
    out.write_all(b"{\"location\": ")?;
    write_json(out, &problem.location())?;
    out.write_all(b", \"path\": [")?;
    for (at, segment) in problem.path().segments().enumerate() {
        out.write_all(if at == 0 { b"" } else { b", " })?;
        match segment {
            Segment::Index(index) => write!(out, "{index}")?,
            Segment::Key(key) => write_json(out, key)?,
            _ => out.write_all(b"null")?,
        }
    }
    out.write_all(b"], \"code\": ")?;
    write_json(out, &problem.code())?;
    out.write_all(b", \"message\": ")?;
    write_json(out, problem.message())?;
    out.write_all(b"}")
}

fn write_json(out: &mut impl Write, value: &(impl Serialize + ?Sized)) -> io::Result<()> {
    Ok(value.serialize(&mut Serializer::with_formatter(out, OneLine))?)
}

/// JSON that is one line to everybody: there are readers to whom these characters end a line as well.
struct OneLine;

impl Formatter for OneLine {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        for piece in fragment.split_inclusive(['\u{85}', '\u{2028}', '\u{2029}']) {
            match piece.chars().next_back() {
                Some(last @ ('\u{85}' | '\u{2028}' | '\u{2029}')) => {
                    let before = piece.strip_suffix(last).unwrap_or_default();
                    write!(out, "{before}\\u{:04x}", u32::from(last))?;
                }
                _ => out.write_all(piece.as_bytes())?,
            }
        }
        Ok(())
    }
}

/// A line, as far as it matters here: problems are read from the body, whatever the status.
#[derive(Deserialize)]
struct Line {
    body: Body,
}

/// A text that may hold lone surrogates, which `serde_json` gives away as bytes only.
struct Body(Vec<u8>);

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(BodyVisitor)
    }
}

struct BodyVisitor;

impl de::Visitor<'_> for BodyVisitor {
    type Value = Body;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Body, E> {
        let mut body = Vec::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            body.extend_from_slice(chunk.valid().as_bytes());
            // A surrogate that is written down all the same is ED and two continuation bytes.
            if chunk.invalid().first() == Some(&0xED) {
                body.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
        Ok(Body(body))
    }
}

/// Far more than any answer, and still little enough to hold.
const MAX_LINE: u64 = 256 << 20;

#[cfg(test)]
mod tests {
    use abyssale_core::validation;

    use super::*;

    fn explained(input: &str) -> (String, Option<String>) {
        let mut out = Vec::new();
        let bad = explain(input.as_bytes(), &mut out, |body| validation::read(body).problems).unwrap();
        (String::from_utf8(out).unwrap(), bad.map(|bad| bad.to_string()))
    }

    #[test]
    fn a_line_is_written_for_each_line() {
        let input = r#"{"status": 400, "body": "{\"errors\": {\"media\": {\"ids\": {\"0\": [\"a\", \"b\"]}}}}", "more": [1]}

{"body": "<html>"}
"#;
        let (out, bad) = explained(input);
        assert_eq!(
            out,
            r#"{"problems": [{"location": "media", "path": ["ids", 0], "code": null, "message": "a"}, {"location": "media", "path": ["ids", 0], "code": null, "message": "b"}], "source": "tree", "complete": true}
{"problems": [], "source": "none", "complete": true}
"#
        );
        assert_eq!(bad, None);
    }

    #[test]
    fn a_line_that_is_none_is_said_and_does_not_stop_the_rest() {
        let (out, bad) = explained("nonsense\n{\"body\": 1}\n{\"body\": \"\"}");
        assert_eq!(out.lines().count(), 3);
        let bad = bad.unwrap();
        assert!(bad.starts_with("2 lines cannot be read, the first of them is line 1: "), "{bad}");
    }

    #[test]
    fn no_character_ends_a_line_early() {
        let (out, _) = explained(r#"{"body": "{\"errors\": {\"a\": \"x\u2028\u0085\"}}"}"#);
        assert!(out.contains(r#""message": "x\u2028\u0085""#), "{out}");
    }

    #[test]
    fn half_a_surrogate_pair_does_not_lose_a_line() {
        let (out, bad) = explained(r#"{"body": "{\"errors\": {\"a\": \"\ud800 x \udc00\"}}"}"#);
        assert!(out.contains("\"message\": \"\u{fffd} x \u{fffd}\""), "{out}");
        assert_eq!(bad, None);
    }
}
