//! One call at a time, for a program that receives its deliveries elsewhere or needs no more than a call.

use std::{path::Path, sync::Arc, time::Duration};

use abyssale_core::{
    ApiKey, Config, ExportId, Finished, Order, SigningSecretState,
    archive::ArchivePolicy,
    http::{Request, Url},
    webhook::NewExport,
};
use abyssale_host::{Clock, Error, Observer, RunningJob, Settings};
use ureq::{
    Agent,
    tls::{RootCerts, TlsConfig},
    unversioned::transport::{Connector as _, RustlsConnector},
};

use crate::{
    drive::drive,
    in_turns::InTurns,
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

    /// Asks for an export and returns its id. The `NewExport` event goes to the callback URL of the order.
    ///
    /// A call that the service refused for the time being, or that was certainly not sent, is repeated as the
    /// [`RetryPolicy`](abyssale_core::RetryPolicy) says. A request that may have been received is never repeated.
    ///
    /// # Errors
    ///
    /// Fails if the service refuses, does not answer in time, or may have received a request without our knowing.
    pub fn create_export(
        &self,
        order: &Order,
        observer: Option<&mut dyn Observer>,
    ) -> Result<ExportId, Error> {
        let running = RunningJob::create_export(&self.config, order, self.clock);
        let (finished, _) = drive(self, running, Path::new(""), None, observer)?;
        Ok(finished.export_id().clone())
    }

    /// Downloads the archive that an event names to a file, replacing the file that is there. Returns its size in bytes.
    ///
    /// The file appears whole or not at all. A download that breaks off is repeated, and resumed where the server allows
    /// it. What a failed download has received stays beside the target (`NAME.part`), so that the next one resumes it, in
    /// this process or another.
    ///
    /// # Errors
    ///
    /// Fails if the archive cannot be downloaded or saved.
    pub fn download(
        &self,
        event: &NewExport,
        path: impl AsRef<Path>,
        observer: Option<&mut dyn Observer>,
    ) -> Result<u64, Error> {
        let running = RunningJob::download(&self.config, event, self.clock)?;
        match drive(self, running, path.as_ref(), None, observer)?.0 {
            Finished::Archive { bytes, .. } => Ok(bytes),
            other => unreachable!("a job with this goal ends with an archive: {other:?}"),
        }
    }

    /// Reads the workspace's signing secret. **The first call ever creates one**, and from then on
    /// every delivery of the workspace is signed.
    pub fn signing_secret(&self) -> Result<SigningSecretState, Error> {
        self.secret_call(self.config.endpoint.signing_secret())
    }

    /// Replaces the signing secret. The service signs with the old one as well for 24 hours.
    ///
    /// In a workspace without a secret this creates one, so that every delivery of the workspace is signed from then on.
    /// The service may sign with the old secret alone for up to 60 s, and its retries of earlier deliveries are signed
    /// with it, so accept both for at least ten minutes:
    /// [`Exporter::rotate_signing_secret_and_accept`](crate::Exporter::rotate_signing_secret_and_accept) does.
    ///
    /// Refused with `previous_secret_still_active` during those hours, unless `force` is set.
    pub fn rotate_signing_secret(&self, force: bool) -> Result<SigningSecretState, Error> {
        self.secret_call(self.config.endpoint.rotate_signing_secret(force))
    }

    /// Ends the validity of the secret before this one. It takes up to 60 s until the service no longer signs with it.
    ///
    /// In a workspace without a secret this creates one, so that every delivery of the workspace is signed from then on.
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
    /// Sets the API key. Default: `ABYSSALE_API_KEY`.
    pub fn api_key(mut self, key: ApiKey) -> Self {
        self.settings.api_key = Some(key);
        self
    }

    /// Sets the base URL of the service. Default: `ABYSSALE_BASE_URL`, or `https://api.abyssale.com`.
    pub fn base_url(mut self, base: impl Into<String>) -> Self {
        self.settings.base_url = Some(base.into());
        self
    }

    /// Changes any setting, such as `.settings(|settings| settings.max_retries = Some(5))`.
    pub fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// An agent of your own, for a proxy or for certificates of your own.
    ///
    /// Time-outs, redirects and statuses are ours all the same, request by request. What is yours to
    /// check then is where a download's name leads: the addresses behind it are not looked at.
    ///
    /// Where [`Settings::first_byte_timeout`] is longer than [`Settings::stall_timeout`], ureq waits as long for each piece of
    /// a body.
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
    let connector = InTurns::default().chain(RustlsConnector::default()).chain(SentProbe);
    Caller {
        agent: Agent::with_parts(agent_config(), connector, GuardedResolver::new(policy, base)),
        is_own: true,
        connect,
    }
}
