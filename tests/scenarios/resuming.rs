//! Downloads that go on from what is there: after a cut, a stall, a killed process, a dropped future; and those that
//! must not.

use std::{
    env, fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use abyssale_core::{Failure, archive::NotAnArchive, download::MinRate, webhook::NewExport};
use abyssale_host::{Error, unpack::UnpackError};
use abyssale_simulator::{Contents, Simulator, Trouble};

use crate::{
    adapter::{Adapter, Async, Setup},
    store::{Store, answer},
    world::{IDS, PATIENCE, World, config, setup},
};

/// A world without retries, so that each attempt is a call, and the event of an archive of a few bytes in it.
fn room<A: Adapter>(change: impl FnOnce(&mut Setup)) -> (World<A>, NewExport) {
    let simulator = Simulator::start(abyssale_simulator::Config {
        archive: Contents::Given(tiny_archive().into()),
        ..config(&[])
    });
    let world = World::<A>::on(simulator.unwrap(), |setup| {
        setup.max_retries = 0;
        change(setup);
    });
    let event = world.adapter.wait(&IDS).unwrap();
    (world, event)
}

/// One stored entry of five bytes, by hand: a local header, a directory of one, an end record.
fn tiny_archive() -> Vec<u8> {
    let about = b"\x14\0\0\0\0\0\0\0\x21\0\x86\xa6\x10\x36\x05\0\0\0\x05\0\0\0\x01\0\0\0";
    let local = [&b"PK\x03\x04"[..], about, b"ahello"].concat();
    let entry = [&b"PK\x01\x02\x14\0"[..], about, &[0; 14], b"a"].concat();
    let end = [&b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..], &[47, 0, 0, 0, 36, 0, 0, 0, 0, 0]].concat();
    [local, entry, end].concat()
}

fn trouble<A>(world: &World<A>, text: &str) {
    world.simulator.add_trouble(text.parse::<Trouble>().unwrap());
}

fn failure(result: Result<u64, Error>) -> Failure {
    match result {
        Err(Error::Failure(failure)) => *failure,
        other => panic!("{other:?}"),
    }
}

/// The `Range` of every request for the archive.
fn ranges<A: Adapter>(world: &World<A>) -> Vec<Option<String>> {
    let downloads = world.downloads();
    let ranges = downloads.iter().map(|request| request.headers.get("range"));
    ranges.map(|range| range.map(|value| value.to_str().unwrap().to_owned())).collect()
}

fn part<A>(world: &World<A>) -> PathBuf {
    world.folder.path().join("banners.zip.part")
}

impl<A: Adapter> World<A> {
    fn download(&self, event: &NewExport) -> Result<u64, Error> {
        self.adapter.download(event, &self.target())
    }

    fn assert_whole(&self, bytes: u64) {
        assert_eq!(bytes, tiny_archive().len() as u64);
        assert_eq!(fs::read(self.target()).unwrap(), tiny_archive());
        assert_eq!(self.left_behind(), ["banners.zip"]);
        fs::remove_file(self.target()).unwrap();
    }
}

pub(crate) fn an_archive_that_is_cut_at_every_byte_is_resumed<A: Adapter>() {
    let (world, event) = room::<A>(|_| {});
    for cut in 0..tiny_archive().len() {
        trouble(&world, &format!("archive:cut={cut}"));
        let failure = failure(world.download(&event));
        assert!(matches!(failure, Failure::Download { .. }), "{cut}: {failure:?}");
        let there = fs::read(part(&world)).unwrap_or_default();
        assert_eq!(there, tiny_archive().get(..cut).unwrap());
        world.assert_whole(world.download(&event).unwrap());
        let resumed = (cut > 0).then(|| format!("bytes={cut}-"));
        assert_eq!(ranges(&world).last().unwrap(), &resumed);
    }
}

pub(crate) fn a_job_resumes_by_itself_and_says_from_where<A: Adapter>() {
    let world = World::<A>::new(&["archive:cut=100"]);
    world.assert_saved();
    assert_eq!(ranges(&world), [None, Some("bytes=100-".to_owned())]);
    assert!(world.told().iter().any(|line| line == "resumed from 100"), "{:?}", world.told());
}

