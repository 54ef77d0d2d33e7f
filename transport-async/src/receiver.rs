//! Answering deliveries: for a server of the user's own, and for our own listener.

use std::{io, net::TcpListener, sync::Arc};

use abyssale_core::{
    SigningSecret,
    http::Headers,
    webhook::{Admitted, CallbackEndpoint, Reply},
};
use abyssale_host::{
    Answer, Counts, DELIVERY_TIMEOUT, Deliveries, Error, Handler, ListenerSettings,
    connections::lengthen_backlog,
};
use tokio::{
    sync::oneshot::{self, error::TryRecvError},
    time::{Instant, timeout_at},
};

use crate::{Listener, ReceiverService};

/// Takes the requests that come to a callback address, and says what to answer.
///
/// Mounted in a server of your own it is one line if the server speaks tower, and two if not:
///
/// ```
/// # use abyssale_async::{Receiver, protocol::webhook::{CallbackEndpoint, Reply, Verifier}};
/// # let receiver = Receiver::new(CallbackEndpoint::new(Verifier::new([])), |_, _| Reply::Acknowledged);
/// # let (method, target, headers, body) = ("POST", "/abyssale", [("content-type", "application/json")], b"{}");
/// # async fn answer(receiver: Receiver, method: &str, target: &str, headers: [(&str, &str); 1], body: &[u8]) {
/// let service = receiver.service(); // for axum: .route_service("/abyssale/{token}", service)
///
/// let reply = receiver.receive(method, target, &headers, body).await;
/// let status = reply.status(); // answer with this, and an empty body
/// # assert_eq!(status, 404);
/// # }
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(answer(receiver, method, target, headers, body));
/// # Ok::<(), std::io::Error>(())
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
    ///
    /// The delivery is taken when this is called. Dropping the future leaves it unanswered, and the service delivers again.
    pub fn receive(
        &self,
        method: &str,
        target: &str,
        headers: &dyn Headers,
        body: &[u8],
    ) -> impl Future<Output = Reply> + Send + use<> {
        let admitted = self.deliveries.admit(method, target, headers);
        let taken =
            admitted.map(|admitted| self.take(&admitted, headers, body, Instant::now() + DELIVERY_TIMEOUT));
        async move {
            match taken {
                Ok(reply) => reply.await,
                Err(reply) => reply,
            }
        }
    }

    pub(crate) fn take(
        &self,
        admitted: &Admitted,
        headers: &dyn Headers,
        body: &[u8],
        deadline: Instant,
    ) -> impl Future<Output = Reply> + Send + use<> {
        let (sender, mut reply) = oneshot::channel();
        let answer: Answer = Box::new(move |reply| {
            // The request may have been given up meanwhile.
            let _dropped = sender.send(reply);
        });
        let taken = self.deliveries.take(admitted, headers, body, answer);
        async move {
            // Most replies are here already, and need no timer.
            let reply = match reply.try_recv() {
                Err(TryRecvError::Empty) => timeout_at(deadline, reply).await.ok().and_then(Result::ok),
                received => received.ok(),
            };
            taken.answered(reply.unwrap_or(Reply::Unavailable))
        }
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

    /// The same as a tower service, with a limit and a time-out on the body.
    pub fn service(&self) -> ReceiverService {
        ReceiverService::new(self.clone())
    }

    /// Listens on an address such as `127.0.0.1:8080` or `[::]:8080`, until the listener is dropped.
    pub async fn listen(&self, address: impl AsRef<str>) -> Result<Listener, Error> {
        self.listen_with(address, &ListenerSettings::default()).await
    }

    /// The same, with other limits, or with TLS.
    pub async fn listen_with(
        &self,
        address: impl AsRef<str>,
        settings: &ListenerSettings,
    ) -> Result<Listener, Error> {
        let address = address.as_ref();
        let failed = |source| Error::listen(address, source);
        let socket =
            tokio::net::TcpListener::bind(address).await.map_err(failed)?.into_std().map_err(failed)?;
        lengthen_backlog(&socket).map_err(failed)?;
        self.listen_on_with(socket, settings)
    }

    /// Listens on a socket that is bound already. Call it within a tokio runtime.
    pub fn listen_on(&self, socket: TcpListener) -> Result<Listener, Error> {
        self.listen_on_with(socket, &ListenerSettings::default())
    }

    /// The same, with other limits, or with TLS.
    pub fn listen_on_with(
        &self,
        socket: TcpListener,
        settings: &ListenerSettings,
    ) -> Result<Listener, Error> {
        let failed = |source| Error::listen("the socket", source);
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(failed(io::Error::other("there is no tokio runtime here")));
        }
        socket.set_nonblocking(true).map_err(failed)?;
        let socket = tokio::net::TcpListener::from_std(socket).map_err(failed)?;
        Listener::start(socket, self.clone(), settings)
    }
}
