//! The event: early, late, twice, forged, somebody else's, never.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use abyssale_core::{Failure, TokenPlacement};
use abyssale_simulator::{DeliveryRecord, Outcome};

use crate::{
    adapter::Adapter,
    world::{IDS, PATIENCE, World, config},
};

fn statuses(deliveries: &[DeliveryRecord]) -> Vec<u16> {
    let status = |delivery: &DeliveryRecord| match &delivery.outcome {
        Outcome::Answered(status) => *status,
        Outcome::Failed(reason) => panic!("{reason}"),
    };
    deliveries.iter().map(status).collect()
}

impl<A: Adapter> World<A> {
    fn delivered(&self, count: usize) -> Vec<u16> {
        statuses(&self.simulator.wait_for_deliveries(count, PATIENCE).unwrap())
    }
}

pub(crate) fn an_event_before_the_answer_completes_the_export<A: Adapter>() {
    let world = World::<A>::new(&["event:before-answer"]);
    world.assert_saved();
    assert_eq!(world.posts().len(), 1);
    assert_eq!(world.delivered(1), [200]);
}

pub(crate) fn a_repeated_event_is_acknowledged_and_changes_nothing<A: Adapter>() {
    let world = World::<A>::new(&["event:twice"]);
    world.assert_saved();
    assert_eq!(world.delivered(2), [200, 200]);
    assert_eq!(world.downloads().len(), 1);

    let world = World::<A>::new(&["event:every-attempt"]);
    world.assert_saved();
    assert_eq!(world.delivered(6), [200; 6], "the last of them after the job was over");
    assert_eq!(world.downloads().len(), 1);
}

pub(crate) fn a_forged_event_is_refused_and_the_genuine_one_taken<A: Adapter>() {
    let world = World::<A>::new(&["event:forged-first"]);
    world.assert_saved();
    let deliveries = world.simulator.wait_for_deliveries(2, PATIENCE).unwrap();
    let genuine = |delivery: &&DeliveryRecord| delivery.outcome.is_acknowledged();
    assert_eq!(deliveries.iter().filter(genuine).count(), 1);
    assert!(statuses(&deliveries).contains(&401));
}

pub(crate) fn an_event_of_another_export_is_acknowledged<A: Adapter>() {
    // It comes to our own address with our token and another export's id: reported, not obeyed.
    let world = World::<A>::new(&["event:stranger-first"]);
    world.assert_saved();
    assert_eq!(world.delivered(2), [200, 200]);
    assert_eq!(world.downloads().len(), 1);
}

pub(crate) fn an_event_of_another_type_is_acknowledged<A: Adapter>() {
    let world = World::<A>::new(&["event:other-type-first"]);
    world.assert_saved();
    assert_eq!(world.delivered(2), [200, 200]);
}

pub(crate) fn a_contradicting_event_is_not_obeyed<A: Adapter>() {
    let world = World::<A>::new(&["event:conflict-after"]);
    let saved = world.assert_saved();
    assert_eq!(world.delivered(2), [200, 200]);
    assert_eq!(&*saved.event.archive_url, world.simulator.exports()[0].archive_url);
    assert_eq!(world.downloads().len(), 1);
}

pub(crate) fn an_event_that_never_comes_is_a_deadline<A: Adapter>() {
    let world = World::<A>::with(&["event:never"], |setup| setup.event_timeout = Duration::from_millis(300));
    let failure = world.failure();
    let Failure::NoEvent { export_id, .. } = &failure else { panic!("{failure:?}") };
    assert_eq!(export_id.as_str(), world.simulator.exports()[0].export_id);
    assert!(
        failure
            .to_string()
            .contains("no delivery reached the callback URL; check that the service can reach it")
    );
    assert_eq!(world.posts().len(), 1);
}

pub(crate) fn an_event_that_comes_after_its_deadline_is_not_acknowledged<A: Adapter>() {
    let world =
        World::<A>::with(&["event:late=1s"], |setup| setup.event_timeout = Duration::from_millis(300));
    assert!(matches!(world.failure(), Failure::NoEvent { .. }));
    assert_eq!(world.delivered(1), [404], "nobody has taken it, so nobody says that it was taken");
}

