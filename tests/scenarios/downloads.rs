//! The archive: broken off, gone, no archive at all, and unpacked.

use std::{fs, sync::Arc, time::Duration};

use abyssale_core::Failure;
use abyssale_host::{
    Error, Progress,
    unpack::{Entry, Kind},
};
use abyssale_simulator::Simulator;

use crate::{
    adapter::Adapter,
    world::{IDS, World, config},
};

pub(crate) fn a_download_that_breaks_off_is_repeated<A: Adapter>() {
    // All bytes of one that was said to be longer are there, so there is nothing behind them: it begins anew.
    for (trouble, downloads) in
        [("cut=100", 2), ("lost", 2), ("reset", 2), ("garbage", 2), ("wrong-length=+7", 3)]
    {
        let world = World::<A>::new(&[&format!("archive:{trouble}")]);
        world.assert_saved();
        assert_eq!(world.downloads().len(), downloads, "{trouble}");
        assert!(world.told().iter().any(|line| line.starts_with("retry 1 in 1.")), "{:?}", world.told());
    }
}

pub(crate) fn a_download_that_stalls_is_repeated<A: Adapter>() {
    let world = World::<A>::with(&["archive:stall=100"], |setup| {
        setup.stall_timeout = Duration::from_secs(3);
    });
    world.assert_saved();
    // A machine that is busy with other things may stall once more by itself.
    assert!(world.downloads().len() >= 2);
}

pub(crate) fn a_server_error_during_the_download_is_repeated<A: Adapter>() {
    let world = World::<A>::new(&["archive:status=503:retry-after=1"]);
    world.assert_saved();
    assert_eq!(world.downloads().len(), 2);
    assert_eq!(world.posts().len(), 1);
}

pub(crate) fn an_archive_that_is_gone_is_said_to_be_gone<A: Adapter>() {
    for status in [403, 404, 410] {
        let world = World::<A>::new(&[&format!("archive:status={status}")]);
        let failure = world.failure();
        assert!(matches!(&failure, Failure::ArchiveGone { status: s, .. } if *s == status), "{failure:?}");
        assert!(failure.to_string().contains("127.0.0.1"), "{failure}");
        assert!(!failure.to_string().contains("sig="), "{failure}");
        assert_eq!(world.downloads().len(), 1);
    }
}

pub(crate) fn an_error_page_with_status_200_is_no_archive<A: Adapter>() {
    let world = World::<A>::new(&["archive:error-page"]);
    fs::write(world.target(), "an older archive").unwrap();
    match world.save() {
        Err(Error::Failure(failure)) => {
            assert!(matches!(&*failure, Failure::NotAnArchive { .. }), "{failure:?}");
            assert!(failure.to_string().contains("begins with"), "{failure}");
        }
        other => panic!("{:?}", other.map(|saved| saved.bytes)),
    }
    assert_eq!(fs::read_to_string(world.target()).unwrap(), "an older archive");
}

pub(crate) fn a_truncated_archive_that_looks_whole_is_no_archive<A: Adapter>() {
    let world = World::<A>::new(&["archive:wrong-length=-7"]);
    let failure = world.failure();
    assert!(matches!(failure, Failure::NotAnArchive { .. }), "{failure:?}");
}

pub(crate) fn an_address_that_is_not_absolute_is_refused<A: Adapter>() {
    let world = World::<A>::new(&["event:archive-url=url.zip"]);
    let failure = world.failure();
    assert!(matches!(failure, Failure::ArchiveUrl { .. }), "{failure:?}");
    assert!(failure.to_string().contains("\"url.zip\""), "{failure}");
}

pub(crate) fn an_address_in_a_private_network_is_refused<A: Adapter>() {
    for address in ["http://10.0.0.1/a.zip", "https://192.168.0.1/a.zip", "http://store.example.com/a.zip"] {
        let world = World::<A>::new(&[&format!("event:archive-url={address}")]);
        let failure = world.failure();
        assert!(matches!(failure, Failure::ArchiveUrl { .. }), "{address}: {failure:?}");
    }
}

pub(crate) fn a_folder_that_is_not_there_is_said_so<A: Adapter>() {
    let world = World::<A>::new(&[]);
    let target = world.folder.path().join("missing").join("banners.zip");
    match world.adapter.save(&IDS, &target, |_: Progress<'_>| {}) {
        Err(Error::Failure(failure)) => {
            assert!(matches!(*failure, Failure::Storage { .. }), "{failure:?}");
            assert!(failure.to_string().contains("missing"), "{failure}");
        }
        other => panic!("{:?}", other.map(|saved| saved.bytes)),
    }
}

pub(crate) fn an_archive_is_unpacked_into_pictures<A: Adapter>() {
    let world = World::<A>::new(&[]);
    let entries = unpack(&world).unwrap();
    let told: Vec<_> = entries.iter().map(|entry| (entry.kind, entry.dimensions)).collect();
    assert_eq!(told, [(Kind::Png, Some((728, 90))), (Kind::Gif, Some((300, 600)))]);
    for entry in &entries {
        assert_eq!(fs::metadata(&entry.path).unwrap().len(), entry.bytes);
    }
    assert_eq!(world.told(), ["unpacked 1/2", "unpacked 2/2"]);
}

pub(crate) fn banners_the_service_does_not_know_are_missing<A: Adapter>() {
    let simulator =
        Simulator::start(abyssale_simulator::Config { unknown_ids: vec![IDS[1].to_owned()], ..config(&[]) });
    let world = World::<A>::on(simulator.unwrap(), |_| {});
    assert_eq!(unpack(&world).unwrap().len(), 1);
    assert_eq!(world.told(), ["unpacked 1/1", "1 of 2"]);
}

fn unpack<A: Adapter>(world: &World<A>) -> Result<Vec<Entry>, Error> {
    let told = Arc::clone(&world.told);
    let observer = move |progress: Progress<'_>| {
        let text = match progress {
            Progress::Unpacked { number, of, .. } => format!("unpacked {number}/{of}"),
            Progress::PartialArchive { asked_for, found } => format!("{found} of {asked_for}"),
            other => panic!("{other:?}"),
        };
        told.lock().unwrap().push(text);
    };
    world.adapter.unpack(&IDS, &world.target(), observer)
}
