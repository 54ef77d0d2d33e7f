//! Spans and events are what the table in `abyssale_host` says, in both transports: everything in it is said, nothing
//! else is, and each is said within the job, the call or the delivery that it is about.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

#[allow(dead_code, reason = "the scenarios need more of it")]
#[path = "../scenarios/adapter.rs"]
mod adapter;
mod listening;
#[allow(dead_code, reason = "the scenarios need more of it")]
#[path = "../scenarios/world.rs"]
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::{Future, poll_fn},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use abyssale_core::{JobId, Notice, Store, StoreError, UnknownOutcome, Write};
use abyssale_host::{MemoryStore, Progress};
use abyssale_observability::{Record, Recorder};
use abyssale_simulator::Simulator;

use crate::{
    adapter::{Adapter, Async, Blocking},
    world::{IDS, PATIENCE, World, config, setup},
};

/// One row of the table.
#[derive(Debug)]
struct Row {
    level: String,
    target: String,
    fields: BTreeSet<String>,
}

/// The table of the documentation: what is said, and how.
fn table() -> BTreeMap<String, Row> {
    let rows =
        include_str!("../../core/host/src/lib.rs").lines().filter_map(|line| line.strip_prefix("//! | "));
    let rows = rows.skip(1).map(|row| {
        let [what, level, target, fields] = &row.split('|').map(str::trim).collect::<Vec<_>>()[..4] else {
            panic!("{row}")
        };
        let fields = fields.split(['`', ' ']).filter(|field| !field.is_empty()).map(str::to_owned).collect();
        let row = Row { level: (*level).to_owned(), target: target.replace('`', ""), fields };
        (what.replace('`', ""), row)
    });
    let table: BTreeMap<_, _> = rows.collect();
    assert!(table.len() > 25, "the table was found: {table:?}");
    table
}

/// What this program says of itself, without what its libraries do, and without what a name is known for already.
fn ours(records: Vec<Record>) -> Vec<Record> {
    records.into_iter().filter(|record| record.target.starts_with("abyssale")).collect()
}

/// Held by each test for as long as it lasts: there is one recorder.
fn alone() -> (MutexGuard<'static, ()>, &'static Recorder) {
    static ALONE: Mutex<()> = Mutex::new(());
    (ALONE.lock().unwrap_or_else(PoisonError::into_inner), Recorder::installed())
}

/// What was said while this was done, and all that it began has ended.
fn said(recorder: &Recorder, what: impl FnOnce()) -> Vec<Record> {
    let mark = recorder.mark();
    what();
    ours(recorder.since(mark))
}

fn named<'r>(records: &'r [Record], what: &str) -> Vec<&'r Record> {
    records.iter().filter(|record| record.what == what).collect()
}

#[test]
fn a_synchronous_program_says_what_is_documented() {
    everything_is_said::<Blocking>(&["call given up"]);
}

#[test]
fn an_asynchronous_program_says_what_is_documented() {
    everything_is_said::<Async>(&[]);
}

