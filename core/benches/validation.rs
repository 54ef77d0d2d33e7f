//! How fast error bodies are read, beside `serde_json::Value` and Python reading the same. Prints
//! ratios; asserts nothing. What it printed last, and where, is in `README.md`.
#![allow(clippy::print_stdout, reason = "it is what a benchmark is for")]
#![allow(clippy::disallowed_types, reason = "it measures time, and starts Python")]

mod bodies;

use std::{
    hint::black_box,
    io::Write as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use abyssale_core::validation;
use bodies::{Body, DOCUMENTED};

fn main() {
    let documented = Body { name: "documented 400", bytes: DOCUMENTED.into(), as_json: DOCUMENTED.into() };
    println!(
        "| body | bytes | ours, ns/byte | Value, ns/byte | ours / Value | Python, ns/byte | ours / Python |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    compare(&documented);
    for make in [bodies::tree_only, bodies::repr_only, bodies::both, bodies::flat] {
        for size in SIZES {
            compare(&make(size));
        }
    }
    println!("\n| hostile body, ns/byte at | 1 kB | 10 kB | 100 kB | 1 MB | 10 MB |");
    println!("|---|--:|--:|--:|--:|--:|");
    let mut columns = SIZES.map(|size| bodies::hostile(size).into_iter());
    loop {
        let row: Vec<_> = columns.iter_mut().filter_map(Iterator::next).collect();
        let Some(first) = row.first() else { break };
        print!("| {} |", first.name);
        for Body { bytes, .. } in &row {
            print!(" {:.2} |", per_byte(fastest(|| drop(validation::read(black_box(bytes)))), bytes));
        }
        println!();
    }
}

fn compare(body: &Body) {
    // A repr is compared with its own tree: what matters is the time for what is said, not for a byte.
    let (ours, value) = fastest_of_both(
        || drop(validation::read(black_box(&body.bytes))),
        || drop(serde_json::from_slice::<serde_json::Value>(black_box(&body.as_json))),
    );
    let python = python(&body.bytes);
    println!(
        "| {} | {} | {:.2} | {:.2} | **{:.2}** | {} | {} |",
        body.name,
        body.bytes.len(),
        per_byte(ours, &body.bytes),
        per_byte(value, &body.as_json),
        ours.as_secs_f64() / value.as_secs_f64(),
        python.map_or("–".to_owned(), |time| format!("{:.1}", per_byte(time, &body.bytes))),
        python.map_or("–".to_owned(), |time| format!("{:.3}", ours.as_secs_f64() / time.as_secs_f64())),
    );
}

#[expect(clippy::cast_precision_loss, reason = "a size of some megabytes")]
fn per_byte(time: Duration, bytes: &[u8]) -> f64 {
    time.as_secs_f64() * 1e9 / bytes.len() as f64
}

/// The shortest of several runs, each long enough to be measured: what else runs on a machine only
/// ever makes it slower.
fn fastest(mut run: impl FnMut()) -> Duration {
    fastest_of_both(&mut run, || ()).0
}

/// The same for two, in turns, so that both meet the same machine.
fn fastest_of_both(mut a: impl FnMut(), mut b: impl FnMut()) -> (Duration, Duration) {
    let (mut best_a, mut best_b) = (Duration::MAX, Duration::MAX);
    let start = Instant::now();
    let (repeat_a, repeat_b) = (repeats(&mut a), repeats(&mut b));
    for round in 0.. {
        best_a = best_a.min(time(&mut a, repeat_a));
        best_b = best_b.min(time(&mut b, repeat_b));
        if round >= 5 && start.elapsed() > MEASURED {
            break;
        }
    }
    (best_a, best_b)
}

fn repeats(run: &mut impl FnMut()) -> u32 {
    let once = time(run, 1).max(Duration::from_nanos(1));
    u32::try_from(Duration::from_millis(2).as_nanos() / once.as_nanos()).unwrap_or(1).clamp(1, 100_000)
}

fn time(run: &mut impl FnMut(), repeats: u32) -> Duration {
    let start = Instant::now();
    for _ in 0..repeats {
        run();
    }
    start.elapsed() / repeats
}

/// What Python takes for `json.loads` and, if there is no tree, `ast.literal_eval`.
fn python(body: &[u8]) -> Option<Duration> {
    let mut child = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(body).ok()?;
    let output = child.wait_with_output().ok()?;
    let seconds: f64 = String::from_utf8(output.stdout).ok()?.trim().parse().ok()?;
    Some(Duration::from_secs_f64(seconds))
}

const SCRIPT: &str = "
import ast, json, sys, time
body = sys.stdin.buffer.read()
best, start = float('inf'), time.perf_counter()
while time.perf_counter() - start < 0.3 or best == float('inf'):
    before = time.perf_counter()
    answer = json.loads(body)
    if 'errors' not in answer:
        ast.literal_eval(answer['message'].partition(': ')[2])
    best = min(best, time.perf_counter() - before)
print(best)
";

const SIZES: [usize; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
const MEASURED: Duration = Duration::from_millis(500);
