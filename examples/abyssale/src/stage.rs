//! Who plays the service: the live one if there is a key, else a simulator in this process.

use std::{
    env::{self, VarError},
    fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use abyssale_core::{ApiKey, InvalidSecret, SigningSecret};
use abyssale_simulator::{Config, DEMO_BANNERS, Simulator, StartError};
use thiserror::Error;

use crate::{Options, UsageError, options::ids_from_stdin};

/// Everything an export needs that is not the transport's: where, with what, for which banners.
#[derive(Debug)]
pub struct Stage {
    /// The key, if it is not the environment's.
    pub api_key: Option<ApiKey>,
    /// The service's address, if it is not the environment's or the default.
    pub base_url: Option<String>,
    /// The address the service calls.
    pub callback_url: String,
    /// The socket it arrives at.
    pub socket: TcpListener,
    /// The secret that deliveries must be signed with.
    pub signing_secret: Option<SigningSecret>,
    /// The banners.
    pub ids: Vec<String>,
    /// How long to wait for the event.
    pub wait: Duration,
    folder: Folder,
    /// Serves as long as it lives.
    simulator: Option<Simulator>,
}

impl Stage {
    /// Prepares an export as the options and the environment want it.
    pub fn set(options: Options) -> Result<Self, StageError> {
        if env::var_os("ABYSSALE_API_KEY").is_some_and(|key| !key.is_empty()) {
            Self::live(options)
        } else {
            Self::simulated(options)
        }
    }

    fn live(options: Options) -> Result<Self, StageError> {
        let callback_url = options.callback_url.ok_or(StageError::NoCallback)?;
        let listen = options.listen.ok_or(StageError::NoListen)?;
        let socket = bind(&listen)?;
        let signing_secret = match env::var("ABYSSALE_SIGNING_SECRET") {
            Ok(secret) if secret.is_empty() => None,
            Ok(secret) => Some(SigningSecret::new(secret)?),
            Err(VarError::NotPresent) => None,
            // Left out silently, it would mean that nothing is checked.
            Err(VarError::NotUnicode(_)) => return Err(StageError::SecretNotText),
        };
        let ids = if options.ids.is_empty() { ids_from_stdin()? } else { options.ids };
        if ids.is_empty() {
            return Err(StageError::NoIds);
        }
        Ok(Self {
            api_key: None,
            base_url: None,
            callback_url,
            socket,
            signing_secret,
            ids,
            wait: options.wait.unwrap_or(WAIT),
            folder: Folder::create(options.output)?,
            simulator: None,
        })
    }

    fn simulated(options: Options) -> Result<Self, StageError> {
        let secret = "whsec_only_for_this_simulator";
        let simulator = Simulator::start(Config {
            signing_secret: Some(secret.into()),
            // Long enough to be seen.
            render_delay: Duration::from_millis(1200),
            ..Config::default()
        })?;
        let socket = bind(options.listen.as_deref().unwrap_or("127.0.0.1:0"))?;
        let address = socket
            .local_addr()
            .map_err(|source| StageError::Listen { address: "the socket".into(), source })?;
        let callback_url = options.callback_url.unwrap_or_else(|| format!("http://{address}/abyssale"));
        let ids = if options.ids.is_empty() {
            DEMO_BANNERS.iter().map(|banner| banner.id.to_string()).collect()
        } else {
            options.ids
        };
        Ok(Self {
            api_key: Some(ApiKey::new(simulator.api_key())?),
            base_url: Some(simulator.base_url().to_owned()),
            callback_url,
            socket,
            signing_secret: Some(SigningSecret::new(secret)?),
            ids,
            wait: options.wait.unwrap_or(WAIT),
            folder: Folder::create(options.output)?,
            simulator: Some(simulator),
        })
    }

    /// Whether a simulator plays the service.
    pub fn is_simulated(&self) -> bool {
        self.simulator.is_some()
    }

    /// Where the archive goes.
    pub fn archive(&self) -> PathBuf {
        self.folder.path.join("banners.zip")
    }

    /// Where its content goes.
    pub fn images(&self) -> PathBuf {
        self.folder.path.join("banners")
    }
}

fn bind(address: &str) -> Result<TcpListener, StageError> {
    TcpListener::bind(address).map_err(|source| StageError::Listen { address: address.into(), source })
}

/// The folder of one export. Removed again if it is ours and nothing came into it.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    is_ours: bool,
}

impl Folder {
    fn create(chosen: Option<PathBuf>) -> Result<Self, StageError> {
        let path = chosen.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            Path::new("abyssale-export").join(now.as_millis().to_string())
        });
        let failed = |source| StageError::Output { path: path.clone(), source };
        let is_ours = !path.exists();
        fs::create_dir_all(&path).map_err(failed)?;
        let is_empty = fs::read_dir(&path).map_err(failed)?.next().is_none();
        if !is_empty {
            return Err(failed(io::Error::other(
                "there are files in it already; choose another with --output",
            )));
        }
        Ok(Self { path, is_ours })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Only an empty folder can be removed this way.
        if self.is_ours {
            let _in_use = fs::remove_dir(&self.path);
        }
    }
}

/// An export cannot be prepared.
#[derive(Debug, Error)]
pub enum StageError {
    /// There is no callback address.
    #[error("--callback-url is missing: the address at which Abyssale can reach this program (see --help)")]
    NoCallback,
    /// There is nowhere to listen.
    #[error(
        "--listen is missing: where the callback arrives at this machine, such as 0.0.0.0:8080 (see --help)"
    )]
    NoListen,
    /// The ids cannot be read.
    #[error(transparent)]
    Ids(#[from] UsageError),
    /// There is nothing to export.
    #[error("no banner ids; give them as arguments or on standard input (see --help)")]
    NoIds,
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Listen {
        /// Where.
        address: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// The folder cannot be used.
    #[error("{}: {source}", path.display())]
    Output {
        /// The folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A secret in the environment cannot be one.
    #[error("ABYSSALE_SIGNING_SECRET: {0}")]
    Secret(#[from] InvalidSecret),
    /// A secret in the environment is not even text.
    #[error("ABYSSALE_SIGNING_SECRET is not text")]
    SecretNotText,
    /// The simulator did not start.
    #[error("the simulator cannot start: {0}")]
    Simulator(#[from] StartError),
}

const WAIT: Duration = Duration::from_secs(30 * 60);
