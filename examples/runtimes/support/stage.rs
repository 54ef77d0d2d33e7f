//! Who plays the service, what is asked for, and where the archive goes.

use std::{
    env,
    error::Error,
    io,
    net::TcpListener,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use abyssale_core::{
    ApiKey, Config, Export, Failure, Finished, Goal, Input, Notice, Order, Output, SigningSecret, Timestamp,
    UnknownOutcome,
    webhook::{CallbackEndpoint, Delivery, NewExport},
};
use abyssale_host::{CallbackSettings, Clock, Settings, download_only};
use abyssale_simulator::{DEMO_BANNERS, Simulator};

use crate::{Attempt, answer};

/// Everything about an export that is not the runtime's.
#[derive(Debug)]
pub struct Stage {
    /// What makes a delivery of a request to the callback address.
    pub endpoint: Arc<CallbackEndpoint>,
    clock: Clock,
    config: Arc<Config>,
    order: Order,
    event: Option<NewExport>,
    listener: TcpListener,
    target: PathBuf,
    prints_json: bool,
    /// Serves as long as it lives.
    _simulator: Option<Simulator>,
}

impl Stage {
    /// With `ABYSSALE_API_KEY` the service at `ABYSSALE_BASE_URL`, which reaches `ABYSSALE_LISTEN` through
    /// `ABYSSALE_CALLBACK_URL`; without it a simulator in this process. The first argument is
    /// where the archive goes, the others are the banners.
    ///
    /// The tests that hold the runtimes to what every adapter must do need more: `ABYSSALE_EVENT` is an event whose
    /// archive is fetched without asking for anything, `ABYSSALE_GOAL=acceptance` asks and does not wait,
    /// `ABYSSALE_STALL_MS` is a download's patience. With any of them the end is printed as JSON.
    pub fn set() -> Result<Self, Box<dyn Error>> {
        let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let listener = TcpListener::bind(set("ABYSSALE_LISTEN").as_deref().unwrap_or("127.0.0.1:0"))?;
        let mut settings = Settings::default();
        let mut secret = set("ABYSSALE_SIGNING_SECRET");
        let mut simulator = None;
        if set("ABYSSALE_API_KEY").is_none() {
            secret = Some("whsec_only_for_this_simulator".into());
            let config = abyssale_simulator::Config {
                signing_secret: secret.clone(),
                ..abyssale_simulator::Config::default()
            };
            let started = Simulator::start(config)?;
            settings.api_key = Some(ApiKey::new(started.api_key())?);
            settings.base_url = Some(started.base_url().into());
            simulator = Some(started);
        }
        let event: Option<NewExport> =
            set("ABYSSALE_EVENT").map(|json| serde_json::from_str(&json)).transpose()?;
        let asks_only = set("ABYSSALE_GOAL").is_some_and(|goal| goal == "acceptance");
        if asks_only {
            settings.unknown_outcome = UnknownOutcome::Fail;
        }
        let stall = set("ABYSSALE_STALL_MS").map(|millis| millis.parse()).transpose()?;
        settings.stall_timeout = stall.map(Duration::from_millis);

        let address = set("ABYSSALE_CALLBACK_URL").map_or_else(|| local(&listener), Ok)?;
        let mut callback = CallbackSettings::default();
        callback.address = Some(address);
        callback.secrets.extend(secret.map(SigningSecret::new).transpose()?);
        let config = settings.config()?;
        let (callback, endpoint) = callback.check(config.endpoint.base_url(), true)?;
        let mut ids: Vec<String> = env::args().skip(2).collect();
        if ids.is_empty() {
            ids = DEMO_BANNERS.iter().map(|banner| banner.id.to_string()).collect();
        }
        let order = callback.order(ids.iter().map(String::as_str))?;
        Ok(Self {
            endpoint: Arc::new(endpoint),
            clock: Clock::new(),
            config: Arc::new(config),
            order: if asks_only { order.with_goal(Goal::Acceptance) } else { order },
            prints_json: asks_only || event.is_some() || stall.is_some(),
            event,
            listener,
            target: env::args_os().nth(1).map_or_else(|| "banners.zip".into(), PathBuf::from),
            _simulator: simulator,
        })
    }

    /// The socket of the callback address.
    pub fn listener(&self) -> io::Result<TcpListener> {
        self.listener.try_clone()
    }

    /// The job.
    pub fn export(&self) -> Result<Export, Box<dyn Error>> {
        Ok(match &self.event {
            Some(event) => download_only(&self.config, event, self.now())?,
            None => Export::new(Arc::clone(&self.config), self.order.clone(), self.now()),
        })
    }

    /// What time it is, on a clock that does not jump.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How long it is until then; an hour if that is not said.
    pub fn until(&self, deadline: Option<Timestamp>) -> Duration {
        deadline.map_or(HOUR, |deadline| deadline.saturating_duration_since(self.now()))
    }

    /// The same as a moment of the clock that does not jump.
    pub fn instant(&self, deadline: Option<Timestamp>) -> Instant {
        Instant::now() + self.until(deadline)
    }

    /// The request that an output asks for, if it asks for one.
    pub fn attempt(&self, output: Output) -> Option<Attempt> {
        Attempt::new(output, &self.target, self.now())
    }

    /// Tells a person what happened.
    pub fn say(&self, notice: &Notice) {
        self.warn(&notice.to_string());
    }

    /// Tells a person what is unusual.
    #[allow(
        clippy::print_stderr,
        clippy::unused_self,
        reason = "examples are programs; the stage speaks for them"
    )]
    pub fn warn(&self, text: &str) {
        eprintln!("{text}");
    }

    /// The end of the program.
    #[allow(clippy::print_stdout, reason = "examples are programs")]
    pub fn end(&self, result: Result<Finished, Box<Failure>>) -> Result<(), Box<dyn Error>> {
        if self.prints_json {
            println!("{}", serde_json::to_string(&result)?);
            return Ok(());
        }
        if let Finished::Archive { bytes, .. } = result? {
            println!("{bytes} bytes in {}", self.target.display());
        }
        Ok(())
    }
}

/// What comes to the loop around a job; `C` is the runtime's kind of connection.
#[derive(Debug)]
pub enum Message<C> {
    /// From an attempt.
    Input(Input),
    /// From the callback address, with the connection that waits for an answer.
    Delivery(Delivery, C),
    /// Nothing came in time.
    Tick,
}

impl<C> Message<C> {
    /// Tells the job, and returns what to answer to whom: not before, so that nothing is acknowledged and lost.
    pub fn tell(self, export: &mut Export, now: Timestamp) -> Option<(C, Vec<u8>)> {
        let input = match self {
            Self::Input(input) => input,
            Self::Tick => Input::Tick,
            Self::Delivery(delivery, connection) => {
                return Some((connection, answer(export.handle_delivery(now, &delivery).status())));
            }
        };
        let _ = export.handle(now, input);
        None
    }
}

fn local(listener: &TcpListener) -> io::Result<String> {
    Ok(format!("http://{}/abyssale", listener.local_addr()?))
}

const HOUR: Duration = Duration::from_secs(60 * 60);
