//! The program `abyssale`: `abyssale --help` lists its commands.

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    abyssale::run(env::args_os().skip(1))
}
