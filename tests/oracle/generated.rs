//! Values that nobody sent: printed in both spellings, changed here and there, and read again.

use std::env;

use abyssale_fuzz_bodies::{python::Value, validation_json, validation_repr, validation_round_trip};
use arbitrary::Unstructured;
use proptest::{
    prelude::*,
    test_runner::{RngSeed, TestRunner},
};

/// Enough bytes for a tree of some size.
pub(crate) fn seeds() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 16..400)
}

pub(crate) fn value(seed: &[u8]) -> Result<Value, TestCaseError> {
    Value::generate(&mut Unstructured::new(seed)).map_err(|error| TestCaseError::reject(error.to_string()))
}

pub(crate) fn run<S: Strategy>(
    cases: u32,
    strategy: &S,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    // The same values each time, so that a run says something of the change it was made for; others
    // with `PROPTEST_RNG_SEED`, more of them with `PROPTEST_CASES`.
    if env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    config.max_global_rejects = config.cases;
    if let RngSeed::Random = config.rng_seed {
        config.rng_seed = RngSeed::Fixed(0x5EED);
    }
    TestRunner::new(config).run(strategy, test).unwrap_or_else(|error| panic!("{error}"));
}

/// A text with up to three characters of it replaced by a piece.
pub(crate) fn changed(text: &str, changes: &[Change]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for (place, piece, removed) in changes {
        let place = place.index(text.len() + 1);
        let removed = place..(place + removed).min(text.len());
        text.splice(removed, piece.chars());
    }
    text.into_iter().collect()
}

/// Where, what, and instead of how many characters.
pub(crate) type Change = (prop::sample::Index, &'static str, usize);

pub(crate) fn changes(pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<Change>> {
    let change = (any::<prop::sample::Index>(), prop::sample::select(pieces), 0_usize..3);
    prop::collection::vec(change, 1..3)
}

/// The target of the fuzzer asserts that both spellings are read as the value they were written from.
pub(crate) fn round_trip() {
    run(4_000, &seeds(), |seed| {
        validation_round_trip(&seed);
        Ok(())
    });
}

/// The target asserts that what `serde_json` reads is read alike.
pub(crate) fn json() {
    run(4_000, &(seeds(), changes(&JSON_PIECES), any::<bool>()), |(seed, changes, ascii)| {
        if let Some(json) = value(&seed)?.json(ascii) {
            validation_json(json.as_bytes());
            validation_json(changed(&json, &changes).as_bytes());
        }
        Ok(())
    });
}

/// The target asserts that a repr is read alike however JSON escapes it.
pub(crate) fn repr() {
    run(4_000, &(seeds(), changes(&super::python::PIECES)), |(seed, changes)| {
        validation_repr(changed(&value(&seed)?.repr(), &changes).as_bytes());
        Ok(())
    });
}

const JSON_PIECES: [&str; 26] = [
    "", "", "{", "}", "[", "]", "\"", ",", ":", "\\", "\\u", "\\ud800", "\\udc00", "\\n", " ", "-", "0", "1",
    "e5", ".", "null", "true", "NaN", "{}", "[]", "\u{7f}",
];
