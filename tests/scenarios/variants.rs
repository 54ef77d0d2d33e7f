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
