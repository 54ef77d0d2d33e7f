//! `export_banners` of the official client against the simulator: accepted, refused in both dialects, asked to wait,
//! and left without an answer.

use abyssale_simulator::{Config, Dialect, Simulator};
use serde_json::{Value, json};

use crate::python::{Call, OfficialClient};

pub(crate) const ID: &str = "64238d01-d402-474b-8c2d-fbc957e9d290";
/// Refused by the simulator's deliveries, which go to this machine only, and recorded as such.
pub(crate) const CALLBACK: &str = "https://hooks.example.com/abyssale";

pub(crate) fn accepted(client: &OfficialClient) {
    let other = "7b3c6a52-6f0f-4d4c-9d39-0d7d3a0c5a11";
    for dialect in [Dialect::Current, Dialect::Legacy] {
        let simulator = simulator(dialect, &[]);
        let [outcome] = &client.calls(&simulator, &[export(&[ID, other], CALLBACK)])[..] else { panic!() };
        let [accepted] = &simulator.exports()[..] else { panic!("{outcome}") };
        assert_eq!(outcome["value"]["export_id"], accepted.export_id, "{outcome}");
        assert_eq!(accepted.ids, [ID, other]);
        assert_eq!(accepted.callback_url.as_deref(), Some(CALLBACK));
    }
}

pub(crate) fn refused_in_the_current_dialect(client: &OfficialClient) {
    let simulator = simulator(Dialect::Current, &[]);
    let [outcome] = &client.calls(&simulator, &[export(&["short"], "nowhere")])[..] else { panic!() };
    assert_raised(outcome, "AbyssaleAPIError", 400, Some("invalid_format"));
    assert_eq!(outcome["message"], "The body is not valid.");
    let errors: Vec<_> = outcome["errors"].as_array().unwrap().iter().map(|error| &error["path"]).collect();
    assert_eq!(errors, ["ids[0]", "callback_url"], "{outcome}");
    assert!(simulator.exports().is_empty());
}

pub(crate) fn refused_in_the_legacy_dialect(client: &OfficialClient) {
    let simulator = simulator(Dialect::Legacy, &[]);
    let [outcome] = &client.calls(&simulator, &[export(&["short"], CALLBACK)])[..] else { panic!() };
    assert_raised(outcome, "AbyssaleAPIError", 400, None);
    assert_eq!(outcome["message"], "body_validation_errors: {'media': {'ids': {0: ['Length must be 36.']}}}");
    // It shows only the flat list of the current dialect; the tree is left to who looks into the body.
    assert_eq!(outcome["errors"], Value::Null);
    assert_eq!(outcome["body"]["errors"], json!({ "media": { "ids": { "0": ["Length must be 36."] } } }));
}

pub(crate) fn unauthorized(client: &OfficialClient) {
    for (dialect, id) in [(Dialect::Current, Some("unauthorized")), (Dialect::Legacy, None)] {
        let simulator = simulator(dialect, &[]);
        let calls = [export(&[ID], CALLBACK)];
        let [outcome] = &client.calls_with_key(&simulator, "revoked", &calls)[..] else { panic!() };
        assert_raised(outcome, "AbyssaleAuthError", 401, id);
        assert_eq!(posts(&simulator), 1);
    }
}

pub(crate) fn not_found(client: &OfficialClient) {
    for (dialect, ids) in [
        (Dialect::Current, [Some("visual_not_found"), Some("endpoint_not_found")]),
        (Dialect::Legacy, [None, None]),
    ] {
        let unknown_ids = vec![ID.to_owned()];
        let simulator = Simulator::start(Config { dialect, unknown_ids, ..Config::default() }).unwrap();
        let not_a_uuid = "x".repeat(36);
        let calls = [export(&[ID], CALLBACK), export(&[&not_a_uuid], CALLBACK)];
        for (outcome, id) in client.calls(&simulator, &calls).iter().zip(ids) {
            assert_raised(outcome, "AbyssaleNotFoundError", 404, id);
        }
        assert_eq!(posts(&simulator), 2);
    }
}

pub(crate) fn retry_after(client: &OfficialClient) {
    for wait in ["retry-after=1", "retry-after-date=2"] {
        let simulator = simulator(Dialect::Current, &[&format!("create:status=429:{wait}")]);
        let [outcome] = &client.calls(&simulator, &[export(&[ID], CALLBACK)])[..] else { panic!() };
        assert_eq!(outcome["value"]["export_id"], simulator.exports()[0].export_id, "{outcome}");
        assert_eq!(posts(&simulator), 2);
        // A date has no fractions of a second: the two seconds may be little more than one.
        assert!(outcome["seconds"].as_f64().unwrap() > 0.9, "{outcome}");
    }
}

