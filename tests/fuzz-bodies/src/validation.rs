//! Any bytes are an error body, and what one of its readers says the others say as well.

use abyssale_core::validation::{self, Problem, Problems, ReadLimits, Segment, Source};
use arbitrary::{Arbitrary as _, Unstructured};

use crate::{
    python::{Element, Value},
    strict::{self, Message},
};

/// The data as a body, and as a tree under `errors` that `serde_json` reads as well.
///
/// # Panics
/// If the two disagree.
pub fn validation_json(data: &[u8]) {
    consistent(&validation::read(data).problems, data.len());

    let body = [br#"{"errors": "#, data, b"}"].concat();
    consistent(&validation::read(&body).problems, body.len());
    // A number after the tree must not become part of it.
    let Ok(expected) = strict::leaves(data) else { return };
    if !matches!(data.trim_ascii_start().first(), Some(b'{' | b'[')) {
        return;
    }
    let found = validation::read_only(Source::Tree, &body, &ReadLimits::default());
    assert!(found.is_complete());
    assert_eq!(found.len(), expected.len());
    for (found, (path, message)) in found.iter().zip(&expected) {
        assert!(path_of(found).iter().map(Element::text).eq(path.iter().cloned()), "{found:?} {path:?}");
        match message {
            Message::Text(text) => assert!(found.message() == text || is_minus_zero(found.message(), text)),
            Message::Number(number) => {
                let found: f64 = found.message().parse().unwrap_or_else(|_| panic!("{found:?} is no number"));
                // serde_json rounds to within a unit in the last place unless asked for more.
                assert!((found - number).abs() <= found.abs() * 1e-15, "{found} {number}");
            }
        }
    }
}

/// The data as the message of a body, in both spellings that JSON has for text.
///
/// # Panics
/// If they say different things.
pub fn validation_repr(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let body = json_text(&[("message", &text)], false);
    let problems = validation::read(body.as_bytes()).problems;
    consistent(&problems, body.len());
    assert!(matches!(problems.source(), Source::Repr | Source::None));
    let escaped = validation::read(json_text(&[("message", &text)], true).as_bytes()).problems;
    assert_eq!(problems, escaped);

    let any = validation::read_only(Source::Repr, body.as_bytes(), &ReadLimits::default());
    consistent(&any, body.len());
    let bare = validation::read_only(Source::Repr, text.as_bytes(), &ReadLimits::default());
    consistent(&bare, body.len());
}

/// A tree of Python values, in both spellings, and cut off.
///
/// # Panics
/// If a spelling is not read as what it was written from.
pub fn validation_round_trip(data: &[u8]) {
    let mut data = Unstructured::new(data);
    let (Ok(cut), Ok(ascii)) = (u16::arbitrary(&mut data), bool::arbitrary(&mut data)) else { return };
    let Ok(value) = Value::generate(&mut data) else { return };
    let expected = value.leaves();
    let limits = ReadLimits::default();

    let message = format!("body_validation_errors: {}", value.repr());
    let body = json_text(&[("message", &message)], ascii);
    let repr = validation::read_only(Source::Repr, body.as_bytes(), &limits);
    assert!(repr.is_complete(), "{message}");
    assert!(leaves_of(&repr).eq(expected.iter().cloned()), "{message}\n{repr:?}\n{expected:?}");

    if let Some(json) = value.json(ascii) {
        let body = format!(r#"{{"errors": {json}}}"#);
        let tree = validation::read_only(Source::Tree, body.as_bytes(), &limits);
        assert!(tree.is_complete() || !json.starts_with(['{', '[']), "{json}");
        if json.starts_with(['{', '[']) {
            // JSON joins two halves of a surrogate pair that stand side by side in Python, so only
            // what holds none is compared.
            let as_text = expected
                .iter()
                .map(|(path, message)| (path.iter().map(Element::text).collect(), message.clone()));
            let found = tree.iter().map(|problem| {
                (path_of(problem).iter().map(Element::text).collect::<Vec<_>>(), problem.message().to_owned())
            });
            assert!(value.has_surrogates() || found.eq(as_text), "{json}\n{tree:?}\n{expected:?}");
        }
    }

    let cut = message.char_indices().map(|(at, _)| at).nth(usize::from(cut) % message.chars().count());
    let beginning = cut.and_then(|cut| message.get(..cut)).unwrap_or_default();
    let body = json_text(&[("message", beginning)], ascii);
    consistent(&validation::read_only(Source::Repr, body.as_bytes(), &limits), body.len());
}

/// What holds for any list of problems.
fn consistent(problems: &Problems, body: usize) {
    assert!(problems.len() <= body);
    assert_eq!(problems.iter().count(), problems.len());
    assert_eq!(problems.is_empty(), problems.source() == Source::None);
    for (index, problem) in problems.iter().enumerate().take(100) {
        assert_eq!(problems.get(index), Some(problem));
        let line = problem.to_string();
        assert!(line.chars().count() < 2000 && !line.chars().any(char::is_control), "{line:?}");
        assert_eq!(problem.path().len(), problem.path().segments().len());
        assert!(problem.expected().is_none_or(|value| value.len() <= validation::MAX_VALUE));
    }
    assert_eq!(problems, &problems.clone());
}

fn leaves_of(problems: &Problems) -> impl Iterator<Item = (Vec<Element>, String)> + '_ {
    problems.iter().map(|problem| (path_of(problem), problem.message().to_owned()))
}

fn path_of(problem: Problem<'_>) -> Vec<Element> {
    let segments = problem.path().segments().map(|segment| match segment {
        Segment::Key(key) => Element::Key(key.to_owned()),
        Segment::Index(index) => Element::Index(index),
        other => panic!("an unknown segment: {other:?}"),
    });
    segments.collect()
}

/// A JSON object of texts, with everything but ASCII escaped if `ascii`.
fn json_text(members: &[(&str, &str)], ascii: bool) -> String {
    let members = members.iter().map(|(key, text)| {
        let units: Vec<u32> = text.chars().map(u32::from).collect();
        format!("\"{key}\": {}", crate::python::json_string(&units, ascii))
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
}

/// The one integer that `serde_json` spells anew.
fn is_minus_zero(found: &str, expected: &str) -> bool {
    found == "-0" && (expected == "0" || expected == "-0.0")
}
