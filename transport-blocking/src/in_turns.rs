//! Connecting to a host that has several addresses, some of which do not answer (RFC 8305).
//!
//! ureq gives each address half of the time that the one before it had, so of a dozen dead addresses the first takes most
//! of the time, and the last has none. Here every address gets a quarter of a second, then every address a second, and so
//! on, and the two families take turns.

use std::{
    io, mem,
    net::SocketAddr,
    time::{Duration, Instant},
};

use ureq::{
    Error,
    unversioned::transport::{ConnectionDetails, Connector, NextTimeout, TcpConnector},
};

/// ureq's connector for TCP, which is given one address at a time.
///
/// TLS comes behind it in the chain, so that a budget is one for TCP's handshake alone.
#[derive(Debug, Default)]
pub(crate) struct InTurns(TcpConnector);

impl Connector<()> for InTurns {
    type Out = <TcpConnector as Connector<()>>::Out;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, Error> {
        let mut addresses = by_turns(&details.addrs);
        if addresses.len() < 2 {
            return self.0.connect(details, chained);
        }
        let (begun, limit) = (Instant::now(), *details.timeout.after);
        let mut last = Error::Timeout(details.timeout.reason);
        for budget in BUDGETS {
            // Only an address that did not answer in time may answer in the next round.
            for address in mem::take(&mut addresses) {
                let left = limit.saturating_sub(begun.elapsed());
                if left.is_zero() {
                    return Err(Error::Timeout(details.timeout.reason));
                }
                match self.0.connect(&one(details, address, left.min(budget)), chained) {
                    Err(error @ Error::Timeout(_)) => {
                        last = error;
                        addresses.push(address);
                    }
                    Err(error) if concerns_one_address(&error) => last = error,
                    connected => return connected,
                }
            }
        }
        Err(last)
    }
}

/// The details of a connection to one of the addresses.
fn one<'d>(details: &ConnectionDetails<'d>, address: SocketAddr, after: Duration) -> ConnectionDetails<'d> {
    let mut addrs = details.resolver.empty();
    addrs.push(address);
    ConnectionDetails {
        uri: details.uri,
        addrs,
        config: details.config,
        request_level: details.request_level,
        resolver: details.resolver,
        now: details.now,
        timeout: NextTimeout { after: after.into(), ..details.timeout },
        current_time: details.current_time.clone(),
        run_connector: details.run_connector.clone(),
        register_shutdown: details.register_shutdown.clone(),
    }
}

/// Returns whether another address may answer.
fn concerns_one_address(error: &Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, ConnectionRefused, ConnectionReset, NetworkDown};
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, PermissionDenied};
    match error {
        Error::Io(error) => matches!(
            error.kind(),
            AddrNotAvailable
                | ConnectionRefused
                | ConnectionReset
                | HostUnreachable
                | NetworkDown
                | NetworkUnreachable
                | PermissionDenied
        ),
        _ => false,
    }
}

/// The addresses of both families in turns, beginning with the family that the system prefers.
fn by_turns(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_preferred =
        |address: &SocketAddr| addresses.first().is_some_and(|first| first.is_ipv4() == address.is_ipv4());
    let (preferred, others): (Vec<SocketAddr>, Vec<_>) = addresses.iter().copied().partition(is_preferred);
    let (mut preferred, mut others) = (preferred.into_iter(), others.into_iter());
    let mut turns = Vec::new();
    loop {
        let turn = [preferred.next(), others.next()];
        if turn == [None, None] {
            return turns;
        }
        turns.extend(turn.into_iter().flatten());
    }
}

