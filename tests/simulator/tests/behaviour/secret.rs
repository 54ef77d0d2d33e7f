//! The signing secret over HTTP: asked for, rotated, revoked, and what that does to deliveries.

use serde_json::Value;

use abyssale_simulator::{Config, Simulator};

use crate::common::{Answer, ID, Receiver, ask, quick, send, start_with};

/// Scaled by a thousandth, the 24 hours of an overlap are 86 seconds: longer than any test.
fn simulator() -> Simulator {
    start_with(Config { time_scale: 0.001, ..quick() })
}

fn call(simulator: &Simulator, method: &str, target: &str) -> Answer {
    send(simulator.base_url(), method, target, &[("x-api-key", simulator.api_key())], "")
}

#[test]
fn asking_for_the_secret_turns_signing_on() {
    let (simulator, receiver) = (simulator(), Receiver::answering(&[]));
    ask(&simulator, &[ID], &receiver.url);
    assert_eq!(receiver.next().header("x-abyssale-signature"), None);
    let state = call(&simulator, "GET", "/signing-secret").json();
    let secret = state["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_") && simulator.signing_secret().as_deref() == Some(secret));
    assert_eq!(
        (&state["rotated_at_ts"], &state["previous_secret_expires_at_ts"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(call(&simulator, "GET", "/signing-secret").json()["secret"], secret);
    ask(&simulator, &[ID], &receiver.url);
    let delivery = receiver.next();
    assert_eq!(delivery.header("x-abyssale-signature").unwrap().matches("v1=").count(), 1);
}

#[test]
fn a_rotation_signs_twice_until_it_is_revoked() {
    let (simulator, receiver) = (simulator(), Receiver::answering(&[]));
    let first = call(&simulator, "GET", "/signing-secret").json();
    let second = call(&simulator, "POST", "/signing-secret/rotate").json();
    assert_ne!(first["secret"], second["secret"]);
    assert_eq!(first["created_at_ts"], second["created_at_ts"]);
    assert!(second["previous_secret_expires_at_ts"].as_u64() > second["rotated_at_ts"].as_u64());
    ask(&simulator, &[ID], &receiver.url);
    assert_eq!(receiver.next().header("x-abyssale-signature").unwrap().matches("v1=").count(), 2);
    let refused = call(&simulator, "POST", "/signing-secret/rotate");
    assert_eq!((refused.status, refused.json()["id"].as_str()), (409, Some("previous_secret_still_active")));
    let forced = call(&simulator, "POST", "/signing-secret/rotate?force=true");
    assert_eq!(forced.status, 200);
    let revoked = call(&simulator, "POST", "/signing-secret/revoke").json();
    assert_eq!(revoked["secret"], forced.json()["secret"]);
    assert_eq!(revoked["previous_secret_expires_at_ts"], Value::Null);
    ask(&simulator, &[ID], &receiver.url);
    assert_eq!(receiver.next().header("x-abyssale-signature").unwrap().matches("v1=").count(), 1);
}

#[test]
fn a_rotation_without_a_secret_makes_one_and_replaces_it_at_once() {
    let simulator = simulator();
    let rotated = call(&simulator, "POST", "/signing-secret/rotate");
    assert_eq!(rotated.status, 200);
    assert!(rotated.json()["rotated_at_ts"].is_u64());
    assert_eq!(call(&simulator, "POST", "/signing-secret/rotate").status, 409);
}

#[test]
fn a_signing_side_that_is_late_signs_with_the_secret_before_the_rotation() {
    let (simulator, receiver) = (simulator(), Receiver::answering(&[]));
    let state = call(&simulator, "GET", "/signing-secret").json();
    let old = state["secret"].as_str().unwrap();
    call(&simulator, "POST", "/signing-secret/rotate");
    call(&simulator, "POST", "/signing-secret/revoke");
    simulator.add_trouble("event:signs-late".parse().unwrap());
    ask(&simulator, &[ID], &receiver.url);
    let delivery = receiver.next();
    assert!(signed_by(&delivery, old));
    assert_eq!(delivery.header("x-abyssale-signature").unwrap().matches("v1=").count(), 1);
}

/// Whether a delivery is signed by this secret, and by no other.
fn signed_by(delivery: &Answer, secret: &str) -> bool {
    use hmac::{Hmac, KeyInit, Mac};
    let header = delivery.header("x-abyssale-signature").unwrap();
    let (t, v1) = header.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    let mac =
        mac.chain_update(format!("v1:webhook:{t}.")).chain_update(&delivery.body).finalize().into_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    v1.as_bytes().chunks(2).map(byte).eq(mac.iter().copied())
}

#[test]
fn the_secret_is_behind_the_key() {
    let simulator = simulator();
    assert_eq!(send(simulator.base_url(), "GET", "/signing-secret", &[], "").status, 401);
    assert_eq!(call(&simulator, "POST", "/signing-secret").status, 405);
    assert_eq!(simulator.signing_secret(), None);
}
