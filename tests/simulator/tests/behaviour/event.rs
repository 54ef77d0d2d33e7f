//! The event and its deliveries: what they hold, when they come, and every way they come wrong.

use std::time::Duration;

use abyssale_simulator::{Config, Outcome};
use serde_json::{Value, json};

use crate::common::{Answer, ID, PATIENCE, Receiver, ask, quick, send, start, start_with};

const SECRET: &str = "whsec_shared";

fn signing(troubles: &[&str]) -> Config {
    Config {
        signing_secret: Some(SECRET.to_owned()),
        troubles: troubles.iter().map(|text| text.parse().unwrap()).collect(),
        ..quick()
    }
}

fn delivery_id(delivery: &Answer) -> &str {
    delivery.header("x-abyssale-delivery-id").unwrap()
}

#[test]
fn an_event_has_the_documented_keys_and_a_delivery_id() {
    let (simulator, receiver) = (start(&[]), Receiver::answering(&[]));
    ask(&simulator, &[ID], &receiver.url);
    let delivery = receiver.next();
    assert!(delivery.head.starts_with("POST /abyssale?token=1 HTTP/1.1"));
    assert_eq!(delivery.header("content-type"), Some("application/json"));
    let event = delivery.json();
    let keys: Vec<_> = event.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["archive_url", "export_id", "generated_at", "requested_at"]);
    assert!(event["generated_at"].is_u64());
    let id = delivery_id(&delivery);
    assert!(id.len() == 64 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    assert_eq!(delivery.header("x-abyssale-signature"), None);
}

#[test]
fn a_delivery_that_is_not_acknowledged_comes_six_times_under_one_id() {
    let (simulator, receiver) =
        (start_with(signing(&[])), Receiver::answering(&[500, 404, 301, 401, 429, 503, 200]));
    ask(&simulator, &[ID], &receiver.url);
    let deliveries = simulator.wait_for_deliveries(6, PATIENCE).unwrap();
    assert!(simulator.wait_for_deliveries(7, Duration::from_millis(100)).is_none());
    let first = &deliveries[0];
    for (delivery, attempt) in deliveries.iter().zip(1..) {
        assert_eq!(delivery.attempt, attempt);
        assert_eq!((&delivery.delivery_id, &delivery.body), (&first.delivery_id, &first.body));
    }
    assert_eq!(deliveries[5].outcome, Outcome::Answered(503));
}

#[test]
fn any_2xx_ends_the_ladder() {
    let (simulator, receiver) = (start(&[]), Receiver::answering(&[500, 202]));
    ask(&simulator, &[ID], &receiver.url);
    assert_eq!(simulator.wait_for_deliveries(2, PATIENCE).unwrap()[1].outcome, Outcome::Answered(202));
    assert!(simulator.wait_for_deliveries(3, Duration::from_millis(100)).is_none());
}

#[test]
fn deliveries_go_to_this_machine_only() {
    for (callback, reason) in [
        ("http://192.0.2.1/endpoint", "refused to deliver to 192.0.2.1: not a loopback address"),
        ("http://example.com/endpoint", "refused to deliver to example.com: not a loopback address"),
        ("http://[2001:db8::1]:80/", "refused to deliver to [2001:db8::1]: not a loopback address"),
        ("http://127.0.0.1.nip.io/", "refused to deliver to 127.0.0.1.nip.io: not a loopback address"),
        ("https://127.0.0.1/endpoint", "only plain http is spoken here"),
    ] {
        let simulator = start(&[]);
        assert_eq!(ask(&simulator, &[ID], callback).status, 200);
        let delivery = simulator.wait_for_deliveries(1, PATIENCE).unwrap().remove(0);
        assert_eq!(delivery.outcome, Outcome::Failed(reason.to_owned()));
    }
}

#[test]
fn a_receiver_that_does_not_answer_is_given_up_in_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let simulator = start_with(Config { delivery_timeout: Duration::from_millis(50), ..quick() });
    ask(&simulator, &[ID], &format!("http://{}/", listener.local_addr().unwrap()));
    let delivery = simulator.wait_for_deliveries(1, PATIENCE).unwrap().remove(0);
    assert_eq!(delivery.outcome, Outcome::Failed("no answer in time".to_owned()));
}

#[test]
fn an_event_may_come_before_the_answer() {
    let (simulator, receiver) = (start(&["event:before-answer"]), Receiver::answering(&[]));
    let answer = ask(&simulator, &[ID], &receiver.url);
    // The answer is here: so the delivery must have ended already.
    assert_eq!(simulator.deliveries()[0].export_id, answer.json()["export_id"]);
}

#[test]
fn an_event_may_never_come_and_the_next_one_does() {
    let (simulator, receiver) = (start(&["event:never"]), Receiver::answering(&[]));
    ask(&simulator, &[ID], &receiver.url);
    let second = ask(&simulator, &[ID], &receiver.url);
    assert_eq!(receiver.next().json()["export_id"], second.json()["export_id"]);
}

