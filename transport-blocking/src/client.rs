//! One call at a time: for who has a receiver already, or needs no more than a call.

use std::{path::Path, sync::Arc, time::Duration};

use abyssale_core::{
    ApiKey, Config, ExportId, Finished, Order, SigningSecretState, UnknownOutcome,
    archive::ArchivePolicy,
    http::{Request, Url},
    webhook::NewExport,
};
use abyssale_host::{Clock, Error, Observer, Progress, RunningJob, Settings};
use ureq::{
    Agent,
    tls::{RootCerts, TlsConfig},
    unversioned::transport::{Connector as _, DefaultConnector},
};

use crate::{
    drive::drive,
    resolver::GuardedResolver,
    send::{Caller, send},
    sent_probe::SentProbe,
    tls,
};

/// Makes calls to the service. Cheap to clone; clones share their connections' settings.
///
/// Every call has a time-out, follows no redirect, and keeps the body of a refusal.
#[derive(Clone, Debug)]
pub struct Client {
    config: Arc<Config>,
    caller: Caller,
    download_caller: Caller,
    clock: Clock,
}

impl Client {
    /// Settings from the environment unless they are given; see [`ClientBuilder`].
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Asks for an export and returns its id; the `NewExport` event goes to the order's callback.
    ///
    /// A refusal that asks for patience is waited out, and what certainly was not sent is sent again,
    /// both as [`RetryPolicy`](abyssale_core::RetryPolicy) says. A request whose fate is unknown
    /// is never repeated: the error says so.
    pub fn create_export(&self, order: &Order) -> Result<ExportId, Error> {
        self.create_export_observed(order, |_: Progress<'_>| {})
    }

    /// The same, watched: each request, and what is repeated and why.
    pub fn create_export_observed(
        &self,
        order: &Order,
        mut observer: impl Observer,
    ) -> Result<ExportId, Error> {
        let running = RunningJob::create_export(&self.config, order, self.clock);
        let finished = drive(self, running, Path::new(""), &mut observer)?;
        Ok(finished.export_id().clone())
    }

    /// Downloads the archive that an event names to a file, replacing what is there. Returns its size in bytes.
    ///
    /// The file appears whole or not at all. What breaks off is repeated, and resumed where the server allows it; what
    /// is left of a download that failed, or of a process that ended in the middle, is beside the target
    /// (`NAME.part`) and resumed by the next one.
    pub fn download(&self, event: &NewExport, path: impl AsRef<Path>) -> Result<u64, Error> {
        self.download_observed(event, path, |_: Progress<'_>| {})
    }

    /// The same, watched: how it goes, what is repeated and why, and the end ([`Progress::Saved`]).
    pub fn download_observed(
        &self,
        event: &NewExport,
        path: impl AsRef<Path>,
        mut observer: impl Observer,
    ) -> Result<u64, Error> {
        let running = RunningJob::download(&self.config, event, self.clock)?;
        match drive(self, running, path.as_ref(), &mut observer)? {
            Finished::Archive { bytes, .. } => Ok(bytes),
            other => unreachable!("a job with this goal ends with an archive: {other:?}"),
        }
    }

    /// Reads the workspace's signing secret. **The first call ever creates one**, and from then on
    /// every delivery of the workspace is signed.
    pub fn signing_secret(&self) -> Result<SigningSecretState, Error> {
        self.secret_call(self.config.endpoint.signing_secret())
    }

    /// Replaces the signing secret; the old one signs along for 24 hours.
    ///
    /// Refused with `previous_secret_still_active` during those hours, unless `force` is set.
    pub fn rotate_signing_secret(&self, force: bool) -> Result<SigningSecretState, Error> {
        self.secret_call(self.config.endpoint.rotate_signing_secret(force))
    }

    /// Ends the validity of the secret before this one at once.
    pub fn revoke_signing_secret(&self) -> Result<SigningSecretState, Error> {
        self.secret_call(self.config.endpoint.revoke_signing_secret())
    }

    /// The settings of this client's jobs.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(crate) fn download_caller(&self) -> &Caller {
        &self.download_caller
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    fn secret_call(&self, request: Request) -> Result<SigningSecretState, Error> {
        let answer = send(&self.caller, request, self.config.call_timeout, None)?;
        let body = self.config.endpoint.redact(&answer.body);
        Ok(SigningSecretState::parse(answer.status, &answer.headers, &body)?)
    }
}

/// Builds a [`Client`].
///
/// What is not set comes from the environment (`ABYSSALE_API_KEY`, `ABYSSALE_BASE_URL`,
/// `ABYSSALE_TIMEOUT_MS`, `ABYSSALE_MAX_RETRIES`, `ABYSSALE_MAX_RETRY_WAIT_MS`, with the meaning they
/// have for the official clients) or is a default.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ClientBuilder {
    settings: Settings,
    agent: Option<Agent>,
}

impl ClientBuilder {
    /// The key; `ABYSSALE_API_KEY` otherwise.
    pub fn api_key(mut self, key: ApiKey) -> Self {
        self.settings.api_key = Some(key);
        self
    }

