//! A small HTTP/1.1 server for deliveries: a bounded number of threads, a deadline on everything, and
//! one request a connection.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fmt,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use abyssale_core::{
    http1::{BodyReader, Head, HeadReader, Malformed},
    webhook::{MAX_DELIVERY, Reply},
};
use abyssale_host::Error;

use crate::Receiver;

/// Listens for deliveries until it is dropped.
///
/// Dropping it answers the deliveries that have arrived whole, and waits for that; one that is still
/// arriving is cut off, and comes again.
pub struct Listener {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    receiver: Receiver,
    closing: AtomicBool,
    /// Whether connections are still accepted.
    accepting: AtomicBool,
    /// The open connections, in the order in which they came.
    connections: Mutex<BTreeMap<u64, Arc<Connection>>>,
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Connection>>> {
        // Inserting and removing leave the map whole, whatever panics elsewhere.
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    pub(crate) fn start(listener: TcpListener, receiver: Receiver) -> Result<Self, Error> {
        let failed = |source| Error::listen("the socket", source);
        // One that was made for a runtime may not block, and this one waits.
        listener.set_nonblocking(false).map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        let (closing, accepting) = (AtomicBool::new(false), AtomicBool::new(true));
        let shared = Arc::new(Shared { receiver, closing, accepting, connections: Mutex::default() });
        let accepting = Arc::clone(&shared);
        let acceptor = thread::Builder::new()
            .name("abyssale-accept".into())
            .spawn(move || accept(&listener, &accepting))
            .map_err(failed)?;
        Ok(Self { address: local, shared, acceptor: Some(acceptor) })
    }

    /// Where it listens; tells the port if it was told to take any.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        // Accepting blocks, and a connection is what wakes it up. It may miss: another process may share the socket and
        // take it, or there may be no descriptor for it. So it is tried again, and not for ever.
        let deadline = Instant::now() + GIVE_UP;
        while self.shared.accepting.load(Ordering::Acquire) && Instant::now() < deadline {
            let _woken = TcpStream::connect_timeout(&reachable(self.address), WAKE);
            thread::park_timeout(WAKE);
        }
        // A handler that drops its own listener would wait for itself; and what was not woken ends with the next
        // connection that comes.
        if SERVING.get() || self.shared.accepting.load(Ordering::Acquire) {
            return;
        }
        if let Some(acceptor) = self.acceptor.take() {
            // A panic of the acceptor has been printed; there is nothing left to clean up after it.
            let _ended = acceptor.join();
        }
    }
}

thread_local! {
    /// Whether this thread answers a delivery.
    static SERVING: Cell<bool> = const { Cell::new(false) };
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("address", &self.address).finish_non_exhaustive()
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut serving: Vec<JoinHandle<()>> = Vec::new();
    for number in 0.. {
        let accepted = listener.accept();
        if shared.closing.load(Ordering::Acquire) {
            break;
        }
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, most likely: wait for one to come free instead of spinning.
            thread::park_timeout(OUT_OF_DESCRIPTORS);
            continue;
        };
        serving.retain(|thread| !thread.is_finished());
        // What does not fit is closed without an answer; a genuine delivery comes again.
        let Some(place) = Place::take(shared, number, stream) else { continue };
        let thread =
            thread::Builder::new().name("abyssale-deliver".into()).stack_size(STACK).spawn(move || {
                SERVING.set(true);
                // The other end has gone, or was too slow; there is nobody to tell.
                let _gone = serve(&place);
            });
        serving.extend(thread);
    }
    shared.accepting.store(false, Ordering::Release);
    for connection in shared.connections().values() {
        let _gone = connection.stream.shutdown(Shutdown::Read);
    }
    for thread in serving {
        let _ended = thread.join();
    }
}

/// An open connection.
struct Connection {
    stream: TcpStream,
    /// Whether its request has come as far as to say what it wants.
    has_head: AtomicBool,
}

/// A connection's place among the open ones; given back when its thread ends, whichever way.
struct Place {
    shared: Arc<Shared>,
    number: u64,
    connection: Arc<Connection>,
}

impl Place {
    fn take(shared: &Arc<Shared>, number: u64, stream: TcpStream) -> Option<Self> {
        let mut connections = shared.connections();
        if connections.len() >= MAX_CONNECTIONS {
            // Whoever has said nothing for longest makes room: else a few hundred silent strangers would keep every
            // delivery out.
            let silent = |connection: &Connection| !connection.has_head.load(Ordering::Acquire);
            let oldest =
                connections.iter().find(|(_, connection)| silent(connection)).map(|(oldest, _)| *oldest)?;
            let gone = connections.remove(&oldest)?;
            let _closed = gone.stream.shutdown(Shutdown::Both);
        }
        let connection = Arc::new(Connection { stream, has_head: AtomicBool::new(false) });
        connections.insert(number, Arc::clone(&connection));
        Some(Self { shared: Arc::clone(shared), number, connection })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.connections().remove(&self.number);
    }
}

