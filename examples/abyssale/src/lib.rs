//! The commands of the program `abyssale`, each a function from its arguments to its exit status.
//!
//! A library for the programs of this repository, such as `export`, which carry out one of them each. To use exports in a
//! program of your own, take `abyssale-blocking` or `abyssale-async`.

mod display;
mod explain;
mod export;
mod options;
mod stage;
mod unpack;

pub use self::{
    display::{Display, print_table},
    explain::explain,
    export::export,
    options::{Options, UsageError, parse},
    stage::{Stage, StageError},
    unpack::unpack,
};

use std::process::ExitCode;

pub(crate) type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Ends a program: quietly if it went well, with one line on stderr if not.
pub fn exit(name: &str, result: Result<(), AnyError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = if error.is::<UsageError>() { 2 } else { 1 };
            display::complain(&format!("{name}: {error}"));
            ExitCode::from(code)
        }
    }
}
