//! Many jobs: routing, send queues, timers and changes. Time is virtual.

mod hostile;
mod ids_and_changes;

use alloc::{format, string::ToString, sync::Arc, vec::Vec};
use core::time::Duration;

use super::*;
use crate::{
    export::{CallError, CallId},
    http::Response,
    order::Goal,
    request::Endpoint,
    secret::ApiKey,
    token::{Token, TokenPlacement},
    webhook::{CallbackEndpoint, Verifier},
};

const START: Timestamp = Timestamp::from_secs(1_755_561_234);
const ID: &str = "64238d01-d402-474b-8c2d-fbc957e9d290";

fn config() -> Arc<Config> {
    Arc::new(Config::new(Endpoint::new("https://api.abyssale.com", ApiKey::new("key").unwrap()).unwrap()))
}

fn token(n: u64) -> Token {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    Token::from_random(bytes)
}

fn order(n: u64) -> Order {
    let order = Order::new([ID], "https://hooks.example.com/abyssale").unwrap();
    order.with_token(token(n), TokenPlacement::PathSegment).unwrap()
}

fn delivery(export_id: &str, token: Option<Token>) -> Delivery {
    let body =
        format!(r#"{{"export_id":"{export_id}","archive_url":"https://store.example.com/{export_id}.zip"}}"#);
    let endpoint = CallbackEndpoint::new(Verifier::new([]).accept_unsigned()).token(None);
    let mut delivery = endpoint.receive(START, "POST", "/", &(), body.as_bytes()).unwrap();
    delivery.token = token;
    delivery
}

/// Many jobs and a clock.
struct Bench {
    exports: Exports,
    now: Timestamp,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        Self { exports: Exports::new(config(), limits), now: START }
    }

    fn pass(&mut self, millis: u64) {
        self.now = self.now.saturating_add(Duration::from_millis(millis));
        self.exports.handle_timeout(self.now);
    }

    /// Everything there is to do now; notices are left out.
    fn sent(&mut self) -> Vec<(JobId, CallId)> {
        let mut sent = Vec::new();
        while let Some((job, output)) = self.exports.poll_output() {
            match output {
                Output::Call { call, .. } | Output::Download { call, .. } => sent.push((job, call)),
                Output::Notice(_) | Output::Abort(_) => {}
                Output::Done(result) => panic!("{result:?}"),
            }
        }
        sent
    }

    fn accept(&mut self, job: JobId, call: CallId, export_id: &str) {
        let body = format!(r#"{{"export_id":"{export_id}"}}"#);
        let input = Input::Response { call, response: Response::new(200, &[], body.as_bytes()) };
        assert_eq!(self.exports.handle(self.now, job, input), Disposition::Accepted);
    }

    fn refuse(&mut self, job: JobId, call: CallId, headers: &[(&str, &str)], body: &[u8]) {
        let input = Input::Response { call, response: Response::new(429, headers, body) };
        assert_eq!(self.exports.handle(self.now, job, input), Disposition::Accepted);
    }
}

fn wide() -> Limits {
    Limits { requests_per_second: 1_000_000, calls: usize::MAX, downloads: usize::MAX, ..Limits::default() }
}

#[test]
fn a_request_without_a_job_keeps_to_the_rate_limit_and_lets_jobs_go_first() {
    let mut bench = Bench::new(Limits { requests_per_second: 2, ..Limits::default() });
    assert_eq!(bench.exports.take_request(START), Ok(()));
    let [first, second] = [0, 1].map(|n| bench.exports.submit(START, order(n)).unwrap());
    assert_eq!(bench.sent().iter().map(|(job, _)| *job).collect::<Vec<_>>(), [first]);
    let opens_at = START.saturating_add(Duration::from_secs(1));
    assert_eq!(bench.exports.take_request(START), Err(opens_at));
    bench.pass(1000);
    assert_eq!(bench.sent().iter().map(|(job, _)| *job).collect::<Vec<_>>(), [second]);
    assert_eq!(bench.exports.take_request(bench.now), Ok(()));

    let reset = (bench.now.as_secs() + 5).to_string();
    let headers = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset.as_str())];
    bench.exports.learn(bench.now, &Response::new(404, &headers, b""));
    let later = bench.now.saturating_add(Duration::from_secs(2));
    assert!(bench.exports.take_request(later).is_err(), "the service's window is empty");
}

