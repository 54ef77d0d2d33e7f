//! What a listener says by itself, brought about without a socket: no place, no descriptor, another certificate.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use abyssale_host::{
    Counters, Counts,
    server::{ListenerSettings, Phase, Places, Tls, TlsFiles},
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    crypto::ring::default_provider,
};

use crate::world::PATIENCE;

/// The one place is needed for another, then there is none, and then no descriptor.
pub(crate) fn crowded() {
    let mut settings = ListenerSettings::default();
    settings.connections = 1;
    let places = Places::new(&settings, Arc::default());
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let _first = places.take(address, |_| {}).unwrap();
    let mut second = places.take(address, |_| {}).unwrap();
    second.enter(Phase::Handling, Instant::now());
    assert!(places.take(address, |_| {}).is_none());
    assert!(!places.not_accepted(&std::io::Error::other("too many open files")).is_zero());
}

/// What is no certificate takes the place of one, and then another one does.
pub(crate) fn renewed() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let renew = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    };
    renew();
    let counters = Arc::<Counters>::default();
    let files = TlsFiles::new(&certificate, &key);
    let tls = Tls::open(files, Arc::new(default_provider()), Arc::clone(&counters)).unwrap();
    // The files are looked at once a second, when somebody connects.
    let greet_until = |enough: fn(Counts) -> bool| {
        let started = Instant::now();
        while !enough(counters.read()) {
            greet(&tls.config());
            assert!(started.elapsed() < PATIENCE, "{:?}", counters.read());
            thread::park_timeout(Duration::from_millis(20));
        }
    };
    fs::write(&certificate, "").unwrap();
    greet_until(|counts| counts.certificates_refused == 1);
    renew();
    greet_until(|counts| counts.certificates_reloaded == 1);
}

/// The beginning of a handshake, after which the server has to know its certificate.
fn greet(server: &Arc<ServerConfig>) {
    let client = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let client = client.with_safe_default_protocol_versions().unwrap();
    let client = client.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    server.read_tls(&mut &hello[..]).unwrap();
    server.process_new_packets().unwrap();
}
