//! Python's own reader, asked about generated reprs.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use abyssale_core::validation::{self, Problems, ReadLimits, Source};
use abyssale_fuzz_bodies::python::Value;
use proptest::prelude::*;
use serde::Deserialize;

use crate::{
    generated::{changed, changes, run, seeds, value},
    leaf::{Leaf, agree},
};

/// `oracle.py`, running.
pub(crate) struct Oracle(Mutex<Pipes>);

struct Pipes {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// What Python says about a repr: `ast.literal_eval`, and a reader of more than literals.
#[derive(Debug, Deserialize)]
pub(crate) struct Opinion {
    ok: bool,
    canonical: bool,
    leaves: Option<Vec<Leaf>>,
    error: Option<String>,
    ext_ok: bool,
    ext_leaves: Option<Vec<Leaf>>,
    ext_error: Option<String>,
}

impl Oracle {
    pub(crate) fn start() -> Result<Self, String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle");
        let mut child = Command::new("python3")
            .arg(folder.join("oracle.py"))
            .env("PYTHONHASHSEED", "0")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("python3 cannot be run: {error}"))?;
        let questions = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().ok_or("python3 has no output")?);
        let oracle = Self(Mutex::new(Pipes { child, questions, answers }));
        let answer =
            oracle.try_ask("{'a': ['b']}").map_err(|error| format!("oracle.py does not answer: {error}"))?;
        if answer.canonical { Ok(oracle) } else { Err(format!("oracle.py answers nonsense: {answer:?}")) }
    }

    fn ask(&self, repr: &str) -> Opinion {
        self.try_ask(repr).unwrap_or_else(|error| panic!("the oracle fell silent at {repr:?}: {error}"))
    }

    fn try_ask(&self, repr: &str) -> Result<Opinion, Box<dyn std::error::Error>> {
        let mut pipes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let question = serde_json::json!({ "repr": repr });
        writeln!(pipes.questions.as_mut().ok_or("closed")?, "{question}")?;
        let mut line = String::new();
        pipes.answers.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        // At the end of its input it ends by itself.
        self.questions.take();
        let _ = self.child.wait();
    }
}

fn read(repr: &str) -> Problems {
    let body = serde_json::json!({ "message": format!("body_validation_errors: {repr}") });
    validation::read_only(Source::Repr, body.to_string().as_bytes(), &ReadLimits::default())
}

/// Values, printed by our writer: Python prints them alike, and reads what our reader reads.
pub(crate) fn canonical(oracle: &Oracle) {
    run(2_000, &seeds(), |seed| {
        let value = value(&seed)?;
        // A key, or a member of a set, is compared as it is printed.
        prop_assume!(!is_told_by_the_spelling_of_a_set(&value));
        let repr = value.repr();
        let (found, opinion) = (read(&repr), oracle.ask(&repr));
        prop_assert!(found.is_complete(), "{}", repr);
        let expected = opinion.leaves.as_ref().or(opinion.ext_leaves.as_ref());
        let Some(expected) = expected else {
            return Err(TestCaseError::fail(format!("{repr}: {opinion:?}")));
        };
        prop_assert!(agree(&Leaf::all(&found), expected), "{}\n{:?}\n{:?}", repr, found, opinion);
        prop_assert!(opinion.canonical || !opinion.ok || has_an_order_of_its_own(&value), "{}", repr);
        Ok(())
    });
}

/// Values with a few characters changed: where Python still reads them, it reads what our reader
/// reads, and where our reader reads them to the end, so does Python.
pub(crate) fn mutated(oracle: &Oracle) {
    run(6_000, &(seeds(), changes(&PIECES)), |(seed, changes)| {
        let repr = changed(&value(&seed)?.repr(), &changes);
        prop_assume!(!repr.trim().is_empty());
        let (problems, opinion) = (read(&repr), oracle.ask(&repr));
        let found = Leaf::all(&problems);
        if opinion.canonical {
            prop_assert!(problems.is_complete(), "{}\n{:?}", repr, problems);
            prop_assert!(
                agree(&found, opinion.leaves.as_deref().unwrap_or_default()),
                "{}\n{:?}\n{:?}",
                repr,
                found,
                opinion
            );
        } else if let Some(expected) = opinion.leaves.as_ref().or(opinion.ext_leaves.as_ref())
            && problems.is_complete()
        {
            // What Python reads but would not print, our reader may refuse. If it does not, then it
            // misses nothing; what is said twice Python says once.
            let missed = expected.iter().find(|expected| !found.iter().any(|found| alike(found, expected)));
            prop_assert!(missed.is_none(), "{}\n{:?}\n{:?}\n{:?}", repr, missed, found, opinion);
        } else if !opinion.ok && !opinion.ext_ok && problems.is_complete() {
            // Python refuses what cannot be a key, which is no matter of how it is spelled; and only
            // our reader takes objects that are no literals.
            let reasons = format!("{:?} {:?}", opinion.error, opinion.ext_error);
            prop_assert!(
                reasons.contains("unhashable") || has_object(&repr),
                "{}\n{:?}\n{}",
                repr,
                found,
                reasons
            );
        }
        Ok(())
    });
}

