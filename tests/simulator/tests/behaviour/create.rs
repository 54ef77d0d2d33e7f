//! The request for an export: who is let in, what is refused and in which words, and every way the answer goes wrong.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use crate::common::{ID, PATIENCE, Receiver, ask, ask_with, connect, quick, send, start, start_with};
use abyssale_simulator::{Config, DEFAULT_API_KEY, Dialect, UnknownBanners};
use serde_json::json;

const NOWHERE: &str = "http://127.0.0.1:9/nobody";
const OTHER: &str = "00000000-0000-4000-8000-000000000000";

fn legacy() -> Config {
    Config { dialect: Dialect::Legacy, ..quick() }
}

#[test]
fn an_export_is_accepted_and_written_down() {
    let simulator = start(&[]);
    let answer = ask(&simulator, &[ID], NOWHERE);
    assert_eq!(answer.status, 200);
    let export = simulator.exports().remove(0);
    assert_eq!(answer.json()["export_id"], export.export_id);
    assert_eq!((export.ids, export.callback_url.as_deref()), (vec![ID.to_owned()], Some(NOWHERE)));
    assert_eq!(answer.header("x-ratelimit-limit"), Some("10"));
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("9"));
    let request = simulator.requests().remove(0);
    assert_eq!((request.method.as_str(), request.answered), ("POST", Some(200)));
}

#[test]
fn the_legacy_dialect_has_no_version() {
    assert_eq!(ask(&start(&[]), &[ID], NOWHERE).json()["version"], "v2026-10-01");
    assert_eq!(ask(&start_with(legacy()), &[ID], NOWHERE).json().as_object().unwrap().len(), 1);
}

#[test]
fn a_missing_or_wrong_key_is_refused_before_anything_else() {
    for config in [quick(), legacy()] {
        let simulator = start_with(config);
        for headers in [&[][..], &[("x-api-key", "wrong")]] {
            let answer = send(simulator.base_url(), "POST", "/async/banners/export", headers, "not json");
            assert_eq!(answer.status, 401);
            assert!(answer.json()["message"].is_string());
        }
        assert!(simulator.exports().is_empty());
    }
}

/// Bodies of real Falcon + webargs + marshmallow stacks, byte for byte.
#[test]
fn legacy_refusals_are_spelled_as_python_spells_them() {
    let simulator = start_with(Config { requests_per_second: None, ..legacy() });
    for (body, expected) in [
        (
            json!({ "ids": ["short"] }),
            r#"{"message": "body_validation_errors: {'media': {'ids': {0: ['Length must be 36.']}}}", "errors": {"media": {"ids": {"0": ["Length must be 36."]}}}}"#,
        ),
        (
            json!({ "ids": ["a", 1, ID, null, "b"], "callback_url": "no" }),
            r#"{"message": "body_validation_errors: {'media': {'ids': {0: ['Length must be 36.'], 1: ['Not a valid string.'], 3: ['Field may not be null.'], 4: ['Length must be 36.']}, 'callback_url': ['Not a valid URL.']}}", "errors": {"media": {"ids": {"0": ["Length must be 36."], "1": ["Not a valid string."], "3": ["Field may not be null."], "4": ["Length must be 36."]}, "callback_url": ["Not a valid URL."]}}}"#,
        ),
        (
            json!({ "<b>&amp;</b>": 1 }),
            r#"{"message": "body_validation_errors: {'media': {'ids': ['Missing data for required field.'], '<b>&amp;</b>': ['Unknown field.']}}", "errors": {"media": {"ids": ["Missing data for required field."], "<b>&amp;</b>": ["Unknown field."]}}}"#,
        ),
        (
            json!({ "ids": "x" }),
            r#"{"message": "body_validation_errors: {'media': {'ids': ['Not a valid list.']}}", "errors": {"media": {"ids": ["Not a valid list."]}}}"#,
        ),
        (
            json!({ "ids": [ID], "1_000'''": 1 }),
            r#"{"message": "body_validation_errors: {'media': {\"1_000'''\": ['Unknown field.']}}", "errors": {"media": {"1_000'''": ["Unknown field."]}}}"#,
        ),
    ] {
        let answer = ask_with(&simulator, &body.to_string());
        assert_eq!((answer.status, answer.text()), (400, expected));
    }
}

#[test]
fn current_refusals_are_a_flat_list_with_paths() {
    let simulator = start(&[]);
    let answer = ask_with(&simulator, &json!({ "ids": [ID, 7], "callback_url": "no" }).to_string());
    assert_eq!((answer.status, &answer.json()["id"]), (400, &json!("invalid_payload")));
    let errors = &answer.json()["errors"];
    assert_eq!((&errors[0]["path"], &errors[0]["code"]), (&json!("ids[1]"), &json!("wrong_type")));
    assert_eq!((&errors[0]["expected"], &errors[0]["received"]), (&json!("string"), &json!(7)));
    assert_eq!(errors[1]["path"], "callback_url");
    assert_eq!(ask_with(&simulator, "{").json()["id"], "invalid_json");
    assert_eq!(ask_with(&simulator, "[]").status, 400);
}

