//! Ids in, archive out: client, receiver and machine put together.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use abyssale_core::{
    ApiKey, BannerId, InvalidBannerId, SigningSecret, Token, TokenPlacement, UnknownOutcome,
    webhook::NewExport,
};
use abyssale_host::{Callback, CallbackSettings, Error, Mailbox, Switchboard};
use tokio::sync::mpsc;

use crate::{Client, ClientBuilder, Job, Listener, Receiver, ReceiverService, drive::Mail};

/// Carries out exports, as many at once as there are tasks that ask for one.
///
/// Cheap to clone. When the last clone is dropped, its listener stops.
#[derive(Clone, Debug)]
pub struct Exporter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    callback: Callback,
    board: Arc<Switchboard<Post>>,
    receiver: Receiver,
    listener: Option<Listener>,
}

/// The sending end of a job's mailbox.
#[derive(Clone, Debug)]
pub(crate) struct Post(pub(crate) mpsc::Sender<Mail>);

impl Mailbox for Post {
    fn post(&self, event: NewExport, token: Option<Token>) -> bool {
        self.0.try_send((event, token)).is_ok()
    }
}

impl Exporter {
    /// Settings from the environment unless they are given; see [`ExporterBuilder`].
    pub fn builder() -> ExporterBuilder {
        ExporterBuilder::default()
    }

    /// A job for these banners. Nothing is sent before one of the job's methods carries it out.
    pub fn export<I>(&self, ids: I) -> Result<Job<'_>, Error>
    where
        I: IntoIterator,
        I::Item: TryInto<BannerId, Error: Into<InvalidBannerId>>,
    {
        Ok(Job::new(self, self.0.callback.order(ids)?))
    }

    /// What answers deliveries, to be mounted in a server of your own when there is no `listen`.
    pub fn receiver(&self) -> &Receiver {
        &self.0.receiver
    }

    /// The same as a tower service: `.route_service("/abyssale/{token}", exporter.service())` in axum.
    pub fn service(&self) -> ReceiverService {
        self.0.receiver.service()
    }

    /// Where the listener listens, if there is one.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.0.listener.as_ref().map(Listener::local_addr)
    }

    /// The client that makes the calls.
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    pub(crate) fn board(&self) -> &Switchboard<Post> {
        &self.0.board
    }
}

/// Builds an [`Exporter`]: the settings of a [`ClientBuilder`], and how deliveries come in.
#[derive(Debug, Default)]
#[must_use]
pub struct ExporterBuilder {
    client: ClientBuilder,
    callback: CallbackSettings,
    listen: Option<Listen>,
}

/// Where deliveries come in.
#[derive(Debug)]
enum Listen {
    Address(String),
    Socket(TcpListener),
}

impl ExporterBuilder {
    /// The key; `ABYSSALE_API_KEY` otherwise.
    pub fn api_key(self, key: ApiKey) -> Self {
        self.client(|client| client.api_key(key))
    }

    /// The service's base address; `ABYSSALE_BASE_URL`, or the live service, otherwise.
    pub fn base_url(self, base: impl Into<String>) -> Self {
        self.client(|client| client.base_url(base))
    }

    /// How long an event is waited for once its export is accepted; 30 min otherwise.
    pub fn event_timeout(self, timeout: Duration) -> Self {
        self.client(|client| client.event_timeout(timeout))
    }

    /// What to do when it is not known whether a request was taken; wait for its event otherwise.
    pub fn unknown_outcome(self, policy: UnknownOutcome) -> Self {
        self.client(|client| client.unknown_outcome(policy))
    }

    /// Any other setting of the client.
    pub fn client(mut self, change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Self {
        self.client = change(self.client);
        self
    }

    /// The address that the service calls: absolute, and reachable for it. Required.
    pub fn callback(mut self, address: impl Into<String>) -> Self {
        self.callback.address = Some(address.into());
        self
    }

    /// Where to listen for deliveries, such as `0.0.0.0:8080`. A request must then have the path of the
    /// callback. Without it, mount [`Exporter::receiver`] in a server of your own.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = Some(Listen::Address(address.into()));
        self
    }

    /// A socket that listens already, instead of an address: one that was handed over by a supervisor, or
    /// whose port must be known for the callback.
    pub fn listen_on(mut self, socket: TcpListener) -> Self {
        self.listen = Some(Listen::Socket(socket));
        self
    }

    /// A signing secret; deliveries must then be signed with it. May be given several times.
    pub fn signing_secret(mut self, secret: SigningSecret) -> Self {
        self.callback.secrets.push(secret);
        self
    }

    /// Accepts deliveries without a signature although there is a secret, or although there is no token.
    ///
    /// Without a secret this is so anyway: the token in the callback address, which nobody can guess,
    /// then stands for the signature.
    pub fn accept_unsigned(mut self) -> Self {
        self.callback.accept_unsigned = true;
        self
    }

    /// Where in the callback address each export's token stands; `None` for no token.
    ///
    /// Without one, an event is told by its export id alone, and an answer that is lost means an
    /// export that is lost.
    pub fn token(mut self, placement: Option<TokenPlacement>) -> Self {
        self.callback.token = placement;
        self
    }

    /// Checks the settings, and begins to listen: call it within a tokio runtime.
    pub async fn build(self) -> Result<Exporter, Error> {
        let client = self.client.build()?;
        let (callback, hook) = self.callback.check(self.listen.is_some())?;
        let board = Arc::new(Switchboard::new());
        let handler = Arc::clone(&board);
        let receiver = Receiver::new(hook, move |now, delivery| {
            abyssale_host::Handler::handle(&*handler, now, delivery)
        });
        let listener = match self.listen {
            Some(Listen::Address(address)) => Some(receiver.listen(address).await?),
            Some(Listen::Socket(socket)) => Some(receiver.listen_on(socket)?),
            None => None,
        };
        Ok(Exporter(Arc::new(Inner { client, callback, board, receiver, listener })))
    }
}
