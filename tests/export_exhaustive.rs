//! Every sequence of what can happen to an export, up to a length, against a ledger of what must not.
//!
//! CI checks sequences of 6. `ABYSSALE_EXHAUSTIVE=8` goes deeper, and `-- --nocapture` shows how many they were.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "all of this is a test, the helpers included; what it prints is its size"
)]

use abyssale_core::Goal;

#[path = "export_model/explore.rs"]
mod explore;
mod export_model;

use export_model::settings::{Policy, Setting};

const USUAL: Setting =
    Setting { token: true, goal: Goal::Archive, unknown: Policy::AwaitEvent, max_retries: 2, eager: true };

#[test]
fn an_export_with_the_usual_settings_keeps_its_rules() {
    explore::every_sequence(USUAL);
}

#[test]
fn an_export_without_a_token_keeps_its_rules() {
    explore::every_sequence(Setting { token: false, ..USUAL });
}

#[test]
fn an_export_that_fails_when_in_doubt_keeps_its_rules() {
    explore::every_sequence(Setting { unknown: Policy::Fail, ..USUAL });
}

#[test]
fn an_export_that_asks_again_when_in_doubt_keeps_its_rules() {
    explore::every_sequence(Setting { unknown: Policy::AskAgain, ..USUAL });
}

#[test]
fn an_export_that_asks_again_without_a_token_keeps_its_rules() {
    explore::every_sequence(Setting { token: false, unknown: Policy::AskAgain, ..USUAL });
}

#[test]
fn an_export_as_far_as_the_event_keeps_its_rules() {
    explore::every_sequence(Setting { goal: Goal::Event, ..USUAL });
}

#[test]
fn an_export_as_far_as_the_acceptance_keeps_its_rules() {
    explore::every_sequence(Setting { goal: Goal::Acceptance, ..USUAL });
}

#[test]
fn an_export_without_retries_keeps_its_rules() {
    explore::every_sequence(Setting { max_retries: 0, ..USUAL });
}

#[test]
fn worlds_that_are_taken_for_one_remain_one() {
    for unknown in [Policy::AwaitEvent, Policy::AskAgain] {
        explore::states_that_are_taken_for_equal_behave_alike(Setting { unknown, ..USUAL }, 4);
    }
}
