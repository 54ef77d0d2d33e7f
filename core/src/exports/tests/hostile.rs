//! Hostile or unlucky sequences: nothing grows, no job overtakes another, and no acknowledged event is lost.

use super::*;
use crate::export::{Failure, Notice, UnknownOutcome};

fn bare_order() -> Order {
    Order::new([ID], "https://hooks.example.com/abyssale").unwrap()
}

fn asking_again(limits: Limits) -> Bench {
    let mut config = (*config()).clone();
    config.unknown_outcome = UnknownOutcome::AskAgain;
    Bench { exports: Exports::new(Arc::new(config), limits), now: START }
}

fn lost(bench: &mut Bench, job: JobId, call: CallId) {
    let input =
        Input::CallFailed { call, error: CallError { sent: crate::Sent::Maybe, reason: "reset".into() } };
    assert_eq!(bench.exports.handle(bench.now, job, input), Disposition::Accepted);
}

fn conflicting(n: u64, archive: u64) -> Delivery {
    let mut delivery = delivery(&format!("e{n}"), Some(token(n)));
    let Event::NewExport(event) = &mut delivery.event else { panic!() };
    event.archive_url = format!("https://store.example.com/other-{archive}.zip").into();
    delivery
}

/// Jobs that have their event; the downloads of the first are under way.
fn at_the_downloads(limits: Limits, count: u64) -> (Bench, Vec<(JobId, CallId)>) {
    let mut bench = Bench::new(limits);
    for n in 0..count {
        bench.exports.submit(START, order(n)).unwrap();
    }
    for (n, (job, call)) in bench.sent().into_iter().enumerate() {
        bench.accept(job, call, &format!("e{n}"));
    }
    for n in 0..count {
        let reply = bench.exports.handle_delivery(START, &delivery(&format!("e{n}"), Some(token(n))));
        assert_eq!(reply, Reply::Acknowledged);
    }
    let downloads = bench.sent();
    (bench, downloads)
}

#[test]
fn a_job_that_leaves_one_send_queue_waits_in_the_other() {
    let mut bench = asking_again(Limits { downloads: 1, ..wide() });
    let jobs: Vec<_> = (0..3).map(|n| bench.exports.submit(START, order(n)).unwrap()).collect();
    for (job, call) in bench.sent() {
        lost(&mut bench, job, call);
    }
    // All of them wait to ask again, and the budget is closed by a fourth.
    bench.exports.submit(START, order(3)).unwrap();
    let (fourth, call) = bench.sent()[0];
    bench.refuse(fourth, call, &[("retry-after", "20")], b"");
    bench.pass(2000);
    assert!(bench.sent().is_empty());
    for n in 0..3 {
        let reply = bench.exports.handle_delivery(bench.now, &delivery(&format!("e{n}"), Some(token(n))));
        assert_eq!(reply, Reply::Acknowledged);
    }
    assert_eq!(bench.sent().len(), 1, "one download at a time");
    bench.pass(18_000);
    let sent = bench.sent();
    assert!(sent.iter().all(|(job, _)| !jobs.contains(job)), "still one: {sent:?}");
}

#[test]
fn a_flood_of_conflicting_events_neither_grows_the_queue_nor_costs_a_job_its_position() {
    let (mut bench, first) = at_the_downloads(Limits { downloads: 1, ..wide() }, 3);
    for archive in 0..100 {
        let reply = bench.exports.handle_delivery(START, &conflicting(1, archive));
        assert_eq!(reply, Reply::Acknowledged);
        let said = bench.exports.poll_output();
        assert!(matches!(said, Some((_, Output::Notice(_)))), "{said:?}");
        assert!(bench.sent().is_empty());
    }
    assert_eq!(bench.exports.queues.waiting_downloads(), 2);
    let _ = bench.exports.handle_delivery(START, &conflicting(1, 100));
    let (job, call) = first[0];
    assert_eq!(bench.exports.handle(START, job, Input::Cancel), Disposition::Accepted);
    let begun = core::iter::from_fn(|| bench.exports.poll_output()).find_map(|(job, output)| match output {
        Output::Download { .. } => Some(job),
        _ => None,
    });
    assert!(begun > Some(job) && call >= first[0].1);
    assert_eq!(begun.and_then(|job| bench.exports.get(job)?.order().token().copied()), Some(token(1)));
}

