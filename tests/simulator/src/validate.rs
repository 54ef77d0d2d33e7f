//! Reads the body of a request for an export and says everything that is wrong with it, in neither dialect: how a
//! problem is worded is the business of `legacy` and `envelope`.

use hyper::Uri;
use serde_json::{Map, Value};

/// A request for an export that can be understood.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Order {
    pub(crate) ids: Vec<String>,
    pub(crate) callback_url: Option<String>,
}

/// One thing that is wrong with a body.
#[derive(Debug, PartialEq)]
pub(crate) struct Problem {
    pub(crate) place: Place,
    pub(crate) flaw: Flaw,
    pub(crate) received: Option<Value>,
}

impl Problem {
    /// Whether all that is wrong is that an id is none.
    pub(crate) fn is_bad_id(&self) -> bool {
        matches!(self.place, Place::Id(_)) && self.flaw == Flaw::WrongLength
    }
}

/// Where in the body.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Place {
    Body,
    Field(String),
    Id(usize),
}

/// What is wrong there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flaw {
    Missing,
    Null,
    NotAnObject,
    NotAList,
    NotAString,
    WrongLength,
    NotAUrl,
    UnknownField,
}

/// The order of a request without a body: nothing is asked for, and the answer is 200.
pub(crate) const NOTHING: Order = Order { ids: Vec::new(), callback_url: None };

/// The order in `body`, or everything that is wrong with it.
pub(crate) fn order(body: &Value) -> Result<Order, Vec<Problem>> {
    let Some(fields) = body.as_object() else {
        return Err(vec![Problem {
            place: Place::Body,
            flaw: Flaw::NotAnObject,
            received: Some(body.clone()),
        }]);
    };
    let mut problems = Vec::new();
    let ids = ids(fields.get("ids"), &mut problems);
    let callback_url = callback(fields, &mut problems);
    for (name, value) in fields.iter().filter(|(name, _)| !FIELDS.contains(&name.as_str())) {
        problems.push(field(name, Flaw::UnknownField, Some(value)));
    }
    if problems.is_empty() { Ok(Order { ids, callback_url }) } else { Err(problems) }
}

fn ids(value: Option<&Value>, problems: &mut Vec<Problem>) -> Vec<String> {
    let flaw = match value {
        None => Flaw::Missing,
        Some(Value::Null) => Flaw::Null,
        Some(Value::Array(items)) => {
            return items.iter().enumerate().filter_map(|(index, item)| id(index, item, problems)).collect();
        }
        Some(_) => Flaw::NotAList,
    };
    problems.push(field("ids", flaw, value));
    Vec::new()
}

fn id(index: usize, item: &Value, problems: &mut Vec<Problem>) -> Option<String> {
    let flaw = match item {
        Value::Null => Flaw::Null,
        // Python counts code points.
        Value::String(text) if text.chars().count() == 36 => return Some(text.clone()),
        Value::String(_) => Flaw::WrongLength,
        _ => Flaw::NotAString,
    };
    problems.push(Problem { place: Place::Id(index), flaw, received: Some(item.clone()) });
    None
}

fn callback(fields: &Map<String, Value>, problems: &mut Vec<Problem>) -> Option<String> {
    let value = fields.get("callback_url")?;
    let flaw = match value {
        Value::Null => Flaw::Null,
        Value::String(url) if is_url(url) => return Some(url.clone()),
        _ => Flaw::NotAUrl,
    };
    problems.push(field("callback_url", flaw, Some(value)));
    None
}

fn is_url(text: &str) -> bool {
    text.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    })
}

fn field(name: &str, flaw: Flaw, received: Option<&Value>) -> Problem {
    Problem { place: Place::Field(name.to_owned()), flaw, received: received.cloned() }
}

const FIELDS: [&str; 2] = ["ids", "callback_url"];
