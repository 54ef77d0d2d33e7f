//! Random damage to a store, each in a process of its own: nothing panics, aborts or hangs, and every job is either as it
//! was last saved or reported.
//!
//! The damage is chosen by its number, so a failure can be repeated. `ABYSSALE_DAMAGES=10000` does that many.
#![cfg(feature = "store")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that panics has failed"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fs::{self, OpenOptions},
    io::{Seek as _, SeekFrom, Write as _},
    iter,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use abyssale_core::{JobId, Store as _, StoreError, Write};
use abyssale_host::FileStore;

/// Longer than any damage may take.
const LIMIT: Duration = Duration::from_secs(5);

#[test]
fn every_job_of_a_damaged_store_is_intact_or_reported() {
    let damages: u64 = env::var("ABYSSALE_DAMAGES").map_or(300, |n| n.parse().unwrap());
    let bases = Bases::new();
    let folder = bases.folder.path();
    let (mut outcomes, mut failures) = (BTreeMap::<String, u64>::new(), Vec::new());
    let next = AtomicU64::new(0);
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        // Most of the time is spent waiting for the disk.
        for sender in [(); 8].map(|()| sender.clone()) {
            scope.spawn(|| {
                let sender = sender;
                let mut numbers = iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
                while let Some(number) = numbers.next().filter(|number| *number < damages) {
                    sender.send((number, child(folder, number))).unwrap();
                }
            });
        }
        drop(sender);
    });
    for (number, result) in results {
        match result {
            Ok(outcome) => *outcomes.entry(outcome).or_default() += 1,
            Err(failure) => failures.push(format!("damage {number}: {failure}")),
        }
    }
    println!("{damages} damages: {outcomes:#?}");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(outcomes.keys().any(|outcome| outcome.starts_with("damaged")), "{outcomes:?}");
}

/// Does one damage in another process, and returns what that says of it.
fn child(bases: &Path, number: u64) -> Result<String, String> {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "one_damage", "--nocapture", "--test-threads=1"]);
    command.env("ABYSSALE_DAMAGE", format!("{number}")).env("ABYSSALE_DAMAGE_BASES", bases);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            return Err(format!("it hangs for {LIMIT:?}"));
        }
        thread::sleep(Duration::from_millis(1));
    }
    let ended = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&ended.stdout);
    let outcome = text.lines().find_map(|line| Some(line.split_once("outcome: ")?.1.to_owned()));
    match outcome {
        Some(outcome) if ended.status.success() => Ok(outcome),
        _ => Err(format!("{}: {}", ended.status, String::from_utf8_lossy(&ended.stderr))),
    }
}

#[test]
#[ignore = "is run by the other test, in a process for each damage"]
fn one_damage() {
    let Ok(number) = env::var("ABYSSALE_DAMAGE") else { return };
    let bases = env::var("ABYSSALE_DAMAGE_BASES").unwrap();
    println!("outcome: {}", damage_one(Path::new(&bases), number.parse().unwrap()));
}

fn damage_one(bases: &Path, number: u64) -> String {
    let mut random = Random(number);
    let mut expected = Expected::after_history();
    let folder = tempfile::tempdir().unwrap();
    let mut path = folder.path().join("jobs");
    copy(&bases.join(["closed", "killed"][random.below(2)]), folder.path());
    let moment = ["at open", "in use", "at close"][random.below(3)];
    if moment == "at open" {
        damage(&path, &mut random);
    } else {
        let mut store = FileStore::open(&path).unwrap();
        for _ in 0..random.below(4) {
            expected.write(&mut store, &mut random).unwrap();
        }
        damage(&path, &mut random);
        if moment == "in use" {
            for _ in 0..random.below(4) {
                let _may_fail = expected.write(&mut store, &mut random);
            }
            let _may_fail = store.load().map(|jobs| expected.check_all(&jobs));
        }
        if random.below(2) == 0 {
            // The process is killed: its files are left as they are.
            let killed = folder.path().join("killed");
            fs::create_dir(&killed).unwrap();
            copy(folder.path(), &killed);
            path = killed.join("jobs");
        }
    }
    match FileStore::open(&path).and_then(|mut store| store.load()) {
        Ok(jobs) => {
            expected.check_all(&jobs);
            "whole".into()
        }
        Err(error @ (StoreError::Damaged(_) | StoreError::Format(_))) => {
            let salvage = FileStore::salvage(&path).unwrap();
            let mut told: BTreeSet<_> = salvage.damaged.iter().copied().collect();
            for (job, write) in &salvage.intact {
                let Write::Save(record) = write else { panic!("{write:?}") };
                expected.check(*job, record);
                told.insert(*job);
            }
            told.extend(salvage.outdated.iter().map(|(job, _)| *job));
            if let StoreError::Damaged(damage) = &error {
                assert_eq!(
                    (damage.intact, damage.outdated, &damage.damaged, damage.missing),
                    (salvage.intact.len(), salvage.outdated.len(), &salvage.damaged, salvage.missing),
                );
            }
            let untold = expected.certain().filter(|job| !told.contains(job)).count() as u64;
            match salvage.missing {
                _ if untold == 0 => format!("damaged {moment}, every job intact or named"),
                Some(missing) => {
                    assert!(untold <= missing, "{untold} jobs are not told of: {error}");
                    format!("damaged {moment}, the others counted")
                }
                None => format!("damaged {moment}, the number of jobs lost"),
            }
        }
        Err(error @ StoreError::Unreadable(_)) => {
            assert!(FileStore::salvage(&path).is_err());
            format!("nothing left: {error}")
        }
        Err(error) => panic!("{error}"),
    }
}