#[test]
fn a_job_that_waits_for_its_turn_has_no_timer() {
    let mut bench = Bench::new(Limits { calls: 1, ..wide() });
    let jobs: Vec<_> = (0..100).map(|n| bench.exports.submit(START, order(n)).unwrap()).collect();
    let (job, call) = bench.sent()[0];
    assert_eq!(bench.exports.timers.len(), 1, "that of the call");
    bench.pass(29_000);
    bench.accept(job, call, "e");
    // Neither an input nor its turn finds it late.
    let waiting = jobs[1];
    bench.pass(20_000);
    let stale =
        Input::CallFailed { call, error: CallError { sent: crate::Sent::Never, reason: "refused".into() } };
    assert_eq!(bench.exports.handle(bench.now, waiting, stale), Disposition::Stale);
    let outputs: Vec<_> = core::iter::from_fn(|| bench.exports.poll_output()).collect();
    let call = outputs.iter().find_map(|(job, output)| match output {
        Output::Call { deadline, .. } => Some((*job, *deadline)),
        _ => None,
    });
    assert_eq!(call, Some((waiting, bench.now.saturating_add(Duration::from_secs(30)))));
    assert!(!outputs.iter().any(|(_, output)| matches!(output, Output::Notice(Notice::Retrying { .. }))));
}

#[test]
fn a_program_that_was_away_costs_no_job_a_retry() {
    let mut bench = Bench::new(wide());
    let job = bench.exports.submit(START, order(0)).unwrap();
    bench.pass(3_600_000);
    let Some((id, Output::Call { deadline, .. })) = bench.exports.poll_output() else { panic!() };
    assert_eq!((id, deadline), (job, bench.now.saturating_add(Duration::from_secs(30))));
    assert_eq!(bench.exports.poll_timeout(), Some(deadline));
}

#[test]
fn an_attempt_counts_as_under_way_until_its_abort_is_polled() {
    let mut bench = Bench::new(Limits { calls: 1, ..wide() });
    for n in 0..2 {
        bench.exports.submit(START, order(n)).unwrap();
    }
    let (job, _) = bench.sent()[0];
    bench.pass(30_000);
    let outputs: Vec<_> = core::iter::from_fn(|| bench.exports.poll_output()).collect();
    assert!(matches!(outputs.first(), Some((id, Output::Abort(_))) if *id == job), "{outputs:?}");
    let next = outputs.iter().filter(|(id, output)| *id != job && matches!(output, Output::Call { .. }));
    assert_eq!(next.count(), 1, "{outputs:?}");
}

#[test]
fn a_cancelled_job_without_a_token_leaves_no_route() {
    let mut bench = Bench::new(wide());
    let job = bench.exports.submit(START, bare_order()).unwrap();
    let (_, call) = bench.sent()[0];
    bench.accept(job, call, "e");
    let other = bench.exports.submit(START, bare_order()).unwrap();
    let (_, call) = bench.sent()[0];
    assert_eq!(bench.exports.handle(START, job, Input::Cancel), Disposition::Accepted);
    let _ = core::iter::from_fn(|| bench.exports.poll_output()).count();
    assert_eq!(bench.exports.routes.len(), 1, "the other");
    assert_eq!(bench.exports.handle_delivery(START, &delivery("f", None)), Reply::Unavailable);
    bench.accept(other, call, "f");
    assert_eq!(bench.sent().len(), 1, "its download");
}

#[test]
fn the_event_of_a_job_that_has_failed_is_not_acknowledged_even_before_it_says_so() {
    let mut bench = Bench::new(wide());
    let job = bench.exports.submit(START, order(1)).unwrap();
    let (_, call) = bench.sent()[0];
    let refused = Input::Response { call, response: Response::new(401, &[], b"") };
    assert_eq!(bench.exports.handle(START, job, refused), Disposition::Accepted);
    let event = delivery("e", Some(token(1)));
    assert_eq!(bench.exports.handle_delivery(START, &event), Reply::NotFound, "nobody took it");
    let _ = core::iter::from_fn(|| bench.exports.poll_output()).count();
    assert_eq!(bench.exports.handle_delivery(START, &event), Reply::NotFound);
}