pub(crate) fn an_event_during_a_call_that_is_then_lost_is_not_lost_with_it<A: Adapter>() {
    let world = World::<A>::with(&["create:lost-after", "event:before-answer"], |setup| {
        setup.unknown_outcome = abyssale_core::UnknownOutcome::Fail;
    });
    world.assert_saved();
    assert_eq!(world.delivered(1), [200]);
}

pub(crate) fn without_a_token_the_export_id_finds_the_job<A: Adapter>() {
    let world = World::<A>::with(&[], |setup| setup.token = None);
    world.assert_saved();
    assert!(world.simulator.exports()[0].callback_url.as_ref().unwrap().ends_with("/abyssale"));
    assert_eq!(world.delivered(1), [200]);
}

pub(crate) fn without_a_token_an_event_before_the_answer_is_held<A: Adapter>() {
    let world = World::<A>::with(&["event:before-answer"], |setup| setup.token = None);
    world.assert_saved();
    assert_eq!(world.delivered(1), [200]);
    assert_eq!(world.posts().len(), 1);
}

pub(crate) fn unsigned_deliveries_are_protected_by_the_token<A: Adapter>() {
    for placement in [TokenPlacement::PathSegment, TokenPlacement::QueryParameter("t".into())] {
        let world = World::<A>::with(&[], |setup| {
            setup.secret = None;
            setup.token = Some(placement);
        });
        world.simulator.set_signing_secret(None);
        world.assert_saved();
        assert!(world.simulator.deliveries()[0].signature.is_none());
    }
}

pub(crate) fn waiting_alone_returns_the_event<A: Adapter>() {
    let world = World::<A>::new(&["event:archive-url=url.zip"]);
    let event = world.adapter.wait(&IDS).unwrap();
    assert_eq!(&*event.archive_url, "url.zip", "the documented sample is accepted as it is");
    assert!(event.requested_at.is_some() && event.generated_at.is_some());
    assert!(world.downloads().is_empty());
}

pub(crate) fn several_exports_at_once_get_their_own_archives<A: Adapter>() {
    let world = World::<A>::new(&[]);
    let targets: Vec<_> = (0..8).map(|n| world.folder.path().join(format!("{n}.zip"))).collect();
    thread::scope(|scope| {
        for (n, target) in targets.iter().enumerate() {
            let adapter = &world.adapter;
            scope.spawn(move || {
                adapter.save(&IDS[n % 2..=n % 2], target, |_: abyssale_host::Progress<'_>| {}).unwrap()
            });
        }
    });
    let read = |n: usize| fs::read(&targets[n]).unwrap();
    assert!(read(0) != read(1), "two banners, two archives");
    assert_eq!(world.posts().len(), 8);
    assert_eq!(world.delivered(8), [200; 8]);
    let connections: std::collections::BTreeSet<_> =
        world.posts().iter().map(|post| post.connection).collect();
    assert_eq!(connections.len(), 8, "no POST on a used connection");
}

pub(crate) fn an_unknown_address_and_a_wrong_token_are_not_found<A: Adapter>() {
    let world = World::<A>::on(abyssale_simulator::Simulator::start(config(&[])).unwrap(), |setup| {
        setup.secret = None;
    });
    world.assert_saved();
    let callback = world.simulator.exports()[0].callback_url.clone().unwrap();
    let address: SocketAddr = callback.split('/').nth(2).unwrap().parse().unwrap();
    let body = r#"{"export_id":"e","archive_url":"https://h/a.zip"}"#;
    let wrong_token = format!("/abyssale/{}", "0".repeat(32));
    for (target, expected) in
        [("/", 404), ("/abyssale", 404), ("/abyssale/x", 404), (wrong_token.as_str(), 404)]
    {
        assert_eq!(post(address, target, body), expected, "{target}");
    }
}

/// A delivery by hand: the status that is answered.
fn post(address: SocketAddr, target: &str, body: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}