#[test]
fn a_doubled_event_is_two_deliveries_of_the_same() {
    let (simulator, receiver) = (start(&["event:twice"]), Receiver::answering(&[]));
    ask(&simulator, &[ID], &receiver.url);
    let (first, second) = (receiver.next(), receiver.next());
    assert_eq!(first.json()["archive_url"], second.json()["archive_url"]);
    assert_ne!(delivery_id(&first), delivery_id(&second));
}

#[test]
fn every_attempt_may_come_although_the_first_was_acknowledged() {
    let (simulator, receiver) = (start(&["event:every-attempt"]), Receiver::answering(&[]));
    ask(&simulator, &[ID], &receiver.url);
    let ids: Vec<_> = (0..6).map(|_| delivery_id(&receiver.next()).to_owned()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[test]
fn other_events_may_come_first() {
    let receiver = Receiver::answering(&[]);
    let simulator = start(&["event:stranger-first", "event:other-type-first"]);
    let first = ask(&simulator, &[ID], &receiver.url).json();
    assert_ne!(receiver.next().json()["export_id"], first["export_id"]);
    assert_eq!(receiver.next().json()["export_id"], first["export_id"]);
    let second = ask(&simulator, &[ID], &receiver.url).json();
    assert_eq!(receiver.next().json()["event_type"], "NEW_BANNER");
    assert_eq!(receiver.next().json()["export_id"], second["export_id"]);
}

#[test]
fn a_forged_event_differs_in_nothing_but_the_signature() {
    let (simulator, receiver) = (start_with(signing(&["event:forged-first"])), Receiver::answering(&[401]));
    ask(&simulator, &[ID], &receiver.url);
    let (forged, genuine) = (receiver.next(), receiver.next());
    assert_eq!(forged.json()["archive_url"], genuine.json()["archive_url"]);
    assert_ne!(forged.header("x-abyssale-signature"), genuine.header("x-abyssale-signature"));
}

#[test]
fn a_second_event_may_contradict_the_first() {
    let (simulator, receiver) = (start(&["event:conflict-after"]), Receiver::answering(&[]));
    ask(&simulator, &[ID], &receiver.url);
    let (first, second) = (receiver.next().json(), receiver.next().json());
    assert_eq!(first["export_id"], second["export_id"]);
    assert_ne!(first["archive_url"], second["archive_url"]);
}

#[test]
fn the_archive_address_may_be_any_text() {
    let (simulator, receiver) = (start(&["event:archive-url=url.zip"]), Receiver::answering(&[]));
    ask(&simulator, &[ID], &receiver.url);
    assert_eq!(receiver.next().json()["archive_url"], "url.zip");
    assert!(simulator.exports()[0].archive_url.starts_with(simulator.base_url()));
}

#[test]
fn an_export_without_a_callback_is_accepted_and_never_heard_of_again() {
    let simulator = start(&[]);
    let headers = [("x-api-key", simulator.api_key()), ("content-type", "application/json")];
    let body = json!({ "ids": [ID] }).to_string();
    let answer = send(simulator.base_url(), "POST", "/async/banners/export", &headers, &body);
    assert!(matches!(answer.json()["export_id"], Value::String(_)));
    assert!(simulator.wait_for_deliveries(1, Duration::from_millis(50)).is_none());
}

#[test]
fn an_event_comes_in_every_shape_and_through_every_gateway() {
    for (trouble, begins, target) in [
        ("as=data", r#"{"event_type": "NEW_EXPORT", "data": {"export_id""#, "/abyssale?token=1"),
        ("as=payload", r#"{"event_type": "NEW_EXPORT", "payload": {"export_id""#, "/abyssale?token=1"),
        ("as=bom", "\u{feff}{\"export_id\"", "/abyssale?token=1"),
        ("as=no-ids", r#"{"event_type": "NEW_EXPORT", "status""#, "/abyssale?token=1"),
        ("gateway=adds-stage", r#"{"export_id""#, "/prod/abyssale?token=1"),
        ("gateway=drops-stage", r#"{"export_id""#, "/"),
        ("gateway=doubles-slashes", r#"{"export_id""#, "//abyssale?token=1"),
        ("gateway=adds-query", r#"{"export_id""#, "/abyssale?token=1&source=gateway"),
    ] {
        let (simulator, receiver) = (start(&[&format!("event:{trouble}")]), Receiver::answering(&[]));
        ask(&simulator, &[ID], &receiver.url);
        let delivery = receiver.next();
        assert!(delivery.text().starts_with(begins), "{trouble}: {}", delivery.text());
        assert_eq!(delivery.head.split(' ').nth(1), Some(target), "{trouble}");
    }
}

#[test]
fn a_gateway_can_repeat_the_header_fields() {
    let (simulator, receiver) = (start(&["event:gateway=repeats-headers"]), Receiver::answering(&[]));
    ask(&simulator, &[ID], &receiver.url);
    assert_eq!(receiver.next().head.matches("x-abyssale-delivery-id: ").count(), 2);
}
