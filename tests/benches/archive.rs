//! How fast an archive comes to the disk, beside `curl -o`, and how fast it is unpacked, beside `unzip` and `bsdtar`.
//! Each is done several times in turn, in one run, and ratios of medians are printed; nothing is asserted. What was
//! printed last, and where, is in `README.md`.
//!
//! The downloads are done by child processes of their own, this program again, so that each one's peak of memory is its
//! own too; the server and the other programs are children likewise, so that all are treated alike.
#![allow(clippy::print_stdout, reason = "it is what a benchmark is for")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark that panics has failed")]

mod child;
mod memory;
mod server;
mod table;
mod trees;

use std::{
    cell::Cell,
    env, fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use table::Column;

fn main() {
    let mut arguments = env::args().skip(1).filter(|argument| argument != "--bench");
    match arguments.next().as_deref() {
        Some(server::NAME) => server::run(&arguments.next().unwrap()),
        Some(child::NAME) => child::run(&arguments.collect::<Vec<_>>()),
        _ => compare(),
    }
}

fn compare() {
    let rounds = env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    let places = match env::var("FOLDER") {
        Ok(folder) => vec![folder],
        // A disk, and where there is one, a file system in memory, which bounds nothing.
        Err(_) => vec![env!("CARGO_TARGET_TMPDIR").to_owned(), "/dev/shm".to_owned()],
    };
    for place in places.iter().filter(|place| Path::new(place).is_dir()) {
        let folder = tempfile::tempdir_in(place).unwrap();
        println!("\n## In {}", if place == "/dev/shm" { "memory" } else { "a folder on the disk" });
        downloads(folder.path(), rounds);
        for (name, make) in [("10,000 texts", trees::texts as fn(&Path)), ("pictures", trees::pictures)] {
            let archive = folder.path().join("archive.zip");
            make(&archive);
            unpacking(name, &archive, folder.path(), rounds);
            fs::remove_file(archive).unwrap();
        }
    }
}

/// The same bytes from the same server, into the same folder.
fn downloads(folder: &Path, rounds: usize) {
    let bytes = env::var("BYTES").ok().and_then(|text| text.parse().ok()).unwrap_or(1u64 << 30);
    let server = server::start(bytes);
    let target = folder.join("archive.zip");
    let url = format!("{}/archive.zip", server.address);
    let mut columns = vec![
        Column::new("curl -o", || {
            let status = Command::new("curl").args(["-s", "-f", "-o"]).arg(&target).arg(&url).status();
            assert!(status.unwrap().success());
            None
        }),
        Column::new("curl -o, then sync", || {
            let status = Command::new("curl").args(["-s", "-f", "-o"]).arg(&target).arg(&url).status();
            assert!(status.unwrap().success());
            fs::File::open(&target).unwrap().sync_all().unwrap();
            None
        }),
    ];
    for transport in ["blocking", "async"] {
        let (url, target) = (&url, &target);
        columns.push(Column::new(transport, move || {
            let kib =
                child::grows_by(&["download".as_ref(), transport.as_ref(), url.as_ref(), target.as_os_str()]);
            assert_eq!(fs::metadata(target).unwrap().len(), bytes);
            Some(kib)
        }));
    }
    // What the disk takes of whoever sends it bytes and waits for nothing else; not every file system can.
    let direct = move |target: &Path| {
        let mut dd = Command::new("dd");
        let output = format!("of={}", target.display());
        dd.args(["if=/dev/zero", &output, "bs=4M", "oflag=direct", "status=none"]);
        dd.arg(format!("count={}", bytes >> 22)).status().is_ok_and(|status| status.success())
    };
    if direct(&target) {
        let target = &target;
        columns.push(Column::new("dd, past the cache", move || {
            assert!(direct(target));
            None
        }));
    }
    // What one left in memory that is not on the disk yet is not the next one's to wait for.
    let between = || {
        let _absent = fs::remove_file(&target);
        let _ = Command::new("sync").status();
    };
    table::run(&format!("{} MiB from loopback", bytes >> 20), bytes, rounds, &mut columns, between);
}

fn unpacking(name: &str, archive: &Path, folder: &Path, rounds: usize) {
    // All are removed at the end: a file system that has just removed ten thousand files is slow to make others.
    let outs = tempfile::tempdir_in(folder).unwrap();
    let count = Cell::new(0);
    let out = || {
        count.set(count.get() + 1);
        outs.path().join(count.get().to_string())
    };
    let bytes = trees::unpacked_size(archive);
    let mut columns = vec![
        Column::new("unzip", || run(Command::new("unzip").arg("-q").arg(archive).arg("-d").arg(out()))),
        Column::new("bsdtar", || {
            let out = out();
            fs::create_dir(&out).unwrap();
            run(Command::new("bsdtar").arg("-xf").arg(archive).arg("-C").arg(&out))
        }),
        Column::new("unpack", || {
            Some(child::grows_by(&["unpack".as_ref(), archive.as_os_str(), out().as_os_str()]))
        }),
    ];
    let between = || {
        let _ = Command::new("sync").status();
    };
    table::run(&format!("unpacking {name}"), bytes, rounds, &mut columns, between);
}

fn run(command: &mut Command) -> Option<u64> {
    match command.stdout(Stdio::null()).status() {
        Ok(status) if status.success() => None,
        other => panic!("{command:?}: {other:?}"),
    }
}

/// How long something takes.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    (work(), begun.elapsed())
}
