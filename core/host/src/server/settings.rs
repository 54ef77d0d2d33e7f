//! What a listener allows a stranger, the same in both transports.

use std::time::Duration;

use abyssale_core::webhook::MAX_DELIVERY;

use super::TlsFiles;

/// The limits and time-outs of a listener. Every default is meant for an address on the open internet with nothing in
/// front of it.
///
/// Whoever exceeds one is refused or cut off; a genuine delivery that it befalls comes again, six times in all.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenerSettings {
    /// The longest head of a request, in bytes: 16 KiB. One more is 431.
    pub head_bytes: usize,
    /// The most header fields: 64. One more is 431.
    pub head_fields: usize,
    /// The longest body, in bytes: 1 MiB, which is also the most that can be set. One more is 413.
    pub body_bytes: usize,
    /// The most memory that bodies of more than 64 KiB may take together, in bytes: 32 MiB. One that finds no room in it
    /// is answered 429. Smaller ones, as deliveries are, always find room.
    pub body_memory: usize,
    /// The most connections at once, and in the blocking transport the most threads: 256. Beyond, whoever has been
    /// sending the same request for longest makes room.
    ///
    /// It is well below the usual limit on descriptors, which the program needs for its own calls too. Where none is left
    /// for another connection, somebody makes room as well. Each takes 200 KiB at the most, TLS included, and what is above
    /// that in all of them together [`body_memory`](Self::body_memory).
    pub connections: usize,
    /// The most connections at once from one IPv4 address or one IPv6 network of 64 bits: 64. Behind a proxy, which is
    /// one address, set it as high as [`connections`](Self::connections).
    pub connections_per_address: usize,
    /// The most requests on one connection: 1,000. The last is answered with `connection: close`.
    pub requests_per_connection: u32,
    /// How long a head may take to arrive, from its first byte on, or from the connection on, where the handshake of
    /// TLS counts too: 10 s. Beyond is 408.
    pub head_timeout: Duration,
    /// How long a body may take to arrive, from its head on: 20 s. Beyond is 408.
    pub body_timeout: Duration,
    /// How long a connection may stay open between two requests: 30 s.
    pub idle_timeout: Duration,
    /// How long an answer may take to be written: 10 s.
    pub write_timeout: Duration,
    /// How long requests that have begun may take once the listener is shut down: 30 s.
    pub shutdown_timeout: Duration,
    /// The certificate and the key for TLS; plain HTTP without.
    pub tls: Option<TlsFiles>,
}

impl Default for ListenerSettings {
    fn default() -> Self {
        Self {
            head_bytes: 16 << 10,
            head_fields: 64,
            body_bytes: MAX_DELIVERY,
            body_memory: 32 << 20,
            connections: 256,
            connections_per_address: 64,
            requests_per_connection: 1000,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(30),
            tls: None,
        }
    }
}