#[test]
fn each_delivery_finds_its_own_job() {
    let mut bench = Bench::new(wide());
    let jobs: Vec<_> = (0..10).map(|n| bench.exports.submit(START, order(n)).unwrap()).collect();
    let calls = bench.sent();
    assert_eq!(calls.iter().map(|(job, _)| *job).collect::<Vec<_>>(), jobs);
    for (n, (job, call)) in calls.into_iter().enumerate() {
        bench.accept(job, call, &format!("e{n}"));
    }
    assert_eq!(bench.exports.handle_delivery(START, &delivery("e7", Some(token(7)))), Reply::Acknowledged);
    assert_eq!(bench.sent().iter().map(|(job, _)| *job).collect::<Vec<_>>(), [jobs[7]]);
    assert_eq!(bench.exports.handle_delivery(START, &delivery("e7", Some(token(99)))), Reply::NotFound);
    assert_eq!(bench.exports.handle_delivery(START, &delivery("elsewhere", None)), Reply::Acknowledged);
}

#[test]
fn a_job_that_is_done_is_gone_but_its_event_is_still_known() {
    let mut bench = Bench::new(wide());
    let order = order(1).with_goal(Goal::Event);
    let job = bench.exports.submit(START, order).unwrap();
    let (_, call) = bench.sent()[0];
    bench.accept(job, call, "e");
    assert_eq!(bench.exports.handle_delivery(START, &delivery("e", Some(token(1)))), Reply::Acknowledged);
    let done = core::iter::from_fn(|| bench.exports.poll_output()).last();
    assert!(matches!(done, Some((id, Output::Done(Ok(_)))) if id == job));
    assert!(bench.exports.is_empty());
    assert_eq!(bench.exports.handle_delivery(START, &delivery("e", Some(token(1)))), Reply::Acknowledged);
    assert_eq!(bench.exports.handle(START, job, Input::Cancel), Disposition::Stale);
    assert_eq!(bench.exports.poll_timeout(), None);
}

#[test]
fn without_a_token_an_early_event_is_kept_or_delivered_again() {
    let mut bench = Bench::new(wide());
    let order = Order::new([ID], "https://hooks.example.com/abyssale").unwrap();
    let job = bench.exports.submit(START, order).unwrap();
    let (_, call) = bench.sent()[0];
    assert_eq!(bench.exports.handle_delivery(START, &delivery("e", None)), Reply::Unavailable);
    bench.accept(job, call, "e");
    assert_eq!(bench.sent().len(), 1, "the download");
    assert_eq!(bench.exports.handle_delivery(START, &delivery("e", None)), Reply::Acknowledged);
}

#[test]
fn no_second_has_more_requests_than_the_rate_limit() {
    let mut bench = Bench::new(Limits { calls: usize::MAX, ..Limits::default() });
    let jobs: Vec<_> = (0..35).map(|n| bench.exports.submit(START, order(n)).unwrap()).collect();
    let mut sent = Vec::new();
    for _ in 0..4 {
        let now = bench.sent();
        assert!(now.len() <= 10, "{}", now.len());
        sent.extend(now);
        bench.pass(1000);
    }
    assert_eq!(sent.iter().map(|(job, _)| *job).collect::<Vec<_>>(), jobs, "in the order in which they came");
}

#[test]
fn a_job_that_waits_in_the_send_queue_does_not_time_out() {
    let mut bench = Bench::new(Limits { requests_per_second: 1, ..Limits::default() });
    for n in 0..100 {
        bench.exports.submit(START, order(n)).unwrap();
    }
    let mut sent = 0;
    for _ in 0..100 {
        for (job, call) in bench.sent() {
            sent += 1;
            bench.accept(job, call, &format!("e{sent}"));
        }
        let next = bench.exports.poll_timeout().unwrap();
        assert!(next > bench.now);
        bench.pass(1000);
    }
    assert_eq!(sent, 100, "each once, though the last waited far longer than a call may take");
}

