//! Who may be connected: so many at once, so many from one address, and who dawdles makes room.
//!
//! A few hundred silent strangers would otherwise keep every delivery out. Whoever has sent the same request for
//! longest goes first, since a genuine delivery is read in the time that a few packets take; one that is being handled
//! is never cut off.

use std::{
    collections::BTreeMap,
    fmt, io,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::ListenerSettings;
use crate::Counters;

/// The places of one listener.
#[derive(Debug)]
pub struct Places {
    most: usize,
    most_per_address: usize,
    counters: Arc<Counters>,
    open: Mutex<Open>,
    epoch: Instant,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: BTreeMap<u64, Connection>,
    per_address: BTreeMap<IpAddr, usize>,
}

struct Connection {
    address: IpAddr,
    standing: Arc<Standing>,
    close: Box<dyn Fn(End) + Send + Sync>,
}

/// The phase in the lowest two bits, and above them since when, in microseconds.
#[derive(Debug)]
struct Standing(AtomicU64);

/// How easily a connection can be spared.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// Between two requests, or after the last.
    Idle,
    /// Nothing has come yet.
    Silent,
    /// A request is arriving.
    Reading,
    /// A request is being handled: never spared.
    Handling,
}

/// How a connection has to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// Once what has come of it by now is read and answered.
    Gently,
    /// At once.
    Now,
}

impl Places {
    /// As many as these settings allow, and at least one.
    pub fn new(settings: &ListenerSettings, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Self {
            most: settings.connections.max(1),
            most_per_address: settings.connections_per_address.max(1),
            counters,
            open: Mutex::default(),
            epoch: Instant::now(),
        })
    }

    /// A place for a connection from this address, or `None` if all are taken by requests that are being handled.
    ///
    /// `close` is called, perhaps from another thread, when the connection has to make room for another or when the
    /// listener shuts down. It must not block, nor drop the place.
    pub fn take(
        self: &Arc<Self>,
        address: IpAddr,
        close: impl Fn(End) + Send + Sync + 'static,
    ) -> Option<Place> {
        self.counters.connection();
        let address = network(address);
        let mut open = self.open();
        let from_there = open.per_address.get(&address).copied().unwrap_or_default();
        let crowded = from_there >= self.most_per_address || open.connections.len() >= self.most;
        let has_room = if from_there >= self.most_per_address {
            open.spare(|connection| connection.address == address)
        } else {
            open.connections.len() < self.most || open.spare(|_| true)
        };
        if !has_room {
            self.counters.turned_away();
            return None;
        }
        if crowded {
            self.counters.made_room();
        }
        let number = open.next;
        open.next += 1;
        let standing = Arc::new(Standing(AtomicU64::new(0)));
        standing.enter(Phase::Silent, self.epoch.elapsed());
        *open.per_address.entry(address).or_default() += 1;
        let close = Box::new(close);
        open.connections.insert(number, Connection { address, standing: Arc::clone(&standing), close });
        Some(Place { places: Arc::clone(self), number, standing, phase: Phase::Silent })
    }

    /// A connection could not be accepted, for this reason. How long to wait before the next one is.
    pub fn not_accepted(&self, reason: &io::Error) -> Duration {
        if is_of_the_other_end(reason) {
            return Duration::ZERO;
        }
        // Somebody who shares the socket has made it so.
        if reason.kind() == io::ErrorKind::WouldBlock {
            return UNTIL_CLOSED;
        }
        self.exhausted(reason)
    }

    /// The process has no descriptor left for a connection, or no thread, for this reason. How long to wait before the next
    /// one is accepted.
    ///
    /// Strangers may hold those as well as places, so one of them makes room.
    pub fn exhausted(&self, reason: &io::Error) -> Duration {
        self.counters.not_accepted(reason);
        if self.open().spare(|_| true) {
            self.counters.made_room();
        }
        UNTIL_CLOSED
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.open().connections.len()
    }

    /// Ends the connections in a phase up to this one.
    pub fn close(&self, up_to: Phase, end: End) {
        for connection in self.open().connections.values() {
            if connection.standing.phase() <= up_to {
                (connection.close)(end);
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Each change below leaves the maps whole, whatever panics elsewhere.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Closes the connection that can be spared most easily of those that `among` allows.
    fn spare(&mut self, among: impl Fn(&Connection) -> bool) -> bool {
        let candidates = self.connections.iter().filter(|(_, connection)| among(connection));
        let ranked = candidates.map(|(number, connection)| (connection.standing.rank(), *number));
        let Some(((phase, _), number)) = ranked.min() else { return false };
        if phase == Phase::Handling {
            return false;
        }
        self.remove(number).is_some_and(|connection| {
            (connection.close)(End::Now);
            true
        })
    }

    fn remove(&mut self, number: u64) -> Option<Connection> {
        let connection = self.connections.remove(&number)?;
        if let Some(count) = self.per_address.get_mut(&connection.address) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&connection.address);
            }
        }
        Some(connection)
    }
}

