//! The handle to a running simulator: start it, ask where it is and what it has seen, make trouble, drop it.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use tokio::runtime;
use tokio::sync::oneshot;

use crate::archive::Contents;
use crate::config::Config;
use crate::journal::{DeliveryRecord, ExportRecord, Notice, RequestRecord, Seen};
use crate::mint::Mint;
use crate::server;
use crate::shared::{Observer, Shared};
use crate::trouble::Trouble;

/// A running simulator. It lives on a thread of its own and ends when this is dropped.
#[derive(Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
    /// Dropping it tells the server to stop.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address to listen on can be reached from other machines.
    #[error("{0} is not a loopback address, and a simulator listens nowhere else")]
    NotLoopback(SocketAddr),
    /// The scale of time is not a finite number of at least 0.
    #[error("{0} is no scale of time: it must be finite and not negative")]
    TimeScale(f64),
    /// The address is taken, or the system has no thread or socket to spare.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The system has no randomness to offer.
    #[error("no randomness to be had")]
    Random(#[from] getrandom::Error),
}

impl Simulator {
    /// Starts a simulator; it is ready to answer when this returns.
    pub fn start(config: Config) -> Result<Self, StartError> {
        Self::start_observed(config, |_| {})
    }

    /// Starts a simulator that reports every request and delivery as it ends. `observer` runs on the simulator's own
    /// thread and holds it up.
    pub fn start_observed(
        config: Config,
        observer: impl Fn(Notice<'_>) + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let address = config.listen;
        if !address.ip().is_loopback() {
            return Err(StartError::NotLoopback(address));
        }
        if !(config.time_scale.is_finite() && config.time_scale >= 0.0) {
            return Err(StartError::TimeScale(config.time_scale));
        }
        let mint = Mint::new(config.seed)?;
        Self::launch(config, mint, Box::new(observer)).map_err(|error| StartError::Listen(address, error))
    }

    fn launch(config: Config, mint: Mint, observer: Observer) -> std::io::Result<Self> {
        let listener = TcpListener::bind(config.listen)?;
        listener.set_nonblocking(true)?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared::new(config, base_url, mint, observer));
        let runtime = runtime::Builder::new_current_thread().enable_all().max_blocking_threads(2).build()?;
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = thread::Builder::new().name("abyssale-simulator".to_owned()).spawn(move || {
            runtime.block_on(async move {
                // It was bound and made non-blocking already: this only registers it, and fails if nothing can be.
                if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                    server::serve(listener, serving, stopped).await;
                }
            });
            runtime.shutdown_timeout(SHUTDOWN_TIME);
        })?;
        Ok(Self { shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where the service is, without a slash at the end.
    pub fn base_url(&self) -> &str {
        &self.shared.base_url
    }

    /// The key it accepts.
    pub fn api_key(&self) -> &str {
        &self.shared.config.api_key
    }

    /// The current signing secret, if the workspace signs.
    pub fn signing_secret(&self) -> Option<String> {
        self.shared.secrets().current().map(str::to_owned)
    }

    /// Replaces the signing secret at once, without an overlap; `None` stops signing.
    pub fn set_signing_secret(&self, secret: Option<&str>) {
        self.shared.secrets().set(secret.map(str::to_owned), SystemTime::now());
    }

    /// Adds a trouble to the end of its endpoint's queue.
    pub fn add_trouble(&self, trouble: Trouble) {
        self.shared.script().add(trouble);
    }

    /// What the archives of exports accepted from now on hold.
    pub fn set_archive(&self, contents: Contents) {
        self.shared.set_contents(contents);
    }

    /// Every request so far, in order of arrival.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.shared.journal.look(|seen| seen.requests.clone())
    }

    /// Every delivery attempt that has ended so far.
    pub fn deliveries(&self) -> Vec<DeliveryRecord> {
        self.shared.journal.look(|seen| seen.deliveries.clone())
    }

    /// Every export accepted so far.
    pub fn exports(&self) -> Vec<ExportRecord> {
        self.shared.journal.look(|seen| seen.exports.clone())
    }

    /// Waits until `look` finds something in what was seen, and gives it back; `None` when the time is over. Looks once
    /// at the beginning and again after every change, holding the records meanwhile: `look` must be quick and must not
    /// call this simulator.
    ///
    /// This blocks the thread. The simulator goes on regardless, on its own; but in an async test whatever else shares
    /// the thread stands still, so wait there with `spawn_blocking`, or await something of your own first.
    pub fn wait_until<T>(&self, timeout: Duration, look: impl FnMut(&Seen) -> Option<T>) -> Option<T> {
        self.shared.journal.wait_until(timeout, look)
    }

    /// Waits for `count` delivery attempts to have ended, and gives back all there are; `None` when the time is over.
    pub fn wait_for_deliveries(&self, count: usize, timeout: Duration) -> Option<Vec<DeliveryRecord>> {
        self.wait_until(timeout, |seen| (seen.deliveries.len() >= count).then(|| seen.deliveries.clone()))
    }

    /// Waits for `count` requests to have arrived, and gives back all there are; `None` when the time is over.
    pub fn wait_for_requests(&self, count: usize, timeout: Duration) -> Option<Vec<RequestRecord>> {
        self.wait_until(timeout, |seen| (seen.requests.len() >= count).then(|| seen.requests.clone()))
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic over there has been printed over there; one more here would abort a failing test.
            let _ = thread.join();
        }
    }
}

/// How long a picture that is being drawn may hold up the end.
const SHUTDOWN_TIME: Duration = Duration::from_secs(2);
