//! What 1,279 real servers answered.

use std::{fs, path::Path};

use abyssale_core::{
    ApiError,
    validation::{self, ReadLimits, Source},
};
use serde::Deserialize;

use crate::leaf::{Leaf, agree};

#[derive(Deserialize)]
struct Answer {
    id: u32,
    status: u16,
    body: String,
    expect: Vec<Leaf>,
    kind: String,
    json: String,
    tree: Option<String>,
    message: Option<String>,
    flags: Vec<String>,
}

fn answers() -> Vec<Answer> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle/errors.jsonl");
    let answers: Vec<Answer> =
        fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 1279);
    answers
}

/// Runs a check over the answers it is about, and fails if those are fewer than there should be.
fn over(count: usize, of: impl Fn(&Answer) -> bool, check: impl Fn(&Answer)) {
    let answers: Vec<_> = answers().into_iter().filter(of).collect();
    answers.iter().for_each(check);
    assert!(answers.len() >= count, "only {} answers were checked", answers.len());
}

/// More than is fair to ask: every tree there is, be it one that `serde_json` would refuse.
pub(crate) fn trees() {
    let has_tree = |answer: &Answer| matches!(answer.tree.as_deref(), Some("same" | "reordered"));
    over(872, has_tree, |Answer { id, body, expect, json, tree, .. }| {
        let found = validation::read_only(Source::Tree, body.as_bytes(), &ReadLimits::default());
        assert!(found.is_complete(), "{id}");
        let (mut found, mut expect) =
            (Leaf::all(&found), expect.iter().map(Leaf::as_in_json).collect::<Vec<_>>());
        if tree.as_deref() == Some("reordered") {
            found.sort_by_key(|leaf| format!("{leaf:?}"));
            expect.sort_by_key(|leaf| format!("{leaf:?}"));
        }
        assert!(json == "surrogate" || agree(&found, &expect), "{id}: {found:?}\n{expect:?}");
    });
}

pub(crate) fn reprs() {
    let has_repr = |answer: &Answer| matches!(answer.message.as_deref(), Some("literal" | "ext"));
    over(1140, has_repr, |Answer { id, body, expect, .. }| {
        let found = validation::read_only(Source::Repr, body.as_bytes(), &ReadLimits::default());
        assert!(found.is_complete(), "{id}");
        let found = Leaf::all(&found);
        assert!(agree(&found, expect), "{id}: {found:?}\n{expect:?}");
    });
}

/// As a caller reads it, nothing forced: the problems are those that the server meant, as far as any
/// part of the body has them.
pub(crate) fn whole() {
    let readable = |answer: &Answer| {
        answer.tree.as_deref() == Some("same") || matches!(answer.message.as_deref(), Some("literal" | "ext"))
    };
    over(1180, readable, |Answer { id, body, expect, json, tree, .. }| {
        let reading = validation::read(body.as_bytes());
        assert!(reading.problems.is_complete(), "{id}");
        let from_tree = reading.problems.source() == Source::Tree;
        assert!(expect.is_empty() || reading.problems.source() != Source::None, "{id}");
        if json == "surrogate" || (from_tree && tree.as_deref() != Some("same")) {
            return;
        }
        let as_in_json = |leaves: &[Leaf]| leaves.iter().map(Leaf::as_in_json).collect::<Vec<_>>();
        let found = Leaf::all(&reading.problems);
        if from_tree {
            assert!(agree(&as_in_json(&found), &as_in_json(expect)), "{id}: {found:?}\n{expect:?}");
        } else {
            assert!(agree(&found, expect), "{id}: {found:?}\n{expect:?}");
        }
    });
}

pub(crate) fn shown() {
    over(
        1279,
        |_| true,
        |Answer { id, status, body, expect, kind, message, .. }| {
            let error = ApiError::parse(*status, &(), body.as_bytes());
            let line = error.to_string();
            assert!(!line.contains(char::is_control) && line.chars().count() < 1000, "{id}: {line:?}");
            assert_eq!(error.body().as_bytes(), body.as_bytes(), "{id}");
            assert!(kind == "validation" || error.problems().is_empty(), "{id}: {error:?}");
            let unreadable = message.as_deref() == Some("unreadable");
            assert!(expect.is_empty() || unreadable || !error.problems().is_empty(), "{id}");
        },
    );
}

/// A cut at fifty places of each answer: what is read of either part is how the whole of it begins.
pub(crate) fn cut() {
    let all = |source, body: &str| {
        Leaf::all(&validation::read_only(source, body.as_bytes(), &ReadLimits::default()))
    };
    over(
        1279,
        |_| true,
        |Answer { id, body, flags, .. }| {
            let (tree, repr) = (all(Source::Tree, body), all(Source::Repr, body));
            // A set is put in order when it ends.
            let has_set = flags.iter().any(|flag| flag.ends_with("set"));
            for len in (0..body.len()).step_by(body.len() / 50 + 1) {
                let Some(beginning) = body.get(..len) else { continue };
                let found = all(Source::Tree, beginning);
                assert!(tree.starts_with(&found), "{id} {len}: {found:?}\n{tree:?}");
                let found = all(Source::Repr, beginning);
                assert!(has_set || repr.starts_with(&found), "{id} {len}: {found:?}\n{repr:?}");
            }
        },
    );
}

pub(crate) fn respaced() {
    over(
        1208,
        |answer| answer.json == "ok",
        |Answer { id, body, .. }| {
            let problems = validation::read(body.as_bytes()).problems;
            for space in ["", " ", "\n\t"] {
                let respaced = spaced(body, space);
                assert_eq!(validation::read(respaced.as_bytes()).problems, problems, "{id} {respaced}");
            }
        },
    );
}

/// A JSON text with this space around every token.
fn spaced(json: &str, space: &str) -> String {
    let (mut out, mut in_string, mut escaped) = (String::new(), false, false);
    for c in json.chars() {
        match c {
            '"' if !escaped => in_string = !in_string,
            ' ' | '\n' if !in_string => continue,
            _ => {}
        }
        escaped = in_string && c == '\\' && !escaped;
        let is_token = !in_string && "{}[],:".contains(c);
        out.push_str(if is_token { space } else { "" });
        out.push(c);
        out.push_str(if is_token { space } else { "" });
    }
    out
}