impl Standing {
    fn enter(&self, phase: Phase, since: Duration) {
        // Half a million years of microseconds fit.
        let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX >> 2);
        self.0.store((micros << 2) | phase as u64, Ordering::Release);
    }

    fn phase(&self) -> Phase {
        match self.0.load(Ordering::Acquire) & 3 {
            0 => Phase::Idle,
            1 => Phase::Silent,
            2 => Phase::Reading,
            _ => Phase::Handling,
        }
    }

    /// Who is least is spared first. Whoever has said nothing yet counts as one whose request is arriving: else those
    /// who have sent one byte would be safe from those who come to deliver.
    fn rank(&self) -> (Phase, u64) {
        let since = self.0.load(Ordering::Acquire) >> 2;
        (if self.phase() == Phase::Silent { Phase::Reading } else { self.phase() }, since)
    }
}

/// A connection's place; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    number: u64,
    standing: Arc<Standing>,
    phase: Phase,
}

impl Place {
    /// The connection is in this phase now.
    pub fn enter(&mut self, phase: Phase, now: Instant) {
        // The first byte does not make it younger.
        let same = (self.phase, phase) == (Phase::Silent, Phase::Reading);
        if self.phase != phase && !same {
            self.standing.enter(phase, now.saturating_duration_since(self.places.epoch));
        } else if same {
            self.standing.0.fetch_xor(Phase::Silent as u64 ^ Phase::Reading as u64, Ordering::AcqRel);
        }
        self.phase = phase;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // One that made room is gone already.
        let _gone = self.places.open().remove(self.number);
    }
}

