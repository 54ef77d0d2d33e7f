//! The rules of the contract, each with a test that fails without it. Time is virtual.

mod details;

use alloc::{format, string::ToString, sync::Arc, vec, vec::Vec};
use core::time::Duration;

use super::*;
use crate::{
    archive::NotAnArchive,
    download::DownloadError,
    http::Response,
    order::Goal,
    request::Endpoint,
    secret::ApiKey,
    token::{Token, TokenPlacement},
    webhook::{Delivery, Event, NewExport, Refusal, Reply, Verifier},
};

const START: Timestamp = Timestamp::from_secs(1_755_561_234);
const ID: &str = "64238d01-d402-474b-8c2d-fbc957e9d290";
const EXPORT: &str = "54e62358-2656-455c-afd7-66d5ed3dd581";
const ACCEPTED: &[u8] = br#"{"export_id":"54e62358-2656-455c-afd7-66d5ed3dd581"}"#;
const ARCHIVE: &str = "https://store.example.com/a.zip?sig=hunter2";

fn token() -> Token {
    Token::from_random([7; 16])
}

fn config() -> Config {
    Config::new(Endpoint::new("https://api.abyssale.com", ApiKey::new("key-hunter2").unwrap()).unwrap())
}

fn order() -> Order {
    Order::new([ID], "https://hooks.example.com/abyssale").unwrap()
}

fn order_with_token() -> Order {
    order().with_token(token(), TokenPlacement::PathSegment).unwrap()
}

