//! The request and what is answered to it: each status, each way to lose an answer.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use abyssale_core::{Failure, Order, UnknownCause, UnknownOutcome};
use abyssale_host::Error;
use abyssale_simulator::{Dialect, Simulator};
use tokio::net::TcpSocket;

use crate::{
    adapter::Adapter,
    world::{IDS, SECRET, World, config},
};

/// Short enough to be waited out in a test.
const SHORT: Duration = Duration::from_millis(300);

pub(crate) fn an_export_goes_from_ids_to_an_archive<A: Adapter>() {
    let world = World::<A>::new(&[]);
    let saved = world.assert_saved();

    let exports = world.simulator.exports();
    assert_eq!(exports[0].export_id, saved.event.export_id.as_str());
    assert_eq!(exports[0].ids, IDS);

    let [post] = &world.posts()[..] else { panic!("{:?}", world.posts()) };
    assert_eq!(post.header("x-api-key"), Some(world.simulator.api_key()));
    assert_eq!(post.header("content-type"), Some("application/json"));
    assert_eq!(post.header("accept"), Some("application/json"));
    assert!(post.header("user-agent").unwrap().starts_with("abyssale-rust/"));

    let [download] = &world.downloads()[..] else { panic!("{:?}", world.downloads()) };
    assert_eq!(download.header("x-api-key"), None, "the key is the service's alone");
    assert_ne!(download.connection, post.connection, "every request has a connection of its own");

    let told = world.told();
    assert_eq!(told.first().map(String::as_str), Some("requesting"));
    assert!(told[1].contains("was accepted") && told[2].contains("is ready"), "{told:?}");
    assert_eq!(told.last(), Some(&format!("saved {}", saved.bytes)));
}

pub(crate) fn a_refusal_is_told_with_what_the_service_said<A: Adapter>() {
    for (status, id) in [
        (400, "invalid_payload"),
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "visual_not_found"),
        (404, "endpoint_not_found"),
        (409, "conflict"),
        (422, "unprocessable"),
    ] {
        let world = World::<A>::new(&[&format!("create:status={status}:id={id}")]);
        let Failure::Refused(error) = world.failure() else { panic!("{status}") };
        assert_eq!((error.status(), error.id().unwrap().as_str()), (status, id));
        assert!(!error.body().as_bytes().is_empty(), "the body of a refusal is kept");
        assert_eq!(world.posts().len(), 1);
    }
    for form in ["html", "bare", "empty"] {
        let world = World::<A>::new(&[&format!("create:status=403:as={form}")]);
        assert!(matches!(world.failure(), Failure::Refused(error) if error.status() == 403));
    }
    let wrong_key = World::<A>::with(&[], |setup| setup.api_key = "not-the-key".into());
    assert!(matches!(wrong_key.failure(), Failure::Refused(error) if error.status() == 401));
}

pub(crate) fn an_unknown_banner_is_named<A: Adapter>() {
    for dialect in [Dialect::Legacy, Dialect::Current] {
        let simulator = Simulator::start(abyssale_simulator::Config {
            dialect,
            unknown_banners: abyssale_simulator::UnknownBanners::Refused,
            unknown_ids: vec![IDS[1].to_owned()],
            ..config(&[])
        });
        let world = World::<A>::on(simulator.unwrap(), |_| {});
        let Failure::Refused(error) = world.failure() else { panic!("{dialect:?}") };
        assert_eq!(error.status(), 404);
        assert!(error.to_string().contains(IDS[1]), "{error}");
    }
}

pub(crate) fn a_throttled_request_waits_as_long_as_it_is_told<A: Adapter>() {
    for form in ["retry-after=1", "retry-after-date=1"] {
        let world = World::<A>::new(&[&format!("create:status=429:{form}:id=request_rate_limited")]);
        world.assert_saved();
        assert_eq!(world.posts().len(), 2);
        assert!(
            world.told().iter().any(|line| line.starts_with("retry 1 of the request in ")),
            "{:?}",
            world.told()
        );
    }
}

