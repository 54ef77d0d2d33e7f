//! A full disk loses nothing: the job says at once that it cannot be saved or stored, keeps what was paid for, and is
//! gone on with when there is room, without a second export.
//!
//! The disk is a tmpfs of a few KiB or MiB. Where the process may not mount one, every trial is reported as ignored, with
//! the reason.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of tests fails as a test does, though clippy cannot tell that it is one"
)]

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use abyssale_core::{Notice, StoreError};
use abyssale_host::{Error, FileStore, Progress};
use abyssale_simulator::{Config, Contents, Simulator};
use abyssale_tests::outside::{look_for, trial};
use libtest_mimic::Arguments;
use tokio::{runtime, task::JoinSet};

/// Archives of 400 KB, of which four fit.
const ARCHIVES: usize = 8;
const BYTES: u64 = 400_000;
/// Far longer than anything here takes; only a failing test meets it.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let may_mount = look_for("full_disk", || Disk::mount("64k").map(drop));
    let mut trials = Vec::new();
    for (name, transport) in [("blocking", &BLOCKING), ("async", &ASYNC)] {
        let named = |what: &str| format!("{what}_{name}");
        trials.extend([
            trial(&may_mount, named("archives_that_find_no_room_come_without_a_second_export"), |()| {
                archives_that_find_no_room_come_without_a_second_export(transport);
            }),
            trial(&may_mount, named("a_job_that_cannot_be_saved_says_so_and_goes_on"), |()| {
                a_job_that_cannot_be_saved_says_so_and_goes_on(transport);
            }),
            trial(&may_mount, named("a_store_without_room_is_an_error_at_once"), |()| {
                a_store_without_room_is_an_error_at_once(transport);
            }),
        ]);
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn archives_that_find_no_room_come_without_a_second_export(transport: &Transport) {
    let disk = Disk::mount("2m").unwrap();
    let simulator = simulator(&[]);
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = |number: usize| disk.path().join(format!("{number}.zip"));
    let exporter = Setup { simulator: &simulator, socket: socket.try_clone().unwrap(), disk: &disk };
    let targets: Vec<_> = (0..ARCHIVES).map(target).collect();
    let results = (transport.save_all)(exporter, &targets);
    let kept = results.iter().filter(|result| matches!(result, Err(Error::Kept(_)))).count();
    let done = results.iter().filter(|result| result.is_ok()).count();
    assert!(kept >= 3 && done >= 1 && kept + done == ARCHIVES, "{results:?}");
    let told = results.iter().find_map(|result| result.as_ref().err()).unwrap().to_string();
    assert!(told.contains("No space left") && told.contains("stays in the store"), "{told}");

    // The next process, while there is no room yet, and the one after that, when there is.
    let exporter = Setup { simulator: &simulator, socket: socket.try_clone().unwrap(), disk: &disk };
    let still_kept = (transport.resume_all)(exporter).into_iter().filter(Result::is_err).count();
    assert!((1..=kept).contains(&still_kept), "{still_kept}");
    disk.enlarge("16m");
    let results = (transport.resume_all)(Setup { simulator: &simulator, socket, disk: &disk });
    assert_eq!(results.len(), still_kept);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    for target in &targets {
        assert_eq!(fs::metadata(target).unwrap().len(), BYTES);
    }
    assert_eq!(posts(&simulator), ARCHIVES, "each export was asked for once");
}

fn a_job_that_cannot_be_saved_says_so_and_goes_on(transport: &Transport) {
    let disk = Disk::mount("512k").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    // Accepted at once; the event comes when the disk is full.
    let simulator = simulator(&["event:late=2s"]);
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let (sender, told) = mpsc::channel();
    let sender = Mutex::new(sender);
    let observer: Observer = Arc::new(move |progress: Progress<'_>| {
        if let Progress::Notice(notice) = progress {
            // The test may have ended.
            let _ended = sender.lock().unwrap().send(notice.clone());
        }
    });
    let setup = Setup { simulator: &simulator, socket, disk: &disk };
    let target = elsewhere.path().join("a.zip");
    thread::scope(|scope| {
        let saving = scope.spawn(|| (transport.save_one)(setup, &target, observer));
        let next = |is: fn(&Notice) -> bool| loop {
            let notice = told.recv_timeout(PATIENCE).expect("a notice comes");
            if is(&notice) {
                break notice;
            }
        };
        next(|notice| matches!(notice, Notice::Accepted { .. }));
        disk.fill();
        for _ in 0..3 {
            let notice = next(|notice| matches!(notice, Notice::NotSaved(_))).to_string();
            assert!(notice.contains("cannot be saved") && notice.contains("full"), "{notice}");
            // Opening the store anew gives back the room of its log, which would be enough.
            disk.fill();
        }
        assert!(!saving.is_finished());
        disk.empty();
        saving.join().unwrap().unwrap();
    });
    assert_eq!(fs::metadata(target).unwrap().len(), BYTES);
    assert_eq!(posts(&simulator), 1);
}