#[test]
fn the_id_of_a_refusal_is_the_code_that_all_problems_share() {
    let simulator = start(&[]);
    let refusal = |body: &str| ask_with(&simulator, body).json();
    let one = refusal(r#"{"ids": [5]}"#);
    assert_eq!((&one["id"], &one["message"]), (&json!("wrong_type"), &json!("ids[0]: Expected a string.")));
    let same = refusal(r#"{"ids": [5, 6]}"#);
    assert_eq!((&same["id"], &same["message"]), (&json!("wrong_type"), &json!("The body is not valid.")));
    assert_eq!(refusal(r#"{"ids": [5], "callback_url": "no"}"#)["id"], "invalid_payload");
}

#[test]
fn a_request_that_asks_for_nothing_is_accepted() {
    for config in [quick(), legacy()] {
        let simulator = start_with(config);
        for body in ["", r#"{"ids": []}"#] {
            let answer = ask_with(&simulator, body);
            assert_eq!(answer.status, 200, "{body}");
            assert!(answer.json()["export_id"].is_string(), "{body}");
        }
    }
}

#[test]
fn a_body_of_another_type_is_named_in_both_dialects() {
    for (config, field) in [(quick(), "id"), (legacy(), "title")] {
        let simulator = start_with(config);
        let headers = [("x-api-key", DEFAULT_API_KEY), ("content-type", "text/plain")];
        let answer = send(simulator.base_url(), "POST", "/async/banners/export", &headers, "{}");
        assert_eq!(answer.status, 415);
        let expected = if field == "id" { "unsupported_media_type" } else { "415 Unsupported Media Type" };
        assert_eq!(answer.json()[field], expected);
    }
}

#[test]
fn an_answer_can_begin_with_a_byte_order_mark_and_have_its_id_in_capitals() {
    let simulator = start(&["create:bom", "create:capital-id", "create:status=400:as=falcon:bom"]);
    let marked = ask(&simulator, &[ID], NOWHERE);
    assert!(marked.text().starts_with("\u{feff}{"), "{}", marked.text());
    let id = ask(&simulator, &[ID], NOWHERE).json()["export_id"].clone();
    assert_eq!(id, simulator.exports()[1].export_id.to_uppercase());
    let falcon = ask(&simulator, &[ID], NOWHERE);
    assert!(falcon.text().starts_with("\u{feff}{\"description\":\"Could not parse"), "{}", falcon.text());
}

#[test]
fn an_id_that_is_no_uuid_is_a_missing_endpoint_in_the_current_dialect() {
    let simulator = start(&[]);
    for id in ["short", "zzzzzzzz-d402-474b-8c2d-fbc957e9d290"] {
        let answer = ask(&simulator, &[id], NOWHERE);
        assert_eq!((answer.status, &answer.json()["id"]), (404, &json!("endpoint_not_found")));
    }
}

#[test]
fn unknown_banners_are_dropped_or_refused_as_told() {
    let config = Config { unknown_ids: vec![OTHER.to_owned()], ..quick() };
    let dropping = start_with(config.clone());
    assert_eq!(ask(&dropping, &[ID, OTHER], NOWHERE).status, 200);
    assert_eq!(dropping.exports()[0].known_ids, [ID]);
    let none_known = ask(&dropping, &[OTHER], NOWHERE);
    assert_eq!((none_known.status, &none_known.json()["id"]), (404, &json!("visual_not_found")));
    let refusing = start_with(Config { unknown_banners: UnknownBanners::Refused, ..config.clone() });
    assert_eq!(ask(&refusing, &[ID, OTHER], NOWHERE).status, 404);
    let legacy = start_with(Config { dialect: Dialect::Legacy, ..config });
    assert_eq!(
        ask(&legacy, &[OTHER], NOWHERE).text(),
        format!(r#"{{"message": "banner_not_found: ['{OTHER}']"}}"#)
    );
}

#[test]
fn a_burst_meets_the_ceiling_of_the_gateway() {
    let simulator = start(&[]);
    let mut answers = (0..200).map(|_| ask(&simulator, &[ID], NOWHERE));
    let refused = answers.find(|answer| answer.status != 200).unwrap();
    assert_eq!((refused.status, refused.header("x-ratelimit-remaining")), (429, Some("0")));
    assert_eq!(
        (refused.header("retry-after"), refused.text()),
        (None, r#"{"message": "Too Many Requests"}"#)
    );
}

#[test]
fn an_answer_made_to_order_is_given_once_and_accepts_nothing() {
    let simulator = start(&[
        "create:status=429:retry-after=2",
        "create:status=429:as=bare",
        "create:status=503:as=html",
        "create:status=429:id=feature_not_in_plan:retry-after-date=30",
        "create:status=500:as=empty",
    ]);
    let first = ask(&simulator, &[ID], NOWHERE);
    assert_eq!((first.status, first.header("retry-after")), (429, Some("2")));
    assert_eq!(first.header("x-ratelimit-remaining"), Some("0"));
    assert_eq!(first.json()["id"], "request_rate_limited");
    assert_eq!(ask(&simulator, &[ID], NOWHERE).text(), r#"{"message":"Too Many Requests"}"#);
    assert!(ask(&simulator, &[ID], NOWHERE).text().starts_with("<html>"));
    let fourth = ask(&simulator, &[ID], NOWHERE);
    assert_eq!(fourth.json()["id"], "feature_not_in_plan");
    assert!(fourth.header("retry-after").unwrap().ends_with(" GMT"));
    let fifth = ask(&simulator, &[ID], NOWHERE);
    assert_eq!((fifth.status, fifth.body.len()), (500, 0));
    assert!(simulator.exports().is_empty());
    assert_eq!(ask(&simulator, &[ID], NOWHERE).status, 200);
    assert_eq!(simulator.requests()[0].trouble.as_deref(), Some("create:status=429:retry-after=2"));
}

#[test]
fn an_answer_with_an_id_is_an_envelope_in_either_dialect() {
    for config in [quick(), legacy()] {
        let troubles = vec!["create:status=429:id=feature_not_in_plan".parse().unwrap()];
        let answer = ask(&start_with(Config { troubles, ..config }), &[ID], NOWHERE);
        assert_eq!((answer.status, &answer.json()["id"]), (429, &json!("feature_not_in_plan")));
    }
}

#[test]
fn an_answer_lost_before_acceptance_leaves_nothing_behind() {
    for trouble in ["create:lost-before", "create:reset-before"] {
        let simulator = start(&[trouble]);
        assert!(ask(&simulator, &[ID], NOWHERE).raw.is_empty());
        assert!(simulator.exports().is_empty());
        assert_eq!(simulator.requests()[0].answered, None);
    }
}

#[test]
fn a_lost_answer_ends_in_order_and_a_reset_one_does_not() {
    let simulator = start(&["create:lost-after", "create:reset-after"]);
    let endings = [(); 2].map(|()| {
        let mut stream = connect(simulator.base_url());
        write!(stream, "POST /async/banners/export HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
        stream.read(&mut [0]).map_err(|error| error.kind())
    });
    assert_eq!(endings, [Ok(0), Err(ErrorKind::ConnectionReset)]);
}

#[test]
fn a_banner_asked_for_twice_is_one_banner() {
    let simulator = start(&[]);
    ask(&simulator, &[ID, OTHER, ID], NOWHERE);
    let export = simulator.exports().remove(0);
    assert_eq!((export.ids.len(), export.known_ids), (3, vec![ID.to_owned(), OTHER.to_owned()]));
}

#[test]
fn an_answer_spoilt_after_acceptance_does_not_stop_the_event() {
    for trouble in [
        "lost-after",
        "reset-after",
        "garbage",
        "truncated",
        "not-json",
        "no-export-id",
        "status=502:as=html:accepted",
    ] {
        let simulator = start(&[&format!("create:{trouble}")]);
        let receiver = Receiver::answering(&[]);
        let answer = ask(&simulator, &[ID], &receiver.url);
        let export = simulator.exports().remove(0);
        assert_eq!(receiver.next().json()["export_id"], export.export_id, "{trouble}");
        assert!(!answer.text().contains(&export.export_id) || trouble == "truncated", "{trouble}");
    }
}

#[test]
fn a_truncated_answer_lacks_exactly_its_last_byte() {
    let answer = ask(&start(&["create:truncated"]), &[ID], NOWHERE);
    let announced: usize = answer.header("content-length").unwrap().parse().unwrap();
    assert_eq!(answer.body.len(), announced - 1);
}

#[test]
fn garbage_is_not_http() {
    let answer = ask(&start(&["create:garbage"]), &[ID], NOWHERE);
    assert!(!answer.raw.is_empty() && !answer.raw.starts_with(b"HTTP"));
}

#[test]
fn slow_answers_are_whole_and_late() {
    let simulator = start(&["create:slow=150ms", "create:drip=1ms"]);
    for _ in 0..2 {
        let asked = Instant::now();
        let answer = ask(&simulator, &[ID], NOWHERE);
        assert!(asked.elapsed() >= Duration::from_millis(150));
        assert_eq!(answer.status, 200);
        assert!(answer.json()["export_id"].is_string());
    }
}

#[test]
fn requests_on_one_connection_share_its_number() {
    let simulator = start(&[]);
    ask(&simulator, &[ID], NOWHERE);
    ask(&simulator, &[ID], NOWHERE);
    let seen = simulator.wait_for_requests(2, PATIENCE).unwrap();
    assert_ne!(seen[0].connection, seen[1].connection);
}

#[test]
fn an_unknown_path_is_answered_in_the_chosen_dialect() {
    let (current, legacy) = (start(&[]), start_with(legacy()));
    let get = |base: &str, path: &str| send(base, "GET", path, &[], "");
    assert_eq!(get(current.base_url(), "/nothing").json()["id"], "endpoint_not_found");
    assert_eq!(get(current.base_url(), "/async/banners/export").status, 405);
    assert_eq!(get(legacy.base_url(), "//async/banners/export").text(), r#"{"title":"404 Not Found"}"#);
}