pub(crate) fn a_bare_429_is_probed_once<A: Adapter>() {
    let world = World::<A>::new(&["create:status=429:as=bare"]);
    world.assert_saved();
    assert_eq!(world.posts().len(), 2);

    let world = World::<A>::new(&["create:status=429:as=bare", "create:status=429:as=bare"]);
    assert!(matches!(world.failure(), Failure::Refused(error) if error.status() == 429));
    assert_eq!(world.posts().len(), 2);
}

pub(crate) fn a_long_cool_off_is_final_at_once<A: Adapter>() {
    let world = World::<A>::new(&["create:status=429:retry-after=1700:id=request_rate_limited"]);
    let Failure::Refused(error) = world.failure() else { panic!() };
    assert_eq!(error.retry_delay(abyssale_core::Timestamp::default()), Some(Duration::from_secs(1700)));
    assert_eq!(world.posts().len(), 1);
}

pub(crate) fn a_plan_restriction_is_final<A: Adapter>() {
    let world = World::<A>::new(&["create:status=429:retry-after=1:id=feature_not_in_plan"]);
    assert!(matches!(world.failure(), Failure::Refused(_)));
    assert_eq!(world.posts().len(), 1);
}

pub(crate) fn a_server_error_is_never_asked_again<A: Adapter>() {
    for status in [500, 502, 503, 504] {
        // It was taken all the same: the event settles it.
        let world = World::<A>::new(&[&format!("create:status={status}:retry-after=1:as=html:accepted")]);
        world.assert_saved();
        assert_eq!(world.posts().len(), 1, "{status}");

        // It was not: nobody can know, and nobody asks again.
        let world = World::<A>::with(&[&format!("create:status={status}:retry-after=1")], |setup| {
            setup.unknown_outcome = UnknownOutcome::AwaitEvent { grace: SHORT };
        });
        let failure = world.failure();
        assert!(
            matches!(&failure, Failure::Unknown(UnknownCause::Answer(error)) if error.status() == status),
            "{failure:?}"
        );
        assert_eq!(world.posts().len(), 1, "{status}");
    }
}

pub(crate) fn an_answer_that_is_lost_after_acceptance_is_settled_by_the_event<A: Adapter>() {
    for trouble in
        ["lost-after", "reset-after", "truncated", "garbage", "not-json", "no-export-id", "drip=1ms"]
    {
        let world = World::<A>::new(&[&format!("create:{trouble}")]);
        world.assert_saved();
        assert_eq!(world.posts().len(), 1, "{trouble}");
    }
}

pub(crate) fn an_answer_that_is_lost_before_acceptance_is_unknown<A: Adapter>() {
    for trouble in ["lost-before", "reset-before"] {
        let world = World::<A>::with(&[&format!("create:{trouble}")], |setup| {
            setup.unknown_outcome = UnknownOutcome::AwaitEvent { grace: SHORT };
        });
        let failure = world.failure();
        assert!(matches!(failure, Failure::Unknown(UnknownCause::Lost(_))), "{failure:?}");
        assert_eq!(world.posts().len(), 1, "{trouble}");
        assert!(world.told().iter().any(|line| line.starts_with("unknown whether")), "{:?}", world.told());

        let asking = World::<A>::with(&[&format!("create:{trouble}")], |setup| {
            setup.unknown_outcome = UnknownOutcome::AskAgain;
        });
        asking.assert_saved();
        assert_eq!(asking.posts().len(), 2, "asked again because the policy says so");
    }
}

pub(crate) fn a_throttled_request_that_then_meets_a_5xx_is_not_repeated<A: Adapter>() {
    let troubles = ["create:status=429:retry-after=1:id=request_rate_limited", "create:status=503"];
    let world = World::<A>::with(&troubles, |setup| {
        setup.unknown_outcome = UnknownOutcome::AwaitEvent { grace: SHORT };
    });
    assert!(matches!(world.failure(), Failure::Unknown(_)));
    assert_eq!(world.posts().len(), 2);
}

pub(crate) fn an_answer_that_is_too_slow_is_settled_by_the_event<A: Adapter>() {
    let world = World::<A>::with(&["create:slow=20s"], |setup| setup.timeout = Duration::from_secs(2));
    world.assert_saved();
    assert_eq!(world.posts().len(), 1);
}

