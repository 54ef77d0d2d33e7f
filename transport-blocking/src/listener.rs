//! A small HTTP/1.1 server for deliveries: the socket and the threads around the [`Conversation`] that both transports
//! share.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

use abyssale_core::http1::Head;
use abyssale_host::{
    Error,
    server::{Conversation, End, ListenerSettings, Memory, Phase, Place, Places, Step, Tls},
};
use rustls::ServerConfig;

use crate::{
    Receiver,
    pool::{self, Pool},
    tls::provider,
    wire::Wire,
};

/// Listens for deliveries until it is shut down or dropped.
///
/// Dropping it answers the deliveries that have arrived whole, and waits for that; one that is still arriving is cut
/// off, and comes again. [`shutdown`](Self::shutdown) lets those come to their end, too.
pub struct Listener {
    address: SocketAddr,
    shared: Arc<Shared>,
    pool: Arc<Pool<Accepted>>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    receiver: Receiver,
    settings: Arc<ListenerSettings>,
    memory: Arc<Memory>,
    tls: Option<Arc<ServerConfig>>,
    places: Arc<Places>,
    closing: AtomicBool,
    /// Whether connections are still accepted.
    accepting: AtomicBool,
    stopper: Mutex<Stopper>,
}

/// Who waits for the end of accepting.
#[derive(Default)]
struct Stopper {
    /// From where it has connected to wake the acceptor.
    calls: Vec<SocketAddr>,
    thread: Option<Thread>,
}

/// A connection that has a place.
struct Accepted {
    stream: Arc<TcpStream>,
    place: Place,
}

