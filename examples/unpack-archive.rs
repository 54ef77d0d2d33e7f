//! Unpacks any archive as an export is unpacked. The code is `unpack` of the package `abyssale`.
//!
//! `cargo run --bin unpack-archive -- FILE FOLDER`

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    abyssale::unpack("unpack-archive", env::args_os().skip(1))
}
