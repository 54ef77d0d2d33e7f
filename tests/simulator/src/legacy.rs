//! The legacy dialect: a tree of messages, once as Python prints it and once as JSON, in one body. Both are written by
//! hand, because what a client reads here depends on Python's spelling: its quotes, its spaces, its integer keys, its
//! order of insertion.

use std::fmt::Write as _;

use serde_json::Value;

use crate::validate::{Flaw, Place, Problem};

/// The 400 for these problems.
pub(crate) fn body(problems: &[Problem]) -> String {
    let tree = Tree::of(problems);
    let message = format!("body_validation_errors: {}", tree.python());
    format!(r#"{{"message": {}, "errors": {}}}"#, json_string(&message), tree.json())
}

/// The 404 for ids that are well formed and name nothing.
pub(crate) fn not_found(ids: &[String]) -> String {
    let list = ids.iter().map(|id| python_string(id)).collect::<Vec<_>>().join(", ");
    format!(r#"{{"message": {}}}"#, json_string(&format!("banner_not_found: [{list}]")))
}

/// A mapping in order of insertion, or a list of one message.
enum Tree {
    Branch(Vec<(Key, Tree)>),
    Leaf(&'static str),
}

enum Key {
    Name(String),
    Index(usize),
}

impl Tree {
    fn of(problems: &[Problem]) -> Self {
        let mut fields = Vec::new();
        let items = problems.iter().filter_map(|problem| match problem.place {
            Place::Id(index) => Some((Key::Index(index), Self::Leaf(message(problem.flaw)))),
            _ => None,
        });
        let items: Vec<_> = items.collect();
        if !items.is_empty() {
            fields.push((Key::Name("ids".to_owned()), Self::Branch(items)));
        }
        for problem in problems {
            let name = match &problem.place {
                Place::Id(_) => continue,
                Place::Field(name) => name.as_str(),
                Place::Body => "_schema",
            };
            fields.push((Key::Name(name.to_owned()), Self::Leaf(message(problem.flaw))));
        }
        // `media` is webargs' name for "the JSON body".
        Self::Branch(vec![(Key::Name("media".to_owned()), Self::Branch(fields))])
    }

    fn python(&self) -> String {
        self.write(python_string, |index| index.to_string())
    }

    fn json(&self) -> String {
        self.write(json_string, |index| format!("\"{index}\""))
    }

    fn write(&self, string: fn(&str) -> String, index: fn(usize) -> String) -> String {
        match self {
            Self::Leaf(message) => format!("[{}]", string(message)),
            Self::Branch(entries) => {
                let entries = entries.iter().map(|(key, tree)| {
                    let key = match key {
                        Key::Name(name) => string(name),
                        Key::Index(at) => index(*at),
                    };
                    format!("{key}: {}", tree.write(string, index))
                });
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// The words of marshmallow.
fn message(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::Missing => "Missing data for required field.",
        Flaw::Null => "Field may not be null.",
        Flaw::NotAnObject => "Invalid input type.",
        Flaw::NotAList => "Not a valid list.",
        Flaw::NotAString => "Not a valid string.",
        Flaw::WrongLength => "Length must be 36.",
        Flaw::NotAUrl => "Not a valid URL.",
        Flaw::UnknownField => "Unknown field.",
    }
}

fn json_string(text: &str) -> String {
    Value::from(text).to_string()
}

/// `repr(text)`. Beyond Latin-1 every character is taken for printable, which Python decides by its Unicode tables.
fn python_string(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            '\0'..' ' | '\x7f'..='\u{a0}' | '\u{ad}' => {
                // Writing to a `String` cannot fail.
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_body_is_written_byte_for_byte() {
        let problem = Problem { place: Place::Id(0), flaw: Flaw::WrongLength, received: None };
        let documented = r#"{"message": "body_validation_errors: {'media': {'ids': {0: ['Length must be 36.']}}}", "errors": {"media": {"ids": {"0": ["Length must be 36."]}}}}"#;
        assert_eq!(body(&[problem]), documented);
    }

    #[test]
    fn python_chooses_its_quotes_by_content() {
        for (text, repr) in [
            ("plain", "'plain'"),
            ("it's", r#""it's""#),
            (r#"it's "so""#, r#"'it\'s "so"'"#),
            ("\x1b\u{9c}\n\\", r"'\x1b\x9c\n\\'"),
        ] {
            assert_eq!(python_string(text), repr);
        }
    }
}
