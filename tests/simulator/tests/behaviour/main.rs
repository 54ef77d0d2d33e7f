//! The simulator, asked over real sockets: does it keep what the protocol says, and misbehave exactly as told?

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a helper of tests fails as a test does, though clippy cannot tell that it is one"
)]

mod archive;
mod common;
mod create;
mod event;
mod life;
mod program;
mod secret;