pub(crate) fn a_service_that_is_not_there_was_never_asked<A: Adapter>() {
    // Bound and not listening: refused, and nobody else's while this test runs.
    let silent = TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = format!("http://{}", silent.local_addr().unwrap());
    // A service that speaks no TLS, one that ends in the middle of it, and a name that cannot resolve.
    let plain = crate::world::simulator(&[]);
    let hanging_up = TcpListener::bind("127.0.0.1:0").unwrap();
    let hangs_up = format!("https://{}", hanging_up.local_addr().unwrap());
    std::thread::spawn(move || hanging_up.incoming().take(2).for_each(drop));
    let no_tls = plain.base_url().replace("http://", "https://");
    for base_url in [nobody, no_tls, hangs_up, "https://abyssale.invalid:443".into()] {
        let address = base_url.split_once("://").unwrap().1.to_owned();
        let world = World::<A>::with(&[], |setup| {
            setup.base_url = base_url;
            setup.max_retries = 1;
        });
        let failure = world.failure();
        let Failure::Unreachable { reason } = failure else { panic!("{failure:?}") };
        assert!(reason.starts_with(&format!("cannot reach {address}: ")), "{reason}");
        // Neither library's own words for where in it the error came about.
        let jargon = ["io:", "client error", "tcp connect", "dns error", "os error 104"];
        assert!(!jargon.iter().any(|words| reason.contains(words)), "{reason}");
        let told = world.told();
        assert!(told.iter().any(|line| line.starts_with("retry 1 of the request in 1.")), "{told:?}");
    }
}

pub(crate) fn a_connection_that_does_not_come_about_has_a_time_out_of_its_own<A: Adapter>() {
    // The system accepts the connection, and nobody says a word of TLS on it.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("https://{}", silent.local_addr().unwrap());
    let world = World::<A>::with(&[], |setup| {
        (setup.base_url, setup.max_retries) = (base_url, 0);
        setup.connect_timeout = Some(Duration::from_millis(300));
    });
    let begun = Instant::now();
    let failure = world.failure();
    assert!(matches!(failure, Failure::Unreachable { .. }), "{failure:?}");
    // Sooner than the time-out of the whole call, and than the default of ten seconds.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

pub(crate) fn creating_an_export_alone_returns_its_id<A: Adapter>() {
    let world = World::<A>::new(&["create:status=429:retry-after=1:id=request_rate_limited"]);
    let order = Order::new(IDS, "http://127.0.0.1:9/elsewhere").unwrap();
    let export_id = world.adapter.create_export(&order).unwrap();
    assert_eq!(world.simulator.exports()[0].export_id, export_id.as_str());
    assert_eq!(world.simulator.exports()[0].callback_url.as_deref(), Some("http://127.0.0.1:9/elsewhere"));

    let world = World::<A>::new(&["create:lost-before"]);
    let error = world.adapter.create_export(&order).unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Unknown(_))), "{error}");
    assert_eq!(world.posts().len(), 1);
}

pub(crate) fn a_redirect_is_not_followed_with_the_key<A: Adapter>() {
    let world = World::<A>::new(&["create:status=307"]);
    assert!(matches!(world.failure(), Failure::Refused(error) if error.status() == 307));
    assert_eq!(world.simulator.requests().len(), 1);
}

pub(crate) fn the_signing_secret_is_read_rotated_and_revoked<A: Adapter>() {
    let world = World::<A>::new(&[]);
    assert_eq!(world.adapter.signing_secret().unwrap().secret.expose(), SECRET);

    let rotated = world.adapter.rotate(false).unwrap();
    assert_ne!(rotated.secret.expose(), SECRET);
    assert!(rotated.previous_secret_expires_at.is_some());

    match world.adapter.rotate(false) {
        Err(Error::Response(error)) => {
            assert!(error.to_string().contains("409 previous_secret_still_active"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert!(world.adapter.rotate(true).is_ok());
    let revoked = world.adapter.revoke().unwrap();
    assert_eq!(revoked.previous_secret_expires_at, None);
}