/// Damages the file or its log in one place.
fn damage(path: &Path, random: &mut Random) {
    let log = path.with_file_name("jobs-wal");
    let has_log = fs::metadata(&log).is_ok_and(|log| log.len() > 0);
    let path = if has_log && random.below(2) == 0 { &log } else { path };
    let mut file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let len = usize::try_from(file.metadata().unwrap().len()).unwrap();
    let kind = random.below(4);
    if kind == 0 {
        return file.set_len(random.below(len) as u64).unwrap();
    }
    let mut bytes = fs::read(path).unwrap();
    let at = random.below(len);
    let changed = match kind {
        1 => {
            let page = at / 4096 * 4096..(at / 4096 * 4096 + 4096).min(len);
            bytes[page.clone()].fill(0);
            page
        }
        2 => {
            bytes[at] ^= 1 << random.below(8);
            at..at + 1
        }
        // The headers, where a single bit means most.
        _ => {
            let at = at % 128 + if random.below(2) == 0 { 0 } else { at / 4096 * 4096 };
            let at = at.min(len - 1);
            bytes[at] ^= 1 << random.below(8);
            at..at + 1
        }
    };
    file.seek(SeekFrom::Start(changed.start as u64)).unwrap();
    file.write_all(&bytes[changed]).unwrap();
}

/// What may be in the store: of each job one record, or, after a write that failed, the new or the old one.
struct Expected(BTreeMap<JobId, Vec<Option<Vec<u8>>>>);

impl Expected {
    fn after_history() -> Self {
        let mut expected = Self(BTreeMap::new());
        for batch in history() {
            expected.note(&batch, true);
        }
        expected
    }

    fn write(&mut self, store: &mut FileStore, random: &mut Random) -> Result<(), StoreError> {
        let batch = batch(random);
        let written = store.write(&batch);
        self.note(&batch, written.is_ok());
        written
    }

    fn note(&mut self, batch: &[(JobId, Write)], is_written: bool) {
        for (job, write) in batch {
            let record = match write {
                Write::Save(record) => Some(record.clone()),
                Write::Remove => None,
            };
            let records = self.0.entry(*job).or_insert_with(|| vec![None]);
            if is_written {
                records.clear();
            }
            records.push(record);
        }
    }

    /// The jobs that must be there.
    fn certain(&self) -> impl Iterator<Item = JobId> {
        self.0.iter().filter(|(_, records)| !records.contains(&None)).map(|(job, _)| *job)
    }

    fn check(&self, job: JobId, record: &[u8]) {
        let records = self.0.get(&job).unwrap_or_else(|| panic!("there never was a job {job}"));
        let is_right = records.iter().flatten().any(|right| right == record);
        assert!(is_right, "job {job} is not as it was last saved");
    }

    fn check_all(&self, jobs: &[(JobId, Vec<u8>)]) {
        for (job, record) in jobs {
            self.check(*job, record);
        }
        let found: BTreeSet<_> = jobs.iter().map(|(job, _)| *job).collect();
        assert_eq!(found.len(), jobs.len());
        let missing: Vec<_> = self.certain().filter(|job| !found.contains(job)).collect();
        assert!(missing.is_empty(), "{missing:?} are missing, and nothing says so");
    }
}

/// A store that was closed, and one whose process was killed.
struct Bases {
    folder: tempfile::TempDir,
}

impl Bases {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [closed, killed] = ["closed", "killed"].map(|name| folder.path().join(name));
        fs::create_dir(&closed).unwrap();
        fs::create_dir(&killed).unwrap();
        let mut store = FileStore::open(closed.join("jobs")).unwrap();
        let history = history();
        let (first, last) = history.split_at(history.len() / 2);
        for batch in first {
            store.write(batch).unwrap();
        }
        // Part of the history is in the file, and part of it only in the log.
        drop(store);
        store = FileStore::open(closed.join("jobs")).unwrap();
        for batch in last {
            store.write(batch).unwrap();
        }
        copy(&closed, &killed);
        Self { folder }
    }
}

fn copy(from: &Path, to: &Path) {
    for name in ["jobs", "jobs-wal", "jobs.lock"].map(PathBuf::from) {
        if from.join(&name).exists() {
            fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    }
}

fn history() -> Vec<Vec<(JobId, Write)>> {
    let mut random = Random(7);
    (0..60).map(|_| batch(&mut random)).collect()
}

/// Jobs 1 to 120, with records from a few bytes to more than a page.
fn batch(random: &mut Random) -> Vec<(JobId, Write)> {
    let jobs: BTreeSet<_> = (0..=random.below(8)).map(|_| random.below(120) as u64 + 1).collect();
    let write = |random: &mut Random| match random.below(5) {
        0 => Write::Remove,
        1 => Write::Save(record(random, 9000)),
        _ => Write::Save(record(random, 900)),
    };
    jobs.into_iter().map(|job| (JobId::from_u64(job), write(random))).collect()
}

fn record(random: &mut Random, most: usize) -> Vec<u8> {
    (0..random.below(most)).map(|_| random.below(256).try_into().unwrap()).collect()
}

/// The same numbers for the same seed, by `SplitMix64`.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % end.max(1) as u64).unwrap()
    }
}
