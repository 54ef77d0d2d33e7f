//! The clients over TLS, with whom the operating system trusts: a service, an archive, a redirect that would leave TLS,
//! and certificates that nobody should accept.
//!
//! Whom the system trusts is told to a child, this program again, by the variable that OpenSSL knows. Where the system
//! has other ways, every trial is reported as ignored, and why.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper of tests fails as a test does, though clippy cannot tell that it is one"
)]

mod child;
mod server;

use std::{env, process::ExitCode};

use abyssale_tests::outside::{look_for, trial};
use libtest_mimic::{Arguments, Trial};

use crate::{child::ask, server::Server};

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    if arguments.next().as_deref() == Some(child::NAME) {
        child::run(&arguments.collect::<Vec<_>>());
        return ExitCode::SUCCESS;
    }
    let trusts = look_for("https", || {
        let told = cfg!(target_os = "linux").then_some(());
        told.ok_or("this system keeps whom it trusts where a test should not change it".to_owned())
    });
    let trials = ["blocking", "async"].into_iter().flat_map(|transport| {
        let named = |name: &str, check: fn(&str)| -> Trial {
            trial(&trusts, format!("{name}_{transport}"), move |()| check(transport))
        };
        [
            named("the_service_and_the_archive_are_reached_over_tls", all_is_well),
            named("an_archive_that_ends_without_close_notify_is_whole_if_it_has_its_end", abrupt_end),
            named("https_is_never_left_for_http", no_way_down),
            named("a_certificate_of_nobody_is_not_trusted", a_stranger),
            named("a_certificate_for_another_name_is_not_trusted", another_name),
        ]
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn all_is_well(transport: &str) {
    let server = Server::start();
    let base = format!("https://localhost:{}", server.https);
    assert_eq!(ask(transport, &server.trusted, ["create", &base, ""]), server::EXPORT_ID);
    assert_eq!(ask(transport, &server.trusted, ["download", &base, &format!("{base}/a.zip?sig=x")]), "22");
    let seen = server.seen();
    assert_eq!(seen, ["https POST /async/banners/export", "https GET /a.zip?sig=x"]);
}

fn abrupt_end(transport: &str) {
    let server = Server::start();
    let base = format!("https://localhost:{}", server.https);
    assert_eq!(ask(transport, &server.trusted, ["download", &base, &format!("{base}/abrupt.zip")]), "22");
    let error = ask(transport, &server.trusted, ["download", &base, &format!("{base}/cut.zip")]);
    assert!(error.contains("could not be downloaded"), "{error}");
}

fn no_way_down(transport: &str) {
    let server = Server::start();
    let base = format!("https://localhost:{}", server.https);
    let error = ask(transport, &server.trusted, ["download", &base, &format!("{base}/down.zip")]);
    assert!(error.contains("uses http, and was redirected from https"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    assert_eq!(server.seen(), ["https GET /down.zip"], "nobody has asked in the clear");
}

/// Neither is anything sent to whoever it is, so the export may be asked for again.
fn a_stranger(transport: &str) {
    let (server, other) = (Server::start(), Server::start());
    let base = format!("https://localhost:{}", server.https);
    let error = ask(transport, &other.trusted, ["create", &base, ""]);
    assert!(error.starts_with("the service could not be reached"), "{error}");
    assert!(error.contains("invalid peer certificate"), "{error}");
    assert!(server.seen().is_empty());
}

fn another_name(transport: &str) {
    let server = Server::start();
    let base = format!("https://127.0.0.1:{}", server.https);
    let error = ask(transport, &server.trusted, ["create", &base, ""]);
    assert!(error.starts_with("the service could not be reached"), "{error}");
    assert!(error.contains("not valid for name"), "{error}");
    assert!(server.seen().is_empty());
}
