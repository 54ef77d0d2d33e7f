//! Answering deliveries: for a server of the user's own, and for our own listener.

use std::{fmt, io, net::TcpListener, sync::Arc};

use abyssale_core::{
    http::Headers,
    webhook::{Hook, Reply},
};
use abyssale_host::{Answer, Clock, Error, Handler};
use tokio::sync::oneshot;

use crate::{Listener, ReceiverService};

/// Takes the requests that come to a callback address, and says what to answer.
///
/// Mounted in a server of your own it is one line if the server speaks tower, and two if not:
///
/// ```
/// # use abyssale_async::{Receiver, core::webhook::{Hook, Reply, Verifier}};
/// # let receiver = Receiver::new(Hook::new(Verifier::new([])), |_, _| Reply::Acknowledged);
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
    hook: Arc<Hook>,
    handler: Arc<dyn Handler>,
    clock: Clock,
}

impl Receiver {
    /// A receiver that gives each genuine delivery to `handler`.
    pub fn new(hook: Hook, handler: impl Handler) -> Self {
        Self { hook: Arc::new(hook), handler: Arc::new(handler), clock: Clock::new() }
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
        match self.hook.receive(Clock::wall(), method, target, headers, body) {
            Ok(delivery) => self.handler.handle_later(self.clock.now(), delivery, answer),
            Err(reply) => answer(reply),
        }
        async move { reply.await.unwrap_or(Reply::Unavailable) }
    }

    /// Whether a request's body is worth reading, by its head alone; else what to answer.
    pub fn admit(&self, method: &str, target: &str, headers: &dyn Headers) -> Result<(), Reply> {
        self.hook.admit(method, target, headers).map(drop)
    }

    /// The same as a tower service, with a limit and a time-out on the body.
    pub fn service(&self) -> ReceiverService {
        ReceiverService::new(self.clone())
    }

    /// Listens on an address such as `127.0.0.1:8080` or `[::]:8080`, until the listener is dropped.
    pub async fn listen(&self, address: impl AsRef<str>) -> Result<Listener, Error> {
        let address = address.as_ref();
        let socket =
            tokio::net::TcpListener::bind(address).await.map_err(|source| Error::listen(address, source))?;
        Listener::start(socket, self.clone())
    }

    /// Listens on a socket that is bound already. Call it within a tokio runtime.
    pub fn listen_on(&self, socket: TcpListener) -> Result<Listener, Error> {
        let failed = |source| Error::listen("the socket", source);
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(failed(io::Error::other("there is no tokio runtime here")));
        }
        socket.set_nonblocking(true).map_err(failed)?;
        Listener::start(tokio::net::TcpListener::from_std(socket).map_err(failed)?, self.clone())
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("hook", &self.hook).finish_non_exhaustive()
    }
}