fn event_at(export_id: &str, archive_url: &str) -> NewExport {
    let body = format!(r#"{{"export_id":"{export_id}","archive_url":"{archive_url}"}}"#);
    let verified = Verifier::new([]).accept_unsigned().verify(START, &(), body.as_bytes()).unwrap();
    match Event::parse(&verified) {
        Ok(Event::NewExport(event)) => event,
        other => panic!("{other:?}"),
    }
}

fn interrupted() -> DownloadError {
    DownloadError::Interrupted("reset".into())
}

fn event() -> NewExport {
    event_at(EXPORT, ARCHIVE)
}

/// A job, a clock, and what the job has said so far.
struct Bench {
    export: Export,
    now: Timestamp,
}

impl Bench {
    fn new(config: Config, order: Order) -> Self {
        Self { export: Export::new(Arc::new(config), order, START), now: START }
    }

    fn usual() -> Self {
        Self::new(config(), order_with_token())
    }

    fn handle(&mut self, input: Input) -> Disposition {
        self.export.handle(self.now, input)
    }

    fn outputs(&mut self) -> Vec<Output> {
        core::iter::from_fn(|| self.export.poll_output()).collect()
    }

    /// The attempt that the job wants to make, if it wants to make one.
    fn attempt(&mut self) -> Option<CallId> {
        self.outputs().into_iter().find_map(|output| match output {
            Output::Call { call, .. } | Output::Download { call, .. } => Some(call),
            _ => None,
        })
    }

    fn result(&mut self) -> Option<Result<Finished, Failure>> {
        self.outputs().into_iter().find_map(|output| match output {
            Output::Done(result) => Some(result.map_err(|failure| *failure)),
            _ => None,
        })
    }

    fn respond(&mut self, call: CallId, status: u16, headers: &[(&str, &str)], body: &[u8]) -> Disposition {
        self.handle(Input::Response { call, response: Response::new(status, headers, body) })
    }

    fn deliver(&mut self, event: &NewExport, token: Option<&Token>) -> Disposition {
        self.handle(Input::Event { event: event.clone(), token: token.copied() })
    }

    /// Lets time pass until the job's own deadline.
    fn wait(&mut self) -> Duration {
        let deadline = self.export.poll_timeout().unwrap();
        let waited = deadline.saturating_duration_since(self.now);
        assert!(waited > Duration::ZERO, "a live job's deadline is in the future");
        self.now = deadline;
        assert_eq!(self.handle(Input::Tick), Disposition::Accepted);
        waited
    }

    /// Ends the process and begins another one.
    fn restart(&mut self, downtime: Duration) {
        let json = self.export.snapshot().to_json();
        self.now = self.now.saturating_add(downtime);
        let snapshot = Snapshot::from_json(&json).unwrap();
        self.export = Export::restore(self.export.config.clone(), snapshot, self.now).unwrap();
    }

    fn accepted() -> Self {
        let mut bench = Self::usual();
        let call = bench.attempt().unwrap();
        assert_eq!(bench.respond(call, 200, &[], ACCEPTED), Disposition::Accepted);
        bench
    }

    fn fetching() -> (Self, CallId) {
        let mut bench = Self::accepted();
        assert_eq!(bench.deliver(&event(), Some(&token())), Disposition::Accepted);
        let call = bench.attempt().unwrap();
        (bench, call)
    }
}

#[test]
fn an_export_goes_from_the_order_to_the_archive() {
    let mut bench = Bench::usual();
    let Some(Output::Call { call, request, deadline }) = bench.export.poll_output() else { panic!() };
    assert_eq!(deadline, START.saturating_add(Duration::from_secs(30)));
    assert!(str::from_utf8(request.body()).unwrap().contains(token().as_str()));
    assert!(bench.export.poll_output().is_none(), "an output is given once");

    assert_eq!(bench.respond(call, 200, &[], ACCEPTED), Disposition::Accepted);
    let Some(Output::Notice(Notice::Accepted { export_id })) = bench.export.poll_output() else { panic!() };
    assert_eq!(export_id.as_str(), EXPORT);
    assert_eq!(bench.export.poll_timeout(), Some(START.saturating_add(Duration::from_secs(1800))));

    assert_eq!(bench.deliver(&event(), Some(&token())), Disposition::Accepted);
    let Some(Output::Notice(Notice::EventReceived(_))) = bench.export.poll_output() else { panic!() };
    let Some(Output::Download { call, transfer, .. }) = bench.export.poll_output() else { panic!() };
    let request = transfer.request();
    assert_eq!(request.url().as_str(), ARCHIVE);
    assert!(!request.carries_key());

    assert_eq!(bench.handle(Input::Downloaded { call, bytes: 1000 }), Disposition::Accepted);
    assert_eq!(bench.result(), Some(Ok(Finished::Archive { event: event(), bytes: 1000 })));
    assert_eq!(bench.result(), None, "done is said once");
    assert_eq!(bench.export.poll_timeout(), None);
}

#[test]
fn an_event_before_the_answer_completes_the_export() {
    let mut bench = Bench::usual();
    let post = bench.attempt().unwrap();
    assert_eq!(bench.deliver(&event(), Some(&token())), Disposition::Accepted);
    let outputs = bench.outputs();
    assert!(matches!(outputs.first(), Some(Output::Abort(call)) if *call == post), "{outputs:?}");
    assert!(matches!(outputs.last(), Some(Output::Download { .. })));
    assert_eq!(bench.respond(post, 500, &[], b""), Disposition::Stale, "the answer comes too late to matter");
}

#[test]
fn an_event_without_a_token_waits_for_the_answer_that_names_it() {
    let mut bench = Bench::new(config(), order());
    let call = bench.attempt().unwrap();
    assert_eq!(bench.deliver(&event_at("other", ARCHIVE), None), Disposition::Held);
    assert_eq!(bench.deliver(&event(), None), Disposition::Held);
    assert_eq!(bench.deliver(&event(), None), Disposition::Duplicate);
    bench.restart(Duration::ZERO);
    assert!(
        matches!(bench.result(), Some(Err(Failure::Unknown(_)))),
        "without a token there is nothing to wait for"
    );

    let mut bench = Bench::new(config(), order());
    let call_again = bench.attempt().unwrap();
    assert_eq!(call, call_again);
    assert_eq!(bench.deliver(&event(), None), Disposition::Held);
    assert_eq!(bench.respond(call, 200, &[], ACCEPTED), Disposition::Accepted);
    assert!(bench.outputs().iter().any(|output| matches!(output, Output::Download { .. })));
}

#[test]
fn held_events_are_bounded() {
    let mut bench = Bench::new(config(), order());
    for n in 0..transitions::MAX_HELD {
        assert_eq!(bench.deliver(&event_at(&format!("e{n}"), ARCHIVE), None), Disposition::Held);
    }
    let disposition = bench.deliver(&event(), None);
    assert_eq!((disposition, disposition.reply_of(true).status()), (Disposition::NoRoom, 429));
}

#[test]
fn a_repeated_event_changes_nothing() {
    let (mut bench, call) = Bench::fetching();
    let revision = bench.export.revision();
    for _ in 0..5 {
        let disposition = bench.deliver(&event(), Some(&token()));
        assert_eq!((disposition, disposition.reply_of(true).status()), (Disposition::Duplicate, 200));
    }
    assert_eq!(bench.export.revision(), revision);
    assert_eq!(bench.handle(Input::Downloaded { call, bytes: 1 }), Disposition::Accepted);
    assert_eq!(bench.deliver(&event(), Some(&token())), Disposition::Duplicate);
}

#[test]
fn a_second_different_event_is_reported_and_not_obeyed() {
    let (mut bench, call) = Bench::fetching();
    let other = event_at(EXPORT, "https://evil.example.com/a.zip");
    assert_eq!(bench.deliver(&other, Some(&token())), Disposition::Conflicting);
    assert!(
        matches!(bench.export.poll_output(), Some(Output::Notice(Notice::ConflictingEvent(e))) if e == other)
    );
    assert_eq!(bench.handle(Input::Downloaded { call, bytes: 1 }), Disposition::Accepted);

    let mut bench = Bench::accepted();
    assert_eq!(bench.deliver(&event_at("other", ARCHIVE), Some(&token())), Disposition::Conflicting);
    assert_eq!(bench.deliver(&event(), Some(&token())), Disposition::Accepted);
}

#[test]
fn nothing_is_said_after_the_result() {
    let (mut bench, call) = Bench::fetching();
    assert_eq!(bench.handle(Input::Downloaded { call, bytes: 1 }), Disposition::Accepted);
    assert!(matches!(bench.result(), Some(Ok(_))));
    let other = event_at(EXPORT, "https://evil.example.com/a.zip");
    assert_eq!(bench.deliver(&other, Some(&token())), Disposition::Conflicting);
    assert!(bench.outputs().is_empty(), "whoever drives the job has gone home");
}

#[test]
fn of_two_events_that_were_held_the_first_is_obeyed_and_the_second_reported() {
    let mut bench = Bench::new(config(), order());
    let call = bench.attempt().unwrap();
    let other = event_at(EXPORT, "https://evil.example.com/a.zip");
    assert_eq!(bench.deliver(&event(), None), Disposition::Held);
    assert_eq!(bench.deliver(&other, None), Disposition::Held);
    assert_eq!(bench.respond(call, 200, &[], ACCEPTED), Disposition::Accepted);
    let outputs = bench.outputs();
    let reported =
        |output: &Output| matches!(output, Output::Notice(Notice::ConflictingEvent(e)) if *e == other);
    assert!(outputs.iter().any(reported), "{outputs:?}");
    let Some(Output::Download { transfer, .. }) = outputs.last() else { panic!("{outputs:?}") };
    let request = transfer.request();
    assert_eq!(request.url().as_str(), ARCHIVE);
}

#[test]
fn an_event_of_another_export_is_none_of_our_concern() {
    let mut bench = Bench::accepted();
    assert_eq!(bench.deliver(&event(), Some(&Token::from_random([8; 16]))), Disposition::Unrelated);
    assert_eq!(bench.deliver(&event_at("other", ARCHIVE), None), Disposition::Unrelated);
    assert_eq!(bench.deliver(&event(), None), Disposition::Accepted);
}

#[test]
fn a_delivery_is_answered_by_what_becomes_of_its_event() {
    let at = |export: &str, token: Option<Token>| {
        let event = Event::NewExport(event_at(export, ARCHIVE));
        Delivery { event, token, id: None, signed_at: None }
    };
    let (ours, theirs) = (at(EXPORT, Some(token())), at(EXPORT, Some(Token::from_random([8; 16]))));
    let mut bench = Bench::usual();
    let call = bench.attempt().unwrap();
    let deliver = |bench: &mut Bench, delivery: &_| bench.export.handle_delivery(bench.now, delivery);
    assert_eq!(deliver(&mut bench, &theirs), Reply::NotFound, "nobody else waits at this address");
    assert_eq!(
        deliver(&mut bench, &at("another", None)),
        Reply::Acknowledged,
        "held, until the answer is there"
    );
    assert_eq!(deliver(&mut bench, &ours), Reply::Acknowledged);
    assert!(bench.export.took_event());
    assert_eq!(deliver(&mut bench, &ours), Reply::Acknowledged, "a repetition");
    assert_eq!(deliver(&mut bench, &at("another", None)), Reply::Acknowledged, "another consumer's");
    assert_eq!(bench.respond(call, 200, &[], ACCEPTED), Disposition::Stale);

    // One that is over without its event has taken nothing.
    let mut bench = Bench::usual();
    assert_eq!(bench.handle(Input::Cancel), Disposition::Accepted);
    assert_eq!(deliver(&mut bench, &ours), Reply::NotFound);
}

#[test]
fn a_lost_answer_is_never_asked_for_again_and_the_event_settles_it() {
    for (status, body) in
        [(None, &b""[..]), (Some(500), b""), (Some(502), b"<html>"), (Some(200), b"garbage")]
    {
        let mut bench = Bench::usual();
        let call = bench.attempt().unwrap();
        let disposition = match status {
            Some(status) => bench.respond(call, status, &[("retry-after", "1")], body),
            None => bench.handle(Input::CallFailed {
                call,
                error: CallError { sent: Sent::Maybe, reason: "connection reset".into() },
            }),
        };
        assert_eq!(disposition, Disposition::Accepted);
        let outputs = bench.outputs();
        assert!(matches!(&outputs[..], [Output::Notice(Notice::OutcomeUnknown { .. })]), "{outputs:?}");

        let mut settled = Bench { export: bench.export.clone(), now: bench.now };
        assert_eq!(settled.deliver(&event(), Some(&token())), Disposition::Accepted);
        assert!(settled.attempt().is_some());

        assert_eq!(bench.wait(), Duration::from_secs(120));
        let result = bench.result();
        match (&result, status) {
            (Some(Err(Failure::Unknown(UnknownCause::Answer(error)))), Some(status)) => {
                assert_eq!(error.status(), status);
            }
            (Some(Err(Failure::Unknown(UnknownCause::Unreadable(_)))), Some(200)) => {}
            (Some(Err(Failure::Unknown(UnknownCause::Lost(reason)))), None) => {
                assert_eq!(&**reason, "connection reset");
            }
            _ => panic!("{result:?}"),
        }
        assert_eq!(bench.deliver(&event(), Some(&token())), Disposition::Stale);
    }
}

#[test]
fn an_answer_that_does_not_come_is_aborted_and_unknown() {
    let mut bench = Bench::usual();
    let call = bench.attempt().unwrap();
    assert_eq!(bench.wait(), Duration::from_secs(30));
    let outputs = bench.outputs();
    assert!(
        matches!(&outputs[..], [Output::Abort(aborted), Output::Notice(Notice::OutcomeUnknown { .. })] if *aborted == call)
    );
    assert_eq!(bench.respond(call, 200, &[], ACCEPTED), Disposition::Stale);
}

#[test]
fn without_a_token_an_unknown_outcome_fails_at_once() {
    let mut bench = Bench::new(config(), order());
    let call = bench.attempt().unwrap();
    assert_eq!(bench.respond(call, 503, &[], b""), Disposition::Accepted);
    assert!(matches!(bench.result(), Some(Err(Failure::Unknown(UnknownCause::Answer(_))))));
}

#[test]
fn the_policy_decides_about_an_unknown_outcome() {
    let mut failing =
        Bench::new(Config { unknown_outcome: UnknownOutcome::Fail, ..config() }, order_with_token());
    let call = failing.attempt().unwrap();
    assert_eq!(failing.respond(call, 500, &[], b""), Disposition::Accepted);
    assert!(matches!(failing.result(), Some(Err(Failure::Unknown(_)))));

    let mut asking =
        Bench::new(Config { unknown_outcome: UnknownOutcome::AskAgain, ..config() }, order_with_token());
    for _ in 0..3 {
        let call = asking.attempt().unwrap();
        assert_eq!(asking.respond(call, 500, &[], b""), Disposition::Accepted);
        asking.wait();
    }
    let call = asking.attempt().unwrap();
    assert_eq!(asking.respond(call, 500, &[], b""), Disposition::Accepted);
    assert!(matches!(asking.result(), Some(Err(Failure::Unknown(_)))), "the retries are spent");
}

fn asking_again() -> Bench {
    let mut bench =
        Bench::new(Config { unknown_outcome: UnknownOutcome::AskAgain, ..config() }, order_with_token());
    let call = bench.attempt().unwrap();
    assert_eq!(
        bench.handle(Input::CallFailed {
            call,
            error: CallError { sent: Sent::Maybe, reason: "reset".into() }
        }),
        Disposition::Accepted
    );
    bench.restart(Duration::ZERO);
    bench.wait();
    bench
}

#[test]
fn a_refusal_does_not_settle_the_request_before_it() {
    let mut refused = asking_again();
    let call = refused.attempt().unwrap();
    assert_eq!(refused.respond(call, 401, &[], b""), Disposition::Accepted);
    let reset = Failure::Unknown(UnknownCause::Lost("reset".into()));
    assert_eq!(refused.result(), Some(Err(reset.clone())), "the first request may have been taken");

    let mut unreachable = asking_again();
    while !unreachable.export.is_done() {
        let call = unreachable.attempt().unwrap();
        let refused =
            Input::CallFailed { call, error: CallError { sent: Sent::Never, reason: "refused".into() } };
        assert_eq!(unreachable.handle(refused), Disposition::Accepted);
        if !unreachable.export.is_done() {
            unreachable.wait();
        }
    }
    assert_eq!(unreachable.result(), Some(Err(reset)));
}

#[test]
fn of_two_exports_that_were_asked_for_the_first_to_be_ready_will_do() {
    let mut bench = asking_again();
    let call = bench.attempt().unwrap();
    assert_eq!(bench.respond(call, 200, &[], ACCEPTED), Disposition::Accepted);
    bench.restart(Duration::ZERO);
    assert_eq!(bench.deliver(&event_at("of-the-first", ARCHIVE), Some(&token())), Disposition::Accepted);
    assert!(bench.attempt().is_some());
}

#[test]
fn a_throttled_request_is_repeated_under_a_new_name() {
    let mut bench = Bench::usual();
    let first = bench.attempt().unwrap();
    let throttled = br#"{"id":"request_rate_limited","message":"Slow down."}"#;
    assert_eq!(bench.respond(first, 429, &[("Retry-After", "2")], throttled), Disposition::Accepted);
    assert!(matches!(bench.export.poll_output(), Some(Output::Notice(Notice::Retrying { retry: 1, .. }))));
    let waited = bench.wait();
    assert!((Duration::from_secs(2)..Duration::from_millis(2100)).contains(&waited), "{waited:?}");
    let second = bench.attempt().unwrap();
    assert_ne!(first, second);
    assert_eq!(bench.respond(first, 200, &[], ACCEPTED), Disposition::Stale);
    assert_eq!(bench.respond(second, 500, &[], b""), Disposition::Accepted);
    assert!(bench.outputs().iter().all(|output| !matches!(output, Output::Call { .. })));
    assert!(bench.wait() > Duration::from_secs(100), "a 5xx after a 429 is not repeated");
}

#[test]
fn a_refusal_is_the_result() {
    for status in [301, 400, 401, 403, 404, 409, 422] {
        let mut bench = Bench::usual();
        let call = bench.attempt().unwrap();
        assert_eq!(bench.respond(call, status, &[], b""), Disposition::Accepted);
        let result = bench.result();
        assert!(
            matches!(&result, Some(Err(Failure::Refused(error))) if error.status() == status),
            "{result:?}"
        );
    }
}

#[test]
fn a_validation_error_names_the_banner_that_caused_it() {
    let mut bench = Bench::usual();
    let call = bench.attempt().unwrap();
    let body = br#"{"message": "body_validation_errors: {'media': {'ids': {0: ['Length must be 36.']}}}",
        "errors": {"media": {"ids": {"0": ["Length must be 36."]}}}}"#;
    assert_eq!(bench.respond(call, 400, &[], body), Disposition::Accepted);
    let Some(Err(failure)) = bench.result() else { panic!() };
    assert!(failure.to_string().ends_with(&format!(r#"ids[0] ("{ID}"): Length must be 36."#)), "{failure}");
}

#[test]
fn a_restart_does_not_forget_which_banner_was_refused() {
    for status in [400, 503] {
        let mut bench = Bench::usual();
        let call = bench.attempt().unwrap();
        let body = br#"{"errors": {"media": {"ids": {"0": ["Length must be 36."]}}}}"#;
        assert_eq!(bench.respond(call, status, &[], body), Disposition::Accepted);
        let snapshot = bench.export.snapshot();
        assert_eq!(Snapshot::from_json(&snapshot.to_json()).as_ref(), Ok(&snapshot));
        bench.restart(Duration::ZERO);
        let Some(Err(failure)) = bench.result().or_else(|| {
            bench.wait();
            bench.result()
        }) else {
            panic!()
        };
        assert!(
            failure.to_string().ends_with(&format!(r#"ids[0] ("{ID}"): Length must be 36."#)),
            "{failure}"
        );
    }
}

#[test]
fn a_request_that_was_never_sent_is_tried_four_times() {
    let mut bench = Bench::usual();
    for secs in [1, 2, 4] {
        let call = bench.attempt().unwrap();
        assert_eq!(
            bench.handle(Input::CallFailed {
                call,
                error: CallError { sent: Sent::Never, reason: "refused".into() }
            }),
            Disposition::Accepted
        );
        let waited = bench.wait();
        let base = Duration::from_secs(secs);
        assert!(waited >= base && waited <= base + base / 4, "{waited:?}");
    }
    let call = bench.attempt().unwrap();
    assert_eq!(
        bench.handle(Input::CallFailed {
            call,
            error: CallError { sent: Sent::Never, reason: "refused".into() }
        }),
        Disposition::Accepted
    );
    assert_eq!(bench.result(), Some(Err(Failure::Unreachable { reason: "refused".into() })));
}

#[test]
fn an_event_that_never_comes_ends_the_job() {
    let mut bench = Bench::accepted();
    assert_eq!(bench.wait(), Duration::from_secs(1800));
    let Some(Err(failure)) = bench.result() else { panic!() };
    assert!(
        failure.to_string().ends_with(
            "did not arrive within 1800 s; no delivery reached the callback URL; check that the service can reach it"
        ),
        "{failure}"
    );
}

#[test]
fn the_last_word_says_which_deliveries_came_and_were_not_taken() {
    let mut bench = Bench::accepted();
    for n in 1..=3 {
        let refusal = Refusal::Stale { ahead_secs: -900 - n };
        let input = Input::DeliveryNotTaken { reason: refusal.to_string().into() };
        assert_eq!(bench.handle(input), Disposition::Accepted);
    }
    let notice = bench.outputs().into_iter().find_map(|output| match output {
        Output::Notice(notice @ Notice::DeliveryNotTaken(_)) => Some(notice.to_string()),
        _ => None,
    });
    let said = "3 deliveries reached the callback URL and could not be taken: the delivery was signed 903 s before \
                this machine's time; check this machine's clock";
    assert_eq!(notice.as_deref(), Some(said), "one notice, the newest");
    bench.restart(Duration::from_secs(5));
    bench.wait();
    let Some(Err(failure)) = bench.result() else { panic!() };
    assert!(failure.to_string().ends_with(&format!("within 1800 s; {said}")), "{failure}");
    let json = serde_json::to_string(&failure).unwrap();
    assert_eq!(serde_json::from_str::<Failure>(&json).unwrap(), failure);
    assert_eq!(
        bench.handle(Input::DeliveryNotTaken { reason: "late".into() }),
        Disposition::Stale,
        "it is over"
    );
}

#[test]
fn the_last_word_about_an_unknown_outcome_says_so_too() {
    let mut bench = Bench::usual();
    let call = bench.attempt().unwrap();
    assert_eq!(bench.respond(call, 502, &[], b""), Disposition::Accepted);
    let input = Input::DeliveryNotTaken { reason: Refusal::Mismatch.to_string().into() };
    assert_eq!(bench.handle(input), Disposition::Accepted);
    bench.wait();
    let Some(Err(failure)) = bench.result() else { panic!() };
    assert!(matches!(failure, Failure::Unknown(UnknownCause::NotTaken { .. })), "{failure:?}");
    let said = "1 delivery reached the callback URL and could not be taken: the delivery's signature fits none of the \
                signing secrets; is the secret this workspace's?";
    assert!(failure.to_string().ends_with(said), "{failure}");
    assert_eq!(serde_json::from_str::<Failure>(&serde_json::to_string(&failure).unwrap()).unwrap(), failure);
}

#[test]
fn an_event_of_another_type_at_the_jobs_own_url_is_a_notice() {
    let mut bench = Bench::accepted();
    let body = br#"{"event_type":"NEW_BANNER","id":"x"}"#;
    let verified = Verifier::new([]).accept_unsigned().verify(START, &(), body).unwrap();
    let event = Event::parse(&verified).unwrap();
    let mut delivery = Delivery { event, token: Some(token()), id: None, signed_at: None };
    assert_eq!(bench.export.handle_delivery(bench.now, &delivery), Reply::Acknowledged);
    assert!(bench.outputs().iter().any(|output| matches!(
        output,
        Output::Notice(Notice::DeliveryNotTaken(NotTaken { count: 1, reason, .. }))
            if &**reason == "an event of the type \"NEW_BANNER\" is not an export's"
    )));
    delivery.token = None;
    assert_eq!(bench.export.handle_delivery(bench.now, &delivery), Reply::Acknowledged);
    assert!(bench.outputs().is_empty(), "it may concern anybody");
}

#[test]
fn time_alone_ends_every_job() {
    for advance in 0..4 {
        let mut bench = Bench::usual();
        if advance > 0 {
            let call = bench.attempt().unwrap();
            if advance > 1 {
                assert_eq!(bench.respond(call, 200, &[], ACCEPTED), Disposition::Accepted);
            }
            if advance > 2 {
                assert_eq!(bench.deliver(&event(), Some(&token())), Disposition::Accepted);
            }
        }
        for _ in 0..100 {
            if bench.export.is_done() {
                break;
            }
            bench.wait();
            let _ = bench.outputs();
        }
        assert!(bench.export.is_done(), "{advance}");
    }
}

#[test]
fn the_archives_address_is_checked_before_anything_is_fetched() {
    let mut bench = Bench::accepted();
    assert_eq!(bench.deliver(&event_at(EXPORT, "url.zip"), Some(&token())), Disposition::Accepted);
    let Some(Err(failure)) = bench.result() else { panic!() };
    assert!(failure.to_string().contains(r#"URL "url.zip" is not an absolute"#), "{failure}");
}

#[test]
fn a_download_that_breaks_off_is_repeated_and_one_that_is_gone_is_not() {
    let (mut bench, call) = Bench::fetching();
    let broken = Input::DownloadFailed { call, error: interrupted() };
    assert_eq!(bench.handle(broken), Disposition::Accepted);
    bench.wait();
    let call = bench.attempt().unwrap();
    assert_eq!(bench.respond(call, 503, &[], b""), Disposition::Accepted);
    bench.wait();
    let call = bench.attempt().unwrap();
    assert_eq!(bench.respond(call, 410, &[], b"<Error/>"), Disposition::Accepted);
    let Some(Err(failure)) = bench.result() else { panic!() };
    assert_eq!(
        failure.to_string(),
        format!("the archive of export {EXPORT} is expired or gone: store.example.com answered 410")
    );
}

/// Everything that a store may answer before it has the archive.
fn not_there_yet() -> [(Answer, &'static str); 6] {
    let page = |begins_with: &str| {
        DownloadError::NotAnArchive(NotAnArchive::NoMagic { begins_with: begins_with.into() })
    };
    [
        (Answer::Status(404, "<Error><Code>NoSuchKey</Code></Error>"), "answered 404 NoSuchKey"),
        (
            Answer::Status(
                403,
                "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",
            ),
            "answered 403 AccessDenied: Request has expired",
        ),
        (Answer::Status(202, ""), "it answered 202"),
        (Answer::Status(204, ""), "it answered 204"),
        (Answer::Failed(page("")), "it begins with \"\""),
        (Answer::Failed(page("<html>")), "it begins with \"<html>\""),
    ]
}

enum Answer {
    Status(u16, &'static str),
    Failed(DownloadError),
}

impl Answer {
    fn as_input(&self, call: CallId) -> Input {
        match self {
            Self::Status(status, body) => {
                Input::Response { call, response: Response::new(*status, &[], body.as_bytes()) }
            }
            Self::Failed(error) => Input::DownloadFailed { call, error: error.clone() },
        }
    }
}

#[test]
fn an_archive_that_is_not_there_yet_is_asked_for_again_for_two_minutes() {
    for (answer, said) in not_there_yet() {
        let (mut bench, mut call) = Bench::fetching();
        let begun = bench.now;
        // A broken download on the way takes nothing from these two minutes.
        assert_eq!(bench.handle(Input::DownloadFailed { call, error: interrupted() }), Disposition::Accepted);
        bench.wait();
        call = bench.attempt().unwrap();
        let mut asked = 0;
        let failure = loop {
            asked += 1;
            assert_eq!(bench.handle(answer.as_input(call)), Disposition::Accepted);
            if bench.export.is_done() {
                break bench.result().unwrap().unwrap_err();
            }
            bench.restart(Duration::ZERO);
            bench.wait();
            call = bench.attempt().unwrap();
        };
        let waited = bench.now.saturating_duration_since(begun);
        assert_eq!(asked, 8, "{said}");
        assert!((120..=152).contains(&waited.as_secs()), "{waited:?}");
        assert!(failure.to_string().contains(said), "{failure}");
    }
}

#[test]
fn an_archive_that_comes_late_is_taken() {
    for (answer, _) in not_there_yet() {
        let (mut bench, call) = Bench::fetching();
        assert_eq!(bench.handle(answer.as_input(call)), Disposition::Accepted);
        assert!(bench.wait() < Duration::from_secs(2), "the first wait is a second");
        let call = bench.attempt().unwrap();
        assert_eq!(bench.handle(Input::Downloaded { call, bytes: 7 }), Disposition::Accepted);
        assert!(matches!(bench.result(), Some(Ok(Finished::Archive { .. }))));
    }
}

#[test]
fn the_error_has_the_servers_answer_without_its_signature() {
    let (mut bench, call) = Bench::fetching();
    let body = b"<Error><Code>ExpiredToken</Code><Message>The token of sig=hunter2hunter2 has expired.</Message></Error>";
    assert_eq!(bench.respond(call, 400, &[], body), Disposition::Accepted);
    let Some(Err(failure)) = bench.result() else { panic!() };
    assert!(failure.to_string().contains("it answered 400 ExpiredToken: The token of"), "{failure}");
}

#[test]
fn a_download_lives_as_long_as_it_makes_progress() {
    let (mut bench, call) = Bench::fetching();
    for received in 0..100 {
        bench.now = bench.now.saturating_add(Duration::from_secs(29));
        assert_eq!(bench.handle(Input::Progress { call, received, total: None }), Disposition::Accepted);
    }
    assert_eq!(bench.wait(), Duration::from_secs(30));
    assert!(matches!(bench.export.poll_output(), Some(Output::Abort(aborted)) if aborted == call));
    assert_eq!(bench.handle(Input::Progress { call, received: 1, total: None }), Disposition::Stale);
}

#[test]
fn a_download_that_is_cut_again_and_again_goes_on_as_long_as_it_gets_further() {
    let (mut bench, mut call) = Bench::fetching();
    for piece in 1..=100 {
        let received = piece * 100_000;
        assert_eq!(bench.handle(Input::Progress { call, received, total: None }), Disposition::Accepted);
        assert_eq!(bench.handle(Input::DownloadFailed { call, error: interrupted() }), Disposition::Accepted);
        bench.restart(Duration::ZERO);
        assert!(bench.wait() < Duration::from_secs(2), "each wait is that of a first retry");
        call = bench.attempt().unwrap();
    }
    assert_eq!(bench.handle(Input::Downloaded { call, bytes: 10_000_001 }), Disposition::Accepted);
    assert!(matches!(bench.result(), Some(Ok(Finished::Archive { .. }))));
}

#[test]
fn a_download_that_is_cut_at_the_same_place_fails_when_its_retries_are_used_up() {
    // Without a validator each attempt begins anew; and a few bytes a time would never end.
    for received in [|_: u64| 100_000, |attempt: u64| attempt * 1000] {
        let (mut bench, mut call) = Bench::fetching();
        for attempt in 1..=4 {
            let progress = Input::Progress { call, received: received(attempt), total: None };
            assert_eq!(bench.handle(progress), Disposition::Accepted);
            let failed = Input::DownloadFailed { call, error: interrupted() };
            assert_eq!(bench.handle(failed), Disposition::Accepted);
            assert_eq!(bench.export.is_done(), attempt == 4, "{attempt}");
            if attempt < 4 {
                bench.wait();
                call = bench.attempt().unwrap();
            }
        }
        assert!(matches!(bench.result(), Some(Err(Failure::Download { .. }))));
    }
}

#[test]
fn the_wait_for_an_event_bounds_the_wait_after_a_lost_answer() {
    let config = Config { event_timeout: Duration::from_secs(1), ..config() };
    for lost in [
        |call| Input::Response { call, response: Response::new(502, &[], b"") },
        |call| Input::Response { call, response: Response::new(200, &[], b"<html>") },
        |call| Input::of_call(call, Err(CallError { sent: Sent::Maybe, reason: "reset".into() })),
    ] {
        let mut bench = Bench::new(config.clone(), order_with_token());
        let call = bench.attempt().unwrap();
        assert_eq!(bench.handle(lost(call)), Disposition::Accepted);
        assert_eq!(bench.wait(), Duration::from_secs(1));
        assert!(matches!(bench.result(), Some(Err(Failure::Unknown(_)))));
    }
}

#[test]
fn the_first_byte_of_a_download_has_a_time_of_its_own() {
    let config = Config { first_byte_timeout: Duration::from_secs(7), ..config() };
    let mut bench = Bench::new(config, order_with_token());
    assert_eq!(bench.deliver(&event(), Some(&token())), Disposition::Accepted);
    let outputs = bench.outputs();
    let Some(Output::Download { call, limits, .. }) = outputs.last() else { panic!("{outputs:?}") };
    assert_eq!(
        (
            limits.first_byte_timeout.as_secs(),
            limits.stall_timeout.as_secs(),
            limits.min_rate.bytes_per_second
        ),
        (7, 30, 1024)
    );
    let at_first = bench.export.poll_timeout();
    assert_eq!(at_first, Some(bench.now.saturating_add(Duration::from_secs(7))));
    let progress = Input::Progress { call: *call, received: 1, total: None };
    assert_eq!(bench.handle(progress), Disposition::Accepted);
    assert_eq!(bench.export.poll_timeout(), Some(bench.now.saturating_add(Duration::from_secs(30))));
}

#[test]
fn an_unusable_or_unstorable_archive_is_reported_and_not_retried() {
    let encoded = NotAnArchive::Encoded { coding: "gzip".into() };
    for (error, expected) in [
        (DownloadError::NotAnArchive(NotAnArchive::NoEnd), "no end record"),
        (DownloadError::NotAnArchive(encoded), "the content encoding \"gzip\""),
        (DownloadError::Storage("no space left".into()), "could not be stored: no space left"),
    ] {
        let (mut bench, call) = Bench::fetching();
        assert_eq!(bench.handle(Input::DownloadFailed { call, error }), Disposition::Accepted);
        let Some(Err(failure)) = bench.result() else { panic!() };
        assert_eq!(failure.event(), Some(&event()), "the archive may still be there");
        assert!(failure.to_string().contains(expected), "{failure}");
    }
}

#[test]
fn a_goal_before_the_archive_ends_the_job_there() {
    let mut bench = Bench::new(config(), order_with_token().with_goal(Goal::Acceptance));
    let call = bench.attempt().unwrap();
    assert_eq!(bench.respond(call, 200, &[], ACCEPTED), Disposition::Accepted);
    assert!(matches!(bench.result(), Some(Ok(Finished::Accepted { .. }))));

    let mut bench = Bench::new(config(), order_with_token().with_goal(Goal::Event));
    let call = bench.attempt().unwrap();
    assert_eq!(bench.deliver(&event_at(EXPORT, "url.zip"), Some(&token())), Disposition::Accepted);
    let outputs = bench.outputs();
    assert!(matches!(outputs.first(), Some(Output::Abort(aborted)) if *aborted == call));
    assert!(matches!(outputs.last(), Some(Output::Done(Ok(Finished::Event(_))))));
}

#[test]
fn a_job_that_ends_at_the_acceptance_downloads_nothing() {
    let mut bench = Bench::new(config(), order_with_token().with_goal(Goal::Acceptance));
    let call = bench.attempt().unwrap();
    assert_eq!(bench.deliver(&event(), Some(&token())), Disposition::Accepted);
    let outputs = bench.outputs();
    assert!(matches!(outputs.first(), Some(Output::Abort(aborted)) if *aborted == call));
    let Some(Output::Done(Ok(Finished::Accepted { export_id }))) = outputs.last() else {
        panic!("{outputs:?}")
    };
    assert_eq!(export_id.as_str(), EXPORT);
}

#[test]
fn a_cancelled_job_aborts_and_ends() {
    let mut bench = Bench::usual();
    let call = bench.attempt().unwrap();
    assert_eq!(bench.handle(Input::Cancel), Disposition::Accepted);
    assert_eq!(bench.handle(Input::Cancel), Disposition::Stale);
    let outputs = bench.outputs();
    assert!(matches!(outputs.first(), Some(Output::Abort(aborted)) if *aborted == call));
    assert!(matches!(outputs.last(), Some(Output::Done(Err(failure))) if **failure == Failure::Cancelled));
}

#[test]
fn outputs_are_bounded_however_many_inputs_come_before_a_poll() {
    let (mut bench, _) = Bench::fetching();
    for n in 0..10_000 {
        let _ = bench.deliver(&event_at(EXPORT, &format!("https://h/{n}.zip")), Some(&token()));
    }
    assert!(bench.outputs().len() <= 1);
}

#[test]
fn a_restored_request_that_was_under_way_is_not_sent_again() {
    let mut bench = Bench::usual();
    let call = bench.attempt().unwrap();
    bench.restart(Duration::from_secs(3600));
    assert!(bench.attempt().is_none());
    assert_eq!(bench.respond(call, 200, &[], ACCEPTED), Disposition::Stale);
    assert_eq!(bench.deliver(&event(), Some(&token())), Disposition::Accepted);
    assert!(bench.attempt().unwrap() > call);
}

#[test]
fn a_restored_request_that_was_never_polled_is_sent() {
    let mut bench = Bench::usual();
    bench.restart(Duration::from_secs(3600));
    assert!(bench.attempt().is_some());
}

#[test]
fn the_revision_moves_between_a_poll_and_the_request_that_it_gave() {
    let mut bench = Bench::usual();
    let before = bench.export.revision();
    let _ = bench.attempt().unwrap();
    assert_ne!(bench.export.revision(), before, "or a crash would let the request be sent twice");
}

#[test]
fn downtime_does_not_count_against_a_deadline() {
    let mut bench = Bench::accepted();
    bench.now = bench.now.saturating_add(Duration::from_secs(1000));
    assert_eq!(bench.handle(Input::Tick), Disposition::Accepted);
    bench.restart(Duration::from_secs(86_400));
    assert_eq!(bench.wait(), Duration::from_secs(800));
    let Some(Err(Failure::NoEvent { waited, .. })) = bench.result() else { panic!() };
    assert_eq!(waited, Duration::from_secs(1800), "nobody waited during the day in between");
}

#[test]
fn a_clock_that_was_set_back_prolongs_nothing() {
    let mut bench = Bench::accepted();
    let deadline = bench.export.poll_timeout();
    let _ = bench.export.handle(Timestamp::default(), Input::Tick);
    assert_eq!(bench.export.poll_timeout(), deadline);

    bench.now = bench.now.saturating_add(Duration::from_secs(1000));
    assert_eq!(bench.handle(Input::Tick), Disposition::Accepted);
    let json = bench.export.snapshot().to_json();
    for now in [Timestamp::default(), START] {
        let snapshot = Snapshot::from_json(&json).unwrap();
        bench.export = Export::restore(Arc::new(config()), snapshot, now).unwrap();
        bench.now = now;
        assert_eq!(bench.wait(), Duration::from_secs(800), "as much as there was left when it was saved");
        let Some(Err(Failure::NoEvent { waited, .. })) = bench.result() else { panic!() };
        assert!(waited >= Duration::from_secs(800) && waited <= Duration::from_secs(1800), "{waited:?}");
    }
}

#[test]
fn every_state_survives_a_restart() {
    let states: Vec<Bench> = vec![
        Bench::usual(),
        Bench::accepted(),
        Bench::fetching().0,
        {
            let mut bench = Bench::usual();
            let call = bench.attempt().unwrap();
            let _ = bench.respond(call, 429, &[("retry-after", "9")], b"");
            bench
        },
        {
            let mut bench = Bench::usual();
            let call = bench.attempt().unwrap();
            let _ = bench.respond(call, 502, &[("x-ratelimit-limit", "10")], b"\xff\xfe not text");
            bench
        },
        {
            let (mut bench, call) = Bench::fetching();
            let _ = bench.handle(Input::DownloadFailed { call, error: interrupted() });
            bench
        },
        {
            let mut bench = Bench::usual();
            let call = bench.attempt().unwrap();
            let _ = bench.respond(call, 401, &[], br#"{"id":"unauthorized","message":"No."}"#);
            bench
        },
        {
            let (mut bench, call) = Bench::fetching();
            let _ = bench.handle(Input::Downloaded { call, bytes: 9 });
            bench
        },
    ];
    for bench in states {
        let snapshot = bench.export.snapshot();
        let json = snapshot.to_json();
        assert!(!json.contains("key-hunter2"), "{json}");
        let read = Snapshot::from_json(&json).unwrap();
        assert_eq!(read, snapshot, "{json}");
        let mut restored = Export::restore(Arc::new(config()), read, bench.now).unwrap();
        assert_eq!(restored.is_done(), bench.export.is_done());
        for _ in 0..100 {
            let _ = core::iter::from_fn(|| restored.poll_output()).count();
            let Some(deadline) = restored.poll_timeout() else { break };
            let _ = restored.handle(deadline, Input::Tick);
        }
        assert!(restored.is_done());
    }
}

/// As the first release wrote them, which knew of no seed. Only ever to be added to.
const SAVED_BEFORE: [&str; 10] = [
    r#"{"calling":{"call":0,"sent":false,"deadline":1755561264000}}"#,
    r#"{"calling":{"call":0,"sent":true,"deadline":1755561264000}}"#,
    r#"{"pausing":{"until":1755561236000}}"#,
    r#"{"uncertain":{"cause":{"lost":"reset"},"until":1755561354000}}"#,
    r#"{"uncertain":{"cause":"interrupted","until":1755561354000}}"#,
    r#"{"waiting":{"export_id":"54e62358-2656-455c-afd7-66d5ed3dd581","since":1755561234000,"until":1755563034000}}"#,
    r#"{"fetching":{"event":{"export_id":"e","archive_url":"https://h/a.zip","generated_at":1755561230000},"call":1,"sent":true,"deadline":1755561264000}}"#,
    r#"{"resting":{"event":{"export_id":"e","archive_url":"https://h/a.zip"},"until":1755561236000}}"#,
    r#"{"done":{"Ok":{"archive":{"event":{"export_id":"e","archive_url":"https://h/a.zip"},"bytes":22}}}}"#,
    r#"{"done":{"Err":"cancelled"}}"#,
];

#[test]
fn a_snapshot_of_an_earlier_release_is_read() {
    for state in SAVED_BEFORE {
        let json = format!(
            r#"{{"version":1,"saved_at":1755561234000,"order":{{"ids":["{ID}"],"callback":"https://hooks.example.com/abyssale","token":["{}","path_segment"],"goal":"archive"}},"state":{state},"tries":{{"retries":1,"probed":false}},"next_call":2}}"#,
            token().as_str()
        );
        let snapshot = Snapshot::from_json(&json).unwrap();
        assert_eq!(snapshot.order(), &order_with_token());
        assert_eq!(snapshot.to_json(), json, "and nothing of it is lost");
        let mut export = Export::restore(Arc::new(config()), snapshot, START).unwrap();
        assert_eq!(export.is_done(), state.contains("done"), "{state}");
        let saved = export.snapshot().to_json();
        assert_eq!(Snapshot::from_json(&saved).unwrap().to_json(), saved);
        for _ in 0..100 {
            let _ = core::iter::from_fn(|| export.poll_output()).count();
            let Some(deadline) = export.poll_timeout() else { break };
            let _ = export.handle(deadline, Input::Tick);
        }
        assert!(export.is_done(), "{state}");
    }
}

#[test]
fn a_restored_job_keeps_the_seed_of_its_waits() {
    let refused_after = |export: &mut Export| {
        let call = core::iter::from_fn(|| export.poll_output()).find_map(|output| match output {
            Output::Call { call, .. } => Some(call),
            _ => None,
        });
        let refused = Input::CallFailed {
            call: call.unwrap(),
            error: CallError { sent: Sent::Never, reason: "refused".into() },
        };
        let _ = export.handle(START, refused);
        export.poll_timeout()
    };
    let export = |seed| Export::new(Arc::new(config()), order(), START).with_seed(seed);
    let mut waits: Vec<_> = (0..20).map(|seed| refused_after(&mut export(seed))).collect();
    for (seed, wait) in waits.iter().enumerate() {
        let snapshot = export(seed as u64).snapshot();
        let mut restored = Export::restore(Arc::new(config()), snapshot, START).unwrap();
        assert_eq!(refused_after(&mut restored), *wait);
    }
    waits.sort();
    waits.dedup();
    assert!(waits.len() > 15, "{waits:?}");
}

#[test]
fn only_the_attempt_under_way_is_heard_of() {
    let (bench, call) = Bench::fetching();
    let (asking, post) = {
        let mut bench = Bench::usual();
        let post = bench.attempt().unwrap();
        (bench, post)
    };
    let strange = CallId(7);
    for (bench, other) in [(&bench, strange), (&bench, CallId(0)), (&asking, strange)] {
        let inputs = [
            Input::Progress { call: other, received: 1, total: None },
            Input::Downloaded { call: other, bytes: 1 },
            Input::DownloadFailed { call: other, error: interrupted() },
            Input::CallFailed {
                call: other,
                error: CallError { sent: Sent::Never, reason: "refused".into() },
            },
            Input::Response { call: other, response: Response::new(500, &[], b"") },
        ];
        for input in inputs {
            let mut export = bench.export.clone();
            let later = bench.now.saturating_add(Duration::from_secs(1));
            assert_eq!(export.handle(later, input), Disposition::Stale);
            assert_eq!(export.poll_timeout(), bench.export.poll_timeout());
            assert_eq!(export.revision(), bench.export.revision());
        }
    }
    // A call is no download, and a download is no call.
    let mut export = bench.export.clone();
    let failed = Input::CallFailed { call, error: CallError { sent: Sent::Maybe, reason: "reset".into() } };
    assert_eq!(export.handle(bench.now, failed), Disposition::Stale);
    let mut export = asking.export.clone();
    for input in [
        Input::Progress { call: post, received: 1, total: None },
        Input::Downloaded { call: post, bytes: 1 },
        Input::DownloadFailed { call: post, error: DownloadError::Storage("full".into()) },
    ] {
        assert_eq!(export.handle(asking.now, input), Disposition::Stale);
    }
}

#[test]
fn a_snapshot_that_cannot_be_restored_says_why() {
    let json = Bench::accepted().export.snapshot().to_json();
    let newer = json.replace(r#""version":1"#, r#""version":2"#);
    assert_eq!(Snapshot::from_json(&newer), Err(RestoreError::Newer { found: 2 }));
    for damaged in ["", "{}", "null", r#"{"version":1}"#, r#"{"version":0}"#, &json[..json.len() - 1]] {
        assert!(matches!(Snapshot::from_json(damaged), Err(RestoreError::Damaged { .. })), "{damaged}");
    }
    for next_call in [0, u64::MAX - 1, u64::MAX] {
        let next_call = format!(r#""next_call":{next_call}"#);
        let impossible = Bench::usual().export.snapshot().to_json().replace(r#""next_call":1"#, &next_call);
        let snapshot = Snapshot::from_json(&impossible).unwrap();
        let restored = Export::restore(Arc::new(config()), snapshot, START);
        assert!(matches!(restored, Err(RestoreError::Damaged { .. })), "{next_call}");
    }
}
