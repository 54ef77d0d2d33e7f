//! What an answer of the service says is wrong. The code is `explain` of the package `abyssale`.
//!
//! `cargo run --bin explain-error < body.json`

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    abyssale::explain("explain-error", env::args_os().skip(1))
}
