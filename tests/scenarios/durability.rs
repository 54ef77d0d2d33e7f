//! The process ends in the middle: what is in the store is gone on with by the next one.
//!
//! A crash is a panic in the observer here: everything is dropped as it is. `examples/tests/kill.rs` kills a process.

use std::{
    fs,
    net::TcpListener,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use abyssale_core::{Failure, JobId, Notice, Store, StoreError, UnknownCause, UnknownOutcome, Write};
use abyssale_host::{Error, FileStore, MemoryStore, Progress};
use abyssale_simulator::{Config, Outcome, Simulator};

use crate::{
    adapter::{Adapter, Resumed, Setup},
    world::{IDS, PATIENCE, World, config, setup},
};

/// Two processes, one after the other, at one address and with one store.
struct Lives {
    simulator: Simulator,
    socket: TcpListener,
    store: MemoryStore,
    folder: tempfile::TempDir,
    grace: Duration,
}

impl Lives {
    fn new(config: Config) -> Self {
        Self {
            simulator: Simulator::start(config).unwrap(),
            socket: TcpListener::bind("127.0.0.1:0").unwrap(),
            store: MemoryStore::new(),
            folder: tempfile::tempdir().unwrap(),
            grace: PATIENCE,
        }
    }

    fn setup(&self) -> Setup {
        Setup {
            callback: Some(format!("http://{}/abyssale", self.socket.local_addr().unwrap())),
            socket: Some(self.socket.try_clone().unwrap()),
            store: Some(Box::new(self.store.clone())),
            unknown_outcome: UnknownOutcome::AwaitEvent { grace: self.grace },
            ..setup(&self.simulator)
        }
    }

    /// An exporter that begins a job and ends, with everything, as soon as `moment` has come.
    fn crash<A: Adapter>(&self, moment: impl Fn(Progress<'_>) -> bool + Send + Sync) {
        let target = self.folder.path().join("banners.zip");
        crash(|observer| A::build(self.setup()).unwrap().save(&IDS, &target, observer).map(drop), moment);
        assert_eq!(self.store.len(), 1);
    }

    fn posts(&self) -> usize {
        self.simulator.requests().iter().filter(|request| request.path == "/async/banners/export").count()
    }
}

fn crash(
    job: impl FnOnce(&mut (dyn FnMut(Progress<'_>) + Send)) -> Result<(), Error>,
    moment: impl Fn(Progress<'_>) -> bool + Send + Sync,
) {
    let mut observer = |progress: Progress<'_>| {
        if moment(progress) {
            // Without the message of a panic.
            resume_unwind(Box::new("the moment"));
        }
    };
    let ended = catch_unwind(AssertUnwindSafe(|| job(&mut observer)));
    assert!(ended.is_err(), "the moment never came: {ended:?}");
}

pub(crate) fn a_job_goes_on_after_a_crash_at_any_moment<A: Adapter>() {
    let moments: [fn(Progress<'_>) -> bool; 4] = [
        |progress| matches!(progress, Progress::Notice(Notice::Accepted { .. })),
        |progress| matches!(progress, Progress::Notice(Notice::EventReceived(_))),
        |progress| matches!(progress, Progress::Downloading { .. }),
        |progress| matches!(progress, Progress::Saved { .. }),
    ];
    for moment in moments {
        let lives = Lives::new(config(&[]));
        lives.crash::<A>(moment);
        let next = A::build(lives.setup()).unwrap();
        let mut resumed = next.resume();
        let Some(Ok(Resumed::Saved(saved, path))) = resumed.pop() else { panic!() };
        assert!(resumed.is_empty() && next.resume().is_empty());
        assert_eq!(path, lives.folder.path().join("banners.zip"));
        assert_eq!(fs::metadata(&path).unwrap().len(), saved.bytes);
        assert_eq!(fs::read_dir(lives.folder.path()).unwrap().count(), 1);
        assert_eq!(lives.posts(), 1);
        drop(next);
        assert!(lives.store.is_empty());
    }
}

pub(crate) fn an_archive_that_cannot_be_stored_is_downloaded_later_without_another_request<A: Adapter>() {
    for next_process in [false, true] {
        let lives = Lives::new(config(&[]));
        let folder = lives.folder.path().join("missing");
        let target = folder.join("banners.zip");
        let mut exporter = A::build(lives.setup()).unwrap();
        let failed = exporter.save(&IDS, &target, |_: Progress<'_>| {}).map(drop);
        assert!(
            matches!(&failed, Err(Error::Kept(failure)) if matches!(**failure, Failure::Storage { .. })),
            "{failed:?}"
        );
        assert_eq!(lives.store.len(), 1);
        // It is still so.
        let failed = exporter.resume().pop().unwrap().map(drop);
        assert!(matches!(failed, Err(Error::Kept(_))), "{failed:?}");
        if next_process {
            drop(exporter);
            exporter = A::build(lives.setup()).unwrap();
        }
        fs::create_dir(&folder).unwrap();
        let resumed = exporter.resume().pop().unwrap();
        assert!(matches!(resumed, Ok(Resumed::Saved(_, path)) if path == target));
        assert_eq!(lives.posts(), 1);
        drop(exporter);
        assert!(lives.store.is_empty());
    }
}

pub(crate) fn a_request_that_may_have_been_sent_is_not_sent_again_after_a_crash<A: Adapter>() {
    let lives = Lives { grace: Duration::from_millis(200), ..Lives::new(config(&[])) };
    lives.crash::<A>(|progress| matches!(progress, Progress::Requesting));
    let next = A::build(lives.setup()).unwrap();
    let Some(Err(Error::Failure(failure))) = next.resume().pop() else { panic!() };
    assert_eq!(*failure, Failure::Unknown(UnknownCause::Interrupted));
    assert_eq!(lives.posts(), 0);
    drop(next);
    assert!(lives.store.is_empty());
}

pub(crate) fn an_event_that_was_acknowledged_outlives_the_process<A: Adapter>() {
    let lives = Lives::new(config(&[]));
    let received = |progress: Progress<'_>| matches!(progress, Progress::Notice(Notice::EventReceived(_)));
    crash(|observer| A::build(lives.setup()).unwrap().wait_observed(&IDS, observer).map(drop), received);
    let deliveries = lives.simulator.wait_for_deliveries(1, PATIENCE).unwrap();
    assert_eq!(deliveries[0].outcome, Outcome::Answered(200));
    let next = A::build(lives.setup()).unwrap();
    let Some(Ok(Resumed::Event(event))) = next.resume().pop() else { panic!() };
    assert_eq!(event.export_id.as_str(), lives.simulator.exports()[0].export_id);
    assert_eq!(lives.simulator.deliveries().len(), 1, "it did not come again");
}

pub(crate) fn an_event_that_comes_while_nobody_is_there_comes_again<A: Adapter>() {
    let lives = Lives::new(Config {
        delivery_timeout: Duration::from_millis(100),
        ladder: vec![Duration::from_millis(100); 100],
        time_scale: 1.0,
        ..config(&["event:late=200ms"])
    });
    lives.crash::<A>(|progress| matches!(progress, Progress::Notice(Notice::Accepted { .. })));
    let deliveries = lives.simulator.wait_for_deliveries(1, PATIENCE).unwrap();
    assert!(deliveries.iter().all(|delivery| !delivery.outcome.is_acknowledged()), "{deliveries:?}");
    let next = A::build(lives.setup()).unwrap();
    let resumed = next.resume().pop().unwrap();
    assert!(matches!(resumed, Ok(Resumed::Saved(..))));
    let is_taken = |seen: &abyssale_simulator::Seen| {
        seen.deliveries.iter().any(|delivery| delivery.outcome.is_acknowledged()).then_some(())
    };
    lives.simulator.wait_until(PATIENCE, is_taken).unwrap();
    assert_eq!(lives.posts(), 1);
}

/// A store that fails on demand.
#[derive(Clone, Default)]
struct Failing {
    store: MemoryStore,
    fails: Arc<AtomicBool>,
}

impl Store for Failing {
    fn load(&mut self) -> Result<Vec<(JobId, Vec<u8>)>, StoreError> {
        self.store.load()
    }

    fn write(&mut self, batch: &[(JobId, Write)]) -> Result<(), StoreError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(StoreError::refused("the disk is full"));
        }
        self.store.write(batch)
    }
}

pub(crate) fn a_delivery_is_not_acknowledged_while_saving_fails<A: Adapter>() {
    let store = Failing::default();
    let simulator = Simulator::start(Config {
        ladder: vec![Duration::from_millis(100); 100],
        time_scale: 1.0,
        ..config(&[])
    });
    let world = World::<A>::on(simulator.unwrap(), |setup| setup.store = Some(Box::new(store.clone())));
    let observer = |progress: Progress<'_>| {
        if matches!(progress, Progress::Notice(Notice::Accepted { .. })) {
            store.fails.store(true, Ordering::SeqCst);
        }
    };
    thread::scope(|scope| {
        let job = scope.spawn(|| world.adapter.save(&IDS, &world.target(), observer));
        let deliveries = world.simulator.wait_for_deliveries(2, PATIENCE).unwrap();
        let refused =
            |delivery: &abyssale_simulator::DeliveryRecord| delivery.outcome == Outcome::Answered(503);
        assert!(deliveries.iter().all(refused), "{deliveries:?}");
        assert!(!job.is_finished() && world.downloads().is_empty(), "it does not act on what is not saved");
        store.fails.store(false, Ordering::SeqCst);
        job.join().unwrap().unwrap();
    });
    let is_taken = |seen: &abyssale_simulator::Seen| {
        seen.deliveries.last().filter(|delivery| delivery.outcome == Outcome::Answered(200)).cloned()
    };
    world.simulator.wait_until(PATIENCE, is_taken).unwrap();
    assert_eq!(world.posts().len(), 1);
}

pub(crate) fn what_cannot_be_saved_is_not_asked_for<A: Adapter>() {
    let store = Failing::default();
    store.fails.store(true, Ordering::SeqCst);
    let world = World::<A>::with(&[], |setup| setup.store = Some(Box::new(store.clone())));
    let refused = world.save().map(drop);
    assert!(matches!(refused, Err(Error::Store(StoreError::Refused(_)))), "{refused:?}");
    assert!(world.posts().is_empty());
    store.fails.store(false, Ordering::SeqCst);
    world.assert_saved();
}

pub(crate) fn two_exporters_do_not_share_a_file<A: Adapter>() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs");
    let store = FileStore::open(&path).unwrap();
    let world = World::<A>::with(&[], |setup| setup.store = Some(Box::new(store)));
    assert_eq!(FileStore::open(&path).unwrap_err(), StoreError::InUse);
    world.assert_saved();
    drop(world);
    assert_eq!(FileStore::open(&path).unwrap().load().unwrap(), []);
}