/// Does all that there is something to say about, and compares with the table. `but` is what this transport cannot come to.
fn everything_is_said<A: Adapter + GiveUp>(but: &[&str]) {
    let (_alone, recorder) = alone();
    let records = said(recorder, || {
        let short = |setup: &mut adapter::Setup| {
            setup.unknown_outcome = UnknownOutcome::AwaitEvent { grace: Duration::from_millis(100) };
        };
        World::<A>::new(&[]).assert_saved();
        World::<A>::new(&["create:status=429:retry-after=0:id=request_rate_limited"]).assert_saved();
        World::<A>::new(&["event:conflict-after"]).assert_conflict();
        World::<A>::with(&["create:lost-before"], short).failure();
        World::<A>::new(&["archive:status=410"]).failure();
        World::<A>::with(&["archive:error-page"], |setup| setup.max_retries = 0).failure();
        let world = World::<A>::new(&["event:forged-first"]);
        world.assert_saved();
        assert_eq!(post(&world, "/elsewhere"), 404);
        World::<A>::new(&["event:other-type-first"]).assert_saved();
        resumed::<A>();
        without_tls::<A>();
        not_saved::<A>();
        A::give_up();
        listening::crowded();
    });
    let table = table();
    let said: BTreeSet<_> = records.iter().map(|record| record.what.as_str()).collect();
    let expected: BTreeSet<_> = table.keys().map(String::as_str).filter(|what| !but.contains(what)).collect();
    assert_eq!(said, expected);
    for record in &records {
        let Row { level, target, fields } = &table[&record.what];
        assert_eq!((record.level.as_str(), &record.target), (level.as_str(), target), "{record:?}");
        let said: BTreeSet<_> = record.fields.iter().map(|(name, _)| name.clone()).collect();
        assert!(said.is_subset(fields), "{record:?}");
        assert_eq!(said.len(), record.fields.len(), "each of them once: {record:?}");
        let path = record.path();
        let expected: &[&[&str]] = match (target.as_str(), record.what.as_str()) {
            (_, "span job" | "span delivery")
            | ("abyssale::exporter" | "abyssale::listener" | "abyssale::store", _) => &[&[]],
            (_, "span call" | "span download") | ("abyssale::job", _) => &[&["job"]],
            ("abyssale::call", _) => &[&["job", "call"]],
            ("abyssale::download", _) => &[&["job", "download"]],
            // What is cut off before its head is whole has no span.
            _ => &[&["delivery"], &[]],
        };
        assert!(expected.contains(&&path[..]), "{record:?}");
    }
    for (what, row) in &table {
        let seen: BTreeSet<_> = named(&records, what)
            .iter()
            .flat_map(|record| &record.fields)
            .map(|(name, _)| name.clone())
            .collect();
        assert!(but.contains(&what.as_str()) || seen == row.fields, "{what}: {seen:?}");
    }
}

impl<A: Adapter> World<A> {
    /// Saves an archive while a second event contradicts the first.
    fn assert_conflict(&self) {
        let conflicts = Mutex::new(0);
        let observer = |progress: Progress<'_>| {
            if let Progress::Downloading { .. } = progress {
                // The download does not go on before the second event was delivered.
                self.simulator.wait_for_deliveries(2, PATIENCE).unwrap();
            }
            if let Progress::Notice(Notice::ConflictingEvent(_)) = progress {
                *conflicts.lock().unwrap() += 1;
            }
        };
        self.adapter.save(&IDS, &self.target(), observer).unwrap();
        assert_eq!(*conflicts.lock().unwrap(), 1);
    }
}

impl Async {
    /// Carries out jobs on one task.
    fn save_together(&self, targets: &[PathBuf]) {
        let jobs = targets.iter().map(|target| async move {
            self.exporter.export(IDS).unwrap().save_to(target).await.unwrap();
        });
        let mut jobs: Vec<_> = jobs.map(Box::pin).collect();
        self.runtime.block_on(poll_fn(|context| {
            jobs.retain_mut(|job| job.as_mut().poll(context).is_pending());
            if jobs.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        }));
    }

    /// Begins a job, and drops its future as soon as `moment` has come.
    fn drop_save(&self, path: &Path, moment: impl Future<Output = ()>) {
        self.runtime.block_on(async {
            tokio::select! {
                result = self.exporter.export(IDS).unwrap().save_to(path) => panic!("it is over: {result:?}"),
                () = moment => {}
            }
        });
    }

    /// Carries out a job, and calls back, outside of it, whenever it was polled.
    fn save_polled(&self, path: &Path, mut between: impl FnMut()) {
        let mut job = Box::pin(self.exporter.export(IDS).unwrap().save_to(path));
        let polled = poll_fn(|context| {
            let polled = job.as_mut().poll(context);
            between();
            polled
        });
        self.runtime.block_on(polled).unwrap();
    }
}

/// How what is under way is left alone, which each transport has its own way of.
trait GiveUp {
    fn give_up();
}

impl GiveUp for Blocking {
    /// A panic of the observer in the middle of a download.
    fn give_up() {
        panic_in_download::<Self>();
    }
}