pub(crate) fn a_download_that_is_cut_every_100_kb_comes_whole<A: Adapter>() {
    let simulator = Simulator::start(abyssale_simulator::Config {
        archive: Contents::Synthetic(600_000),
        ..config(&["archive:cut=100000"; 5])
    });
    let world = World::<A>::on(simulator.unwrap(), |setup| setup.max_retries = 1);
    assert_eq!(world.assert_saved().bytes, 600_000);
    let resumed = (1..=5).map(|piece| Some(format!("bytes={}-", piece * 100_000)));
    assert_eq!(ranges(&world), [None].into_iter().chain(resumed).collect::<Vec<_>>());
}

pub(crate) fn a_download_below_the_minimum_rate_is_aborted_and_resumed<A: Adapter>() {
    let simulator =
        Simulator::start(abyssale_simulator::Config { archive: Contents::Synthetic(600_000), ..config(&[]) });
    let world = World::<A>::on(simulator.unwrap(), |setup| {
        setup.max_retries = 0;
        let over = Duration::from_millis(500);
        setup.min_download_rate = Some(MinRate { bytes_per_second: 100_000, over });
    });
    let event = world.adapter.wait(&IDS).unwrap();
    trouble(&world, "archive:drip=1ms");
    let failure = failure(world.download(&event)).to_string();
    assert!(failure.contains("too slow: "), "{failure}");
    let there = fs::metadata(part(&world)).unwrap().len();
    assert!((1..100_000).contains(&there), "{there}");
    assert_eq!(world.download(&event).unwrap(), 600_000);
    assert_eq!(ranges(&world), [None, Some(format!("bytes={there}-"))]);
}

pub(crate) fn what_stalled_is_resumed<A: Adapter>() {
    let (world, event) = room::<A>(|setup| setup.stall_timeout = Duration::from_secs(1));
    trouble(&world, "archive:stall=30");
    let failure = failure(world.download(&event));
    assert!(matches!(failure, Failure::Download { .. }), "{failure:?}");
    world.assert_whole(world.download(&event).unwrap());
    assert_eq!(ranges(&world), [None, Some("bytes=30-".to_owned())]);
}

pub(crate) fn the_first_byte_has_a_time_out_of_its_own<A: Adapter>() {
    let (world, event) = room::<A>(|setup| setup.first_byte_timeout = Some(Duration::from_secs(1)));
    trouble(&world, "archive:slow=60s");
    let begun = Instant::now();
    let failure = failure(world.download(&event));
    assert!(matches!(failure, Failure::Download { .. }), "{failure:?}");
    assert!(begun.elapsed() < PATIENCE, "not when it stalls");

    // And a long one may be longer than that of a stall: every attempt is as slow.
    let (world, event) = room::<A>(|setup| {
        (setup.stall_timeout, setup.max_retries) = (Duration::from_secs(1), 3);
        setup.first_byte_timeout = Some(PATIENCE);
    });
    (0..4).for_each(|_| trouble(&world, "archive:slow=2s"));
    world.assert_whole(world.download(&event).unwrap());

    // Which does not make a stall any longer.
    let (world, event) = room::<A>(|setup| {
        setup.stall_timeout = Duration::from_secs(1);
        setup.first_byte_timeout = Some(PATIENCE);
    });
    trouble(&world, "archive:stall=30");
    let begun = Instant::now();
    assert!(matches!(self::failure(world.download(&event)), Failure::Download { .. }));
    assert!(begun.elapsed() < PATIENCE, "not only when the first byte would be late");
}

pub(crate) fn a_store_that_says_nothing_is_given_up<A: Adapter>() {
    let (world, event) = room::<A>(|setup| setup.stall_timeout = Duration::from_secs(1));
    for silent in ["archive:slow=60s", "archive:drip=60s"] {
        trouble(&world, silent);
        let begun = Instant::now();
        let failure = failure(world.download(&event));
        assert!(matches!(failure, Failure::Download { .. }), "{silent}: {failure:?}");
        assert!(begun.elapsed() < PATIENCE, "not after a minute");
        assert!(world.left_behind().is_empty());
    }
    world.assert_whole(world.download(&event).unwrap());
}

pub(crate) fn what_does_not_fit_any_more_is_fetched_anew<A: Adapter>() {
    for (second, requests) in [("new-etag", 2), ("ignore-range", 2), ("refuse-range", 3), ("weak-etag", 2)] {
        let (world, event) = room::<A>(|_| {});
        trouble(&world, "archive:cut=30");
        trouble(&world, &format!("archive:{second}"));
        assert!(world.download(&event).is_err());
        world.assert_whole(world.download(&event).unwrap());
        assert_eq!(ranges(&world).len(), requests, "{second}");
        assert_eq!(ranges(&world).get(1).unwrap().as_deref(), Some("bytes=30-"));
    }
}

