//! A listener for deliveries: a thread that accepts, and one for each connection.

use std::{
    cell::Cell,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use abyssale_host::{
    Error, ListenerSettings,
    connections::{Connections, Phase, Room, later},
};

use crate::{Receiver, connection::serve};

/// Listens for deliveries until it is shut down or dropped.
///
/// Dropping it waits until the deliveries that have arrived whole are answered. A delivery that is still arriving is cut
/// off, and the service delivers it again; [`shutdown`](Self::shutdown) lets it arrive.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    shared: Arc<ListenerState>,
}

#[derive(Debug)]
struct ListenerState {
    receiver: Receiver,
    settings: Arc<ListenerSettings>,
    connections: Arc<Connections>,
    closing: AtomicBool,
    accepting: Mutex<Accepting>,
    /// The accepting thread has ended.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Accepting {
    /// The local addresses of the connections that wake the accepting thread.
    wakers: Vec<SocketAddr>,
    over: bool,
}

impl Listener {
    pub(crate) fn start(
        listener: TcpListener,
        receiver: Receiver,
        settings: &ListenerSettings,
    ) -> Result<Self, Error> {
        let failed = |source| Error::listen("the socket", source);
        // A socket that was made for a runtime does not block, and this thread waits.
        listener.set_nonblocking(false).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let settings = Arc::new(settings.clone());
        let shared = Arc::new(ListenerState {
            connections: Connections::new(&settings, Arc::clone(receiver.deliveries().counters())),
            receiver,
            settings,
            closing: AtomicBool::new(false),
            accepting: Mutex::default(),
            ended: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        let accept = move || {
            accept(&listener, &accepting);
            drop(listener);
            accepting.accepting().over = true;
            accepting.ended.notify_all();
        };
        thread::Builder::new().name("abyssale-accept".into()).spawn(accept).map_err(failed)?;
        Ok(Self { address, shared })
    }

    /// Returns the address it listens on, with the port that the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, answers every request that has begun, and waits for that as long as the settings allow. Closes
    /// connections between two requests.
    pub fn shutdown(self) {
        self.stop(Phase::Silent);
    }

    /// Closes the connections whose phase is at most `up_to`, and waits for the others.
    fn stop(&self, up_to: Phase) {
        let ListenerState { connections, settings, closing, .. } = &*self.shared;
        if closing.swap(true, Ordering::SeqCst) {
            return;
        }
        let accepted_all = self.wake();
        connections.close(up_to, Shutdown::Read);
        // A handler that drops its own listener would wait for itself.
        if !accepted_all || IN_CONNECTION.get() {
            return;
        }
        let wait = |time| {
            let until = later(Instant::now(), time);
            while !connections.is_empty() && Instant::now() < until {
                connections.wait(until.saturating_duration_since(Instant::now()));
            }
        };
        wait(settings.shutdown_timeout);
        connections.close(Phase::Handling, Shutdown::Both);
        wait(GIVE_UP);
    }

    /// Wakes the accepting thread, and returns whether it ended.
    ///
    /// `accept` blocks, and only a connection wakes it. Another process may share the socket and accept that connection,
    /// or there may be no descriptor for it, so this tries again for [`GIVE_UP`].
    fn wake(&self) -> bool {
        let deadline = Instant::now() + GIVE_UP;
        // Kept open meanwhile, so that no other connection gets the same address.
        let mut calls = Vec::new();
        // Locked while it connects, so that the accepting thread knows its address.
        let mut accepting = self.shared.accepting();
        while !accepting.over && Instant::now() < deadline {
            if let Ok(call) = TcpStream::connect_timeout(&reachable(self.address), WAKE) {
                accepting.wakers.extend(call.local_addr());
                calls.push(call);
            }
            let woken = self.shared.ended.wait_timeout_while(accepting, WAKE, |accepting| !accepting.over);
            accepting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        accepting.over
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop(Phase::Receiving);
    }
}

impl ListenerState {
    fn accepting(&self) -> MutexGuard<'_, Accepting> {
        // Each change leaves it whole, so a panic elsewhere harms nothing.
        self.accepting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts until the listener closes, and then what waits in the queue: to their peers those connections are open.
fn accept(listener: &TcpListener, shared: &Arc<ListenerState>) {
    let mut last_ones = shared.settings.connections;
    loop {
        let accepted = listener.accept();
        let closing = shared.closing.load(Ordering::SeqCst);
        match accepted {
            Ok((_, from)) if closing && (last_ones == 0 || shared.accepting().wakers.contains(&from)) => {
                break;
            }
            Ok((stream, from)) => {
                last_ones -= usize::from(closing);
                open(shared, stream, from.ip());
            }
            Err(_) if closing => break,
            Err(error) => thread::sleep(shared.connections.not_accepted(&error)),
        }
    }
}

/// Serves a connection in a thread of its own, once there is room for it.
fn open(shared: &Arc<ListenerState>, stream: TcpStream, from: IpAddr) {
    loop {
        match shared.connections.room(from) {
            Room::Yes => break,
            Room::No => return,
            Room::After(wait) => shared.connections.wait(wait),
        }
    }
    let stream = Arc::new(stream);
    let closing = Arc::clone(&stream);
    let connection = shared.connections.open(from, move |how| {
        // It may be closed already.
        let _gone = closing.shutdown(how);
    });
    let serving = Arc::clone(shared);
    let work = move || {
        IN_CONNECTION.set(true);
        let ListenerState { receiver, settings, closing, .. } = &*serving;
        // The peer has gone or was too slow, so there is no one to answer.
        let _gone = serve(stream, receiver, settings, connection.activity(), closing);
    };
    // The stack has the usual size, because the handler is the user's.
    if let Err(no_thread) = thread::Builder::new().name("abyssale-deliver".into()).spawn(work) {
        thread::sleep(shared.connections.exhausted(&no_thread));
    }
}

/// Returns where to reach a listener that listens on all addresses.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

thread_local! {
    /// Whether this thread serves a connection.
    static IN_CONNECTION: Cell<bool> = const { Cell::new(false) };
}

/// How long a connection that wakes the accepting thread may take, and how long to wait for its effect.
const WAKE: Duration = Duration::from_millis(100);
/// How long to try to wake the accepting thread, and to wait for the connections that were cut off.
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
    fn connections_that_wait_to_be_accepted_are_answered_before_the_end() {
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