impl GiveUp for Async {
    /// Futures that are dropped: of a call, and of a download.
    fn give_up() {
        panic_in_download::<Self>();
        let world = World::<Self>::new(&["create:slow=20s"]);
        world.adapter.drop_save(&world.target(), async {
            while world.posts().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let world = World::<Self>::new(&["archive:stall=100"]);
        let event = world.adapter.wait(&IDS).unwrap();
        world.adapter.drop_download(&event, &world.target(), async {
            while world.downloads().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }
}

fn panic_in_download<A: Adapter>() {
    let world = World::<A>::new(&[]);
    let observer = |progress: Progress<'_>| {
        if let Progress::Downloading { .. } = progress {
            // Without the message of a panic.
            resume_unwind(Box::new("the moment"));
        }
    };
    let ended =
        catch_unwind(AssertUnwindSafe(|| world.adapter.save(&IDS, &world.target(), observer).map(drop)));
    assert!(ended.is_err(), "{ended:?}");
}

/// A process that ends with a job in its store, and the next one.
/// An exporter of the live service whose callback URL is plain http. It sends nothing.
fn without_tls<A: Adapter>() {
    let mut setup = setup(&Simulator::start(config(&[])).unwrap());
    setup.base_url = "https://api.abyssale.com".into();
    setup.callback = Some("http://hooks.example.com/abyssale".into());
    drop(A::build(setup).unwrap());
}

fn resumed<A: Adapter>() {
    let (simulator, store) = (Simulator::start(config(&[])).unwrap(), MemoryStore::new());
    let folder = tempfile::tempdir().unwrap();
    let build = || {
        let mut setup = setup(&simulator);
        setup.store = Some(Box::new(store.clone()));
        A::build(setup).unwrap()
    };
    let observer = |progress: Progress<'_>| {
        if let Progress::Notice(Notice::EventReceived(_)) = progress {
            resume_unwind(Box::new("the moment"));
        }
    };
    let target = folder.path().join("banners.zip");
    let ended = catch_unwind(AssertUnwindSafe(|| build().save(&IDS, &target, observer).map(drop)));
    assert!(ended.is_err() && store.len() == 1, "{ended:?}");
    assert!(matches!(&build().resume()[..], [Ok(adapter::Resumed::Saved(..))]));
}

/// A store that fails once.
#[derive(Clone, Default)]
struct Failing(Arc<AtomicBool>);

impl Store for Failing {
    fn load(&mut self) -> Result<Vec<(JobId, Vec<u8>)>, StoreError> {
        Ok(Vec::new())
    }

    fn write(&mut self, _: &[(JobId, Write)]) -> Result<(), StoreError> {
        if self.0.swap(true, Ordering::SeqCst) {
            Ok(())
        } else {
            Err(StoreError::refused("the disk is full"))
        }
    }
}

fn not_saved<A: Adapter>() {
    let world = World::<A>::with(&[], |setup| setup.store = Some(Box::new(Failing::default())));
    assert!(matches!(world.save().map(drop), Err(abyssale_host::Error::Store(_))));
}

/// A request of a stranger to the callback address's host: the status that is answered.
fn post<A: Adapter>(world: &World<A>, target: &str) -> u16 {
    let callback = world.simulator.exports()[0].callback_url.clone().unwrap();
    let address: SocketAddr = callback.split('/').nth(2).unwrap().parse().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn spans_of_concurrent_jobs_are_kept_apart_in_a_synchronous_program() {
    several_at_once::<Blocking>(|world| {
        std::thread::scope(|scope| {
            for n in 0..JOBS {
                let target = world.folder.path().join(format!("{n}.zip"));
                scope.spawn(move || world.adapter.save(&IDS, &target, |_: Progress<'_>| {}).unwrap());
            }
        });
    });
}

#[test]
fn spans_of_concurrent_jobs_are_kept_apart_in_an_asynchronous_program() {
    several_at_once::<Async>(|world| {
        let targets: Vec<_> = (0..JOBS).map(|n| world.folder.path().join(format!("{n}.zip"))).collect();
        // On one task: whenever one waits, another is polled.
        world.adapter.save_together(&targets);
    });
}

const JOBS: usize = 8;

/// Each job has one call and one download, and hears of its own export alone.
fn several_at_once<A: Adapter>(carry_out: impl FnOnce(&World<A>)) {
    let (_alone, recorder) = alone();
    let world = World::<A>::new(&[]);
    let records = said(recorder, || carry_out(&world));
    let jobs = named(&records, "span job");
    assert_eq!(jobs.len(), JOBS);
    let exports: BTreeSet<_> = jobs.iter().map(|job| job.field("export_id").unwrap()).collect();
    assert_eq!(exports.len(), JOBS);
    let numbers: BTreeSet<_> = jobs.iter().map(|job| job.field("job").unwrap()).collect();
    assert_eq!(numbers.len(), JOBS);
    for job in jobs {
        let within = |what| {
            let all = named(&records, what).into_iter();
            all.filter(|record| record.spans.first().map(|(id, _)| *id) == job.id).collect::<Vec<_>>()
        };
        for what in
            ["span call", "answered", "accepted", "event received", "span download", "downloaded", "job done"]
        {
            assert_eq!(within(what).len(), 1, "{what} in {job:?}");
        }
        for what in ["accepted", "event received"] {
            assert_eq!(within(what)[0].field("export_id"), job.field("export_id"));
        }
    }
}

#[test]
fn a_task_is_left_in_the_span_that_it_was_in() {
    let (_alone, recorder) = alone();
    let world = World::<Async>::new(&[]);
    let mark = recorder.mark();
    let around = tracing::info_span!(target: "abyssale::test", "around");
    around.in_scope(|| {
        world.adapter.save_polled(&world.target(), || tracing::info!(target: "abyssale::test", "between"));
    });
    let records = ours(recorder.since(mark));
    let between = named(&records, "between");
    assert!(between.len() > 3, "{between:?}");
    assert!(between.iter().all(|record| record.path() == ["around"]), "{between:?}");
    assert!(named(&records, "job done").iter().all(|record| record.path() == ["around", "job"]));
}

#[test]
fn a_call_by_itself_names_its_endpoint_and_host() {
    fn calls<A: Adapter>() {
        let world = World::<A>::new(&[]);
        world.adapter.signing_secret().unwrap();
        world.adapter.rotate(false).unwrap();
        world.adapter.rotate(true).unwrap();
        world.adapter.revoke().unwrap();
        let order = abyssale_core::Order::new(IDS, "http://127.0.0.1:9/elsewhere").unwrap();
        world.adapter.create_export(&order).unwrap();
    }
    let (_alone, recorder) = alone();
    for calls in [calls::<Blocking> as fn(), calls::<Async>] {
        let records = said(recorder, calls);
        let named = named(&records, "span call");
        let endpoints: Vec<_> = named.iter().map(|call| call.field("endpoint").unwrap()).collect();
        let expected = [
            "signing_secret",
            "rotate_signing_secret",
            "rotate_signing_secret",
            "revoke_signing_secret",
            "create_export",
        ];
        assert_eq!(endpoints, expected);
        assert!(named.iter().all(|call| call.field("host") == Some("127.0.0.1")));
        let job = self::named(&records, "span job");
        assert_eq!(job[0].field("goal"), Some("acceptance"));
        assert_eq!(job[0].field("job"), None, "it is not stored");
    }
}

#[test]
fn a_download_by_itself_is_a_job_too() {
    fn download<A: Adapter>(recorder: &Recorder) {
        let world = World::<A>::new(&[]);
        let event = world.adapter.wait(&IDS).unwrap();
        let mut bytes = 0;
        let records = said(recorder, || bytes = world.adapter.download(&event, &world.target()).unwrap());
        assert_eq!(named(&records, "span job")[0].field("export_id"), Some(event.export_id.as_str()));
        assert_eq!(named(&records, "downloaded")[0].path(), ["job", "download"]);
        assert_eq!(named(&records, "job done")[0].field("bytes"), Some(bytes.to_string().as_str()));
    }
    let (_alone, recorder) = alone();
    download::<Blocking>(recorder);
    download::<Async>(recorder);
}
