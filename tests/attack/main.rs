//! Strangers at the listeners of both transports, while genuine deliveries arrive: bounded in count and time, and on
//! this machine only. One at a time, because each measures or fills something.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod floods;
mod framing;
mod slowness;
mod standing;
mod tls;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by each test for as long as it lasts.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How much memory this process has in use, where that can be told.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split(' ').nth(1)?.parse::<u64>().ok().map(|pages| pages * 4096)
}
