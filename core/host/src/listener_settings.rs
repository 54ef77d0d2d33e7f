//! The limits and time-outs of a listener, the same in both transports.

use std::{sync::Arc, time::Duration};

use rustls::ServerConfig;

/// The limits and time-outs of a listener. The defaults suit an address on the open internet with nothing in front of it.
///
/// A listener refuses or cuts off a peer that exceeds one. The service repeats a genuine delivery, six times in all.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenerSettings {
    /// The most connections at once; in the blocking transport each takes a thread. Default: 256.
    ///
    /// Further connections wait in the kernel's queue. While they do, the listener cuts off the connection that has been
    /// sending its request for longest, but never before it had 2 s, and never while a delivery is being handled.
    ///
    /// A connection takes at most 150 KiB: its head, its body, and TLS. Stay well below the process's limit on descriptors,
    /// which the program needs for its own calls too.
    pub connections: usize,
    /// The most connections at once from one IPv4 address, or one IPv6 network of 64 bits. Default: `None`, because
    /// behind a proxy all connections come from one address. Further ones are closed at once.
    pub connections_per_address: Option<usize>,
    /// The longest head of a request, in bytes, from 8 KiB on. Default: 16 KiB. A longer head is answered 431, as is one
    /// with more than 128 fields.
    pub head_bytes: usize,
    /// How long a delivery may take until it is answered: TLS handshake, head, body and saving together. Default: 12 s,
    /// since the service waits for 15 s.
    ///
    /// If the head is late, the connection is cut off. If the body is late, the answer is 408; if the store is late, 503.
    pub delivery_timeout: Duration,
    /// How long a connection may stay open between two requests. Default: 75 s, longer than proxies keep theirs.
    pub idle_timeout: Duration,
    /// How long the deliveries that have begun may take once the listener shuts down. Default: 30 s.
    pub shutdown_timeout: Duration,
    /// The path of the health check, or `None` for no health check. Default: `/healthz`.
    ///
    /// `GET` and `HEAD` are answered 200 there while deliveries are accepted, and 503 while the listener shuts down.
    pub health_path: Option<String>,
    /// TLS, with the certificates of a [`ServerConfig`]; plain HTTP without. A [`rustls::server::ResolvesServerCert`] in
    /// it renews a certificate without a restart.
    pub tls: Option<Arc<ServerConfig>>,
}

impl Default for ListenerSettings {
    fn default() -> Self {
        Self {
            connections: 256,
            connections_per_address: None,
            head_bytes: 16 << 10,
            delivery_timeout: DELIVERY_TIMEOUT,
            idle_timeout: Duration::from_secs(75),
            shutdown_timeout: Duration::from_secs(30),
            health_path: Some("/healthz".into()),
            tls: None,
        }
    }
}

impl ListenerSettings {
    /// Returns whether a request is a health check.
    pub fn is_health_check(&self, method: &str, path: &str) -> bool {
        matches!(method, "GET" | "HEAD") && self.health_path.as_deref() == Some(path)
    }
}

/// The default of [`ListenerSettings::delivery_timeout`].
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(12);
