//! The commands of the program `abyssale`, each a function from its arguments to its exit status.
//!
//! A library for the programs of this repository, such as `export`, which carry out one of them each. To use exports in a
//! program of your own, take `abyssale-blocking` or `abyssale-async`.

mod check;
mod command;
mod display;
mod explain;
mod export;
mod interrupt;
mod options;
mod stage;
mod unpack;

pub use self::{
    check::print_findings,
    command::run,
    display::{Display, print_table},
    explain::explain,
    export::export,
    options::{Options, UsageError, parse},
    stage::{Stage, StageError},
    unpack::unpack,
};

use std::{error::Error, process::ExitCode};

use abyssale_host::unpack::Unpacked;

pub(crate) type AnyError = Box<dyn Error + Send + Sync>;

/// Ends a program: quietly if it went well, with the reason on standard error if not.
pub fn exit(name: &str, result: Result<ExitCode, AnyError>) -> ExitCode {
    result.unwrap_or_else(|error| {
        let is_usage = error.is::<UsageError>()
            || matches!(error.downcast_ref::<StageError>(), Some(StageError::Usage(_)));
        for line in with_causes(&*error).lines() {
            display::complain(&format!("{name}: {line}"));
        }
        ExitCode::from(if is_usage { 2 } else { 1 })
    })
}

/// The exit status of an export whose archive was unpacked: 3 if banners are missing.
pub fn status(unpacked: &Unpacked, asked_for: usize) -> ExitCode {
    let is_whole = !unpacked.is_partial() && display::missing(unpacked, asked_for) == 0;
    ExitCode::from(if is_whole { 0 } else { 3 })
}

/// An error and its causes, but for those that it says itself.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text.push_str(": ");
            text.push_str(&reason);
        }
        cause = error.source();
    }
    text
}
