//! Messages, counters and bounds. Most of these tests were found by mutation testing.

use super::*;
use crate::export::UnknownCause;

fn refused(status: u16, body: &[u8]) -> Failure {
    let mut bench = Bench::usual();
    let call = bench.attempt().unwrap();
    let _ = bench.respond(call, status, &[], body);
    bench.result().unwrap().unwrap_err()
}

#[test]
fn a_refusal_says_what_to_do_about_it() {
    for status in [401, 403] {
        assert!(refused(status, b"").to_string().ends_with("; check the API key"), "{status}");
    }
    let unknown = refused(404, br#"{"id":"not_found","message":"No"}"#).to_string();
    assert!(
        unknown.ends_with("; check the banner ids, and that they belong to the key's workspace"),
        "{unknown}"
    );
    for (status, id) in [(401, "api_access_denied"), (429, "feature_not_in_plan")] {
        let body = format!(r#"{{"id":"{id}","message":"No"}}"#);
        let said = refused(status, body.as_bytes()).to_string();
        assert!(said.ends_with("; the workspace's plan does not include this"), "{said}");
    }
    assert!(!refused(400, b"").to_string().contains(';'));
}

#[test]
fn a_failure_names_the_export_where_it_is_known() {
    let mut bench = Bench::accepted();
    bench.wait();
    assert_eq!(bench.export.export_id().map(ToString::to_string).as_deref(), Some(EXPORT));
    let failure = bench.result().unwrap().unwrap_err();
    assert!(matches!(failure, Failure::NoEvent { .. }));
    assert_eq!(failure.export_id().map(ToString::to_string).as_deref(), Some(EXPORT));
    assert_eq!(refused(400, b"").export_id(), None);

    let mut bench = Bench::new(config(), order().with_goal(Goal::Acceptance));
    let call = bench.attempt().unwrap();
    let _ = bench.respond(call, 200, &[], ACCEPTED);
    assert!(bench.result().unwrap().is_ok());
    assert_eq!(bench.export.export_id().map(ToString::to_string).as_deref(), Some(EXPORT));

    let (mut bench, call) = Bench::fetching();
    let _ = bench.handle(Input::Downloaded { call, bytes: 1 });
    assert_eq!(bench.export.export_id().map(ToString::to_string).as_deref(), Some(EXPORT));
}

#[test]
fn notices_and_names_of_attempts_can_be_shown() {
    let Some(Output::Call { call, .. }) = Bench::usual().export.poll_output() else { panic!() };
    assert_eq!(call.to_string(), call.0.to_string());
    let after = Duration::from_millis(1230);
    let retrying = |is_download, reason| Notice::Retrying { at: START, after, retry: 2, is_download, reason };
    for (notice, shown) in [
        (Notice::EventReceived(event()), format!("the archive of export {EXPORT} is ready")),
        (Notice::ConflictingEvent(event()), format!("a contradicting event for export {EXPORT} was ignored")),
        (
            retrying(true, RetryReason::Failed("reset".into())),
            "retry 2 of the download in 1.3 s: reset".to_string(),
        ),
        (
            retrying(false, RetryReason::Unknown(UnknownCause::TimedOut)),
            "retry 2 of the request in 1.3 s: the answer did not arrive in time".to_string(),
        ),
    ] {
        assert_eq!(notice.to_string(), shown);
    }
}

#[test]
fn a_job_shows_where_it_is_and_no_secret() {
    let shown = format!("{:?}", Bench::accepted().export);
    assert!(shown.contains("AwaitingEvent") && shown.contains(EXPORT), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_job_and_its_snapshot_know_what_time_it_was() {
    let mut bench = Bench::accepted();
    bench.now = START.saturating_add(Duration::from_secs(7));
    let _ = bench.handle(Input::Tick);
    assert_eq!(bench.export.now(), bench.now);
    assert_eq!(bench.export.snapshot().saved_at(), bench.now);
}

#[test]
fn a_revision_is_never_one_that_was_before() {
    let mut bench = Bench::usual();
    let mut revisions = vec![bench.export.revision()];
    let call = bench.attempt().unwrap();
    revisions.push(bench.export.revision());
    let _ = bench.respond(call, 429, &[], b"");
    revisions.push(bench.export.revision());
    bench.wait();
    revisions.push(bench.export.revision());
    bench.attempt().unwrap();
    revisions.push(bench.export.revision());
    assert!(revisions.is_sorted_by(|before, after| before < after), "{revisions:?}");

    let mut bench = Bench::new(config(), order());
    let before = bench.export.revision();
    assert_eq!(bench.deliver(&event(), None), Disposition::Held);
    assert!(bench.export.revision() > before);
}

#[test]
fn a_job_that_has_nothing_rare_to_remember_gives_the_memory_back() {
    let mut bench = Bench::accepted();
    assert!(bench.export.rare.is_some(), "a notice");
    let _taken = bench.outputs();
    assert!(bench.export.rare.is_none());
    bench.restart(Duration::ZERO);
    assert!(bench.export.rare.is_none());
}

#[test]
fn a_restored_job_makes_its_attempts_at_once_and_with_all_the_time_there_is() {
    let mut bench = Bench::usual();
    bench.now = START.saturating_add(Duration::from_secs(20));
    let _ = bench.handle(Input::Tick);
    bench.restart(Duration::from_secs(100));
    let Some(Output::Call { deadline, .. }) = bench.export.poll_output() else { panic!() };
    assert_eq!(deadline, bench.now.saturating_add(Duration::from_secs(30)), "it was never sent");

    let (mut bench, call) = Bench::fetching();
    bench.restart(Duration::from_secs(100));
    let again = bench.attempt().expect("no time has to pass before the archive is fetched again");
    assert!(again > call);
}

#[test]
fn a_snapshot_is_damaged_beyond_its_bounds_and_not_at_them() {
    let mut bench = Bench::new(config(), order());
    for n in 0..transitions::MAX_HELD {
        let _ = bench.deliver(&event_at(&format!("e{n}"), ARCHIVE), None);
    }
    let restored =
        |json: &str| Export::restore(Arc::new(config()), Snapshot::from_json(json).unwrap(), START);
    let json = bench.export.snapshot().to_json();
    assert!(restored(&json).is_ok(), "as many events as a job can hold");
    let held = serde_json::to_string(&event_at("one-more", ARCHIVE)).unwrap();
    let one_more = json.replacen(r#""held":["#, &format!(r#""held":[{held},"#), 1);
    assert_ne!(json, one_more);
    assert!(matches!(restored(&one_more), Err(RestoreError::Damaged { .. })));

    let counted =
        |next_call: u64| json.replacen(r#""next_call":1"#, &format!(r#""next_call":{next_call}"#), 1);
    assert_ne!(json, counted(7));
    assert!(restored(&counted(u64::MAX / 2)).is_ok());
    assert!(matches!(restored(&counted(u64::MAX / 2 + 1)), Err(RestoreError::Damaged { .. })));
}

#[test]
fn waits_are_spread_by_a_generator_that_others_have_checked() {
    // What SplitMix64 gives for the seed 1234567, as it is published.
    let published: [u64; 5] = [
        6_457_827_717_110_365_317,
        3_203_168_211_198_807_973,
        9_817_491_932_198_370_423,
        4_593_380_528_125_082_431,
        16_408_922_859_458_223_821,
    ];
    let ours: Vec<_> = (0..5).map(|retry| transitions::jitter(1_234_567, retry)).collect();
    assert_eq!(ours, published);

    let seeds =
        [order(), order_with_token(), Order::new([EXPORT], "https://hooks.example.com/abyssale").unwrap()];
    let [first, second, third] = seeds.map(|order| seed_of(&order));
    assert!(first != second && first != third && second != third, "each order has its own");
    assert_eq!(first, seed_of(&order()));
}