fn a_store_without_room_is_an_error_at_once(transport: &Transport) {
    let elsewhere = tempfile::tempdir().unwrap();
    for size in ["4k", "16k", "40k", "64k"] {
        let disk = Disk::mount(size).unwrap();
        let simulator = simulator(&[]);
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let refused = match FileStore::open(disk.store()) {
            Err(error) => error,
            Ok(store) => {
                drop(store);
                disk.fill();
                let setup = Setup { simulator: &simulator, socket, disk: &disk };
                let saved = (transport.save_one)(setup, &elsewhere.path().join("a.zip"), Arc::new(|_| {}));
                let Err(Error::Store(error)) = saved else { panic!("{size}: {saved:?}") };
                error
            }
        };
        assert!(matches!(refused, StoreError::Refused(_)), "{size}: {refused:?}");
        assert_eq!(posts(&simulator), 0, "nothing was asked for");
    }
}

fn simulator(troubles: &[&str]) -> Simulator {
    Simulator::start(Config {
        requests_per_second: None,
        render_delay: Duration::from_millis(50),
        time_scale: 0.001,
        archive: Contents::Synthetic(BYTES),
        troubles: troubles.iter().map(|text| text.parse().unwrap()).collect(),
        ..Config::default()
    })
    .unwrap()
}

fn posts(simulator: &Simulator) -> usize {
    simulator.requests().iter().filter(|request| request.path == "/async/banners/export").count()
}

fn banner(number: usize) -> [String; 1] {
    [format!("64238d01-d402-474b-8c2d-{number:012x}")]
}

/// A disk of a limited size. Unmounted when it is dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount(size: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let option = format!("size={size},mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &option, "tmpfs"])
            .arg(folder.path())
            .output()
            .map_err(|error| format!("mount: {error}"))?;
        if mounted.status.success() {
            Ok(Self(folder))
        } else {
            Err(String::from_utf8_lossy(&mounted.stderr).trim().to_owned())
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn store(&self) -> PathBuf {
        self.path().join("jobs")
    }

    fn enlarge(&self, size: &str) {
        let option = format!("remount,size={size}");
        assert!(Command::new("mount").args(["-o", &option]).arg(self.path()).status().unwrap().success());
    }

    /// Leaves no room at all.
    fn fill(&self) {
        let mut piece = vec![0; 1 << 20];
        let filler = self.path().join("filler");
        let mut file = fs::OpenOptions::new().append(true).create(true).open(filler).unwrap();
        while !piece.is_empty() {
            if std::io::Write::write(&mut file, &piece).is_err() {
                piece.truncate(piece.len() / 2);
            }
        }
    }

    fn empty(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whatever is left of it goes with the folder.
        let _unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

type Observer = Arc<dyn Fn(Progress<'_>) + Send + Sync>;
type Saved = Result<(), Error>;

struct Setup<'a> {
    simulator: &'a Simulator,
    socket: TcpListener,
    disk: &'a Disk,
}

/// What both transports do.
struct Transport {
    save_all: fn(Setup<'_>, &[PathBuf]) -> Vec<Saved>,
    resume_all: fn(Setup<'_>) -> Vec<Saved>,
    save_one: fn(Setup<'_>, &Path, Observer) -> Saved,
}

/// Both builders have the same methods.
macro_rules! builder {
    ($builder:expr, $setup:expr) => {
        $builder
            .api_key(abyssale_core::ApiKey::new($setup.simulator.api_key()).unwrap())
            .base_url($setup.simulator.base_url())
            .callback(format!("http://{}/abyssale", $setup.socket.local_addr().unwrap()))
            .listen_on($setup.socket)
            .store(FileStore::open($setup.disk.store()).unwrap())
    };
}

const BLOCKING: Transport = Transport {
    save_all: |setup, targets| {
        let exporter = &builder!(abyssale_blocking::Exporter::builder(), setup).build().unwrap();
        thread::scope(|scope| {
            let save = |(number, target)| {
                scope.spawn(move || exporter.export(banner(number))?.save_to(target).map(drop))
            };
            let threads: Vec<_> = targets.iter().enumerate().map(save).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    },
    resume_all: |setup| {
        let exporter = builder!(abyssale_blocking::Exporter::builder(), setup).build().unwrap();
        exporter.resumed().into_iter().map(|job| job.unwrap().carry_out().map(drop)).collect()
    },
    save_one: |setup, target, observer| {
        let exporter = builder!(abyssale_blocking::Exporter::builder(), setup).build()?;
        let observer = move |progress: Progress<'_>| observer(progress);
        exporter.export(banner(0))?.observe(observer).save_to(target).map(drop)
    },
};

const ASYNC: Transport = Transport {
    save_all: |setup, targets| {
        let targets = targets.to_vec();
        within(async move {
            let exporter = builder!(abyssale_async::Exporter::builder(), setup).build().await.unwrap();
            let mut tasks = JoinSet::new();
            for (number, target) in targets.into_iter().enumerate() {
                let exporter = exporter.clone();
                tasks.spawn(async move { exporter.export(banner(number))?.save_to(target).await.map(drop) });
            }
            tasks.join_all().await
        })
    },
    resume_all: |setup| {
        within(async move {
            let exporter = builder!(abyssale_async::Exporter::builder(), setup).build().await.unwrap();
            let mut results = Vec::new();
            for job in exporter.resumed() {
                results.push(job.unwrap().carry_out().await.map(drop));
            }
            results
        })
    },
    save_one: |setup, target, observer| {
        within(async move {
            let exporter = builder!(abyssale_async::Exporter::builder(), setup).build().await?;
            let observer = move |progress: Progress<'_>| observer(progress);
            exporter.export(banner(0))?.observe(observer).save_to(target).await.map(drop)
        })
    },
};

fn within<T>(work: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.expect("it ends in time") })
}
