//! The archive: broken off, gone, no archive at all, and unpacked.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use abyssale_core::{Failure, Order, archive::ArchivePolicy};
use abyssale_host::{
    Error, Observer as _, Progress,
    unpack::{Kind, Unpacked},
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
        assert!(
            world.told().iter().any(|line| line.starts_with("retry 1 of the download in 1.")),
            "{:?}",
            world.told()
        );
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

pub(crate) fn a_store_that_is_too_busy_is_asked_again<A: Adapter>() {
    // A store's 429 has nothing of the service's rules: without a word of when, there is more than one try.
    for (trouble, retry) in [
        ("429:as=html", "retry 2 of the download in 2."),
        ("429:retry-after=1", "retry 2 of the download in 1."),
    ] {
        let busy = format!("archive:status={trouble}");
        let world = World::<A>::new(&[&busy, &busy]);
        world.assert_saved();
        assert_eq!(world.downloads().len(), 3, "{trouble}");
        assert!(world.told().iter().any(|line| line.starts_with(retry)), "{:?}", world.told());
    }
}

pub(crate) fn an_archive_that_is_gone_is_said_to_be_gone<A: Adapter>() {
    for status in [403, 404, 410] {
        // Without retries; a 410 is final in any case.
        let retries = if status == 410 { 3 } else { 0 };
        let trouble = format!("archive:status={status}:id=SomeCode:as=store");
        let world = World::<A>::with(&[&trouble], |setup| setup.max_retries = retries);
        let failure = world.failure();
        assert!(failure.to_string().ends_with(&format!("answered {status} SomeCode")), "{failure}");
        assert!(matches!(&failure, Failure::ArchiveGone { status: s, .. } if *s == status), "{failure:?}");
        assert!(failure.to_string().contains("127.0.0.1"), "{failure}");
        assert!(!failure.to_string().contains("sig="), "{failure}");
        assert_eq!(world.downloads().len(), 1);
    }
}

pub(crate) fn an_error_page_with_status_200_is_no_archive<A: Adapter>() {
    let world = World::<A>::with(&["archive:error-page"], |setup| setup.max_retries = 0);
    fs::write(world.target(), "an older archive").unwrap();
    match world.save() {
        Err(Error::Failure(failure)) => {
            assert!(matches!(&*failure, Failure::NotAnArchive { .. }), "{failure:?}");
            assert!(failure.to_string().contains("This link has expired"), "{failure}");
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

pub(crate) fn nothing_is_fetched_from_outside_a_list_that_was_given<A: Adapter>() {
    let only = |places: &[&str]| {
        let mut policy = ArchivePolicy::default().allow(places).unwrap();
        policy.allow_http = true;
        policy.only_allowed = true;
        policy
    };
    let world = World::<A>::with(&[], |setup| setup.archive = only(&["127.0.0.0/8"]));
    world.assert_saved();
    let world = World::<A>::with(&[], |setup| setup.archive = only(&["store.example.com"]));
    let failure = world.failure();
    assert!(matches!(failure, Failure::ArchiveUrl { .. }), "{failure:?}");
    assert!(failure.to_string().contains("not among the allowed sources"), "{failure}");
    // The name is accepted, since it may lead into the network; where it does lead, the connection is not made.
    let world = World::<A>::with(&[], |setup| setup.archive = only(&["10.0.0.0/8"]));
    let event = world.adapter.wait(&IDS).unwrap();
    let event = serde_json::json!({
        "export_id": event.export_id.as_str(),
        "archive_url": event.archive_url.replace("127.0.0.1", "localhost"),
    });
    let event = serde_json::from_value(event).unwrap();
    let result = world.adapter.download_observed(&event, &world.target(), world.observer());
    let Err(Error::Failure(failure)) = result else { panic!("{result:?}") };
    assert!(matches!(*failure, Failure::ArchiveUrl { .. }), "{failure:?}");
    assert!(failure.to_string().contains("may not come from"), "{failure}");
    assert!(world.downloads().is_empty());
    // The refusal is final: another attempt would meet the same address.
    assert!(!world.told().iter().any(|line| line.starts_with("retry")), "{:?}", world.told());
}

pub(crate) fn every_call_and_every_download_can_be_watched<A: Adapter>() {
    let world = World::<A>::new(&["create:status=429:retry-after=1:id=request_rate_limited"]);
    let callback = format!("{}/elsewhere", world.simulator.base_url());
    let order = Order::new(IDS, &callback).unwrap();
    world.adapter.create_export_observed(&order, world.observer()).unwrap();
    let mut expected = vec!["requesting", "retry 1 of the request in 1.", "requesting", "export "];
    assert_begin_with(&world.told(), &expected);

    let event = world.adapter.wait(&IDS).unwrap();
    world.simulator.add_trouble("archive:cut=100".parse().unwrap());
    let received = Arc::new(Mutex::new(Vec::new()));
    let (seen, mut notes) = (Arc::clone(&received), world.observer());
    let observer = move |progress: Progress<'_>| {
        if let Progress::Downloading { received, .. } = progress {
            seen.lock().unwrap().push(received);
        }
        notes.observe(progress);
    };
    let bytes = world.adapter.download_observed(&event, &world.target(), observer);
    let received = received.lock().unwrap();
    assert!(received.is_sorted(), "{received:?}");
    assert_eq!(received.last(), Some(&bytes.unwrap()));
    expected.extend(["the archive of export", "retry 1 of the download in 1.", "resumed from 100", "saved "]);
    assert_begin_with(&world.told(), &expected);
}

/// What was said several times in a row counts once.
fn assert_begin_with(told: &[String], expected: &[&str]) {
    let mut told = told.to_vec();
    told.dedup();
    let fits = |(line, beginning): (&String, &&str)| line.starts_with(*beginning);
    assert!(told.len() == expected.len() && told.iter().zip(expected).all(fits), "{told:#?} {expected:#?}");
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
    let entries = unpack(&world).unwrap().entries;
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
    assert_eq!(unpack(&world).unwrap().entries.len(), 1);
    assert_eq!(world.told(), ["unpacked 1/1", "1 of 2"]);
}

fn unpack<A: Adapter>(world: &World<A>) -> Result<Unpacked, Error> {
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

pub(crate) fn banners_that_an_archive_lacks_are_named<A: Adapter>() {
    // The banner that is unknown, how many may be asked about, and how many are then left.
    for (unknown, lookups, named, unchecked) in [
        (IDS[1], None, true, 0),
        (IDS[0], Some(1), true, 1),
        (IDS[1], Some(1), false, 1),
        (IDS[1], Some(0), false, 2),
    ] {
        let config = abyssale_simulator::Config { unknown_ids: vec![unknown.to_owned()], ..config(&[]) };
        let world = World::<A>::on(Simulator::start(config).unwrap(), |setup| setup.banner_lookups = lookups);
        let crate::adapter::Saved { asked_for, missing, .. } = world.assert_saved();
        let expected = if named { vec![unknown.parse().unwrap()] } else { vec![] };
        assert_eq!((asked_for, missing.unknown, missing.unchecked), (2, expected, unchecked));
        let requests = world.simulator.requests();
        let about = requests.iter().filter(|request| request.path.starts_with("/banners/"));
        assert_eq!(about.count(), lookups.unwrap_or(2));
    }
    let whole = World::<A>::new(&[]);
    assert!(whole.assert_saved().missing.is_empty());
    assert!(whole.simulator.requests().iter().all(|request| !request.path.starts_with("/banners/")));
}

pub(crate) fn a_banner_that_is_ordered_twice_is_one_banner<A: Adapter>() {
    let world = World::<A>::new(&[]);
    let ids = [IDS[0], &IDS[0].to_uppercase(), IDS[0]];
    let saved = world.adapter.save(&ids, &world.target(), world.observer()).unwrap();
    assert_eq!(saved.asked_for, 1);
    assert!(saved.missing.is_empty() && world.simulator.requests().len() == 2, "{:?}", saved.missing);
}
