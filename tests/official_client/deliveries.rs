//! Deliveries that our simulator or our core signed, before the official verifier and ours.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use abyssale_blocking::Receiver;
use abyssale_core::{
    SigningSecret, Timestamp,
    webhook::{CallbackEndpoint, Reply, Verifier, sign},
};
use abyssale_simulator::{Config, DeliveryRecord, Outcome, Simulator};
use serde_json::json;

use crate::{
    calls::{ID, export},
    python::{Judged, OfficialClient},
};

pub(crate) fn of_the_simulator(client: &OfficialClient) {
    let signing_secret = Some(SECRET.to_owned());
    let simulator = Simulator::start(Config { signing_secret, ..Config::default() }).unwrap();
    // Our own receiver answers it, so the same delivery is judged by both, each at the present time.
    let delivery = deliver(client, &simulator, &[SECRET]);
    assert_judgement(client, &delivery.body, &delivery.signature.unwrap());
}

pub(crate) fn after_a_rotation(client: &OfficialClient) {
    let simulator = Simulator::start(Config::default()).unwrap();
    let calls = [("get_signing_secret", json!([])), ("rotate_signing_secret", json!([]))];
    let states = client.calls(&simulator, &calls);
    let [old, new] = [&states[0], &states[1]].map(|state| state["value"]["secret"].as_str().unwrap());
    assert_ne!(old, new);
    let deliveries = [old, new].map(|secret| deliver(client, &simulator, &[secret]));
    for delivery in &deliveries {
        let header = delivery.signature.as_deref().unwrap();
        assert_eq!(header.matches("v1=").count(), 2, "{header}");
        let judged = [old, new, "whsec_other"].map(|secret| Judged {
            body: &delivery.body,
            header,
            secret,
            now: None,
        });
        assert_eq!(client.judge(&judged), ["accepts", "accepts", "refuses"]);
    }
}

pub(crate) fn signed_by_core(client: &OfficialClient) {
    let secret = SigningSecret::new(SECRET).unwrap();
    for body in ["", r#"{"export_id":"e","archive_url":"url.zip"}"#, "{\"name\": \"été\"}\r\n"] {
        assert_judgement(client, body, &sign(&secret, Timestamp::from_secs(unix_now()), body.as_bytes()));
    }
}

/// Accepted as it is and within 300 seconds; refused when altered, stale, or checked with another secret.
fn assert_judgement(client: &OfficialClient, body: &str, header: &str) {
    let genuine = Judged { body, header, secret: SECRET, now: None };
    let altered = format!("{body} ");
    let signed_at: f64 = header[2..header.find(',').unwrap()].parse().unwrap();
    let at = |seconds: f64| Judged { now: Some(signed_at + seconds), ..genuine };
    let accepted = [genuine, at(300.0), at(-300.0)];
    assert_eq!(client.judge(&accepted), ["accepts"; 3], "{header} {body}");
    let refused = [
        Judged { body: &altered, ..genuine },
        Judged { secret: "whsec_other", ..genuine },
        at(301.0),
        at(-301.0),
    ];
    assert_eq!(client.judge(&refused), ["refuses"; 4], "{header} {body}");
}

/// Has an export asked for by the official client delivered to our receiver, which must accept it.
fn deliver(client: &OfficialClient, simulator: &Simulator, secrets: &[&str]) -> DeliveryRecord {
    let before = simulator.deliveries().len();
    let verifier = Verifier::new(secrets.iter().map(|secret| SigningSecret::new(*secret).unwrap()));
    let receiver = Receiver::new(CallbackEndpoint::new(verifier).token(None), |_, _| Reply::Acknowledged);
    let listener = receiver.listen("127.0.0.1:0").unwrap();
    let callback = format!("http://{}/abyssale", listener.local_addr());
    client.calls(simulator, &[export(&[ID], &callback)]);
    let mut deliveries = simulator.wait_for_deliveries(before + 1, PATIENCE).unwrap();
    let delivery = deliveries.remove(before);
    assert_eq!(delivery.outcome, Outcome::Answered(200));
    delivery
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

const SECRET: &str = "whsec_between_the_two";
const PATIENCE: Duration = Duration::from_secs(30);
