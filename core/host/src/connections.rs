//! The connections of one listener: how many there are, what each is doing, and which one is cut off to make room.
//!
//! A delivery must get in although silent peers hold every connection, and must not be cut off although thousands of
//! deliveries arrive at once. So a newcomer waits until a connection ends, or until one has been sending its request for
//! more than its grace period. Everything behind the newcomer waits in the kernel's queue.

use std::{
    collections::BTreeMap,
    fmt, io,
    net::{IpAddr, Shutdown, TcpListener},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{Counters, ListenerSettings};

/// The connections of one listener.
#[derive(Debug)]
pub struct Connections {
    settings: Arc<ListenerSettings>,
    counters: Arc<Counters>,
    open: Mutex<Open>,
    /// A connection has ended.
    ended: Condvar,
    epoch: Instant,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: BTreeMap<u64, OpenConnection>,
}

struct OpenConnection {
    network: IpAddr,
    activity: Arc<Activity>,
    close: Box<dyn Fn(Shutdown) + Send + Sync>,
    cut_off: bool,
}

/// Whether another connection may be opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Room {
    /// Open it.
    Yes,
    /// Ask again when a connection has ended, or after this time.
    After(Duration),
    /// Close it: its address has as many as it may have.
    No,
}

impl Connections {
    /// Creates the bookkeeping of a listener with these settings, without a connection yet.
    pub fn new(settings: &Arc<ListenerSettings>, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Self {
            settings: Arc::clone(settings),
            counters,
            open: Mutex::default(),
            ended: Condvar::new(),
            epoch: Instant::now(),
        })
    }

    /// Opens a connection, for which there was [room](Self::room).
    ///
    /// `close` is called, perhaps from another thread, to cut the connection off ([`Shutdown::Both`]) or to let it end
    /// once what has arrived is answered ([`Shutdown::Read`]). It must not block.
    pub fn open(
        self: &Arc<Self>,
        from: IpAddr,
        close: impl Fn(Shutdown) + Send + Sync + 'static,
    ) -> Connection {
        self.counters.connection();
        let activity = Arc::new(Activity { state: AtomicU64::new(0), epoch: self.epoch });
        activity.enter(Phase::Silent, Instant::now());
        let mut open = self.lock();
        let number = open.next;
        open.next += 1;
        let (shared, close) = (Arc::clone(&activity), Box::new(close));
        let entry = OpenConnection { network: network(from), activity: shared, close, cut_off: false };
        open.connections.insert(number, entry);
        Connection { connections: Arc::clone(self), number, activity }
    }

    /// Closes the connections that are in a phase up to this one.
    pub fn close(&self, up_to: Phase, how: Shutdown) {
        for entry in self.lock().connections.values() {
            if entry.activity.phase() <= up_to {
                (entry.close)(how);
            }
        }
    }

    /// Returns whether a connection from this address may be opened. If there is no room, cuts off a connection that has
    /// had its `GRACE`.
    pub fn room(&self, from: IpAddr) -> Room {
        let mut open = self.lock();
        if let Some(most) = self.settings.connections_per_address {
            let network = network(from);
            let from_there = open.connections.values().filter(|entry| entry.network == network).count();
            if from_there >= most.max(1) {
                drop(open);
                self.counters.turned_away();
                return Room::No;
            }
        }
        if open.connections.len() < self.settings.connections.max(1) {
            return Room::Yes;
        }
        Room::After(self.make_room(&mut open))
    }

    /// Counts a connection that could not be accepted, and returns how long to wait before the next one is accepted.
    pub fn not_accepted(&self, reason: &io::Error) -> Duration {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, WouldBlock};
        match reason.kind() {
            // The peer went away while it waited.
            ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted => Duration::ZERO,
            // The socket is shared, and its other owner made it non-blocking.
            WouldBlock => SOON,
            _ => self.exhausted(reason),
        }
    }

    /// Makes room because the process has no descriptor, thread or memory left: each connection holds some. Returns how
    /// long to wait before the next connection is accepted.
    pub fn exhausted(&self, reason: &io::Error) -> Duration {
        self.counters.not_accepted(reason);
        self.make_room(&mut self.lock()).min(SOON)
    }

    /// Waits until a connection ends, at most `at_most`.
    pub fn wait(&self, at_most: Duration) {
        let open = self.lock();
        if !open.connections.is_empty() {
            drop(self.ended.wait_timeout(open, at_most).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Returns the number of open connections.
    pub fn len(&self) -> usize {
        self.lock().connections.len()
    }

    /// Returns whether no connection is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cuts off the connection that has waited for its peer for longest, if it has had its [`GRACE`]. Returns how long to
    /// wait before asking again. One connection is cut off at a time, because the room is free only once it has ended.
    fn make_room(&self, open: &mut Open) -> Duration {
        if open.connections.values().any(|entry| entry.cut_off) {
            return SOON;
        }
        let waiting = open.connections.values_mut().filter(|entry| entry.activity.phase() != Phase::Handling);
        let Some(longest) = waiting.min_by_key(|entry| entry.activity.since()) else { return GRACE };
        let left = GRACE.saturating_sub(longest.activity.since().elapsed());
        if !left.is_zero() {
            return left;
        }
        longest.cut_off = true;
        (longest.close)(Shutdown::Both);
        self.counters.made_room();
        SOON
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Each change leaves the map whole, so a panic elsewhere harms nothing.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open connection, until it is dropped.
#[derive(Debug)]
pub struct Connection {
    connections: Arc<Connections>,
    number: u64,
    activity: Arc<Activity>,
}

impl Connection {
    /// Returns what the connection is doing.
    pub fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.lock().connections.remove(&self.number);
        self.connections.ended.notify_all();
    }
}

/// What a connection is doing, and since when.
#[derive(Debug)]
pub struct Activity {
    /// The phase in the lowest two bits, and above them its beginning, in microseconds since the epoch.
    state: AtomicU64,
    epoch: Instant,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// Open between two requests, or after the last one.
    Idle,
    /// Open, and no byte has arrived yet.
    Silent,
    /// A request is arriving.
    Receiving,
    /// A request is being handled.
    Handling,
}

impl Activity {
    /// Records that bytes have arrived.
    pub fn received(&self) {
        match self.phase() {
            // The first byte does not make a connection younger.
            Phase::Silent => self.enter(Phase::Receiving, self.since()),
            Phase::Idle => self.enter(Phase::Receiving, Instant::now()),
            Phase::Receiving | Phase::Handling => {}
        }
    }

    /// Records that a request has arrived whole.
    pub fn handling(&self) {
        self.enter(Phase::Handling, Instant::now());
    }

    /// Records that a request was answered or refused.
    pub fn answered(&self) {
        self.enter(Phase::Idle, Instant::now());
    }

    /// Returns the phase.
    pub fn phase(&self) -> Phase {
        // Sequentially consistent with the flag that a listener closes: one of the two sees the other.
        match self.state.load(Ordering::SeqCst) & 3 {
            0 => Phase::Idle,
            1 => Phase::Silent,
            2 => Phase::Receiving,
            _ => Phase::Handling,
        }
    }

    /// Returns when the phase began; while a request arrives, when the request did.
    pub fn since(&self) -> Instant {
        self.epoch + Duration::from_micros(self.state.load(Ordering::SeqCst) >> 2)
    }

    /// Returns when the peer must have sent the rest of its request or the next one; `None` while a request is being
    /// handled.
    pub fn deadline(&self, settings: &ListenerSettings) -> Option<Instant> {
        let timeout = match self.phase() {
            Phase::Idle => settings.idle_timeout,
            Phase::Silent | Phase::Receiving => settings.delivery_timeout,
            Phase::Handling => return None,
        };
        Some(later(self.since(), timeout))
    }

    fn enter(&self, phase: Phase, since: Instant) {
        // Half a million years of microseconds fit.
        let micros = since.saturating_duration_since(self.epoch).as_micros();
        let micros = u64::try_from(micros).unwrap_or(u64::MAX >> 2);
        self.state.store((micros << 2) | phase as u64, Ordering::SeqCst);
    }
}

/// Lets as many connections wait in the kernel's queue as the system allows; the standard library asks for 128.
pub fn lengthen_backlog(socket: &TcpListener) -> io::Result<()> {
    socket2::SockRef::from(socket).listen(i32::MAX)
}

/// Returns `from + by`, or a year after `from` if the sum overflows.
pub fn later(from: Instant, by: Duration) -> Instant {
    from.checked_add(by).or_else(|| from.checked_add(A_YEAR)).unwrap_or(from)
}

/// Returns the address that counts as one peer: a host with IPv6 usually has a whole network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}

impl fmt::Debug for OpenConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenConnection").field("network", &self.network).finish_non_exhaustive()
    }
}

/// How long a connection may take to send its request before it may be cut off to make room.
const GRACE: Duration = Duration::from_secs(2);
/// Long enough for a connection to end.
const SOON: Duration = Duration::from_millis(10);
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// A listener that has been up for an hour, with these limits.
    fn connections(most: usize, per_address: Option<usize>) -> Arc<Connections> {
        let settings = ListenerSettings {
            connections: most,
            connections_per_address: per_address,
            ..ListenerSettings::default()
        };
        let mut connections = Connections::new(&Arc::new(settings), Arc::default());
        Arc::get_mut(&mut connections).unwrap().epoch = ago(3600);
        connections
    }

    fn ago(seconds: u64) -> Instant {
        Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap()
    }

    /// A connection, and how it was told to close.
    fn open(connections: &Arc<Connections>, from: &str) -> (Connection, Receiver<Shutdown>) {
        let (sender, told) = channel();
        let close = move |how| sender.send(how).unwrap();
        (connections.open(from.parse().unwrap(), close), told)
    }

    fn room(connections: &Connections) -> Room {
        connections.room("192.0.2.9".parse().unwrap())
    }

    #[test]
    fn a_connection_has_two_seconds_however_many_wait() {
        let connections = connections(2, None);
        let (first, first_told) = open(&connections, "127.0.0.1");
        let (second, second_told) = open(&connections, "127.0.0.1");
        for _ in 0..1000 {
            let Room::After(wait) = room(&connections) else { panic!("there are as many as there may be") };
            assert!(wait > Duration::from_secs(1) && wait <= GRACE, "{wait:?}");
        }
        first.activity.enter(Phase::Receiving, ago(1));
        let Room::After(wait) = room(&connections) else { panic!("the first still has a second") };
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        assert!(first_told.try_recv().is_err() && second_told.try_recv().is_err());
        drop(second);
        assert_eq!(room(&connections), Room::Yes);
        assert_eq!(connections.counters.read().made_room, 0);
    }

    #[test]
    fn the_connection_that_has_waited_for_its_peer_for_longest_makes_room() {
        let connections = connections(4, None);
        let [handling, sending, silent, idle] =
            [Phase::Handling, Phase::Receiving, Phase::Silent, Phase::Idle].map(|phase| {
                let (connection, told) = open(&connections, "127.0.0.1");
                let since = ago(match phase {
                    Phase::Handling => 100,
                    Phase::Receiving => 20,
                    Phase::Silent => 10,
                    Phase::Idle => 3,
                });
                connection.activity.enter(phase, since);
                (connection, told)
            });
        for next in [sending, silent, idle] {
            assert_eq!(room(&connections), Room::After(SOON));
            assert_eq!(next.1.try_recv(), Ok(Shutdown::Both));
            assert_eq!(room(&connections), Room::After(SOON), "one at a time");
            assert_eq!(connections.len(), 4, "it still has to end");
            drop(next);
            assert_eq!(room(&connections), Room::Yes);
            // The newcomer takes the place of the one that made room, and is being handled at once.
            let (newcomer, _) = open(&connections, "127.0.0.2");
            newcomer.activity.handling();
            std::mem::forget(newcomer);
        }
        assert_eq!(room(&connections), Room::After(GRACE), "what is being handled is never cut off");
        assert!(handling.1.try_recv().is_err());
        assert_eq!(connections.counters.read().made_room, 3);
    }

    #[test]
    fn one_byte_does_not_make_a_connection_younger() {
        let connections = connections(1, None);
        let (connection, _told) = open(&connections, "127.0.0.1");
        connection.activity.enter(Phase::Silent, ago(10));
        connection.activity.received();
        assert_eq!(connection.activity.phase(), Phase::Receiving);
        assert!(connection.activity.since() <= ago(9));
        connection.activity.answered();
        connection.activity.received();
        assert!(connection.activity.since() > ago(9), "the next request begins with its first byte");
    }

    #[test]
    fn a_connection_makes_room_when_no_descriptor_is_left() {
        let connections = connections(9, None);
        let (connection, told) = open(&connections, "127.0.0.1");
        assert_eq!(connections.not_accepted(&io::ErrorKind::ConnectionAborted.into()), Duration::ZERO);
        assert!(!connections.not_accepted(&io::ErrorKind::WouldBlock.into()).is_zero());
        let out_of_descriptors = io::Error::other("too many open files");
        assert!(!connections.not_accepted(&out_of_descriptors).is_zero());
        assert!(told.try_recv().is_err(), "it has its time even then");
        connection.activity.enter(Phase::Silent, ago(3));
        assert!(!connections.not_accepted(&out_of_descriptors).is_zero());
        assert_eq!(told.try_recv(), Ok(Shutdown::Both));
        // A system says it like this when it starts no more threads.
        assert!(!connections.exhausted(&io::ErrorKind::WouldBlock.into()).is_zero());
        let counts = connections.counters.read();
        assert_eq!((counts.not_accepted, counts.made_room, counts.turned_away), (3, 1, 0));
    }

    #[test]
    fn shutting_down_spares_what_has_begun() {
        let connections = connections(9, None);
        let [idle, silent, receiving, handling] = [(); 4].map(|()| open(&connections, "::1"));
        idle.0.activity.answered();
        receiving.0.activity.received();
        handling.0.activity.handling();
        connections.close(Phase::Silent, Shutdown::Read);
        let told = [&idle, &silent, &receiving, &handling].map(|(_, told)| told.try_recv().is_ok());
        assert_eq!(told, [true, true, false, false]);
    }

    #[test]
    fn a_limit_for_each_address_is_one_for_each_ipv6_network() {
        let connections = connections(10, Some(2));
        let room = |from: &str| connections.room(from.parse().unwrap());
        let held = ["2001:db8::1", "2001:db8::2"].map(|from| open(&connections, from));
        assert_eq!(room("2001:db8::3"), Room::No);
        assert_eq!(room("2001:db8:0:1::1"), Room::Yes, "another network");
        assert_eq!(room("192.0.2.1"), Room::Yes);
        drop(held);
        assert_eq!(room("2001:db8::3"), Room::Yes);
        assert_eq!(connections.counters.read().turned_away, 1);
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), network("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn a_deadline_counts_from_the_phase() {
        let settings = ListenerSettings::default();
        let connections = connections(1, None);
        let (connection, _told) = open(&connections, "::1");
        let activity = &connection.activity;
        let left = || {
            activity
                .deadline(&settings)
                .map(|until| until.saturating_duration_since(Instant::now()).as_secs())
        };
        assert_eq!(left(), Some(11));
        activity.enter(Phase::Receiving, ago(10));
        assert_eq!(left(), Some(1));
        activity.handling();
        assert_eq!(left(), None);
        activity.answered();
        assert_eq!(left(), Some(74));
    }
}