pub(crate) fn a_length_that_is_wrong_is_found_out<A: Adapter>() {
    let (world, event) = room::<A>(|_| {});
    trouble(&world, "archive:wrong-length=+7");
    assert!(matches!(failure(world.download(&event)), Failure::Download { .. }));
    // What is there is as long as the archive now says it is, but belonged to a longer one.
    world.assert_whole(world.download(&event).unwrap());
    trouble(&world, "archive:wrong-length=-7");
    assert!(matches!(failure(world.download(&event)), Failure::NotAnArchive { .. }));
    assert!(world.left_behind().is_empty());
}

pub(crate) fn without_a_strong_validator_nothing_is_kept<A: Adapter>() {
    let (world, _) = room::<A>(|_| {});
    let archive = tiny_archive();
    let modified = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT";
    for fields in [
        &[][..],
        &["ETag: W/\"a\""],
        &["ETag: W/\"a\"", modified, "Date: Mon, 07 Nov 1994 08:49:37 GMT"],
        &[modified, "Date: Sun, 06 Nov 1994 08:49:38 GMT"],
    ] {
        let store = Store::new(vec![
            answer("200 OK", fields, archive.len(), archive.get(..30).unwrap()),
            answer("200 OK", fields, archive.len(), &archive),
        ]);
        assert!(matches!(failure(world.download(&store.event())), Failure::Download { .. }));
        assert!(world.left_behind().is_empty(), "{fields:?}");
        world.assert_whole(world.download(&store.event()).unwrap());
        assert!(store.requests().iter().all(|request| !request.contains("range:")), "{fields:?}");
    }
}

