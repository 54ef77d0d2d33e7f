//! Answering deliveries: for a server of the user's own, and for our own listener.

use std::{
    fmt, io,
    net::TcpListener,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use abyssale_core::{
    SigningSecret,
    http::Headers,
    webhook::{CallbackEndpoint, Reply},
};
use abyssale_host::{Answer, Clock, Counters, Counts, Error, Handler, server::ListenerSettings, trace};
use tokio::sync::oneshot;

use crate::{Listener, ReceiverService};

/// Takes the requests that come to a callback address, and says what to answer.
///
/// Mounted in a server of your own it is one line if the server speaks tower, and two if not:
///
/// ```
/// # use abyssale_async::{Receiver, core::webhook::{CallbackEndpoint, Reply, Verifier}};
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
#[derive(Clone)]
pub struct Receiver {
    endpoint: Arc<RwLock<CallbackEndpoint>>,
    handler: Arc<dyn Handler>,
    clock: Clock,
    counters: Arc<Counters>,
}

impl Receiver {
    /// A receiver that gives each genuine delivery to `handler`.
    pub fn new(endpoint: CallbackEndpoint, handler: impl Handler) -> Self {
        Self {
            endpoint: Arc::new(RwLock::new(endpoint)),
            handler: Arc::new(handler),
            clock: Clock::new(),
            counters: Arc::default(),
        }
    }

    /// Takes a whole request, and returns what to answer, which may take until a store has saved it.
    ///
    /// `target` is its path and query as they came. A body of more than
    /// [`MAX_DELIVERY`](abyssale_core::webhook::MAX_DELIVERY) bytes is refused, so there is no need to
    /// read more of it than one byte beyond.
    ///
    /// The delivery is taken when this is called. Dropping the future leaves it unanswered, and so it comes again.
    pub fn receive(
        &self,
        method: &str,
        target: &str,
        headers: &dyn Headers,
        body: &[u8],
    ) -> impl Future<Output = Reply> + Send + use<> {
        let (sender, reply) = oneshot::channel();
        let answer: Answer = Box::new(move |reply| {
            // Nobody waits any more.
            let _dropped = sender.send(reply);
        });
        let traced = trace::Delivery::begin(headers);
        traced.span().in_scope(|| {
            // Bound to a name so that the lock is given back before the handler has its turn.
            let received = self.endpoint().receive(Clock::wall(), method, target, headers, body);
            match received {
                Ok(delivery) => {
                    traced.genuine(&delivery);
                    self.handler.handle_later(self.clock.now(), delivery, answer);
                }
                Err(reply) => answer(reply),
            }
        });
        let counters = self.counters();
        async move {
            let reply = reply.await.unwrap_or(Reply::Unavailable);
            traced.span().in_scope(|| counters.reply(&reply));
            traced.end(&reply);
            reply
        }
    }

    /// Whether a request's body is worth reading, by its head alone; else what to answer.
    pub fn admit(&self, method: &str, target: &str, headers: &dyn Headers) -> Result<(), Reply> {
        let admitted = self.endpoint().admit(method, target, headers);
        admitted.map(drop).inspect_err(|reply| {
            trace::Delivery::begin(headers).span().in_scope(|| self.counters.reply(reply));
        })
    }

    /// Takes these signing secrets instead of the former, here, in every clone and in every listener.
    ///
    /// A rotation that loses no delivery: rotate, take the new secret, and revoke the old one when it suits. Deliveries are
    /// signed with both in between.
    pub fn set_signing_secrets(&self, secrets: impl IntoIterator<Item = SigningSecret>) {
        self.endpoint.write().unwrap_or_else(PoisonError::into_inner).set_secrets(secrets);
    }

    /// What has come of the requests so far, here and in every clone.
    pub fn counts(&self) -> Counts {
        self.counters.read()
    }

    fn endpoint(&self) -> RwLockReadGuard<'_, CallbackEndpoint> {
        self.endpoint.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
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
        let socket =
            tokio::net::TcpListener::bind(address).await.map_err(|source| Error::listen(address, source))?;
        Listener::start(socket, self.clone(), settings)
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

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("endpoint", &*self.endpoint()).finish_non_exhaustive()
    }
}