/// How long each address is waited for, round by round.
const BUDGETS: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(4), Duration::MAX];

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream},
        thread,
    };

    use socket2::{Domain, Socket, Type};
    use ureq::{
        Agent,
        config::Config,
        http::Uri,
        unversioned::resolver::{ResolvedSocketAddrs, Resolver},
    };

    use super::*;

    #[test]
    fn the_families_take_turns() {
        let address = |text: &&str| format!("{text}:443").parse::<SocketAddr>().unwrap();
        for (found, tried) in [
            (
                &["[2001:db8::1]", "[2001:db8::2]", "[2001:db8::3]", "1.1.1.1", "1.1.1.2"][..],
                &["[2001:db8::1]", "1.1.1.1", "[2001:db8::2]", "1.1.1.2", "[2001:db8::3]"][..],
            ),
            (&["1.1.1.1", "1.1.1.2", "[2001:db8::1]"], &["1.1.1.1", "[2001:db8::1]", "1.1.1.2"]),
            (&["1.1.1.1", "1.1.1.2", "1.1.1.3"], &["1.1.1.1", "1.1.1.2", "1.1.1.3"]),
            (&[], &[]),
        ] {
            let found: Vec<_> = found.iter().map(address).collect();
            assert_eq!(by_turns(&found), tried.iter().map(address).collect::<Vec<_>>());
        }
    }

    /// A name with these addresses.
    #[derive(Debug)]
    struct Addresses(Vec<SocketAddr>);

    impl Resolver for Addresses {
        fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
            let mut addresses = self.empty();
            for address in &self.0 {
                addresses.push(*address);
            }
            Ok(addresses)
        }
    }

    /// An address that does not answer: its queue is full, so the system drops what comes.
    fn dead(number: u8) -> (Socket, Vec<TcpStream>, SocketAddr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, number], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(50)) {
            waiting.push(stream);
        }
        (socket, waiting, address)
    }

    fn get(addresses: Vec<SocketAddr>, limit: Duration) -> Result<u16, Error> {
        let config = Config::builder().proxy(None).timeout_connect(Some(limit)).build();
        let agent = Agent::with_parts(config, InTurns::default(), Addresses(addresses));
        agent.get("http://store.example.com/").call().map(|response| response.status().as_u16())
    }

    #[test]
    fn dead_addresses_do_not_take_the_time_of_those_that_answer() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let alive = server.local_addr().unwrap();
        let answering = thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            stream.read_exact(&mut [0; 16]).unwrap();
            stream.write_all(b"HTTP/1.1 204 OK\r\nconnection: close\r\n\r\n").unwrap();
        });
        let dead: Vec<_> = (2..13).map(dead).collect();
        let mut addresses: Vec<_> = dead.iter().map(|(_, _, address)| *address).collect();
        addresses.push(alive);
        let begun = Instant::now();
        assert_eq!(get(addresses, Duration::from_secs(30)).unwrap(), 204);
        // Eleven quarters of a second, where ureq alone needs 29 s.
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        answering.join().unwrap();
    }

    #[test]
    fn an_address_that_is_slow_is_tried_again_although_another_one_refuses() {
        let (socket, waiting, slow) = dead(16);
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let answering = thread::spawn(move || {
            // Longer than the first round.
            thread::sleep(Duration::from_millis(500));
            for _ in &waiting {
                drop(socket.accept().unwrap());
            }
            let mut stream: TcpStream = socket.accept().unwrap().0.into();
            stream.read_exact(&mut [0; 16]).unwrap();
            stream.write_all(b"HTTP/1.1 204 OK\r\nconnection: close\r\n\r\n").unwrap();
        });
        assert_eq!(get(vec![slow, closed], Duration::from_secs(30)).unwrap(), 204);
        answering.join().unwrap();
    }

    #[test]
    fn only_dead_addresses_take_the_whole_time_and_refusals_none() {
        let dead: Vec<_> = (13..16).map(dead).collect();
        let addresses: Vec<_> = dead.iter().map(|(_, _, address)| *address).collect();
        let begun = Instant::now();
        assert!(matches!(get(addresses, Duration::from_secs(2)), Err(Error::Timeout(_))));
        assert!((2..10).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
        // Nothing listens there.
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = get(vec![closed, closed], Duration::from_secs(30));
        assert!(
            matches!(&refused, Err(Error::Io(error)) if error.kind() == io::ErrorKind::ConnectionRefused)
        );
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}
