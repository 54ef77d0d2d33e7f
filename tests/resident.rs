//! How much memory an archive takes on its way, whatever its size: in processes of their own, by the figures of the
//! operating system. How fast it goes is told by the benchmark `archive`, which shares what is below.
//!
//! Where the system does not tell a process's memory every trial is reported as ignored, and why.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a helper of tests fails as a test does, though clippy cannot tell that it is one"
)]

#[path = "benches/child.rs"]
mod child;
#[path = "benches/memory.rs"]
mod memory;
#[path = "benches/server.rs"]
mod server;
#[allow(dead_code, reason = "the benchmark uses the rest")]
#[path = "benches/trees.rs"]
mod trees;

use std::{env, path::Path, process::ExitCode};

use abyssale_tests::outside::{look_for, trial};
use libtest_mimic::Arguments;

/// Beyond what there was before, in KiB.
const MOST: u64 = 16 << 10;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    match arguments.next().as_deref() {
        Some(server::NAME) => server::run(&arguments.next().unwrap()),
        Some(child::NAME) => child::run(&arguments.collect::<Vec<_>>()),
        _ => return test(),
    }
    ExitCode::SUCCESS
}

fn test() -> ExitCode {
    let arguments = Arguments::from_args();
    let figures = look_for("memory", || {
        (memory::resident() > 0)
            .then_some(())
            .ok_or("this system does not tell a process's memory".to_owned())
    });
    let trials = vec![
        trial(&figures, "a_download_takes_16_mib_at_most_blocking", |()| download("blocking")),
        trial(&figures, "a_download_takes_16_mib_at_most_async", |()| download("async")),
        trial(&figures, "unpacking_10000_entries_takes_16_mib_at_most", |()| unpack()),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Sixteen times as large an archive takes no more.
fn download(transport: &str) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for bytes in [16 << 20, 256 << 20] {
        let server = server::start(bytes);
        let url = format!("{}/archive.zip", server.address);
        let target = folder.path().join("archive.zip");
        let kib =
            child::grows_by(&["download".as_ref(), transport.as_ref(), url.as_ref(), target.as_os_str()]);
        println!("{transport}, {} MiB: {kib} KiB more", bytes >> 20);
        assert_eq!(target.metadata().unwrap().len(), bytes);
        assert!(kib <= MOST, "{transport}: {kib} KiB");
    }
}

fn unpack() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let archive = folder.path().join("archive.zip");
    trees::texts(&archive);
    let out = folder.path().join("out");
    let kib = child::grows_by(&["unpack".as_ref(), archive.as_os_str(), out.as_os_str()]);
    println!("10,000 entries: {kib} KiB more");
    assert_eq!(count(&out), 10_000);
    assert!(kib <= MOST, "{kib} KiB");
}

fn count(folder: &Path) -> usize {
    folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { count(&path) } else { 1 })
        .sum()
}
