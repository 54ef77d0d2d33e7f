//! Answering deliveries: for a server of the user's own, and for our own listener.

use std::{fmt, net::TcpListener, sync::Arc};

use abyssale_core::{
    http::Headers,
    webhook::{Hook, Reply},
};
use abyssale_host::{Clock, Error, Handler};

use crate::Listener;

/// Takes the requests that come to a callback address, and says what to answer.
///
/// Mounted in a server of your own it is two lines, whatever the server:
///
/// ```
/// # use abyssale_blocking::{Receiver, core::webhook::{Hook, Reply, Verifier}};
/// # let receiver = Receiver::new(Hook::new(Verifier::new([])), |_, _| Reply::Acknowledged);
/// # let (method, target, headers, body) = ("POST", "/abyssale", [("content-type", "application/json")], b"{}");
/// let reply = receiver.receive(method, target, &headers, body);
/// let status = reply.status(); // answer with this, and an empty body
/// # assert_eq!(status, 404);
/// ```
#[derive(Clone)]
pub struct Receiver {
    hook: Arc<Hook>,
    handler: Arc<dyn Handler>,
    clock: Clock,
}

impl Receiver {
    /// A receiver that gives each genuine delivery to `handler`.
    pub fn new(hook: Hook, handler: impl Handler) -> Self {
        Self { hook: Arc::new(hook), handler: Arc::new(handler), clock: Clock::new() }
    }

    /// Takes a whole request, and returns what to answer.
    ///
    /// `target` is its path and query as they came. A body of more than
    /// [`MAX_DELIVERY`](abyssale_core::webhook::MAX_DELIVERY) bytes is refused, so there is no need to
    /// read more of it than one byte beyond.
    pub fn receive(&self, method: &str, target: &str, headers: &dyn Headers, body: &[u8]) -> Reply {
        match self.hook.receive(Clock::wall(), method, target, headers, body) {
            Ok(delivery) => self.handler.handle(self.clock.now(), delivery),
            Err(reply) => reply,
        }
    }

    /// Whether a request's body is worth reading, by its head alone; else what to answer.
    pub fn admit(&self, method: &str, target: &str, headers: &dyn Headers) -> Result<(), Reply> {
        self.hook.admit(method, target, headers).map(drop)
    }

    /// Listens on an address such as `127.0.0.1:8080` or `[::]:8080`, until the listener is dropped.
    pub fn listen(&self, address: impl AsRef<str>) -> Result<Listener, Error> {
        let address = address.as_ref();
        let socket = TcpListener::bind(address).map_err(|source| Error::listen(address, source))?;
        self.listen_on(socket)
    }

    /// Listens on a socket that is bound already.
    pub fn listen_on(&self, socket: TcpListener) -> Result<Listener, Error> {
        Listener::start(socket, self.clone())
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("hook", &self.hook).finish_non_exhaustive()
    }
}
