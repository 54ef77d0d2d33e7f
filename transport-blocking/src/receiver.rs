//! Answering deliveries: for a server of the user's own, and for our own listener.

use std::{
    net::TcpListener,
    sync::{Arc, mpsc::sync_channel},
    time::Instant,
};

use abyssale_core::{
    SigningSecret,
    http::Headers,
    webhook::{Admitted, CallbackEndpoint, Reply},
};
use abyssale_host::{
    Answer, Counts, DELIVERY_TIMEOUT, Deliveries, Error, Handler, ListenerSettings,
    connections::lengthen_backlog,
};

use crate::Listener;

/// Takes the requests that come to a callback address, and says what to answer.
///
/// Mounted in a server of your own it is two lines, whatever the server:
///
/// ```
/// # use abyssale_blocking::{Receiver, protocol::webhook::{CallbackEndpoint, Reply, Verifier}};
/// # let receiver = Receiver::new(CallbackEndpoint::new(Verifier::new([])), |_, _| Reply::Acknowledged);
/// # let (method, target, headers, body) = ("POST", "/abyssale", [("content-type", "application/json")], b"{}");
/// let reply = receiver.receive(method, target, &headers, body);
/// let status = reply.status(); // answer with this, and an empty body
/// # assert_eq!(status, 404);
/// ```
#[derive(Clone, Debug)]
pub struct Receiver {
    deliveries: Arc<Deliveries>,
}

impl Receiver {
    /// A receiver that gives each genuine delivery to `handler`.
    pub fn new(endpoint: CallbackEndpoint, handler: impl Handler) -> Self {
        Self { deliveries: Arc::new(Deliveries::new(endpoint, handler)) }
    }

    /// Takes a whole request, and returns the answer within 12 s: once the event is saved.
    ///
    /// `target` is its path and query as they came. A body past the endpoint's
    /// [limit](CallbackEndpoint::body_limit) is refused, so read at most one byte more of it.
    pub fn receive(&self, method: &str, target: &str, headers: &dyn Headers, body: &[u8]) -> Reply {
        match self.deliveries.admit(method, target, headers) {
            Ok(admitted) => self.take(&admitted, headers, body, Instant::now() + DELIVERY_TIMEOUT),
            Err(reply) => reply,
        }
    }

    pub(crate) fn take(
        &self,
        admitted: &Admitted,
        headers: &dyn Headers,
        body: &[u8],
        deadline: Instant,
    ) -> Reply {
        let (sender, reply) = sync_channel(1);
        let answer: Answer = Box::new(move |reply| {
            // The request may have been given up meanwhile.
            let _late = sender.send(reply);
        });
        let taken = self.deliveries.take(admitted, headers, body, answer);
        let reply = reply.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        taken.answered(reply.unwrap_or(Reply::Unavailable))
    }

    /// Replaces the signing secrets: here, in every clone, and in every listener.
    ///
    /// A rotation loses no delivery if the old and the new secret are accepted for at least ten minutes:
    /// [`Exporter::rotate_signing_secret_and_accept`](crate::Exporter::rotate_signing_secret_and_accept) does all of it.
    pub fn set_signing_secrets(&self, secrets: impl IntoIterator<Item = SigningSecret>) {
        self.deliveries.set_signing_secrets(secrets);
    }

    /// Returns what the requests so far were answered, here and in every clone.
    pub fn counts(&self) -> Counts {
        self.deliveries.counters().read()
    }

    pub(crate) fn deliveries(&self) -> &Deliveries {
        &self.deliveries
    }

    /// Listens on an address such as `127.0.0.1:8080` or `[::]:8080`, until the listener is dropped.
    pub fn listen(&self, address: impl AsRef<str>) -> Result<Listener, Error> {
        self.listen_with(address, &ListenerSettings::default())
    }

    /// The same, with other limits, or with TLS.
    pub fn listen_with(
        &self,
        address: impl AsRef<str>,
        settings: &ListenerSettings,
    ) -> Result<Listener, Error> {
        let address = address.as_ref();
        let failed = |source| Error::listen(address, source);
        let socket = TcpListener::bind(address).map_err(failed)?;
        lengthen_backlog(&socket).map_err(failed)?;
        self.listen_on_with(socket, settings)
    }

    /// Listens on a socket that is bound already.
    pub fn listen_on(&self, socket: TcpListener) -> Result<Listener, Error> {
        self.listen_on_with(socket, &ListenerSettings::default())
    }

    /// The same, with other limits, or with TLS.
    pub fn listen_on_with(
        &self,
        socket: TcpListener,
        settings: &ListenerSettings,
    ) -> Result<Listener, Error> {
        Listener::start(socket, self.clone(), settings)
    }
}