#[test]
fn a_repetition_to_a_job_whose_archive_is_gone_is_acknowledged() {
    let (mut bench, downloads) = at_the_downloads(wide(), 1);
    let (job, call) = downloads[0];
    let gone = Input::Response { call, response: Response::new(404, &[], b"") };
    assert_eq!(bench.exports.handle(START, job, gone), Disposition::Accepted);
    for _ in 0..2 {
        assert_eq!(
            bench.exports.handle_delivery(START, &delivery("e0", Some(token(0)))),
            Reply::Acknowledged
        );
        let _ = core::iter::from_fn(|| bench.exports.poll_output()).count();
    }
}

#[test]
fn a_program_without_a_store_collects_no_removals() {
    let mut bench = Bench::new(wide());
    for n in 0..100 {
        let job = bench.exports.submit(START, order(n)).unwrap();
        assert_eq!(bench.exports.handle(START, job, Input::Cancel), Disposition::Accepted);
        let done = core::iter::from_fn(|| bench.exports.poll_output()).last();
        assert!(matches!(done, Some((_, Output::Done(_)))));
    }
    assert_eq!(bench.exports.changed.len(), 0);
}

#[test]
fn a_restored_job_that_ends_before_it_is_saved_again_is_removed() {
    let mut bench = Bench::new(wide());
    let job = bench.exports.submit(START, order(0)).unwrap();
    let Some((_, Change::Save(snapshot))) = bench.exports.take_changes().next() else { panic!() };
    let mut next = Bench::new(wide());
    next.exports.restore(START, job, *snapshot).unwrap();
    assert_eq!(next.exports.handle(START, job, Input::Cancel), Disposition::Accepted);
    let _ = core::iter::from_fn(|| next.exports.poll_output()).count();
    assert_eq!(next.exports.take_changes().collect::<Vec<_>>(), [(job, Change::Remove)]);
}

#[test]
fn job_ids_do_not_run_out() {
    let mut bench = Bench::new(wide());
    let job = bench.exports.submit(START, order(0)).unwrap();
    let Some((_, Change::Save(snapshot))) = bench.exports.take_changes().next() else { panic!() };
    let damaged = bench.exports.restore(START, JobId::from_u64(u64::MAX), *snapshot);
    assert!(matches!(damaged, Err(RestoreError::Damaged { .. })), "no process gave this name: {damaged:?}");

    let end_of_time: Vec<_> =
        (1..4).map(|n| bench.exports.submit(Timestamp::MAX, order(n)).unwrap()).collect();
    assert!(end_of_time.is_sorted_by(|a, b| a < b) && end_of_time[0] > job, "{end_of_time:?}");
    assert_eq!(bench.exports.len(), 4);
}