    /// The service's base address; `https://api.abyssale.com` otherwise.
    pub fn base_url(mut self, base: impl Into<String>) -> Self {
        self.settings.base_url = Some(base.into());
        self
    }

    /// How long one call may take; 30 s otherwise.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = Some(timeout);
        self
    }

    /// How often a call is repeated at most; 3 otherwise.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.settings.max_retries = Some(retries);
        self
    }

    /// The longest `Retry-After` that is waited out; 30 s otherwise.
    pub fn max_retry_wait(mut self, wait: Duration) -> Self {
        self.settings.max_retry_wait = Some(wait);
        self
    }

    /// How long an event is waited for once its export is accepted; 30 min otherwise.
    pub fn event_timeout(mut self, timeout: Duration) -> Self {
        self.settings.event_timeout = Some(timeout);
        self
    }

    /// How long resolving a name, connecting and TLS may take; 10 s otherwise.
    ///
    /// Of an [agent](Self::agent) of your own, too.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = Some(timeout);
        self
    }

    /// How long a download may take until the head of its answer is there, its connection included; as long as
    /// [`stall_timeout`](Self::stall_timeout) otherwise.
    ///
    /// Where it is longer than that and the [agent](Self::agent) is one of your own, ureq waits as long for each piece, too.
    pub fn first_byte_timeout(mut self, timeout: Duration) -> Self {
        self.settings.first_byte_timeout = Some(timeout);
        self
    }

    /// How long a download may go without a sign of life; 30 s otherwise.
    pub fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.settings.stall_timeout = Some(timeout);
        self
    }

    /// What to do when it is not known whether a request was taken; wait for its event otherwise.
    pub fn unknown_outcome(mut self, policy: UnknownOutcome) -> Self {
        self.settings.unknown_outcome = policy;
        self
    }

    /// Where archives may be fetched from; over `https` from the public internet otherwise.
    pub fn archive_policy(mut self, policy: ArchivePolicy) -> Self {
        self.settings.archive = policy;
        self
    }

    /// An agent of your own, for a proxy or for certificates of your own.
    ///
    /// Time-outs, redirects and statuses are ours all the same, request by request. What is yours to
    /// check then is where a download's name leads: the addresses behind it are not looked at.
    pub fn agent(mut self, agent: Agent) -> Self {
        self.agent = Some(agent);
        self
    }

    /// Checks the settings. Nothing is sent.
    pub fn build(self) -> Result<Client, Error> {
        let config = self.settings.config()?;
        let (base, connect) = (config.endpoint.base_url().clone(), config.connect_timeout);
        let (caller, download_caller) = if let Some(agent) = self.agent {
            let caller = Caller { agent, is_own: false, connect };
            (caller.clone(), caller)
        } else {
            let mut anywhere = ArchivePolicy::default();
            // The service is where the settings say, so only archives are held to the policy.
            anywhere.allow_private = true;
            (own_caller(anywhere, base.clone(), connect), own_caller(config.archive.clone(), base, connect))
        };
        Ok(Client { config: Arc::new(config), caller, download_caller, clock: Clock::new() })
    }
}

/// No pool, no proxy from the environment, the operating system's certificates.
fn agent_config() -> ureq::config::Config {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(tls::provider())
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .proxy(None)
        .max_idle_connections(0)
        .max_idle_connections_per_host(0)
        .build()
}

fn own_caller(policy: ArchivePolicy, base: Url, connect: Duration) -> Caller {
    let connector = DefaultConnector::default().chain(SentProbe);
    Caller {
        agent: Agent::with_parts(agent_config(), connector, GuardedResolver::new(policy, base)),
        is_own: true,
        connect,
    }
}