#[test]
fn calls_under_way_are_bounded_and_the_end_of_one_starts_the_next() {
    let mut bench = Bench::new(Limits { calls: 2, ..wide() });
    let jobs: Vec<_> = (0..5).map(|n| bench.exports.submit(START, order(n)).unwrap()).collect();
    let first = bench.sent();
    assert_eq!(first.len(), 2);
    bench.accept(first[0].0, first[0].1, "e0");
    assert_eq!(bench.sent().iter().map(|(job, _)| *job).collect::<Vec<_>>(), [jobs[2]]);
    assert_eq!(bench.exports.handle(START, jobs[1], Input::Cancel), Disposition::Accepted);
    let next: Vec<_> = core::iter::from_fn(|| bench.exports.poll_output())
        .filter_map(|(job, output)| matches!(output, Output::Call { .. }).then_some(job))
        .collect();
    assert_eq!(next, [jobs[3]], "a cancelled call makes room too");
}

#[test]
fn downloads_under_way_are_bounded() {
    let mut bench = Bench::new(Limits { downloads: 1, ..wide() });
    let jobs: Vec<_> = (0..3).map(|n| bench.exports.submit(START, order(n)).unwrap()).collect();
    for (n, (job, call)) in bench.sent().into_iter().enumerate() {
        bench.accept(job, call, &format!("e{n}"));
    }
    for n in 0..3 {
        let reply = bench.exports.handle_delivery(START, &delivery(&format!("e{n}"), Some(token(n))));
        assert_eq!(reply, Reply::Acknowledged);
    }
    let first = bench.sent();
    assert_eq!(first.iter().map(|(job, _)| *job).collect::<Vec<_>>(), [jobs[0]]);
    let downloaded = Input::Downloaded { call: first[0].1, bytes: 1 };
    assert_eq!(bench.exports.handle(START, jobs[0], downloaded), Disposition::Accepted);
    let next: Vec<_> = core::iter::from_fn(|| bench.exports.poll_output())
        .filter_map(|(job, output)| matches!(output, Output::Download { .. }).then_some(job))
        .collect();
    assert_eq!(next, [jobs[1]]);
}

#[test]
fn a_cancelled_job_leaves_the_send_queue_at_once() {
    let mut bench = Bench::new(Limits { calls: 1, ..wide() });
    let jobs: Vec<_> = (0..3).map(|n| bench.exports.submit(START, order(n)).unwrap()).collect();
    let first = bench.sent();
    assert_eq!(bench.exports.handle(START, jobs[1], Input::Cancel), Disposition::Accepted);
    let done = bench.exports.poll_output();
    assert!(matches!(done, Some((job, Output::Done(Err(_)))) if job == jobs[1]), "{done:?}");
    bench.accept(first[0].0, first[0].1, "e0");
    assert_eq!(bench.sent().iter().map(|(job, _)| *job).collect::<Vec<_>>(), [jobs[2]]);
}

