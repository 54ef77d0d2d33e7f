//! Archives that are unusual or hostile, each put together for what is odd about it.
//!
//! The honest ones unpack in full, and to the same content as with Python's `zipfile` and `unzip`, where these are here and
//! read them. The hostile ones are harmless: they change nothing outside of the folder, and what is in it is what was reported.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a helper of tests fails as a test does, though clippy cannot tell that it is one"
)]

mod honest;
mod hostile;
mod others;
mod zip;

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use abyssale_host::{
    Progress,
    unpack::{Options, UnpackError, Unpacked, unpack},
};
use abyssale_tests::outside;
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![
        Trial::test("there_are_enough_of_both", || {
            assert!(honest::all().len() >= 56 && hostile::all().len() >= 59);
            Ok(())
        }),
        Trial::test("each_hostile_one_comes_to_what_is_listed", || {
            outcomes();
            Ok(())
        }),
        Trial::test("damage_anywhere_is_harmless", || {
            damaged();
            Ok(())
        }),
    ];
    trials.extend(honest::all().into_iter().map(|honest| {
        Trial::test(format!("unpacks_in_full: {}", honest.what), move || {
            unpacks_in_full(&honest);
            Ok(())
        })
    }));
    trials.extend(hostile::all().into_iter().map(|(what, archive)| {
        Trial::test(format!("is_harmless: {what}"), move || {
            is_harmless(&archive);
            Ok(())
        })
    }));
    for (name, other) in
        [("python_reads_the_same_content", others::PYTHON), ("unzip_reads_the_same_content", others::UNZIP)]
    {
        let other = outside::look_for("archives", || other.find());
        trials.push(outside::trial(&other, name, others::Other::compare));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn unpacks_in_full(honest: &honest::Honest) {
    let room = Room::new(&honest.archive);
    let unpacked = room.unpack(Options::default()).unwrap();
    let reasons: Vec<_> = unpacked.skipped.iter().map(|skipped| skipped.reason.to_string()).collect();
    assert_eq!(reasons, honest.skipped);
    let written: Vec<_> = unpacked.entries.iter().map(|entry| entry.written.as_str()).collect();
    let expected: Vec<_> = honest.files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(written, expected);
    for (entry, (_, content)) in unpacked.entries.iter().zip(&honest.files) {
        assert!(fs::read(&entry.path).unwrap() == *content, "{}", entry.written);
    }
    room.check(Ok(unpacked));
}

fn is_harmless(archive: &[u8]) {
    let room = Room::new(archive);
    room.check(room.unpack(bounded()));
    let room = Room::new(archive);
    let mut options = bounded();
    options.all_or_nothing = true;
    let result = room.unpack(options);
    assert!(result.as_ref().map_or(true, |unpacked| !unpacked.is_partial()));
    room.check(result);
}

fn bounded() -> Options {
    let mut options = Options::default();
    (options.entries, options.total, options.entry) = (10_000, MOST, 32 << 20);
    options
}

/// Compares what comes of each hostile archive with `outcomes.txt`: names that were written, or what is told.
fn outcomes() {
    let mut outcomes = String::new();
    for (what, archive) in hostile::all() {
        let room = Room::new(&archive);
        let outcome = match room.unpack(bounded()) {
            Ok(unpacked) => {
                let written = unpacked.entries.iter().map(|entry| entry.written.clone());
                let odd = written.filter(|name| name != "first" && name != "last");
                let told = unpacked.skipped.iter().map(ToString::to_string);
                let [odd, told] = [odd.collect::<Vec<_>>(), told.collect()];
                let count = odd.len() + told.len();
                let lines: Vec<_> = odd.into_iter().take(2).chain(told.into_iter().take(2)).collect();
                if count > lines.len() { format!("{} ({count})", lines.join(", ")) } else { lines.join(", ") }
            }
            Err(error) => error.to_string(),
        };
        let short: String = outcome.chars().take(120).collect();
        writeln!(outcomes, "{what}: {short}").unwrap();
    }
    assert!(outcomes == include_str!("outcomes.txt"), "{outcomes}");
}

/// Each archive with each of some of its bytes changed or missing.
fn damaged() {
    let methods = [(12, honest::BZIP2), (14, honest::LZMA), (93, honest::ZSTD)];
    let mut items: Vec<_> = methods
        .iter()
        .map(|(method, packed)| {
            zip::packed(method.to_string(), *method, honest::CONTENT, &honest::hex(packed))
        })
        .collect();
    items.push(zip::deflated("8", honest::CONTENT));
    items.push(zip::deflated("9", honest::CONTENT).with(|item| item.method = 9));
    let whole = zip::archive(items).with(|all| all.wide = true).bytes();
    for at in 0..whole.len() {
        let harmless = |archive: &[u8]| {
            let room = Room::new(archive);
            room.check(room.unpack(bounded()));
        };
        harmless(&whole[..at]);
        for bits in [0x01, 0x80, 0xff] {
            let mut altered = whole.clone();
            altered[at] ^= bits;
            harmless(&altered);
        }
    }
}

/// The most bytes that a hostile archive may be unpacked to.
const MOST: u64 = 64 << 20;

/// A folder with an archive in it and a file that nothing may change.
struct Room(tempfile::TempDir);

impl Room {
    fn new(archive: &[u8]) -> Self {
        let room = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::write(room.path().join("a.zip"), archive).unwrap();
        fs::write(room.path().join("evil"), "as it was").unwrap();
        fs::create_dir(room.path().join("inside")).unwrap();
        Self(room)
    }

    fn unpack(&self, options: Options) -> Result<Unpacked, UnpackError> {
        let mut ignore = |_: Progress<'_>| {};
        unpack(&self.0.path().join("a.zip"), &self.out(), options, 0, &mut ignore)
    }

    fn out(&self) -> PathBuf {
        self.0.path().join("inside/out")
    }

    /// Checks that what is here is what was reported, and nothing else.
    fn check(&self, result: Result<Unpacked, UnpackError>) {
        assert_eq!(fs::read_to_string(self.0.path().join("evil")).unwrap(), "as it was");
        assert_eq!(fs::read_dir(self.0.path()).unwrap().count(), 3);
        assert!(!Path::new("/tmp/evil").exists());
        let inside = fs::read_dir(self.0.path().join("inside")).unwrap().count();
        let Ok(unpacked) = result else {
            assert_eq!(inside, 0, "{result:?}");
            return;
        };
        assert_eq!(inside, 1);
        let mut found = Vec::new();
        files(&self.out(), &mut found).unwrap();
        let mut told: Vec<_> = unpacked.entries.iter().map(|entry| entry.path.clone()).collect();
        found.sort();
        told.sort();
        assert_eq!(found, told);
        for entry in &unpacked.entries {
            assert_eq!(fs::metadata(&entry.path).unwrap().len(), entry.bytes);
            assert_eq!(self.out().join(&entry.written), entry.path);
            let shown = format!("{:?}", entry.written);
            assert!(entry.written.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{shown}");
        }
        assert!(unpacked.entries.iter().map(|entry| entry.bytes).sum::<u64>() <= MOST);
    }
}

/// All files in a folder. There must be nothing but files and folders, no link among them.
fn files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            assert!(kind.is_file() || kind.is_dir(), "{}", entry.path().display());
            if kind.is_dir() { &mut folders } else { &mut *found }.push(entry.path());
        }
    }
    Ok(())
}