#[test]
fn a_limit_of_zero_counts_as_one() {
    let mut bench =
        Bench::new(Limits { calls: 0, downloads: 0, requests_per_second: 0, ..Limits::default() });
    bench.exports.submit(START, order(0)).unwrap();
    let (job, call) = bench.sent()[0];
    bench.accept(job, call, "e");
    let _ = bench.exports.handle_delivery(START, &delivery("e", Some(token(0))));
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn a_stale_answer_does_not_change_the_rate_limit() {
    let mut bench = Bench::new(wide());
    let job = bench.exports.submit(START, order(0)).unwrap();
    let (_, call) = bench.sent()[0];
    let never =
        Input::CallFailed { call, error: CallError { sent: crate::Sent::Never, reason: "refused".into() } };
    assert_eq!(bench.exports.handle(START, job, never), Disposition::Accepted);
    bench.pass(2000);
    assert_eq!(bench.sent().len(), 1);
    let late = [("retry-after", "20")];
    let late = Input::Response { call, response: Response::new(429, &late, b"") };
    assert_eq!(bench.exports.handle(bench.now, job, late), Disposition::Stale);
    bench.exports.submit(bench.now, order(1)).unwrap();
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn equal_orders_do_not_retry_in_the_same_millisecond() {
    let mut bench = Bench::new(wide());
    for _ in 0..20 {
        bench.exports.submit(START, bare_order()).unwrap();
    }
    for (job, call) in bench.sent() {
        let never = Input::CallFailed {
            call,
            error: CallError { sent: crate::Sent::Never, reason: "refused".into() },
        };
        assert_eq!(bench.exports.handle(START, job, never), Disposition::Accepted);
    }
    let mut moments: Vec<_> = bench.exports.jobs.values().filter_map(|job| job.timer).collect();
    moments.sort();
    moments.dedup();
    assert!(moments.len() > 10, "{moments:?}");
}

#[test]
fn jobs_of_a_clock_that_was_ahead_go_on_at_once() {
    let mut ahead = Bench::new(wide());
    ahead.now = START.saturating_add(Duration::from_secs(100 * 365 * 86_400));
    let now = ahead.now;
    let job = ahead.exports.submit(now, order(0)).unwrap();
    let (_, call) = ahead.sent()[0];
    ahead.accept(job, call, "e");
    let Some((_, Change::Save(snapshot))) = ahead.exports.take_changes().next() else { panic!() };

    let mut right = Bench::new(wide());
    right.exports.restore(START, job, *snapshot).unwrap();
    assert_eq!(right.exports.poll_timeout(), Some(START.saturating_add(Duration::from_secs(1800))));
    right.pass(1_800_000);
    let done = core::iter::from_fn(|| right.exports.poll_output()).last();
    assert!(
        matches!(&done, Some((_, Output::Done(Err(failure)))) if matches!(**failure, Failure::NoEvent { .. })),
        "{done:?}"
    );
    assert!(right.exports.get(job).is_none());
}

#[test]
fn a_job_has_one_timer_however_often_its_deadline_moves() {
    let (mut bench, downloads) = at_the_downloads(wide(), 1);
    let (job, call) = downloads[0];
    for received in 0..100 {
        bench.pass(20_000);
        let progress = Input::Progress { call, received, total: None };
        assert_eq!(bench.exports.handle(bench.now, job, progress), Disposition::Accepted);
        assert_eq!(bench.exports.timers.len(), 1, "{:?}", bench.exports.timers);
        assert!(bench.exports.poll_timeout() > Some(bench.now));
    }
    // Its time is up half a minute after the last sign of life, and not before.
    bench.pass(29_999);
    assert!(bench.exports.poll_output().is_none());
    bench.pass(1);
    assert!(matches!(bench.exports.poll_output(), Some((_, Output::Abort(aborted))) if aborted == call));
    assert_eq!(bench.exports.handle(bench.now, job, Input::Cancel), Disposition::Accepted);
    let _ = core::iter::from_fn(|| bench.exports.poll_output()).count();
    assert!(bench.exports.timers.is_empty());
}

#[test]
fn the_reset_of_the_rate_limit_is_read_with_the_services_clock() {
    let mut bench = Bench::new(wide());
    for n in 0..3 {
        bench.exports.submit(START, order(n)).unwrap();
    }
    let calls = bench.sent();
    // Its clock is an hour ahead, and its window ends in five seconds.
    let headers = [
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "1755564839"),
        ("date", "Tue, 19 Aug 2025 00:53:54 GMT"),
    ];
    let (job, call) = calls[0];
    let body = br#"{"export_id":"e"}"#;
    let accepted = Input::Response { call, response: Response::new(200, &headers, body) };
    assert_eq!(bench.exports.handle(START, job, accepted), Disposition::Accepted);
    bench.exports.submit(START, order(3)).unwrap();
    assert!(bench.sent().is_empty());
    assert_eq!(bench.exports.poll_timeout(), Some(START.saturating_add(Duration::from_secs(5))));
    bench.pass(5000);
    assert_eq!(bench.sent().len(), 1);
}