#[test]
fn a_429_holds_all_jobs_back() {
    let mut bench = Bench::new(wide());
    let first = bench.exports.submit(START, order(0)).unwrap();
    let (_, call) = bench.sent()[0];
    bench.refuse(first, call, &[("retry-after", "5")], b"");
    bench.exports.submit(START, order(1)).unwrap();
    assert!(bench.sent().is_empty());
    bench.pass(4999);
    assert!(bench.sent().is_empty());
    bench.pass(1);
    assert_eq!(bench.sent().len(), 1, "the one that was not refused has no jitter of its own");
    bench.pass(200);
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn a_restriction_of_the_plan_holds_no_other_job_back() {
    let mut bench = Bench::new(wide());
    let first = bench.exports.submit(START, order(0)).unwrap();
    let (_, call) = bench.sent()[0];
    bench.exports.submit(START, order(1)).unwrap();
    bench.refuse(first, call, &[("retry-after", "5")], br#"{"id":"feature_not_in_plan","message":"No."}"#);
    let calls =
        core::iter::from_fn(|| bench.exports.poll_output()).filter(|(_, o)| matches!(o, Output::Call { .. }));
    assert_eq!(calls.count(), 1);
}

#[test]
fn an_order_beyond_the_limit_is_returned() {
    let mut bench = Bench::new(Limits { jobs: 1, ..wide() });
    bench.exports.submit(START, order(0)).unwrap();
    let AtCapacity(back) = bench.exports.submit(START, order(1)).unwrap_err();
    assert_eq!(*back, order(1));
}

#[test]
fn a_change_is_returned_once_and_a_finished_job_is_removed() {
    let mut bench = Bench::new(wide());
    let job = bench.exports.submit(START, order(0).with_goal(Goal::Acceptance)).unwrap();
    let saved = |bench: &mut Bench| bench.exports.take_changes().collect::<Vec<_>>();
    assert!(matches!(&saved(&mut bench)[..], [(id, Change::Save(_))] if *id == job));
    assert!(saved(&mut bench).is_empty());
    let (_, call) = bench.sent()[0];
    assert!(matches!(&saved(&mut bench)[..], [(_, Change::Save(_))]), "from here on it may have been sent");
    bench.accept(job, call, "e");
    let _ = core::iter::from_fn(|| bench.exports.poll_output()).count();
    assert_eq!(saved(&mut bench), [(job, Change::Remove)]);
}

#[test]
fn restored_jobs_keep_their_ids_and_new_jobs_get_others() {
    let mut bench = Bench::new(wide());
    let jobs: Vec<_> = (0..3).map(|n| bench.exports.submit(START, order(n)).unwrap()).collect();
    let saved: Vec<_> = bench.exports.take_changes().collect();
    // The clock of the next process stands still, and one name is forgotten.
    let mut next = Bench::new(wide());
    for (id, change) in saved.into_iter().rev() {
        let Change::Save(snapshot) = change else { panic!() };
        let again = snapshot.clone();
        next.exports.restore(START, id, *snapshot).unwrap();
        assert_eq!(next.exports.restore(START, id, *again), Err(RestoreError::InUse));
    }
    let new = next.exports.submit(START, order(9)).unwrap();
    assert!(jobs.iter().all(|job| *job < new));
    assert_eq!(next.sent().len(), 4);
    assert_eq!(next.exports.handle_delivery(START, &delivery("e", Some(token(1)))), Reply::Acknowledged);
}

#[test]
fn jobs_take_turns() {
    let mut bench = Bench::new(wide());
    let jobs: Vec<_> = (0..3).map(|n| bench.exports.submit(START, order(n)).unwrap()).collect();
    for (n, (job, call)) in bench.sent().into_iter().enumerate() {
        bench.accept(job, call, &format!("e{n}"));
        let _ = bench.exports.handle_delivery(START, &delivery(&format!("e{n}"), Some(token(n as u64))));
    }
    // Each has two notices and a download to give: no job gives its second before all have given their first.
    let turns: Vec<_> = core::iter::from_fn(|| bench.exports.poll_output()).map(|(job, _)| job).collect();
    assert_eq!(turns[..6], [jobs[0], jobs[1], jobs[2], jobs[0], jobs[1], jobs[2]]);
}

#[test]
fn time_alone_ends_all_jobs() {
    let mut bench = Bench::new(Limits { calls: 3, downloads: 1, ..Limits::default() });
    for n in 0..50 {
        bench.exports.submit(START, order(n)).unwrap();
    }
    for _ in 0..10_000 {
        while bench.exports.poll_output().is_some() {}
        let Some(next) = bench.exports.poll_timeout() else { break };
        assert!(next > bench.now);
        bench.now = next;
        bench.exports.handle_timeout(next);
    }
    assert!(bench.exports.is_empty());
    assert!(bench.exports.timers.is_empty() && bench.exports.routes.len() == 0);
    assert_eq!(bench.exports.queues.under_way(), 0);
}

#[test]
fn a_held_job_takes_its_event_and_goes_on_when_it_is_released() {
    let mut bench = Bench::new(wide());
    let job = bench.exports.submit(START, order(0)).unwrap();
    let (_, call) = bench.sent()[0];
    bench.accept(job, call, "e0");
    assert!(bench.sent().is_empty());
    assert!(bench.exports.hold(bench.now, job));
    assert_eq!(bench.exports.poll_timeout(), None);
    // A day in which nobody carries it out, and its event comes.
    bench.pass(86_400_000);
    let reply = bench.exports.handle_delivery(bench.now, &delivery("e0", Some(token(0))));
    assert_eq!(reply, Reply::Acknowledged);
    assert!(bench.exports.poll_output().is_none(), "it says nothing");
    let saved: Vec<_> = bench.exports.take_changes().collect();
    assert!(matches!(&saved[..], [(id, Change::Save(_))] if *id == job));
    assert!(bench.exports.release(bench.now, job));
    assert_eq!(bench.sent().len(), 1, "the download");
}

#[test]
fn a_held_job_loses_no_time_and_what_it_had_under_way_is_unknown() {
    let mut bench = Bench::new(Limits { calls: 1, ..wide() });
    let jobs: Vec<_> = (0..3).map(|n| bench.exports.submit(START, order(n)).unwrap()).collect();
    let first = bench.sent();
    assert!(bench.exports.hold(START, jobs[0]) && bench.exports.hold(START, jobs[1]));
    assert_eq!(bench.sent().iter().map(|(job, _)| *job).collect::<Vec<_>>(), [jobs[2]], "it made room");
    let late =
        Input::Response { call: first[0].1, response: Response::new(200, &[], br#"{"export_id":"e0"}"#) };
    assert_eq!(bench.exports.handle(START, jobs[0], late), Disposition::Stale);
    bench.pass(86_400_000);
    assert!(bench.exports.release(bench.now, jobs[0]) && bench.exports.release(bench.now, jobs[1]));
    assert_eq!(bench.sent().iter().map(|(job, _)| *job).collect::<Vec<_>>(), [jobs[1]], "it had not asked");
    let grace = bench.exports.get(jobs[0]).unwrap().poll_timeout().unwrap();
    assert_eq!(grace, bench.now.saturating_add(Duration::from_secs(120)));
}

#[test]
fn a_reserved_id_is_not_given() {
    let mut bench = Bench::new(wide());
    let taken = JobId::from_u64(u64::MAX / 2);
    bench.exports.reserve(taken);
    assert!(bench.exports.submit(START, order(0)).unwrap() > taken);
}

#[test]
fn a_job_without_a_token_says_what_was_refused_at_the_shared_url() {
    let mut bench = Bench::new(Limits::default());
    let plain = || Order::new([ID], "https://hooks.example.com/abyssale").unwrap();
    bench.exports.handle_not_taken(bench.now, None, "too early to be this job's");
    bench.pass(10);
    let first = bench.exports.submit(bench.now, plain()).unwrap();
    let (_, call) = bench.sent()[0];
    let accepted = Response::new(200, &[], br#"{"export_id":"54e62358-2656-455c-afd7-66d5ed3dd581"}"#);
    let _ = bench.exports.handle(bench.now, first, Input::Response { call, response: accepted });
    bench.sent();
    let mut silent = bench.exports.clone();
    bench.pass(10);
    bench.exports.handle_not_taken(bench.now, None, "the signature is wrong");
    let last_word = |exports: &mut Exports, now: Timestamp| {
        exports.handle_timeout(now.saturating_add(Duration::from_secs(3600)));
        let outputs = core::iter::from_fn(|| exports.poll_output());
        let failures = outputs.filter_map(|(_, output)| match output {
            Output::Done(Err(failure)) => Some(failure.to_string()),
            _ => None,
        });
        failures.collect::<Vec<_>>().join("; ")
    };
    let said = last_word(&mut bench.exports, bench.now);
    assert!(said.contains("could not be taken: the signature is wrong"), "{said}");
    let said = last_word(&mut silent, bench.now);
    assert!(said.contains("no delivery reached"), "{said}");
}