impl Listener {
    pub(crate) fn start(
        listener: TcpListener,
        receiver: Receiver,
        settings: &ListenerSettings,
    ) -> Result<Self, Error> {
        let failed = |source| Error::listen("the socket", source);
        // One that was made for a runtime may not block, and this one waits.
        listener.set_nonblocking(false).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let tls = settings
            .tls
            .clone()
            .map(|files| Tls::open(files, provider(), receiver.counters()))
            .transpose()?;
        let shared = Arc::new(Shared {
            places: Places::new(settings, receiver.counters()),
            receiver,
            settings: Arc::new(settings.clone()),
            memory: Memory::new(settings),
            tls: tls.map(|tls| tls.config()),
            closing: AtomicBool::new(false),
            accepting: AtomicBool::new(true),
            stopper: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let pool = Pool::new(settings.connections.max(1), move |accepted: Accepted| {
            // The other end has gone, or was too slow; there is nobody to tell.
            let _gone = serve(&serving, accepted);
        });
        let (accepting, workers) = (Arc::clone(&shared), Arc::clone(&pool));
        let acceptor = thread::Builder::new()
            .name("abyssale-accept".into())
            .spawn(move || {
                accept(&listener, &accepting, &workers);
                drop(listener);
                accepting.accepting.store(false, Ordering::Release);
                if let Some(stopper) = accepting.stopper().thread.take() {
                    stopper.unpark();
                }
            })
            .map_err(failed)?;
        Ok(Self { address, shared, pool, acceptor: Some(acceptor) })
    }

    /// Where it listens; tells the port if it was told to take any.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no more, answers every request that has begun, and waits for that: as long as the settings allow.
    /// Connections between two requests are closed.
    pub fn shutdown(mut self) {
        self.stop(Phase::Silent, self.shared.settings.shutdown_timeout);
    }

    /// Ends the connections in a phase up to this one at once, and waits for the others.
    fn stop(&mut self, at_once: Phase, grace: Duration) {
        let Some(acceptor) = self.acceptor.take() else { return };
        self.shared.closing.store(true, Ordering::Release);
        // Accepting blocks, and a connection is what wakes it up: the last of those that wait there by now. It may miss:
        // another process may share the socket and take it, or there may be no descriptor for it. So it is tried again,
        // and not for ever.
        let deadline = Instant::now() + GIVE_UP;
        // Kept open until then: an address is the stopper's only so long.
        let mut calls = Vec::new();
        while self.shared.accepting.load(Ordering::Acquire) && Instant::now() < deadline {
            calls.extend(self.shared.stopper().call(self.address));
            thread::park_timeout(WAKE);
        }
        drop(calls);
        self.shared.places.close(at_once, End::Gently);
        // A handler that drops its own listener would wait for itself; and what was not woken ends with the next
        // connection that comes.
        if pool::is_worker() || self.shared.accepting.load(Ordering::Acquire) {
            let _not_awaited = self.pool.finish(Instant::now());
            return;
        }
        // A panic of the acceptor has been printed; there is nothing left to clean up after it.
        let _ended = acceptor.join();
        let now = Instant::now();
        if !self.pool.finish(now.checked_add(grace).unwrap_or(now)) {
            self.shared.places.close(Phase::Handling, End::Now);
            let _in_vain = self.pool.finish(Instant::now() + GIVE_UP);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop(Phase::Reading, self.shared.settings.shutdown_timeout);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Shared {
    fn stopper(&self) -> MutexGuard<'_, Stopper> {
        // Nothing in there is half done at any time.
        self.stopper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stopper {
    /// Connects to the listener at this address. Held while it does, so that whoever accepts it knows it.
    fn call(&mut self, address: SocketAddr) -> Option<TcpStream> {
        self.thread = Some(thread::current());
        let call = TcpStream::connect_timeout(&reachable(address), WAKE).ok()?;
        self.calls.push(call.local_addr().ok()?);
        Some(call)
    }
}

/// Accepts until the stopper's call has come, or, while there is one, as many as there are places: for the other end,
/// those that are waiting here have been accepted.
fn accept(listener: &TcpListener, shared: &Shared, pool: &Arc<Pool<Accepted>>) {
    let mut last_ones = shared.settings.connections;
    loop {
        let accepted = listener.accept();
        let closing = shared.closing.load(Ordering::Acquire);
        match accepted {
            Ok((_, from)) if closing && (last_ones == 0 || shared.stopper().calls.contains(&from)) => break,
            Ok((stream, from)) => {
                last_ones -= usize::from(closing);
                take_in(shared, pool, stream, from.ip());
            }
            Err(_) if closing => break,
            Err(error) => thread::park_timeout(shared.places.not_accepted(&error)),
        }
    }
}

fn take_in(shared: &Shared, pool: &Arc<Pool<Accepted>>, stream: TcpStream, from: IpAddr) {
    let stream = Arc::new(stream);
    let closing = Arc::clone(&stream);
    let place = shared.places.take(from, move |end| {
        let how = if end == End::Gently { Shutdown::Read } else { Shutdown::Both };
        let _gone = closing.shutdown(how);
    });
    // What does not fit is closed without an answer; a genuine delivery comes again.
    let Some(place) = place else { return };
    // It waits for one of the threads that there are, or is closed where there is none.
    if let Err(no_thread) = pool.submit(Accepted { stream, place }) {
        thread::park_timeout(shared.places.exhausted(&no_thread));
    }
}

fn serve(shared: &Shared, accepted: Accepted) -> io::Result<()> {
    let Accepted { stream, mut place } = accepted;
    // Where a socket that is shared was made for a runtime, some systems hand that on.
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    let receiver = &shared.receiver;
    let (settings, memory) = (Arc::clone(&shared.settings), Arc::clone(&shared.memory));
    let mut now = Instant::now();
    let mut conversation = Conversation::new(settings, receiver.counters(), memory, now);
    let mut wire = Wire::new(stream, shared.tls.as_ref())?;
    let mut buffer = vec![0; READ];
    let admit = |head: &Head| receiver.admit(head.method(), head.target(), head);
    let look = |conversation: &mut Conversation| {
        if shared.closing.load(Ordering::Acquire) {
            conversation.shut_down();
        }
    };
    loop {
        let step = conversation.next(now, admit);
        place.enter(conversation.phase(), now);
        match step {
            Step::Read { until } => {
                match wire.read(&mut buffer, until)? {
                    Some(0) => conversation.ended(),
                    Some(count) => conversation.received(buffer.get(..count).unwrap_or_default()),
                    None => {}
                }
                // Not before the first bytes were read: they may have come while the connection waited to be accepted.
                look(&mut conversation);
                now = Instant::now();
            }
            Step::Handle(request) => {
                let head = &request.head;
                let reply = receiver.receive(head.method(), head.target(), head, &request.body);
                look(&mut conversation);
                now = Instant::now();
                conversation.answer(now, &reply);
            }
            Step::Write { bytes, until } => {
                wire.write(&bytes, until)?;
                now = Instant::now();
            }
            Step::Finish => wire.finish()?,
            Step::Close => return Ok(()),
        }
    }
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

/// How much is read at a time.
const READ: usize = 8 << 10;
/// How long a connection that wakes the acceptor may take, and how long to wait for what it does.
const WAKE: Duration = Duration::from_millis(100);
/// How long to try to wake it, and to wait for those who have been cut off.
const GIVE_UP: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::{
        hint::black_box,
        io::{Read as _, Write as _},
        sync::mpsc,
    };

    use abyssale_core::webhook::{CallbackEndpoint, Reply, Verifier};

    use super::*;

    const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";

    fn receiver(handler: impl Fn() + Send + Sync + 'static) -> Receiver {
        let endpoint = CallbackEndpoint::new(Verifier::new([]).accept_unsigned()).token(None);
        Receiver::new(endpoint, move |_, _| {
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
    fn dropping_a_listener_whose_socket_is_shared_ends_and_leaves_the_other_alone() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = receiver(|| {});
        let other_listener = other.listen_on(socket.try_clone().unwrap()).unwrap();
        for _ in 0..10 {
            let one = receiver(|| {}).listen_on(socket.try_clone().unwrap()).unwrap();
            assert_eq!(deliver(one.local_addr()), "200", "by either");
            drop(one);
            assert_eq!(deliver(other_listener.local_addr()), "200");
        }
        drop(other_listener);
        let counts = other.counts();
        assert_eq!((counts.not_accepted, counts.made_room), (0, 0));
    }

    #[test]
    fn what_waits_to_be_accepted_is_answered_before_the_end() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let waiting: Vec<_> = (0..20)
            .map(|_| {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(REQUEST).unwrap();
                stream
            })
            .collect();
        receiver(|| {}).listen_on(socket).unwrap().shutdown();
        for mut stream in waiting {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
        }
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
    fn a_handler_has_the_stack_of_any_thread() {
        fn descend(pages: usize) {
            let page = black_box([0_u8; 4096]);
            if pages > 0 {
                descend(pages - 1);
            }
            black_box(page);
        }
        let listener = receiver(|| descend(100)).listen("127.0.0.1:0").unwrap();
        assert_eq!(deliver(listener.local_addr()), "200");
    }

    #[test]
    fn silent_connections_make_room_for_a_delivery() {
        let listener = receiver(|| {}).listen("127.0.0.1:0").unwrap();
        let silent: Vec<_> = (0..ListenerSettings::default().connections)
            .map(|_| TcpStream::connect(listener.local_addr()).unwrap())
            .collect();
        assert_eq!(deliver(listener.local_addr()), "200");
        drop(silent);
    }
}
