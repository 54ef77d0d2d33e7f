//! The corpora of the fuzz targets, replayed: what a fuzzer found once is looked at by every `cargo test`.

use std::{fs, path::Path};

use abyssale_fuzz_bodies::TARGETS;

#[test]
fn everything_that_was_found_holds() {
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut count = 0;
        for file in files {
            target(&fs::read(file.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count >= 20, "the corpus of {name} holds only {count} inputs");
    }
}

#[test]
fn every_target_has_its_entry_point() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    entries.sort();
    assert_eq!(entries, TARGETS.map(|(name, _)| name));
}
