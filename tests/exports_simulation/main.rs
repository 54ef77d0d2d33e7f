//! Thousands of made-up days of many exports at once: the service loses, delays, repeats and reorders, the process ends
//! at any step and begins again from what was saved, and the books are kept of what must never happen.
//!
//! A day is drawn from its seed, so that each can be seen again; what failed prints the command for that.
//! `ABYSSALE_SIMULATION=1000000` tries as many seeds instead of 10,000, on all cores.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "all of this is a test, the helpers included; what it prints is its size"
)]

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

mod books;
mod dice;
mod service;
mod setting;
mod world;

use books::Figures;
use world::World;

/// Fails with the rule that is broken.
macro_rules! rule {
    ($holds:expr, $($rule:tt)+) => {
        if !$holds {
            return Err($crate::Halt::Broken(format!($($rule)+)));
        }
    };
}
pub(crate) use rule;

/// Why a process does not go on.
pub(crate) enum Halt {
    /// It ended, as processes do.
    Crash,
    /// A rule was broken.
    Broken(String),
}

#[test]
fn many_exports_keep_their_rules_whatever_happens() {
    if let Some(seed) = number("ABYSSALE_SEED") {
        println!("{:#?}", day(seed, true).unwrap_or_else(|rule| panic!("{rule}")));
        return;
    }
    let (began, count) = (Instant::now(), number("ABYSSALE_SIMULATION").unwrap_or(10_000));
    let (next, broken) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let work = || {
        let mut figures = Figures::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count || broken.load(Ordering::Relaxed) != u64::MAX {
                return figures;
            }
            match catch_unwind(AssertUnwindSafe(|| day(seed, false))) {
                Ok(Ok(of_the_day)) => figures += of_the_day,
                _ => _ = broken.fetch_min(seed, Ordering::Relaxed),
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut figures = Figures::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            figures += worker.join().unwrap();
        }
    });
    let broken = broken.into_inner();
    if broken != u64::MAX {
        let rule = match catch_unwind(AssertUnwindSafe(|| day(broken, false))) {
            Ok(Err(rule)) => rule,
            _ => "it panics".into(),
        };
        panic!(
            "seed {broken}: {rule}\n  see it again: ABYSSALE_SEED={broken} cargo test -p abyssale-tests --test exports_simulation -- --nocapture"
        );
    }
    println!("{count} days in {:.1?}: {figures:#?}", began.elapsed());
    if count >= 1000 {
        figures.cover_everything();
    }
}

fn day(seed: u64, told: bool) -> Result<Figures, String> {
    World::new(seed, told).live()
}

fn number(name: &str) -> Option<u64> {
    Some(env::var(name).ok()?.parse().expect("it is a number"))
}
