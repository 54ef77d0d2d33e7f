//! The listeners in TLS: deliveries, a renewed certificate, and strangers who never finish a handshake.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use abyssale_examples::Certificate;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring::default_provider,
    pki_types::CertificateDer,
};

use crate::{
    alone,
    standing::{Standing, genuine, statuses},
};

/// Writes a new certificate for this machine and its key, and returns the certificate.
fn renew(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

/// Delivers over TLS to whoever shows this certificate, and returns the statuses.
fn deliver(standing: &Standing, trusted: &CertificateDer<'static>, bytes: &[u8]) -> io::Result<Vec<u16>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).map_err(io::Error::other)?;
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().map_err(io::Error::other)?;
    let session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(session, standing.connect()?);
    stream.write_all(bytes)?;
    let mut answer = String::new();
    // An end without a close_notify would be an error here.
    stream.read_to_string(&mut answer)?;
    Ok(statuses(&answer))
}

#[test]
fn deliveries_come_over_tls_and_a_renewed_certificate_is_used_without_a_restart() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let first = renew(folder.path());
    let certificate =
        Certificate::open(folder.path().join("cert.pem"), folder.path().join("key.pem")).unwrap();
    let both = Standing::both(|settings| settings.tls = Some(certificate.config().unwrap()));
    let two = [genuine("first", true), genuine("second", false)].concat();
    for standing in &both {
        assert_eq!(deliver(standing, &first, &two).unwrap(), [200, 200], "{}", standing.name);
        let plain = standing.talk(&genuine("plain", false)).unwrap_or_default();
        assert!(plain.is_empty(), "{}: {plain:?} in the clear", standing.name);
    }
    let second = renew(folder.path());
    let key = fs::read(folder.path().join("key.pem")).unwrap();
    fs::write(folder.path().join("key.pem"), "").unwrap();
    assert!(certificate.renew().is_err(), "half of a renewal");
    for standing in &both {
        assert_eq!(deliver(standing, &first, &two).unwrap(), [200, 200], "{}", standing.name);
    }
    fs::write(folder.path().join("key.pem"), key).unwrap();
    certificate.renew().unwrap();
    for standing in &both {
        assert_eq!(
            deliver(standing, &second, &genuine("renewed", false)).unwrap(),
            [200],
            "{}",
            standing.name
        );
        assert!(deliver(standing, &first, &two).is_err(), "{}: the old one is gone", standing.name);
        assert_eq!(standing.handled().into_keys().collect::<Vec<_>>(), ["first", "renewed", "second"]);
    }
}

#[test]
fn a_peer_that_never_finishes_its_handshake_is_cut_off_and_makes_room() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let certificate = renew(folder.path());
    let files = Certificate::open(folder.path().join("cert.pem"), folder.path().join("key.pem")).unwrap();
    for standing in Standing::both(|settings| {
        settings.tls = Some(files.config().unwrap());
        settings.connections = 8;
        settings.delivery_timeout = Duration::from_secs(4);
    }) {
        // The beginning of a record that announces more than comes.
        let mut held: Vec<_> = (0..8)
            .map(|_| {
                let mut stream = standing.connect().unwrap();
                stream.write_all(&[0x16, 3, 1, 2, 0]).unwrap();
                stream
            })
            .collect();
        let statuses = deliver(&standing, &certificate, &genuine("genuine", false)).unwrap();
        assert_eq!(statuses, [200], "{}", standing.name);
        for stream in &mut held {
            let mut rest = Vec::new();
            // Closed or reset, but ended.
            let ended = stream.read_to_end(&mut rest);
            let timed_out = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
            assert!(!ended.as_ref().is_err_and(timed_out), "{}: {ended:?}", standing.name);
        }
    }
}
