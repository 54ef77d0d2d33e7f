//! curl, a client we did not write: it asks our simulator for an export as the documentation shows, and posts
//! deliveries to the listeners of both transports, which must answer it alike.
//!
//! Where curl is not installed every trial is reported as ignored, and why; what also needs the `openssl` command is
//! so by itself.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a helper of tests fails as a test does, though clippy cannot tell that it is one"
)]

mod command;
mod connections;
mod deliveries;
mod documented;
mod listeners;
mod openssl;

use std::process::ExitCode;

use abyssale_tests::outside::{look_for, trial};
use libtest_mimic::Arguments;

use crate::{command::Curl, openssl::OpenSsl};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let curl = look_for("curl", Curl::find);
    let openssl = look_for("curl", || OpenSsl::find(Curl::find()?));
    let mut trials = vec![
        trial(&curl, "the_documented_request_is_accepted", documented::is_accepted),
        trial(&curl, "the_documented_double_slash_is_another_address", documented::double_slash),
        trial(
            &curl,
            "a_body_that_is_too_large_is_refused_before_it_is_sent",
            connections::refused_before_sent,
        ),
        trial(
            &curl,
            "a_body_that_is_sent_regardless_is_refused_all_the_same",
            connections::refused_while_sent,
        ),
        trial(&curl, "a_second_delivery_on_a_connection_is_answered", connections::second_delivery),
        trial(&curl, "a_refusal_ends_the_connection", connections::refusal_ends_it),
        trial(&curl, "an_answer_in_http_1_0_ends_the_connection", connections::http_1_0),
        trial(&openssl, "a_delivery_signed_by_openssl_is_genuine", openssl::is_genuine),
    ];
    for case in deliveries::cases() {
        trials.push(trial(&curl, case.title(), move |curl| case.check(curl)));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
