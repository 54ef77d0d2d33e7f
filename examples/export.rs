//! The main job: banner ids in, images on disk out. The code is `export` of the package `abyssale`.
//!
//! `cargo run --bin export` does it against a simulator; with `ABYSSALE_API_KEY`, against the service.

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    abyssale::export("export", env::args_os().skip(1))
}
