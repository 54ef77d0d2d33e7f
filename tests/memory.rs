//! What reading an error body allocates: few pieces for a real one, and for any body whatever no
//! more than four times its size. And what a job takes that waits among many.

#[allow(dead_code, reason = "the benchmarks use the rest")]
#[path = "../core/benches/bodies/mod.rs"]
mod bodies;

use std::sync::Arc;

use abyssale_core::{
    ApiError, ApiKey, Config, Disposition, Endpoint, Exports, Input, Limits, Order, Output, Timestamp, Token,
    TokenPlacement, http::Response, validation,
};
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

#[test]
fn a_job_that_waits_takes_no_more_than_600_bytes() {
    // Just past the size at which a table has been doubled, which is when it is emptiest.
    const JOBS: usize = 15_000;
    let endpoint = Endpoint::new("https://api.abyssale.com", ApiKey::new("key").unwrap()).unwrap();
    let mut limits = Limits::default();
    (limits.calls, limits.requests_per_second) = (JOBS, u32::MAX);
    let now = Timestamp::from_secs(1_755_561_234);
    let mut exports = Exports::new(Arc::new(Config::new(endpoint)), limits);
    let counted = counted(|| {
        for nth in 0..JOBS {
            let order =
                Order::new(["64238d01-d402-474b-8c2d-fbc957e9d290"], "https://hooks.example.com/abyssale");
            let mut token = [7; 16];
            token[..8].copy_from_slice(&nth.to_le_bytes());
            let order = order.unwrap().with_token(Token::from_random(token), TokenPlacement::PathSegment);
            let job = exports.submit(now, order.unwrap()).unwrap();
            let Some((_, Output::Call { call, .. })) = exports.poll_output() else { panic!() };
            let body = format!(r#"{{"export_id":"{nth:08x}-2656-455c-afd7-66d5ed3dd581"}}"#);
            let accepted = Input::Response { call, response: Response::new(200, &[], body.as_bytes()) };
            assert_eq!(exports.handle(now, job, accepted), Disposition::Accepted);
            assert!(matches!(exports.poll_output(), Some((_, Output::Notice(_)))));
            assert!(exports.poll_output().is_none());
            assert!(exports.take_changes().count() == 1);
        }
    });
    let each = counted.bytes_current / i64::try_from(JOBS).unwrap();
    println!("{each} bytes a job");
    assert!(each <= 600, "{each} bytes a job");
    assert_eq!(exports.len(), JOBS);
}

fn counted(run: impl FnOnce()) -> AllocationInfo {
    allocation_counter::measure(run)
}
