//! Banner ids in, archive out: the client, the receiver and the jobs together.

use std::{
    fmt,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
};

use abyssale_core::{ApiKey, Limits, SigningSecret, SigningSecretState, Store, TokenPlacement};
use abyssale_host::{
    Callback, CallbackCheck, CallbackSettings, Error, Finding, Jobs, ListenerSettings, Settings,
    check_folder, check_service,
};

use crate::{Client, ClientBuilder, Job, Listener, Receiver, Resumed, send::send};

/// Carries out exports, as many at once as there are threads that ask for one.
///
/// All of them keep to the account's request budget together. Cheap to clone. When the last clone is dropped, its
/// listener stops, and what is not saved yet is saved.
#[derive(Clone, Debug)]
pub struct Exporter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    callback: Callback,
    jobs: Arc<Jobs>,
    receiver: Receiver,
    listener: Option<Listener>,
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
        I::Item: AsRef<str>,
    {
        Ok(Job::new(self, self.0.callback.order(ids)?))
    }

    /// The jobs that are in the [store](ExporterBuilder::store) and that nobody carries out, oldest first: those that an
    /// earlier process has left, and those that were not carried out to their end in this one.
    ///
    /// They take their events already, and wait for nothing but to be carried out. Each is given once, and again only
    /// after it was dropped. A record that no job can be made of is an [`Error::Record`] in between; it stays where it
    /// is, and is told once.
    pub fn resumed(&self) -> Vec<Result<Resumed<'_>, Error>> {
        self.0.jobs.resume().into_iter().map(|stored| Ok(Resumed::new(self, stored?))).collect()
    }

    /// What answers deliveries, to be mounted in a server of your own when there is no `listen`.
    pub fn receiver(&self) -> &Receiver {
        &self.0.receiver
    }

    /// Where the listener listens, if there is one.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.0.listener.as_ref().map(Listener::local_addr)
    }

    /// The client that makes the calls.
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// Rotates the workspace's signing secret without losing a delivery, and returns the state with the new secret.
    ///
    /// Deliveries signed with the old secret stay accepted beside those signed with the new one: the service may sign with
    /// the old one for a minute, and its retries for hours. To end that, for instance ten minutes later, give the new
    /// secret alone to [`Receiver::set_signing_secrets`]. Save the new secret: the next process needs it.
    ///
    /// In a workspace without a secret this creates one, so that **every delivery of the workspace is signed from then
    /// on**.
    ///
    /// # Errors
    ///
    /// Fails like [`Client::rotate_signing_secret`]. Then the old secret is accepted as before; if the answer was lost, the
    /// service signs with both for 24 hours, and [`Client::signing_secret`] returns the new one.
    pub fn rotate_signing_secret_and_accept(&self, force: bool) -> Result<SigningSecretState, Error> {
        let old = self.client().signing_secret()?;
        let new = self.client().rotate_signing_secret(force)?;
        self.receiver().set_signing_secrets([new.secret.clone(), old.secret]);
        Ok(new)
    }

    /// Checks what an export needs: the key, the clock, whether the callback URL leads here, and the folder that archives
    /// go to, if one is given. Nothing is exported. Each finding says what to do; none means that all is well.
    ///
    /// Two requests are sent: one to the service, and one to the callback URL by its public name, as a delivery comes.
    ///
    /// # Errors
    ///
    /// Fails if the operating system has no random numbers.
    pub fn check(&self, folder: Option<&Path>) -> Result<Vec<Finding>, Error> {
        let config = self.client().config();
        let answer = send(self.client().caller(), config.endpoint.check_key(), config.call_timeout, None);
        let mut findings = check_service(&config.endpoint, answer);
        let (callback, request) = CallbackCheck::begin(self.receiver().deliveries(), &self.0.callback)?;
        let answer = send(self.client().caller(), request, CallbackCheck::TIMEOUT, None);
        findings.extend(callback.end(answer));
        findings.extend(folder.and_then(check_folder));
        Ok(findings)
    }

    pub(crate) fn jobs(&self) -> &Jobs {
        &self.0.jobs
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // What has been delivered is answered first, which takes a store.
        drop(self.listener.take());
        // A receiver may be mounted elsewhere for longer; the store is given back now.
        self.jobs.close();
    }
}

/// Builds an [`Exporter`]: the settings of a [`ClientBuilder`], and how deliveries come in.
#[derive(Debug, Default)]
#[must_use]
pub struct ExporterBuilder {
    client: ClientBuilder,
    callback: CallbackSettings,
    listen: Option<Listen>,
    listener: ListenerSettings,
    limits: Limits,
    store: Option<NoDebug>,
}

/// A store need not be one that can be shown.
struct NoDebug(Box<dyn Store>);

impl fmt::Debug for NoDebug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store")
    }
}

/// Where deliveries come in.
#[derive(Debug)]
enum Listen {
    Address(String),
    Socket(TcpListener),
}

impl ExporterBuilder {
    /// Sets the API key. Default: `ABYSSALE_API_KEY`.
    pub fn api_key(self, key: ApiKey) -> Self {
        self.client(|client| client.api_key(key))
    }

    /// Sets the base URL of the service. Default: `ABYSSALE_BASE_URL`, or `https://api.abyssale.com`.
    pub fn base_url(self, base: impl Into<String>) -> Self {
        self.client(|client| client.base_url(base))
    }

    /// Changes any setting of the client, such as `.settings(|settings| settings.max_retries = Some(5))`.
    pub fn settings(self, change: impl FnOnce(&mut Settings)) -> Self {
        self.client(|client| client.settings(change))
    }

    /// Changes the builder of the client.
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

    /// Other limits and time-outs for the listener, or TLS.
    pub fn listener(mut self, settings: ListenerSettings) -> Self {
        self.listener = settings;
        self
    }

    /// A signing secret; deliveries must then be signed with it. May be given several times.
    pub fn signing_secret(mut self, secret: SigningSecret) -> Self {
        self.callback.secrets.push(secret);
        self
    }

    /// Sets the largest delivery that is read, in bytes, up to 1 MiB. Default: 64 KiB; an event takes about 150 bytes.
    pub fn delivery_limit(mut self, bytes: usize) -> Self {
        self.callback.delivery_limit = Some(bytes);
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

    /// How much of everything there may be at once, such as `.limits(|limits| limits.requests_per_second = 5)`.
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// Keeps every job in a store from before its request on until its result was returned, so that a job that the
    /// process does not see to its end is gone on with by the next one: see [`Exporter::resumed`].
    ///
    /// A delivery is then acknowledged once it is saved. A job whose result could not be returned any more is returned
    /// again, with the same archive under the same name.
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(NoDebug(Box::new(store)));
        self
    }

    /// Checks the settings, and begins to listen.
    pub fn build(self) -> Result<Exporter, Error> {
        let client = self.client.build()?;
        let (callback, endpoint) =
            self.callback.check(client.config().endpoint.base_url(), self.listen.is_some())?;
        let store = self.store.map(|NoDebug(store)| store);
        let jobs = Jobs::open(Arc::clone(client.config()), self.limits, client.clock(), store)?;
        let jobs = Arc::new(jobs);
        let receiver = Receiver::new(endpoint, Arc::clone(&jobs));
        let listener = match self.listen {
            Some(Listen::Address(address)) => Some(receiver.listen_with(address, &self.listener)?),
            Some(Listen::Socket(socket)) => Some(receiver.listen_on_with(socket, &self.listener)?),
            None => None,
        };
        Ok(Exporter(Arc::new(Inner { client, callback, jobs, receiver, listener })))
    }
}
