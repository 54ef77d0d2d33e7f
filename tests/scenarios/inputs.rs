//! What the user puts in: wrong orders, wrong settings, and a client of the user's own.

use std::{net::TcpListener, time::Duration};

use abyssale_core::{InvalidBannerIdReason, InvalidOrder, TokenPlacement};
use abyssale_host::{Error, InvalidSetting};

use crate::{
    adapter::{Adapter, Setup},
    world::{IDS, SECRET, World, setup, simulator},
};

pub(crate) fn bad_orders_are_typed_errors<A: Adapter>() {
    let world = World::<A>::new(&[]);
    let refused = |ids: &[&str]| match world.adapter.wait(ids) {
        Err(Error::Order(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&[]), InvalidOrder::NoIds);
    match refused(&[IDS[0], "x"]) {
        InvalidOrder::Id { index: 1, source } => {
            assert_eq!(source.reason(), InvalidBannerIdReason::Length(1));
        }
        other => panic!("{other:?}"),
    }
    assert!(world.simulator.requests().is_empty(), "nothing was sent");
}

pub(crate) fn an_exporter_that_cannot_work_is_not_built<A: Adapter>() {
    let simulator = simulator(&[]);
    let refused = |change: fn(&mut Setup)| {
        let mut setup = setup(&simulator);
        change(&mut setup);
        A::build(setup).err().unwrap()
    };
    assert!(matches!(refused(|setup| setup.callback = None), Error::NoCallback));
    assert!(matches!(refused(|setup| setup.callback = Some("ftp://h".into())), Error::Callback(_)));
    assert!(matches!(
        refused(|setup| setup.base_url = "http://api.example.com".into()),
        Error::Setting(InvalidSetting::Endpoint(_))
    ));
    let unprotected = refused(|setup| {
        setup.secret = None;
        setup.token = None;
    });
    assert!(matches!(unprotected, Error::Unprotected));
}

pub(crate) fn a_taken_address_is_named<A: Adapter>() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let simulator = simulator(&[]);
    let mut setup = setup(&simulator);
    setup.socket = None;
    setup.listen = Some(address.clone());
    let error = A::build(setup).err().unwrap();
    assert!(matches!(error, Error::Listen { .. }), "{error:?}");
    assert!(error.to_string().contains(&address), "{error}");
}

pub(crate) fn nothing_that_is_shown_holds_a_secret<A: Adapter>() {
    let world = World::<A>::new(&["create:status=429:retry-after=1", "archive:status=410"]);
    let failure = world.failure();
    let order = abyssale_core::Order::new(IDS, "https://hooks.example.com/abyssale").unwrap();
    let token = abyssale_core::Token::from_random([0xab; 16]);
    let order = order.with_token(token, TokenPlacement::PathSegment).unwrap();
    assert!(!format!("{order:?}").contains(token.as_str()));
    let shown = format!("{} {failure} {failure:?} {:?}", world.adapter.shown(), world.told());
    for secret in [world.simulator.api_key(), SECRET, "sig="] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}

pub(crate) fn a_client_of_ones_own_is_used<A: Adapter>() {
    // Its settings are not ours: our time-outs and the treatment of statuses must hold all the same.
    let own = |setup: &mut Setup| setup.own_client = true;
    World::<A>::with(&[], own).assert_saved();
    World::<A>::with(&["create:slow=20s"], |setup| {
        own(setup);
        setup.timeout = Duration::from_secs(2);
    })
    .assert_saved();
    let world = World::<A>::with(&["create:status=307"], own);
    assert!(matches!(world.failure(), abyssale_core::Failure::Refused(error) if error.status() == 307));
}
