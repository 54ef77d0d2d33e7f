//! Problems as a table for people.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use abyssale_core::validation::{Problem, Problems, Source};

/// Writes a row for each problem, and what there is to say about all of them.
pub(crate) fn write(out: &mut impl Write, problems: &Problems) -> io::Result<()> {
    let columns: Vec<_> = COLUMNS
        .iter()
        .map(|(title, cell)| {
            // Wide enough for most, and no wider for one that is hostile.
            let widths = problems.iter().map(|problem| cell(problem).chars().count());
            let width = widths.max().unwrap_or(0);
            (title, cell, if width == 0 { 0 } else { width.max(title.len()) })
        })
        .filter(|(.., width)| *width > 0)
        .collect();
    if !problems.is_empty() {
        let titles = columns.iter().map(|(title, _, width)| format!("{title:width$}"));
        writeln!(out, "\n{}", titles.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    for problem in problems.iter() {
        let cells = columns.iter().map(|(_, cell, width)| format!("{:width$}", cell(problem)));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    let count = match problems.len() {
        0 => "no problem is named".to_owned(),
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    let source = match problems.source() {
        Source::Tree => ", from the tree in errors",
        Source::Repr => ", from the Python repr in message",
        Source::Flat => ", from the list in errors",
        _ => "",
    };
    let cut = if problems.is_complete() { "" } else { "; the body breaks off, so there may be more" };
    writeln!(out, "\n{count}{source}{cut}")
}

type Column = (&'static str, fn(Problem<'_>) -> String);

const COLUMNS: [Column; 6] = [
    ("in", |problem| shown(problem.location().unwrap_or_default())),
    ("where", |problem| shown(&problem.path().to_string())),
    ("received", |problem| shown(problem.received().unwrap_or_default())),
    ("expected", |problem| shown(problem.expected().unwrap_or_default())),
    ("code", |problem| shown(problem.code().unwrap_or_default())),
    ("what", |problem| printable(problem.message())),
];

/// A cell before the last: no longer than leaves room for the others.
fn shown(text: &str) -> String {
    let mut cell = printable(&text.chars().take(MAX_CELL).collect::<String>());
    if text.chars().nth(MAX_CELL).is_some() {
        cell.pop();
        cell.push('…');
    }
    cell
}

/// A text of a peer, with nothing in it that moves a terminal's cursor or reorders what is read.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {
                out.push('\u{fffd}');
            }
            c if c.is_control() => {
                let _ = write!(out, "{}", c.escape_default());
            }
            c => out.push(c),
        }
    }
    out
}

const MAX_CELL: usize = 60;

#[cfg(test)]
mod tests {
    use abyssale_core::validation;

    use super::*;

    fn table(body: &str) -> String {
        let mut out = Vec::new();
        write(&mut out, &validation::read(body.as_bytes()).problems).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_column_that_is_empty_is_left_out() {
        assert_eq!(
            table(
                r#"{"errors": {"media": {"ids": {"0": ["Length must be 36."]}, "callback_url": ["Not a valid URL."]}}}"#
            ),
            "\nin     where         what\n\
             media  ids[0]        Length must be 36.\n\
             media  callback_url  Not a valid URL.\n\
             \n2 problems, from the tree in errors\n"
        );
        assert_eq!(
            table(
                r#"{"errors": [{"path": "formats[0].width", "code": "out_of_range", "message": "Too wide.", "received": 9"#
            ),
            "\nno problem is named; the body breaks off, so there may be more\n"
        );
    }

    #[test]
    fn nothing_of_a_peer_moves_the_cursor() {
        let table = table(r#"{"errors": {"media": {"a\u001b[31m": ["b\nc\u202e"]}}}"#);
        assert!(table.contains("a\\u{1b}[31m  b\\nc\u{fffd}\n"), "{table:?}");
    }
}
