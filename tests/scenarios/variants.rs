//! What may be said in more than one way: each way leads to the same archive.

use std::time::Duration;

use abyssale_core::Failure;

use crate::{adapter::Adapter, world::World};

pub(crate) fn a_byte_order_mark_hides_nothing<A: Adapter>() {
    let world = World::<A>::new(&["create:bom", "event:as=bom"]);
    world.assert_saved();
    assert!(world.told()[1].contains("was accepted"), "{:?}", world.told());
    let deliveries = world.simulator.wait_for_deliveries(1, Duration::from_secs(9)).unwrap();
    assert_eq!(deliveries.len(), 1, "the first delivery is taken");

    let world = World::<A>::new(&["create:status=400:as=falcon:bom"]);
    let Failure::Refused(error) = world.failure() else { panic!() };
    assert!(error.to_string().contains("Bad Request: Could not parse JSON body - "), "{error}");
}

pub(crate) fn the_case_of_an_export_id_makes_no_difference<A: Adapter>() {
    for trouble in ["create:capital-id", "event:as=capital-id"] {
        let world = World::<A>::new(&[trouble]);
        world.assert_saved();
        let world = World::<A>::with(&[trouble], |setup| setup.token = None);
        world.assert_saved();
    }
}

pub(crate) fn an_event_may_be_wrapped<A: Adapter>() {
    for trouble in ["event:as=data", "event:as=payload"] {
        let world = World::<A>::new(&[trouble]);
        world.assert_saved();
        assert!(world.simulator.deliveries()[0].outcome.is_acknowledged(), "{trouble}");
    }
}

/// The event spells the archive's address as no client can send it.
pub(crate) fn an_address_is_mended_where_every_client_mends_it<A: Adapter>() {
    for (spelled, sent) in [
        ("10:30 Été – 50 %.zip", "10:30%20%C3%89t%C3%A9%20%E2%80%93%2050%20%.zip"),
        ("a|b{c}\"d\".zip", "a%7Cb%7Bc%7D%22d%22.zip"),
        ("a.zip#page=2", "a.zip"),
        ("%c3%A9+[a]'(b)*.zip", "%c3%A9+[a]'(b)*.zip"),
    ] {
        let world = World::<A>::new(&[&format!("event:archive-name={spelled}")]);
        world.assert_saved();
        let query = world.downloads()[0].query.clone().unwrap();
        assert_eq!(query.split_once("&name=").unwrap().1, sent);
    }
    let world = World::<A>::new(&["event:padded-archive-url"]);
    world.assert_saved();
}

pub(crate) fn a_redirect_is_resolved_as_every_client_does<A: Adapter>() {
    for to in [
        "archive:redirect=./{own}",
        "archive:redirect=../archives/{own}",
        "archive:redirect=a/../{own}",
        "archive:redirect=/x/../archives/./{own}",
        "archive:redirect={own}&name=é b|c",
        "archive:choices",
        "archive:choices=./{own}#top",
    ] {
        let world = World::<A>::new(&[to]);
        world.assert_saved();
        assert_eq!(world.downloads().len(), 2, "{to}");
    }
    let world = World::<A>::new(&["archive:redirect=http://10.0.0.1/../{own} x"]);
    assert!(matches!(world.failure(), Failure::ArchiveUrl { .. }));
}

pub(crate) fn a_content_encoding_that_encodes_nothing_is_passed_over<A: Adapter>() {
    for label in ["", "aws-chunked", "UTF-8", "binary", "gzip"] {
        let world = World::<A>::new(&[&format!("archive:encoding={label}")]);
        world.assert_saved();
        assert_eq!(world.downloads().len(), 1, "{label:?}");
    }
}

pub(crate) fn a_store_that_is_not_ready_yet_is_asked_again<A: Adapter>() {
    for answer in ["missing", "denied", "accepted", "empty", "page", "xml"] {
        let world = World::<A>::new(&[&format!("archive:not-yet=700ms:{answer}")]);
        world.assert_saved();
        assert_eq!(world.downloads().len(), 2, "{answer}");
        let retry =
            world.told().into_iter().find(|line| line.starts_with("retry 1 of the download in 1.")).unwrap();
        assert!(retry.contains("not there yet"), "{retry}");
    }
}

