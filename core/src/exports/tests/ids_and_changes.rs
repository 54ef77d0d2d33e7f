//! Job ids, and the changes to save. Most of these tests were found by mutation testing.

use super::*;

#[test]
fn a_job_id_is_restored_from_its_number() {
    let mut bench = Bench::new(wide());
    assert!(bench.exports.is_empty());
    let job = bench.exports.submit(START, order(0)).unwrap();
    assert!(!bench.exports.is_empty());
    assert_eq!(JobId::from_u64(job.as_u64()), job);
    assert_eq!(job.to_string(), job.as_u64().to_string());
    assert_ne!(bench.exports.submit(START, order(1)).unwrap().as_u64(), job.as_u64());
}

#[test]
fn a_process_without_a_store_gives_no_id_of_an_earlier_process() {
    let mut earlier = Bench::new(wide());
    let last = (0..1000).map(|n| earlier.exports.submit(START, order(n)).unwrap()).last().unwrap();
    let mut later = Bench::new(wide());
    let now = START.saturating_add(Duration::from_millis(1));
    assert!(later.exports.submit(now, order(0)).unwrap() > last);
}

#[test]
fn an_id_that_no_job_can_have_is_not_reserved() {
    let mut bench = Bench::new(wide());
    bench.exports.reserve(JobId(END_OF_IDS));
    bench.exports.reserve(JobId(u64::MAX));
    assert!(bench.exports.submit(START, order(0)).unwrap().as_u64() < END_OF_IDS);
    bench.exports.reserve(JobId(END_OF_IDS - 1));
    assert_eq!(bench.exports.submit(START, order(1)).unwrap().as_u64(), END_OF_IDS, "far from overflowing");
}

#[test]
fn a_program_without_a_store_has_nothing_to_save() {
    let mut bench = Bench::new(wide());
    bench.exports.submit(START, order(0)).unwrap();
    bench.exports.forget_changes();
    assert_eq!(bench.exports.take_changes().count(), 0);
}

#[test]
fn a_job_that_is_held_is_saved_like_any_change_and_removed_if_it_ever_was_saved() {
    let mut bench = Bench::new(wide());
    let job = bench.exports.submit(START, order(0).with_goal(Goal::Acceptance)).unwrap();
    assert!(bench.exports.hold(START, job));
    assert!(bench.exports.release(START, job));
    // It was never saved, so that it leaves nothing to be removed.
    let (_, call) = bench.sent()[0];
    bench.accept(job, call, "e");
    let _ = core::iter::from_fn(|| bench.exports.poll_output()).count();
    assert_eq!(bench.exports.take_changes().count(), 0);

    let job = bench.exports.submit(START, order(1)).unwrap();
    for held in [true, false, true, false] {
        assert_eq!(bench.exports.take_changes().count(), 1, "{held}");
        let done = if held { bench.exports.hold(START, job) } else { bench.exports.release(START, job) };
        assert!(done);
    }
}
