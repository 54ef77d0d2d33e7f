//! The simulator as a program: for people, for shells, for clients in other languages.

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    abyssale_simulator::run("simulator", env::args_os().skip(1))
}
