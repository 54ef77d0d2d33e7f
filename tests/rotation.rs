//! A rotation of the signing secret while deliveries arrive: none that is genuine is refused, and none with the revoked
//! secret is accepted.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use abyssale_core::{
    ApiKey, Order, SigningSecret, SigningSecretState, Timestamp,
    webhook::{CallbackEndpoint, Delivery, Refusal, Reply, Verifier, sign},
};
use abyssale_host::{Clock, Error};
use abyssale_simulator::{Config, DeliveryRecord, Simulator};

const ID: &str = "64238d01-d402-474b-8c2d-fbc957e9d290";
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_rotation_under_traffic_loses_no_delivery_in_a_synchronous_program() {
    let simulator = simulator();
    let client = abyssale_blocking::Client::builder()
        .api_key(ApiKey::new(simulator.api_key()).unwrap())
        .base_url(simulator.base_url())
        .settings(|settings| settings.max_retries = Some(20))
        .build()
        .unwrap();
    let first = client.signing_secret().unwrap().secret;
    let receiver = abyssale_blocking::Receiver::new(endpoint(&first), acknowledge);
    let listener = receiver.listen("127.0.0.1:0").unwrap();
    let order = Order::new([ID], &format!("http://{}/", listener.local_addr())).unwrap();
    rotate(
        &simulator,
        &|| drop(client.create_export(&order, None).unwrap()),
        &|force| client.rotate_signing_secret(force),
        &|| client.revoke_signing_secret(),
        &|secrets| receiver.set_signing_secrets(secrets),
    );
    let stale = forge(&first, |headers, body| receiver.receive("POST", "/", headers, body));
    assert_eq!(stale, Reply::Unauthorized(Refusal::Mismatch));
}

#[test]
fn a_rotation_under_traffic_loses_no_delivery_in_an_asynchronous_program() {
    let simulator = simulator();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let client = abyssale_async::Client::builder()
        .api_key(ApiKey::new(simulator.api_key()).unwrap())
        .base_url(simulator.base_url())
        .settings(|settings| settings.max_retries = Some(20))
        .build()
        .unwrap();
    let first = runtime.block_on(client.signing_secret()).unwrap().secret;
    let receiver = abyssale_async::Receiver::new(endpoint(&first), acknowledge);
    let listener = runtime.block_on(receiver.listen("127.0.0.1:0")).unwrap();
    let order = Order::new([ID], &format!("http://{}/", listener.local_addr())).unwrap();
    rotate(
        &simulator,
        &|| drop(runtime.block_on(client.create_export(&order, None)).unwrap()),
        &|force| runtime.block_on(client.rotate_signing_secret(force)),
        &|| runtime.block_on(client.revoke_signing_secret()),
        &|secrets| receiver.set_signing_secrets(secrets),
    );
    let stale = forge(&first, |headers, body| runtime.block_on(receiver.receive("POST", "/", headers, body)));
    assert_eq!(stale, Reply::Unauthorized(Refusal::Mismatch));
}

/// Exports without a pause, and meanwhile: rotate, take the new secret, revoke the old one.
fn rotate(
    simulator: &Simulator,
    export: &(dyn Fn() + Sync),
    rotate: &(dyn Fn(bool) -> Result<SigningSecretState, Error> + Sync),
    revoke: &(dyn Fn() -> Result<SigningSecretState, Error> + Sync),
    take: &(dyn Fn(Vec<SigningSecret>) + Sync),
) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                export();
            }
        });
        wait_for(simulator, 5, |_| true);
        let rotated = rotate(false).unwrap();
        // Deliveries are signed with both by now, and the receiver knows only the first.
        wait_for(simulator, 5, |delivery| signatures(delivery) == 2);
        take(vec![rotated.secret.clone()]);
        wait_for(simulator, 10, |delivery| signatures(delivery) == 2);
        let after = revoke().unwrap();
        assert_eq!(after.secret.expose(), rotated.secret.expose());
        wait_for(simulator, 10, |delivery| signatures(delivery) == 1);
        over.store(true, Ordering::Release);
        traffic.join().unwrap();
    });
    let deliveries = simulator.wait_for_deliveries(simulator.exports().len(), PATIENCE).unwrap();
    let refused: Vec<_> = deliveries
        .iter()
        .filter(|delivery| !delivery.outcome.is_acknowledged())
        .map(|d| &d.outcome)
        .collect();
    assert!(refused.is_empty(), "{refused:?} of {}", deliveries.len());
    assert_eq!(signatures(deliveries.last().unwrap()), 1, "the revoked one is gone");
}

/// Waits for so many more deliveries of this kind.
fn wait_for(simulator: &Simulator, count: usize, which: impl Fn(&DeliveryRecord) -> bool) {
    let before = simulator.deliveries().len();
    let found = simulator.wait_until(PATIENCE, |seen| {
        (seen.deliveries.iter().skip(before).filter(|delivery| which(delivery)).count() >= count)
            .then_some(())
    });
    found.expect("they come");
}

fn signatures(delivery: &DeliveryRecord) -> usize {
    delivery.signature.as_deref().unwrap_or_default().matches("v1=").count()
}

/// What is answered to a delivery that is signed with this secret now.
fn forge(secret: &SigningSecret, receive: impl Fn(&[(&'static str, String); 1], &[u8]) -> Reply) -> Reply {
    let body = br#"{"export_id":"e","archive_url":"https://h/a.zip"}"#;
    receive(&[("x-abyssale-signature", sign(secret, Clock::wall(), body))], body)
}

fn endpoint(secret: &SigningSecret) -> CallbackEndpoint {
    CallbackEndpoint::new(Verifier::new([secret.clone()])).token(None)
}

fn acknowledge(_: Timestamp, _: Delivery) -> Reply {
    Reply::Acknowledged
}

fn simulator() -> Simulator {
    let config = Config {
        render_delay: Duration::from_millis(1),
        requests_per_second: None,
        // 24 hours are 86 seconds: longer than this takes.
        time_scale: 0.001,
        ..Config::default()
    };
    Simulator::start(config).unwrap()
}
