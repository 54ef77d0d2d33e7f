//! The listeners of both transports, each with a handler that counts what it is given.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use abyssale_blocking::Counts;
use abyssale_core::{
    SigningSecret, Timestamp,
    webhook::{CallbackEndpoint, Delivery, Event, Reply, Verifier, sign},
};
use abyssale_host::ListenerSettings;
use tokio::runtime::{self, Runtime};

/// How often each export's event was handed to the handler.
type Handled = Arc<Mutex<BTreeMap<String, usize>>>;

/// A listener that stands until it is dropped.
pub(crate) struct Standing {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    handled: Handled,
    counts: Box<dyn Fn() -> Counts + Send + Sync>,
    shutdown: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Standing {
    /// One of each transport, with these settings and the default ones of an endpoint that wants a signature.
    pub(crate) fn both(change: impl Fn(&mut ListenerSettings)) -> [Self; 2] {
        Self::both_at("127.0.0.1:0", change).unwrap()
    }

    pub(crate) fn both_at(at: &str, change: impl Fn(&mut ListenerSettings)) -> Option<[Self; 2]> {
        let mut settings = ListenerSettings::default();
        change(&mut settings);
        Some([Self::blocking(at, &settings)?, Self::asynchronous(at, &settings)?])
    }

    pub(crate) fn handled(&self) -> BTreeMap<String, usize> {
        self.handled.lock().unwrap().clone()
    }

    pub(crate) fn counts(&self) -> Counts {
        (self.counts)()
    }

    /// What shuts the listener down and waits for it.
    pub(crate) fn take_shutdown(&mut self) -> Box<dyn FnOnce() + Send + Sync> {
        self.shutdown.take().unwrap()
    }

    /// As [`deliver`] does.
    pub(crate) fn deliver(&self, id: &str) -> usize {
        deliver(self.address, id)
    }

    /// Sends these bytes and nothing more, and returns the statuses of all answers.
    pub(crate) fn talk(&self, bytes: &[u8]) -> io::Result<Vec<u16>> {
        talk(self.address, bytes)
    }

    pub(crate) fn connect(&self) -> io::Result<TcpStream> {
        connect(self.address)
    }

    fn blocking(at: &str, settings: &ListenerSettings) -> Option<Self> {
        let handled = Handled::default();
        let receiver = abyssale_blocking::Receiver::new(endpoint(), record(&handled));
        let listener = receiver.listen_with(at, settings).ok()?;
        Some(Self {
            name: "blocking",
            address: listener.local_addr(),
            handled,
            counts: Box::new(move || receiver.counts()),
            shutdown: Some(Box::new(move || listener.shutdown())),
        })
    }

    fn asynchronous(at: &str, settings: &ListenerSettings) -> Option<Self> {
        let handled = Handled::default();
        let runtime: Runtime =
            runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let receiver = abyssale_async::Receiver::new(endpoint(), record(&handled));
        let listener = runtime.block_on(receiver.listen_with(at, settings)).ok()?;
        Some(Self {
            name: "async",
            address: listener.local_addr(),
            handled,
            counts: Box::new(move || receiver.counts()),
            shutdown: Some(Box::new(move || runtime.block_on(listener.shutdown()))),
        })
    }
}

/// Delivers as the service does: a connection each, and again, six times in all, if it is not acknowledged. How many
/// attempts it took.
pub(crate) fn deliver(address: SocketAddr, id: &str) -> usize {
    let request = genuine(id, false);
    (1..=6).find(|_| matches!(ask(address, &request), Ok(200))).expect("it is delivered within six attempts")
}

/// Sends these bytes, and returns the status of the first answer.
fn ask(address: SocketAddr, bytes: &[u8]) -> io::Result<u16> {
    talk(address, bytes)?.first().copied().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

pub(crate) fn talk(address: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u16>> {
    let mut stream = connect(address)?;
    stream.write_all(bytes)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(statuses(&answer))
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

pub(crate) fn statuses(answers: &str) -> Vec<u16> {
    answers.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().unwrap()).collect()
}

/// A genuine delivery of this export's event; the connection's last, or not.
pub(crate) fn genuine(id: &str, keep: bool) -> Vec<u8> {
    let body = event(id);
    request(&body, &signature(SECRET, &body, 0), keep)
}

pub(crate) fn event(id: &str) -> String {
    format!(r#"{{"export_id":"{id}","archive_url":"https://h/a.zip"}}"#)
}

pub(crate) fn signature(secret: &str, body: &str, seconds_from_now: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let secret = SigningSecret::new(secret).unwrap();
    sign(&secret, Timestamp::from_secs(now.saturating_add_signed(seconds_from_now)), body.as_bytes())
}

pub(crate) fn request(body: &str, signature: &str, keep: bool) -> Vec<u8> {
    let close = if keep { "" } else { "Connection: close\r\n" };
    let length = body.len();
    format!(
        "POST {PATH} HTTP/1.1\r\nHost: h\r\n{close}Content-Type: application/json\r\nX-Abyssale-Signature: {signature}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

pub(crate) fn endpoint() -> CallbackEndpoint {
    CallbackEndpoint::new(Verifier::new([SigningSecret::new(SECRET).unwrap()])).path(PATH).token(None)
}

fn record(handled: &Handled) -> impl Fn(Timestamp, Delivery) -> Reply + Send + Sync + 'static {
    let handled = Arc::clone(handled);
    move |_, delivery| {
        let id = match delivery.event {
            Event::NewExport(event) => event.export_id.as_str().to_owned(),
            other => format!("{other:?}"),
        };
        *handled.lock().unwrap().entry(id).or_default() += 1;
        Reply::Acknowledged
    }
}

pub(crate) const SECRET: &str = "whsec_on_the_open_internet";
pub(crate) const PATH: &str = "/abyssale";
/// Longer than anything here takes on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
