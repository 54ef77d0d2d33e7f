//! A service and its store on loopback, in TLS and in the clear, under a certificate of an authority of its own.

use std::{
    fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring::default_provider,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

pub(crate) const EXPORT_ID: &str = "54e62358-2656-455c-afd7-66d5ed3dd581";

/// Ends with the process: each trial has one, and a process has few trials.
pub(crate) struct Server {
    /// The port that speaks TLS, for `localhost` alone.
    pub(crate) https: u16,
    /// The authority's certificate.
    pub(crate) trusted: PathBuf,
    seen: Arc<Mutex<Vec<String>>>,
    _folder: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let trusted = folder.path().join("authority.pem");
        let mut authority = CertificateParams::new([]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        fs::write(&trusted, authority.self_signed(&authority_key).unwrap().pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = certificate.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let (config, seen) = (Arc::new(config), Arc::<Mutex<Vec<String>>>::default());
        let http = {
            let seen = Arc::clone(&seen);
            listen(move |stream| answer(stream, "http", &seen, 0))
        };
        let https = {
            let seen = Arc::clone(&seen);
            listen(move |stream| {
                let session = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
                let mut stream = StreamOwned::new(session, stream);
                answer(&mut stream, "https", &seen, http)?;
                stream.conn.send_close_notify();
                stream.flush()
            })
        };
        Self { https, trusted, seen, _folder: folder }
    }

    /// The requests so far, with the scheme they came by.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// Serves each connection on a thread of its own, and tells the port.
fn listen(serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> u16 {
    // By whatever family the name is resolved to first, the other one is tried as well.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            // Who does not trust us hangs up in the middle.
            thread::spawn(move || drop(serve(stream)));
        }
    });
    port
}

fn answer(
    mut stream: impl Read + Write,
    scheme: &str,
    seen: &Mutex<Vec<String>>,
    http: u16,
) -> io::Result<()> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? > 0 {
        request.extend(byte);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let (line, _) = request.split_once(" HTTP/1.1").unwrap_or_default();
    seen.lock().unwrap().push(format!("{scheme} {line}"));
    let length = request.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse().ok())?
    });
    io::copy(&mut (&mut stream).take(length.unwrap_or(0)), &mut io::sink())?;
    let (head, body) = match line {
        "POST /async/banners/export" => ("200 OK".to_owned(), format!(r#"{{"export_id":"{EXPORT_ID}"}}"#)),
        "GET /cut.zip" => ("200 OK".to_owned(), "PK\x05\x06\0\0".to_owned()),
        "GET /down.zip" => {
            let location = format!("http://127.0.0.1:{http}/a.zip?sig=hunter2hunter2");
            (format!("302 Found\r\nLocation: {location}"), String::new())
        }
        // An archive without entries.
        _ => ("200 OK".to_owned(), format!("PK\x05\x06{}", "\0".repeat(18))),
    };
    let length = body.len();
    if matches!(line, "GET /abrupt.zip" | "GET /cut.zip") {
        // Neither the head nor TLS says where the body ends.
        write!(stream, "HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{body}")?;
        stream.flush()?;
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    write!(stream, "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")?;
    stream.flush()
}