pub(crate) fn bare_429(client: &OfficialClient) {
    for shape in ["", ":as=bare"] {
        let refusal = format!("create:status=429{shape}");
        let clears = simulator(Dialect::Current, &[&refusal]);
        let [outcome] = &client.calls(&clears, &[export(&[ID], CALLBACK)])[..] else { panic!() };
        assert_eq!(outcome["value"]["export_id"], clears.exports()[0].export_id, "{outcome}");
        assert!(outcome["seconds"].as_f64().unwrap() > 0.9, "{outcome}");

        let stays = simulator(Dialect::Current, &[&refusal, &refusal, &refusal]);
        let [outcome] = &client.calls(&stays, &[export(&[ID], CALLBACK)])[..] else { panic!() };
        let id = if shape.is_empty() { Some("rate_limit_exceeded") } else { None };
        assert_raised(outcome, "AbyssaleRateLimitError", 429, id);
        assert_eq!(outcome["retry_after"], Value::Null);
        assert_eq!(posts(&stays), 2);
    }
}

pub(crate) fn long_retry_after(client: &OfficialClient) {
    let simulator = simulator(Dialect::Current, &["create:status=429:retry-after=31"]);
    let [outcome] = &client.calls(&simulator, &[export(&[ID], CALLBACK)])[..] else { panic!() };
    assert_raised(outcome, "AbyssaleRateLimitError", 429, Some("request_rate_limited"));
    assert_eq!(outcome["retry_after"], 31.0);
    assert_eq!(posts(&simulator), 1);
    assert!(outcome["seconds"].as_f64().unwrap() < 15.0, "{outcome}");
}

pub(crate) fn feature_not_in_plan(client: &OfficialClient) {
    let refusal = "create:status=429:id=feature_not_in_plan";
    let simulator = simulator(Dialect::Current, &[refusal, &format!("{refusal}:retry-after=1")]);
    let calls = [export(&[ID], CALLBACK), export(&[ID], CALLBACK)];
    for outcome in client.calls(&simulator, &calls) {
        assert_raised(&outcome, "AbyssaleRateLimitError", 429, Some("feature_not_in_plan"));
    }
    assert_eq!(posts(&simulator), 2);
}

pub(crate) fn server_errors(client: &OfficialClient) {
    let statuses = [500_u16, 502, 503, 504];
    let page = "create:status=502:as=html".to_owned();
    let accepted = "create:status=504:accepted:retry-after=1".to_owned();
    let troubles = statuses.map(|status| format!("create:status={status}"));
    let troubles: Vec<_> = troubles.iter().chain([&page, &accepted]).map(String::as_str).collect();
    let simulator = simulator(Dialect::Current, &troubles);
    let outcomes = client.calls(&simulator, &vec![export(&[ID], CALLBACK); troubles.len()]);
    for (outcome, status) in outcomes.iter().zip([500, 502, 503, 504, 502, 504]) {
        assert_eq!((&outcome["raised"], &outcome["status"]), (&json!("AbyssaleAPIError"), &json!(status)));
    }
    assert_eq!(posts(&simulator), troubles.len());
}

pub(crate) fn lost_answer(client: &OfficialClient) {
    let simulator = simulator(Dialect::Current, &["create:lost-after", "create:reset-before"]);
    for outcome in client.calls(&simulator, &[export(&[ID], CALLBACK), export(&[ID], CALLBACK)]) {
        assert_eq!(outcome["raised"], "AbyssaleConnectionError", "{outcome}");
    }
    assert_eq!((posts(&simulator), simulator.exports().len()), (2, 1));
}

pub(crate) fn export(ids: &[&str], callback: &str) -> Call<'static> {
    ("export_banners", json!([{ "ids": ids, "callback_url": callback }]))
}

fn simulator(dialect: Dialect, troubles: &[&str]) -> Simulator {
    let troubles = troubles.iter().map(|text| text.parse().unwrap()).collect();
    Simulator::start(Config { dialect, troubles, ..Config::default() }).unwrap()
}

fn posts(simulator: &Simulator) -> usize {
    simulator.requests().iter().filter(|request| request.method == "POST").count()
}

fn assert_raised(outcome: &Value, class: &str, status: u16, id: Option<&str>) {
    let found = (&outcome["raised"], &outcome["status"], &outcome["id"]);
    assert_eq!(found, (&json!(class), &json!(status), &json!(id)), "{outcome}");
}
