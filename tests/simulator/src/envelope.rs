//! The current dialect: an id for machines, prose for people, a flat list of what is wrong with the body, a version.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::validate::{Flaw, Place, Problem};

/// The version every current answer names.
pub(crate) const VERSION: &str = "v2026-10-01";

/// The body that refuses these problems: `id` is the code that all of them share, and `message` names a single one.
pub(crate) fn invalid(problems: &[Problem]) -> Value {
    let errors: Vec<_> = problems.iter().map(error).collect();
    let text =
        |error: &Value, field: &str| error.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let codes: BTreeSet<_> = errors.iter().map(|error| text(error, "code")).collect();
    let id = match codes.first() {
        Some(code) if codes.len() == 1 => code,
        _ => "invalid_payload",
    };
    let message = match errors.as_slice() {
        [error] => format!("{}: {}", text(error, "path"), text(error, "message")),
        _ => "The body is not valid.".to_owned(),
    };
    body(id, message.trim_start_matches(": "), problems)
}

/// An error body. `errors` is absent rather than empty.
pub(crate) fn body(id: &str, message: &str, problems: &[Problem]) -> Value {
    let mut body = json!({ "id": id, "message": message, "version": VERSION });
    if let (false, Some(fields)) = (problems.is_empty(), body.as_object_mut()) {
        fields.insert("errors".to_owned(), problems.iter().map(error).collect());
    }
    body
}

fn error(problem: &Problem) -> Value {
    let path = match &problem.place {
        Place::Body => String::new(),
        Place::Field(name) => name.clone(),
        Place::Id(index) => format!("ids[{index}]"),
    };
    let (code, message, expected) = match problem.flaw {
        Flaw::Missing => ("missing_required", "This field is required.", Value::Null),
        Flaw::NotAnObject => ("wrong_type", "The body must be a JSON object.", json!("object")),
        Flaw::NotAList => ("wrong_type", "Expected an array of banner ids.", json!("array")),
        Flaw::NotAString | Flaw::Null => ("wrong_type", "Expected a string.", json!("string")),
        Flaw::WrongLength => ("invalid_format", "Expected a banner id.", json!("uuid")),
        Flaw::NotAUrl => ("invalid_format", "Expected an absolute URL.", json!("url")),
        Flaw::UnknownField => ("unknown_field", "This field is not known.", Value::Null),
    };
    let mut error = json!({ "path": path, "code": code, "message": message });
    if let Some(fields) = error.as_object_mut() {
        if !expected.is_null() {
            fields.insert("expected".to_owned(), expected);
        }
        if let Some(received) = &problem.received {
            fields.insert("received".to_owned(), received.clone());
        }
    }
    error
}
