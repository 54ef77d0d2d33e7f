//! What the two main programs, `export` and `export-async`, have in common: their options, the
//! simulator they fall back to, and what they show. Not an example itself: start with `export.rs`.

/// The examples of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

mod certificate;
mod display;
mod mounted;
mod options;
mod stage;

pub use self::{
    certificate::Certificate,
    display::{Display, print_table},
    mounted::{endpoint, show},
    options::{Options, UsageError, parse},
    stage::{Stage, StageError},
};

use std::process::ExitCode;

/// Ends a program: quietly if it went well, with one line on stderr if not.
pub fn exit(name: &str, result: Result<(), Box<dyn std::error::Error + Send + Sync>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = if error.is::<UsageError>() { 2 } else { 1 };
            display::complain(&format!("{name}: {error}"));
            ExitCode::from(code)
        }
    }
}