pub(crate) fn a_date_that_has_settled_is_as_good_as_a_tag<A: Adapter>() {
    let (world, _) = room::<A>(|_| {});
    let archive = tiny_archive();
    let fields = ["Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "Date: Mon, 07 Nov 1994 08:49:37 GMT"];
    let range = format!("Content-Range: bytes 30-{}/{}", archive.len() - 1, archive.len());
    let store = Store::new(vec![
        answer("200 OK", &fields, archive.len(), archive.get(..30).unwrap()),
        answer("206 Partial Content", &[&range], archive.len() - 30, archive.get(30..).unwrap()),
    ]);
    assert!(world.download(&store.event()).is_err());
    world.assert_whole(world.download(&store.event()).unwrap());
    let second = store.requests().pop().unwrap();
    assert!(second.contains("if-range: sun, 06 nov 1994 08:49:37 gmt\r\n"), "{second}");
}

pub(crate) fn a_rest_that_does_not_fit_is_not_appended<A: Adapter>() {
    let (world, _) = room::<A>(|_| {});
    let archive = tiny_archive();
    let tag = "ETag: \"a\"";
    let rest = |fields: &[&str]| answer("206 Partial Content", fields, 5, b"wrong");
    for second in [
        rest(&[tag, "Content-Range: bytes 29-33/104"]),
        rest(&[tag, "Content-Range: bytes 30-34/1000"]),
        rest(&["ETag: \"b\"", &format!("Content-Range: bytes 30-34/{}", archive.len())]),
        rest(&[tag]),
        answer("412 Precondition Failed", &[], 0, b""),
    ] {
        let store = Store::new(vec![
            answer("200 OK", &[tag], archive.len(), archive.get(..30).unwrap()),
            second,
            answer("200 OK", &[tag], archive.len(), &archive),
        ]);
        assert!(world.download(&store.event()).is_err());
        world.assert_whole(world.download(&store.event()).unwrap());
        let asked: Vec<_> = store.requests().iter().map(|request| request.contains("\r\nrange: ")).collect();
        assert_eq!(asked, [false, true, false]);
    }
}

pub(crate) fn more_than_was_announced_is_not_kept<A: Adapter>() {
    let (world, _) = room::<A>(|_| {});
    let archive = tiny_archive();
    let with_more = |bytes: &[u8]| {
        let size = format!("{:x}\r\n", bytes.len() + 5);
        [size.as_bytes(), bytes, b"extra\r\n0\r\n\r\n"].concat()
    };
    let range = format!("Content-Range: bytes 30-{}/{}", archive.len() - 1, archive.len());
    let store = Store::new(vec![
        answer("200 OK", &["ETag: \"a\""], archive.len(), archive.get(..30).unwrap()),
        chunked("206 Partial Content", &[&range], &with_more(archive.get(30..).unwrap())),
        answer("200 OK", &["ETag: \"a\""], archive.len(), &archive),
        chunked("200 OK", &["ETag: \"a\""], &with_more(&archive)),
    ]);
    assert!(world.download(&store.event()).is_err());
    let failure = failure(world.download(&store.event()));
    assert!(
        failure.to_string().contains("the server sent more than the 105 bytes that it announced"),
        "{failure}"
    );
    assert!(world.left_behind().is_empty(), "it is not to be believed in");
    world.assert_whole(world.download(&store.event()).unwrap());
    // Nothing was announced; what is there does not end like an archive.
    assert!(world.download(&store.event()).is_err());
}

fn chunked(status: &str, fields: &[&str], body: &[u8]) -> Vec<u8> {
    let fields = fields.iter().flat_map(|field| [*field, "\r\n"]).collect::<String>();
    [format!("HTTP/1.1 {status}\r\n{fields}Transfer-Encoding: chunked\r\n\r\n").as_bytes(), body].concat()
}

pub(crate) fn an_encoded_body_is_refused_by_name<A: Adapter>() {
    let (world, _) = room::<A>(|_| {});
    let store = Store::new(vec![answer("200 OK", &["Content-Encoding: gzip"], 3, b"\x1f\x8b\x08")]);
    let failure = failure(world.download(&store.event()));
    let source = NotAnArchive::Encoded { coding: "gzip".into() };
    assert!(
        matches!(&failure, Failure::NotAnArchive { source: found, .. } if *found == source),
        "{failure:?}"
    );
    assert!(world.left_behind().is_empty());
}

pub(crate) fn an_archive_that_is_gone_leaves_nothing_of_itself<A: Adapter>() {
    let (world, event) = room::<A>(|_| {});
    trouble(&world, "archive:cut=30");
    trouble(&world, "archive:status=503");
    trouble(&world, "archive:status=410");
    assert!(world.download(&event).is_err());
    assert!(matches!(failure(world.download(&event)), Failure::Download { .. }));
    assert_eq!(fs::metadata(part(&world)).unwrap().len(), 30, "it may come back");
    assert!(matches!(failure(world.download(&event)), Failure::ArchiveGone { status: 410, .. }));
    assert!(world.left_behind().is_empty());
}

pub(crate) fn redirects_are_followed_and_counted<A: Adapter>() {
    let (world, event) = room::<A>(|_| {});
    for _ in 0..5 {
        trouble(&world, "archive:redirect");
    }
    world.assert_whole(world.download(&event).unwrap());
    assert_eq!(world.downloads().len(), 6);
    for _ in 0..6 {
        trouble(&world, "archive:redirect");
    }
    let failure = failure(world.download(&event));
    assert!(matches!(failure, Failure::ArchiveUrl { .. }), "{failure:?}");
    assert!(failure.to_string().contains("redirects"), "{failure}");
    assert_eq!(world.downloads().len(), 12);
    assert!(world.left_behind().is_empty());
}

pub(crate) fn a_redirect_into_a_private_network_is_refused<A: Adapter>() {
    let (world, event) = room::<A>(|_| {});
    for target in ["https://10.0.0.1/a.zip", "http://169.254.169.254/latest", "http://store.example.com/"] {
        trouble(&world, &format!("archive:redirect={target}"));
        let failure = failure(world.download(&event));
        assert!(matches!(failure, Failure::ArchiveUrl { .. }), "{target}: {failure:?}");
        assert!(world.left_behind().is_empty());
    }
}

/// The test's own program, run again, is the process that is killed.
pub(crate) fn what_a_killed_process_leaves_is_resumed<A: Adapter>() {
    if let Ok(text) = env::var(CHILD) {
        let [base_url, target, event]: [String; 3] = serde_json::from_str(&text).unwrap();
        let mut setup = setup(&Simulator::start(config(&[])).unwrap());
        setup.base_url = base_url;
        let adapter = A::build(setup).unwrap();
        let result = adapter.download(&serde_json::from_str(&event).unwrap(), target.as_ref());
        panic!("it should have been killed: {result:?}");
    }
    let (world, event) = room::<A>(|_| {});
    trouble(&world, "archive:stall=30");
    let target = world.target().to_str().unwrap().to_owned();
    let event_text = serde_json::to_string(&event).unwrap();
    let told = serde_json::to_string(&[world.simulator.base_url(), &target, &event_text]).unwrap();
    let test = format!("{}::resuming::what_a_killed_process_leaves_is_resumed", A::NAME);
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", &test])
        .env(CHILD, told)
        .stdout(Stdio::null())
        .spawn();
    let mut child = Killed(child.unwrap());
    wait_until(|| fs::metadata(part(&world)).is_ok_and(|file| file.len() == 30));
    let busy = failure(world.download(&event));
    assert!(matches!(busy, Failure::Storage { .. }), "two at once would mix: {busy:?}");
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    world.assert_whole(world.download(&event).unwrap());
    assert_eq!(ranges(&world), [None, Some("bytes=30-".to_owned())]);
}

#[test]
fn a_dropped_future_leaves_what_can_be_resumed_and_nothing_running() {
    let (world, event) = room::<Async>(|_| {});
    trouble(&world, "archive:stall=30");
    let there = part(&world);
    world.adapter.drop_download(&event, &world.target(), async move {
        while !fs::metadata(&there).is_ok_and(|file| file.len() == 30) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert_eq!(world.left_behind().len(), 2, "{:?}", world.left_behind());
    // Nobody holds its lock any more, so nobody writes to it.
    world.assert_whole(world.download(&event).unwrap());
    assert_eq!(ranges(&world), [None, Some("bytes=30-".to_owned())]);
}

pub(crate) fn a_full_disk_is_a_typed_error_and_gets_its_room_back<A: Adapter>() {
    const SIZE: u64 = 256 << 10;
    let (world, _) = room::<A>(|_| {});
    let Some(disk) = SmallDisk::mount(world.folder.path().join("disk"), SIZE) else { return };
    world.simulator.set_archive(Contents::Synthetic(4 * SIZE));
    let event = world.adapter.wait(&IDS).unwrap();
    let target = disk.0.join("banners.zip");
    let failure = failure(world.adapter.download(&event, &target));
    assert!(matches!(failure, Failure::Storage { .. }), "{failure:?}");
    assert!(failure.to_string().contains("space"), "{failure}");
    assert!(!target.exists());
    // Half an archive would keep the disk full, also for a store on it.
    assert_eq!(fs::read_dir(&disk.0).unwrap().count(), 0, "nothing is left of it");
    disk.grow(8 * SIZE);
    assert_eq!(world.adapter.download(&event, &target).unwrap(), 4 * SIZE);
    assert_eq!(ranges(&world), [None, None]);
}

pub(crate) fn a_full_disk_leaves_no_half_unpacked_folder<A: Adapter>() {
    const SIZE: u64 = 256 << 10;
    let world = World::<A>::new(&[]);
    let Some(disk) = SmallDisk::mount(world.folder.path().join("disk"), SIZE) else { return };
    world.simulator.set_archive(Contents::Synthetic(4 * SIZE));
    let archive = world.target();
    let images = disk.0.join("images");
    let error = world.adapter.unpack_to(&IDS, &archive, &images).unwrap_err();
    assert!(matches!(&error, Error::Unpack(UnpackError::Storage { .. })), "{error:?}");
    assert!(error.to_string().contains("space"), "{error}");
    assert!(archive.exists());
    assert_eq!(fs::read_dir(&disk.0).unwrap().count(), 0, "nothing is left of it");
}

/// A file system in memory, which only root may mount.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: PathBuf, size: u64) -> Option<Self> {
        fs::create_dir(&folder).unwrap();
        let options = format!("size={size}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&folder).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        // As loud as a test of libtest's can be: this goes past its capture.
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"SKIPPED: a full disk (mounting a tmpfs takes root on Linux)\n",
        );
        None
    }

    fn grow(&self, size: u64) {
        let options = format!("remount,size={size}");
        let output = Command::new("mount").args(["-o", &options]).arg(&self.0).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// A process that does not outlive a failing test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for something that another process does, of which it tells nobody.
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came");
        thread::sleep(Duration::from_millis(2));
    }
}

const CHILD: &str = "ABYSSALE_TEST_CHILD";
