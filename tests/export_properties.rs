//! Long random histories of an export, under the rules of the exhaustive search, and shrunk when they break one.
//!
//! `PROPTEST_CASES=100000` runs more of them. A history that failed is printed, and kept beside this
//! file with its seed, to be tried first the next time.
#![expect(clippy::unwrap_used, reason = "all of this is a test, the helpers included")]

use std::time::Duration;

use abyssale_core::{Goal, Timestamp};
use proptest::{prelude::*, sample::select, test_runner::FileFailurePersistence};

mod export_model;

use export_model::{
    afterwards,
    alphabet::{ALPHABET, Address, Answer, Letter, Story},
    settings::{Policy, START, Setting},
    world::World,
};

fn settings() -> impl Strategy<Value = Setting> {
    let goals = [Goal::Archive, Goal::Archive, Goal::Event, Goal::Acceptance];
    let policies = [Policy::AwaitEvent, Policy::Fail, Policy::AskAgain];
    (any::<bool>(), select(goals.to_vec()), select(policies.to_vec()), 0..6_u32, any::<bool>()).prop_map(
        |(token, goal, unknown, max_retries, eager)| Setting { token, goal, unknown, max_retries, eager },
    )
}

fn letter() -> impl Strategy<Value = Letter> {
    // What leads further, so that long histories do not all end early.
    let onward = [
        Letter::PollAll,
        Letter::Deadline,
        Letter::Answer(Answer::Accepted),
        Letter::Answer(Answer::Throttled),
        Letter::Answer(Answer::NotSent),
        Letter::Event(Story::Right, Address::Ours),
        Letter::Interrupted,
        Letter::Crash,
    ];
    prop_oneof![
        4 => select(ALPHABET.to_vec()).prop_filter("the end", |letter| *letter != Letter::Cancel),
        4 => select(onward.to_vec()),
        2 => (0..4_000_000_u64).prop_map(|millis| Letter::Pass(Duration::from_millis(millis))),
        1 => Just(Letter::ClockBack),
    ]
}

fn history() -> impl Strategy<Value = (Setting, Vec<Letter>)> {
    (settings(), prop::collection::vec(letter(), 0..60))
}

fn kept() -> ProptestConfig {
    let file = FileFailurePersistence::WithSource("regressions");
    let config = ProptestConfig::default();
    // A history costs a fraction of a millisecond.
    ProptestConfig { cases: config.cases.max(4096), failure_persistence: Some(Box::new(file)), ..config }
}

proptest! {
    #![proptest_config(kept())]

    #[test]
    fn an_export_keeps_its_rules_however_long_it_takes((setting, letters) in history()) {
        let mut world = World::new(setting, START).map_err(TestCaseError::fail)?;
        for letter in letters {
            world.step(letter).map_err(TestCaseError::fail)?;
            afterwards::check(&world).map_err(TestCaseError::fail)?;
        }
    }

    #[test]
    fn an_export_does_the_same_on_every_day((setting, letters) in history(), days in 0..10_000_u64) {
        let another_day = START.saturating_add(Duration::from_secs(days * 86_400));
        let both = |letter: Option<Letter>, worlds: &mut [World; 2]| {
            for world in worlds.iter_mut() {
                letter.map_or(Ok(()), |letter| world.step(letter)).map_err(TestCaseError::fail)?;
            }
            let [one, other] = worlds;
            prop_assert_eq!(one.fingerprint(), other.fingerprint());
            Ok(())
        };
        let world = |now: Timestamp| World::new(setting, now).map_err(TestCaseError::fail);
        let mut worlds = [world(START)?, world(another_day)?];
        both(None, &mut worlds)?;
        for letter in letters {
            both(Some(letter), &mut worlds)?;
        }
    }
}
