//! The official Python client as a judge: what it sends, our simulator understands; what our simulator and our core
//! sign, it accepts; and what it and our verifier judge differently is listed by name.
//!
//! It is installed from PyPI into a virtual environment of its own. Where that cannot be done, every trial is reported
//! as ignored, and why.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a helper of tests fails as a test does, though clippy cannot tell that it is one"
)]

mod calls;
mod deliveries;
mod python;
mod requests;
mod signatures;

use std::process::ExitCode;

use abyssale_tests::outside;
use libtest_mimic::Arguments;

use crate::python::OfficialClient;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let client = outside::look_for("official_client", OfficialClient::install);
    let trial = |name, run: fn(&OfficialClient)| outside::trial(&client, name, run);
    let trials = vec![
        trial("an_export_is_accepted_and_its_id_comes_back", calls::accepted),
        trial("a_refused_body_is_explained_in_the_current_dialect", calls::refused_in_the_current_dialect),
        trial("a_refused_body_is_explained_in_the_legacy_dialect", calls::refused_in_the_legacy_dialect),
        trial("an_unknown_key_is_refused_in_both_dialects", calls::unauthorized),
        trial("an_unknown_banner_is_not_found_in_both_dialects", calls::not_found),
        trial("a_retry_after_is_waited_out", calls::retry_after),
        trial("a_bare_429_is_given_one_probe_after_a_second", calls::bare_429),
        trial("a_retry_after_beyond_30_seconds_fails_at_once", calls::long_retry_after),
        trial("a_feature_that_is_not_in_the_plan_is_never_asked_for_again", calls::feature_not_in_plan),
        trial("an_export_is_not_repeated_after_a_5xx", calls::server_errors),
        trial("an_export_is_not_repeated_after_a_lost_answer", calls::lost_answer),
        trial("the_three_clients_send_the_same_request", requests::are_the_same),
        trial("a_delivery_of_the_simulator_is_genuine_to_both_verifiers", deliveries::of_the_simulator),
        trial("a_delivery_after_a_rotation_fits_both_secrets", deliveries::after_a_rotation),
        trial("what_core_signs_is_genuine", deliveries::signed_by_core),
        trial("both_verifiers_agree_but_for_the_named_differences", signatures::named),
        trial("both_verifiers_agree_on_every_combination_of_spellings", signatures::combined),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}