fn serve(place: &Place) -> io::Result<()> {
    let (stream, receiver) = (&place.connection.stream, &place.shared.receiver);
    stream.set_nodelay(true)?;
    let status = match read_request(&place.connection, receiver) {
        Ok((head, body)) => receiver.receive(&head.method, &head.target, &head.headers, &body).status(),
        Err(Refusal::Status(status)) => status,
        Err(Refusal::Io(error)) if is_timeout(&error) => Reply::TooSlow.status(),
        Err(Refusal::Io(error)) => return Err(error),
    };
    stream.set_write_timeout(Some(WRITE))?;
    let mut out = stream;
    let allow = if status == 405 { "allow: POST\r\n" } else { "" };
    let answer = format!(
        "HTTP/1.1 {status} {}\r\ncontent-length: 0\r\nconnection: close\r\n{allow}\r\n",
        reason(status)
    );
    out.write_all(answer.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    drain(stream)
}

enum Refusal {
    Status(u16),
    Io(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::Status(malformed.status())
    }
}

fn read_request(connection: &Connection, receiver: &Receiver) -> Result<(Head, Vec<u8>), Refusal> {
    let stream = &connection.stream;
    let mut buffer = vec![0; 4096];
    let mut reader = HeadReader::default();
    let deadline = Instant::now() + HEAD;
    let (head, begun) = loop {
        if let Some(read) = reader.feed(read_some(stream, &mut buffer, deadline)?)? {
            break read;
        }
    };
    connection.has_head.store(true, Ordering::Release);
    receiver
        .admit(&head.method, &head.target, &head.headers)
        .map_err(|reply| Refusal::Status(reply.status()))?;
    let mut body = BodyReader::new(head.framing, MAX_DELIVERY)?;
    body.feed(&begun)?;
    let deadline = Instant::now() + BODY;
    if head.expects_continue && !body.is_done() {
        stream.set_write_timeout(Some(WRITE))?;
        let mut out = stream;
        out.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    while !body.is_done() {
        body.feed(read_some(stream, &mut buffer, deadline)?)?;
    }
    Ok((head, body.into_body()))
}

/// Reads what is there, or waits for it until the deadline. The end of the stream is an error.
fn read_some<'b>(mut stream: &TcpStream, buffer: &'b mut [u8], deadline: Instant) -> io::Result<&'b [u8]> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => return Ok(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads on for a moment, so that closing does not reset the connection before the answer is read.
fn drain(stream: &TcpStream) -> io::Result<()> {
    let deadline = Instant::now() + LINGER;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match read_some(stream, &mut buffer, deadline) {
            Ok(_thrown_away) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof || is_timeout(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

/// The address to reach a listener at that listens on all of them.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn reason(status: u16) -> &'static str {
    let status = http::StatusCode::from_u16(status).ok();
    status.and_then(|status| status.canonical_reason()).unwrap_or("Status")
}

/// The most connections at once; one more is closed.
const MAX_CONNECTIONS: usize = 256;
/// How long a head may take to arrive, from the connection on.
const HEAD: Duration = Duration::from_secs(5);
/// How long a body may take to arrive, from its head on.
const BODY: Duration = Duration::from_secs(20);
/// How long an answer may take to be written.
const WRITE: Duration = Duration::from_secs(10);
/// How long what is still being sent is read and thrown away.
const LINGER: Duration = Duration::from_secs(1);
/// How long a connection that wakes the acceptor may take, and how long to wait for what it does.
const WAKE: Duration = Duration::from_millis(100);
/// How long to try to wake it.
const GIVE_UP: Duration = Duration::from_secs(2);
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);
/// A connection needs little of it, and there may be many.
const STACK: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use abyssale_core::webhook::{Hook, Verifier};

    use super::*;

    const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}";

    fn receiver(handler: impl Fn() + Send + Sync + 'static) -> Receiver {
        let hook = Hook::new(Verifier::new([]).accept_unsigned()).token(None);
        Receiver::new(hook, move |_, _| {
            handler();
            Reply::Acknowledged
        })
    }

    /// Sends a delivery and returns the status.
    fn deliver(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(REQUEST).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    }

    #[test]
    fn dropping_a_listener_whose_socket_is_shared_ends() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = socket.try_clone().unwrap();
        let one = receiver(|| {}).listen_on(socket).unwrap();
        let other = receiver(|| {}).listen_on(shared).unwrap();
        drop(one);
        assert_eq!(deliver(other.local_addr()), "200");
        drop(other);
    }

    #[test]
    fn a_handler_may_drop_its_own_listener() {
        let slot: Arc<Mutex<Option<Listener>>> = Arc::default();
        let (handled, was_handled) = mpsc::channel();
        let inside = Arc::clone(&slot);
        let listener = receiver(move || {
            drop(inside.lock().unwrap().take());
            handled.send(()).unwrap();
        });
        let listener = listener.listen("127.0.0.1:0").unwrap();
        let address = listener.local_addr();
        *slot.lock().unwrap() = Some(listener);
        assert_eq!(deliver(address), "200");
        was_handled.recv_timeout(Duration::from_secs(10)).unwrap();
    }

    #[test]
    fn silent_connections_make_room_for_a_delivery() {
        let listener = receiver(|| {}).listen("127.0.0.1:0").unwrap();
        let silent: Vec<_> =
            (0..MAX_CONNECTIONS).map(|_| TcpStream::connect(listener.local_addr()).unwrap()).collect();
        assert_eq!(deliver(listener.local_addr()), "200");
        drop(silent);
    }
}
