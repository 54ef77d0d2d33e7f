//! What reading an error body allocates: few pieces for a real one, and for any body whatever no
//! more than four times its size.

#[allow(dead_code, reason = "the benchmarks use the rest")]
#[path = "../core/benches/bodies/mod.rs"]
mod bodies;

use abyssale_core::{ApiError, validation};
use allocation_counter::AllocationInfo;
use bodies::{Body, DOCUMENTED};

/// What every body may cost, however small it is.
const SMALL: u64 = 64 << 10;

#[test]
fn the_documented_refusal_takes_no_more_than_twelve_allocations() {
    let reading = counted(|| drop(validation::read(DOCUMENTED.as_bytes())));
    let error = counted(|| drop(ApiError::parse(400, &(), DOCUMENTED.as_bytes())));
    println!("reading: {} allocations, the error: {}", reading.count_total, error.count_total);
    assert!(reading.count_total <= 12 && error.count_total <= 12, "{reading:?} {error:?}");
}

#[test]
fn no_body_takes_more_than_four_times_its_size() {
    for size in [1_000, 100_000, 3_000_000] {
        let all = bodies::hostile(size)
            .into_iter()
            .chain([bodies::tree_only, bodies::repr_only, bodies::both, bodies::flat].map(|make| make(size)));
        for Body { name, bytes, .. } in all {
            let counted = counted(|| drop(validation::read(&bytes)));
            #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
            let ratio = counted.bytes_max as f64 / bytes.len() as f64;
            println!("{size:9} {ratio:6.2} {:4} {name}", counted.count_total);
            assert!(counted.bytes_max <= 4 * bytes.len() as u64 + SMALL, "{name}: {ratio:.2}, {counted:?}");
            assert_eq!(counted.bytes_current, 0, "{name}");
        }
    }
}

fn counted(run: impl FnOnce()) -> AllocationInfo {
    allocation_counter::measure(run)
}
