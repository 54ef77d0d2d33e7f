//! What strangers are answered, and what is said of them.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use abyssale_core::{
    SigningSecret, Timestamp,
    webhook::{CallbackEndpoint, Reply, Verifier, sign},
};
use abyssale_host::ListenerSettings;
use abyssale_observability::Recorder;
use rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
};

use crate::{
    QUERY, SECRET,
    hunt::{Hunt, Secret},
};

const TOKEN: &str = "009aff10c3d5e7081b2a4c6d8e0f1234";

/// Requests to a callback address, most of them no deliveries: each holds what a stranger may know or guess.
fn requests() -> Vec<Vec<u8>> {
    let body = format!(r#"{{"export_id":"e","archive_url":"https://h/a.zip?{QUERY}"}}"#);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let signed = |secret: &str, at: u64, body: &str| {
        sign(&SigningSecret::new(secret).unwrap(), Timestamp::from_secs(at), body.as_bytes())
    };
    let id = "0a".repeat(32);
    let request = |method: &str, target: &str, fields: &str, body: &str| {
        let length = body.len();
        format!("{method} {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\nX-Abyssale-Delivery-Id: {id}\r\n{fields}\r\n{body}")
            .into_bytes()
    };
    let address = format!("/abyssale/{TOKEN}");
    let field = |signature: String| format!("X-Abyssale-Signature: {signature}\r\n");
    let genuine = field(signed(SECRET, now, &body));
    let text = format!(r#""https://h/a.zip?{QUERY}""#);
    let unreadable = format!(r#"{{"export_id":"e","archive_url":["https://h/a.zip?{QUERY}"]}}"#);
    let broken = format!(r#"{{"export_id":"e","archive_url":"https://h/a.zip?{QUERY}"#);
    vec![
        request("POST", &address, &genuine, &body),
        request("POST", &address, &field(signed("whsec_of_somebody_else", now, &body)), &body),
        request("POST", &address, &field(signed(SECRET, now - 1000, &body)), &body),
        request("POST", &address, &field("t=1,v1=".into()), &body),
        request("POST", &address, "", &body),
        request("POST", &address, &field(signed(SECRET, now, &text)), &text),
        request("POST", &address, &field(signed(SECRET, now, &unreadable)), &unreadable),
        request("POST", &address, &field(signed(SECRET, now, &broken)), &broken),
        request("GET", &address, &genuine, &body),
        request("POST", &format!("{address}0"), &genuine, &body),
        request("POST", &address, &format!("{genuine}Content-Encoding: gzip\r\n"), &body),
        request("POST", &address, &format!("{genuine}Transfer-Encoding: chunked\r\n"), &body),
        request("POST", &address, &format!("{genuine}Content-Length: 3\r\n"), &body),
        format!("POST {address} HTTP/1.1\r\nHost: h\r\n{genuine}Content-Length: 9999999\r\n\r\n")
            .into_bytes(),
        format!("POST {address} HTTP/1.1\r\nHost: h\r\n{genuine}Content-Length: 200\r\n\r\n{{").into_bytes(),
        format!("POST {address} {TOKEN}\r\n\r\n").into_bytes(),
        b"\x16\x03\x01\x02\x00\x01\x00".to_vec(),
    ]
}

fn endpoint() -> CallbackEndpoint {
    CallbackEndpoint::new(Verifier::new([SigningSecret::new(SECRET).unwrap()])).path("/abyssale")
}

fn ask(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

/// Sends all of it to a listener, and hears what is answered, shown and logged.
fn hear_all(hunt: &mut Hunt, address: SocketAddr) {
    let mut statuses = std::collections::BTreeSet::new();
    for request in requests() {
        let answer = String::from_utf8(ask(address, &request)).unwrap();
        statuses.insert(answer.split(' ').nth(1).unwrap_or_default().to_owned());
        hunt.hear("answer to a stranger", answer);
    }
    for status in ["200", "400", "401", "404", "405", "413", "415"] {
        assert!(statuses.contains(status), "{status} is not among {statuses:?}");
    }
}

fn hunt() -> Hunt {
    let mut hunt = Hunt::new();
    hunt.seek(Secret::Token, TOKEN);
    hunt
}

#[test]
fn strangers_are_told_nothing_and_nothing_is_said_of_what_they_sent() {
    let recorder = Recorder::installed();
    let mark = recorder.mark();
    let mut hunt = hunt();
    let receiver = abyssale_blocking::Receiver::new(endpoint(), |_, _| Reply::Acknowledged);
    let listener = receiver.listen("127.0.0.1:0").unwrap();
    hunt.hear_debug("the receiver", &receiver);
    hunt.hear_debug("the listener", &listener);
    hear_all(&mut hunt, listener.local_addr());
    hunt.hear_debug("the counts", &receiver.counts());
    listener.shutdown();

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let receiver = abyssale_async::Receiver::new(endpoint(), |_, _| Reply::Acknowledged);
    let listener = runtime.block_on(receiver.listen("127.0.0.1:0")).unwrap();
    hunt.hear_debug("the receiver", &receiver);
    hunt.hear_debug("the service", &receiver.service());
    hunt.hear_debug("the listener", &listener);
    hear_all(&mut hunt, listener.local_addr());
    runtime.block_on(listener.shutdown());
    drop(runtime);
    hunt.hear_records("the listeners", &recorder.since(mark));
    hunt.assert_clean(100);
}

#[test]
fn a_peer_that_does_not_speak_tls_reveals_no_secret() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = made.signing_key.serialize_pem();
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let mut settings = ListenerSettings::default();
    settings.tls = Some(Arc::new(config));
    let recorder = Recorder::installed();
    let mark = recorder.mark();
    let mut hunt = hunt();
    // The middle of the private key, as the file has it.
    hunt.seek(Secret::Key, pem.lines().nth(1).unwrap());
    hunt.hear_debug("the settings", &settings);
    let receiver = abyssale_blocking::Receiver::new(endpoint(), |_, _| Reply::Acknowledged);
    let listener = receiver.listen_with("127.0.0.1:0", &settings).unwrap();
    hunt.hear_debug("the listener", &listener);
    for request in requests() {
        hunt.hear(
            "answer to who speaks no TLS",
            String::from_utf8_lossy(&ask(listener.local_addr(), &request)),
        );
    }
    listener.shutdown();
    hunt.hear_records("the listener", &recorder.since(mark));
    hunt.assert_clean(20);
}
