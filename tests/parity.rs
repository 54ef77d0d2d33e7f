//! The two transports offer the same interface under the same names, but for what is listed here.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What one of them has and the other cannot.
const ONLY_BLOCKING: &[&str] = &["client::agent"];
const ONLY_ASYNC: &[&str] = &["client::http_client", "exporter::service", "receiver::service"];

#[test]
fn both_transports_have_the_same_public_functions() {
    let (blocking, asynchronous) =
        (public_functions("transport-blocking"), public_functions("transport-async"));
    assert!(blocking.len() > 40, "the sources were found: {blocking:?}");
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>();
    assert_eq!(only(&blocking, &asynchronous), ONLY_BLOCKING);
    assert_eq!(only(&asynchronous, &blocking), ONLY_ASYNC);
}

#[test]
fn both_transports_have_the_same_public_types() {
    let (blocking, asynchronous) = (public_names("transport-blocking"), public_names("transport-async"));
    assert!(blocking.contains("Exporter"));
    let mut expected = blocking;
    expected.insert("ReceiverService".into());
    assert_eq!(asynchronous, expected);
}

/// `file::function` of every public function of the four files that make up the interface.
fn public_functions(transport: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in ["client", "exporter", "job", "listener", "receiver"] {
        let source = fs::read_to_string(root().join(transport).join(format!("src/{file}.rs"))).unwrap();
        for line in source.lines().map(str::trim_start) {
            let function = line.strip_prefix("pub fn ").or_else(|| line.strip_prefix("pub async fn "));
            if let Some(name) = function.and_then(|rest| rest.split(['(', '<']).next()) {
                found.insert(format!("{file}::{name}"));
            }
        }
    }
    found
}

/// The names that the crate's root makes public.
fn public_names(transport: &str) -> BTreeSet<String> {
    let source = fs::read_to_string(root().join(transport).join("src/lib.rs")).unwrap();
    let block = source.split("// The public interface.").nth(1).unwrap();
    let words = block.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| word.starts_with(char::is_uppercase)).map(str::to_owned).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