pub(crate) fn all_of_an_archive_as_a_part_is_all_of_it<A: Adapter>() {
    let world = World::<A>::new(&["archive:unasked-206"]);
    world.assert_saved();
    assert_eq!(world.downloads().len(), 1);
}

pub(crate) fn bytes_around_an_archive_are_no_part_of_it<A: Adapter>() {
    for around in ["before=efbbbf", "before=0a", "behind=0d0a", "behind=00000000", "behind=0a1a"] {
        let world = World::<A>::new(&[&format!("archive:{around}")]);
        world.assert_saved();
        assert_eq!(world.downloads().len(), 1, "{around}");
    }
}

/// As curl sends the same requests, a POST with `-d`: a GET announces no body, and a POST always announces one.
pub(crate) fn requests_announce_their_bodies_as_curl_does<A: Adapter>() {
    let world = World::<A>::new(&[]);
    world.adapter.signing_secret().unwrap();
    world.adapter.rotate(true).unwrap();
    world.assert_saved();
    let requests = world.simulator.requests();
    assert_eq!(requests.len(), 4);
    for request in requests {
        let body = request.body.len().to_string();
        let length = (request.method == "POST").then_some(body.as_str());
        assert_eq!(request.header("content-length"), length, "{} {}", request.method, request.path);
        assert_eq!(request.header("transfer-encoding"), None);
        assert_eq!(request.header("accept-encoding"), Some("identity"));
        let mut names: Vec<_> = request.headers.keys().map(AsRef::<str>::as_ref).collect();
        names.retain(|name| !["content-length", "content-type", "x-api-key", "connection"].contains(name));
        names.sort_unstable();
        assert_eq!(names, ["accept", "accept-encoding", "host", "user-agent"], "{}", request.path);
    }
}

pub(crate) fn deliveries_that_are_not_taken_are_told_to_their_job<A: Adapter>() {
    let short = |setup: &mut crate::adapter::Setup| setup.event_timeout = Duration::from_millis(800);
    for (trouble, reason) in [
        ("event:signs-late", "fits none of the signing secrets; is the secret this workspace's?"),
        ("event:clock-skew=-900", "before this machine's time; check this machine's clock"),
        ("event:as=no-ids", "no usable export_id"),
    ] {
        let simulator = crate::world::simulator(&[trouble]);
        let world = World::<A>::on(simulator, short);
        if trouble == "event:signs-late" {
            // The service signs with the secret before, which nobody here knows.
            world.simulator.set_signing_secret(Some("whsec_before"));
            let state = world.adapter.rotate(true).unwrap();
            assert_ne!(state.secret.expose(), "whsec_before");
        }
        let error = world.save().map(|saved| saved.bytes).unwrap_err().to_string();
        assert!(error.contains("reached the callback URL and could not be taken: "), "{error}");
        assert!(error.contains(reason), "{error}");
        assert!(world.told().iter().any(|line| line.contains(reason)), "{:?}", world.told());
    }
    let world = World::<A>::new(&["event:other-type-first"]);
    world.assert_saved();
    assert!(world.told().iter().any(|line| line.contains("an event of the type \"NEW_BANNER\"")));
}

pub(crate) fn a_rotation_refuses_no_genuine_delivery<A: Adapter>() {
    let world = World::<A>::new(&["event:signs-late"]);
    world.adapter.rotate_and_accept().unwrap();
    world.assert_saved();
    let state = world.adapter.revoke().unwrap();
    assert_eq!(state.previous_secret_expires_at, None, "the old secret no longer signs");
    world.assert_saved();
    for delivery in world.simulator.wait_for_deliveries(2, Duration::from_secs(9)).unwrap() {
        assert!(delivery.outcome.is_acknowledged(), "{delivery:?}");
    }
}