/// Whether it went while it waited, which is nothing to wait for.
fn is_of_the_other_end(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Long enough for a connection to be closed, and to spin for nothing.
const UNTIL_CLOSED: Duration = Duration::from_millis(10);

/// Whoever has an IPv6 address has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    fn places(most: usize, most_per_address: usize) -> Arc<Places> {
        let settings = ListenerSettings {
            connections: most,
            connections_per_address: most_per_address,
            ..ListenerSettings::default()
        };
        Places::new(&settings, Arc::default())
    }

    /// A place, and whether it was told to make room.
    fn take(places: &Arc<Places>, address: &str) -> Option<(Place, Receiver<()>)> {
        let (sender, receiver) = channel();
        let place = places.take(address.parse().unwrap(), move |_| sender.send(()).unwrap_or_default())?;
        Some((place, receiver))
    }

    #[test]
    fn who_has_been_sending_for_longest_makes_room() {
        let places = places(2, 2);
        let (mut first, first_goes) = take(&places, "127.0.0.1").unwrap();
        let (_second, second_goes) = take(&places, "127.0.0.2").unwrap();
        first.enter(Phase::Handling, Instant::now());
        let (_third, third_goes) = take(&places, "127.0.0.3").unwrap();
        assert!(second_goes.try_recv().is_ok() && first_goes.try_recv().is_err());
        assert_eq!(places.taken(), 2);
        first.enter(Phase::Idle, Instant::now());
        assert!(take(&places, "127.0.0.4").is_some());
        assert!(first_goes.try_recv().is_ok() && third_goes.try_recv().is_err(), "idle before sending");
        let counts = places.counters.read();
        assert_eq!((counts.connections, counts.made_room, counts.turned_away), (4, 2, 0));
    }

    #[test]
    fn where_no_descriptor_is_left_somebody_makes_room() {
        let places = places(9, 9);
        let (mut first, first_goes) = take(&places, "127.0.0.1").unwrap();
        let (_second, second_goes) = take(&places, "127.0.0.1").unwrap();
        first.enter(Phase::Handling, Instant::now());
        assert_eq!(places.not_accepted(&io::ErrorKind::ConnectionAborted.into()), Duration::ZERO);
        assert!(!places.not_accepted(&io::ErrorKind::WouldBlock.into()).is_zero());
        assert!(second_goes.try_recv().is_err(), "no descriptor is missing");
        let out_of_descriptors = io::Error::other("too many open files");
        for _ in 0..2 {
            assert!(!places.not_accepted(&out_of_descriptors).is_zero());
        }
        assert!(second_goes.try_recv().is_ok() && first_goes.try_recv().is_err());
        let counts = || {
            let counts = places.counters.read();
            (counts.not_accepted, counts.made_room, counts.turned_away)
        };
        assert_eq!(counts(), (2, 1, 0));
        // As a system says it that starts no more threads.
        assert!(!places.exhausted(&io::ErrorKind::WouldBlock.into()).is_zero());
        assert_eq!(counts(), (3, 1, 0));
    }

    #[test]
    fn shutting_down_spares_what_has_begun() {
        let places = places(9, 9);
        let [mut idle, silent, mut reading, mut handling] = [(); 4].map(|()| take(&places, "::1").unwrap());
        idle.0.enter(Phase::Idle, Instant::now());
        reading.0.enter(Phase::Reading, Instant::now());
        handling.0.enter(Phase::Handling, Instant::now());
        places.close(Phase::Silent, End::Gently);
        let told = [&idle, &silent, &reading, &handling].map(|(_, goes)| goes.try_recv().is_ok());
        assert_eq!(told, [true, true, false, false]);
    }

    #[test]
    fn one_byte_does_not_keep_a_place_longer_than_none() {
        let places = places(2, 2);
        let (mut dribbling, goes) = take(&places, "127.0.0.1").unwrap();
        dribbling.enter(Phase::Reading, Instant::now());
        let (_newcomer, newcomer_goes) = take(&places, "127.0.0.1").unwrap();
        let _third = take(&places, "127.0.0.1").unwrap();
        assert!(goes.try_recv().is_ok() && newcomer_goes.try_recv().is_err());
    }

    #[test]
    fn what_is_being_handled_is_never_cut_off() {
        let places = places(1, 1);
        let (mut only, goes) = take(&places, "127.0.0.1").unwrap();
        only.enter(Phase::Handling, Instant::now());
        assert!(take(&places, "127.0.0.2").is_none());
        assert!(goes.try_recv().is_err());
        drop(only);
        assert!(take(&places, "127.0.0.2").is_some());
        assert_eq!(places.counters.read().turned_away, 1);
    }

    #[test]
    fn one_address_cannot_take_the_places_of_others() {
        let places = places(10, 2);
        let (_other, other_goes) = take(&places, "::1").unwrap();
        let held: Vec<_> =
            ["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(|from| take(&places, from).unwrap()).into();
        assert!(held[0].1.try_recv().is_ok(), "one network, so one of its own makes room");
        assert!(held[1].1.try_recv().is_err() && other_goes.try_recv().is_err());
        assert_eq!(places.taken(), 3);
        assert!(take(&places, "2001:db8:0:1::1").is_some(), "another network");
        drop(held);
        assert_eq!(places.taken(), 1);
        let _mapped = take(&places, "::ffff:192.0.2.1").unwrap();
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), network("192.0.2.1".parse().unwrap()));
    }
}