pub(crate) fn deep(oracle: &Oracle) {
    for (open, close) in [
        ("{'a': ", "}"),
        ("[", "]"),
        ("(", ",)"),
        ("defaultdict(<class 'dict'>, {0: ", "})"),
        ("OrderedDict([('a', ", ")])"),
    ] {
        for depth in [1, 50, 150, 1_000, 5_000] {
            let repr = format!("{{'media': {}'x'{}}}", open.repeat(depth), close.repeat(depth));
            let (found, opinion) = (read(&repr), oracle.ask(&repr));
            assert!(found.is_complete() && found.len() == 1);
            assert!(agree(&Leaf::all(&found), &opinion.ext_leaves.unwrap_or_default()), "{open} {depth}");
        }
    }
}

/// Whether a set is in it, whose members Python puts in an order of its own.
fn has_an_order_of_its_own(value: &Value) -> bool {
    match value {
        Value::Set(items) | Value::Frozenset(items) if items.len() > 1 => true,
        Value::List(items) | Value::Tuple(items) | Value::Set(items) | Value::Frozenset(items) => {
            items.iter().any(has_an_order_of_its_own)
        }
        Value::Dict(pairs) | Value::DefaultDict(pairs) | Value::OrderedDict(pairs, _) => {
            pairs.iter().any(|(key, value)| has_an_order_of_its_own(key) || has_an_order_of_its_own(value))
        }
        _ => false,
    }
}

/// Whether a set stands where its spelling matters: in a key, or in another set, which is sorted by it.
fn is_told_by_the_spelling_of_a_set(value: &Value) -> bool {
    match value {
        Value::List(items) | Value::Tuple(items) => items.iter().any(is_told_by_the_spelling_of_a_set),
        Value::Set(items) | Value::Frozenset(items) => items.iter().any(has_an_order_of_its_own),
        Value::Dict(pairs) | Value::DefaultDict(pairs) | Value::OrderedDict(pairs, _) => pairs
            .iter()
            .any(|(key, value)| has_an_order_of_its_own(key) || is_told_by_the_spelling_of_a_set(value)),
        _ => false,
    }
}

/// Equal but for spellings that Python accepts and does not print.
fn alike(found: &Leaf, expected: &Leaf) -> bool {
    let plain = |text: &str| text.replace(['"', '\'', ' ', '\\'], "");
    let number = |text: &str| text.parse::<f64>().ok().map(|number| (number + 0.0).to_bits());
    // Bytes and complex numbers are shown as they are spelled.
    let spelled =
        |text: &str| text.starts_with("b'") || text.starts_with("b\"") || text.ends_with(['j', ')']);
    found.0.len() == expected.0.len()
        && (plain(&found.1) == plain(&expected.1)
            || number(&found.1).is_some_and(|found| Some(found) == number(&expected.1))
            || (spelled(&found.1) && spelled(&expected.1)))
}

/// Whether it may hold what Python prints and neither of its readers takes: an object that is no
/// literal, `name(…)`, `<…>`, `l'…'`, or `infj`.
fn has_object(repr: &str) -> bool {
    let marks = ["<", "l'", "l\"", "NotImplemented", "infj", "nanj"];
    let is_known = |name: &str| ["", "set", "frozenset", "defaultdict", "OrderedDict"].contains(&name);
    let mut calls = repr.match_indices('(').filter_map(|(at, _)| repr.get(..at));
    marks.iter().any(|mark| repr.contains(mark))
        || calls.any(|before| {
            let name = before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || "_.".contains(c)).len();
            !is_known(before.get(name..).unwrap_or_default())
        })
}

pub(crate) const PIECES: [&str; 34] = [
    "", "", "", "{", "}", "[", "]", "(", ")", "'", "\"", ",", ":", "\\", " ", "-", "0", "1", "e", ".", "j",
    "b'", "{}", "[]", "()", "set()", "None", "nan", "'a'", "'a': ", ", 'b'", "\\x41", "\\ud800", "é",
];
