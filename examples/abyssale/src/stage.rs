//! Where an export runs: against the live service if there is a key, else against a simulator in this process.

use std::{
    env::{self, VarError},
    fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use abyssale_core::{ApiKey, InvalidSecret, Order, SigningSecret};
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
    ///
    /// # Errors
    ///
    /// Tells everything that is missing or cannot be used, at once.
    pub fn set(options: Options) -> Result<Self, StageError> {
        if env::var_os("ABYSSALE_API_KEY").is_some_and(|key| !key.is_empty()) {
            Self::live(options)
        } else {
            Self::simulated(options)
        }
    }

    fn live(mut options: Options) -> Result<Self, StageError> {
        let mut problems = options.problems;
        if options.callback_url.is_none() {
            problems.push("--callback-url is missing: the address at which Abyssale can reach this program, such as https://hooks.example.com/abyssale".into());
        }
        if options.listen.is_none() {
            problems.push(
                "--listen is missing: where the callback arrives at this machine, such as 0.0.0.0:8080"
                    .into(),
            );
        }
        let signing_secret = told(&mut problems, secret_of_environment());
        if options.ids.is_empty() && !options.check {
            let ids = ids_from_stdin(problems.is_empty());
            options.ids = told(&mut problems, ids).unwrap_or_default();
        }
        let callback_url = options.callback_url.unwrap_or_else(|| "https://localhost".into());
        if options.check {
            // Which banners there will be does not matter.
        } else if options.ids.is_empty() {
            problems.push("no banner ids: give them as arguments or on standard input".into());
        } else {
            told(&mut problems, Order::new(&options.ids, &callback_url));
        }
        let socket = options.listen.and_then(|address| told(&mut problems, bind(&address)));
        let folder = told(&mut problems, Folder::create(options.output));
        let (Some(socket), Some(folder), Some(signing_secret), []) =
            (socket, folder, signing_secret, &problems[..])
        else {
            return Err(UsageError(problems).into());
        };
        Ok(Self {
            api_key: None,
            base_url: None,
            callback_url,
            socket,
            signing_secret,
            ids: options.ids,
            wait: options.wait.unwrap_or(WAIT),
            folder,
            simulator: None,
        })
    }

    fn simulated(options: Options) -> Result<Self, StageError> {
        let mut problems = options.problems;
        let socket = told(&mut problems, bind(options.listen.as_deref().unwrap_or("127.0.0.1:0")));
        let address = socket.as_ref().and_then(|socket| socket.local_addr().ok());
        let callback_url = options
            .callback_url
            .or_else(|| Some(format!("http://{}/abyssale", address?)))
            .unwrap_or_else(|| "https://localhost".into());
        let ids = if options.ids.is_empty() {
            DEMO_BANNERS.iter().map(|banner| banner.id.to_string()).collect()
        } else {
            options.ids
        };
        told(&mut problems, Order::new(&ids, &callback_url));
        let folder = told(&mut problems, Folder::create(options.output));
        let (Some(socket), Some(folder), []) = (socket, folder, &problems[..]) else {
            return Err(UsageError(problems).into());
        };
        let secret = "whsec_only_for_this_simulator";
        let simulator = Simulator::start(Config {
            signing_secret: Some(secret.into()),
            // Long enough to be seen.
            render_delay: Duration::from_millis(1200),
            ..Config::default()
        })?;
        Ok(Self {
            api_key: Some(ApiKey::new(simulator.api_key())?),
            base_url: Some(simulator.base_url().to_owned()),
            callback_url,
            socket,
            signing_secret: Some(SigningSecret::new(secret)?),
            ids,
            wait: options.wait.unwrap_or(WAIT),
            folder,
            simulator: Some(simulator),
        })
    }

    /// Whether a simulator plays the service.
    pub fn is_simulated(&self) -> bool {
        self.simulator.is_some()
    }

    /// Where all of it goes.
    pub fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// Where the archive goes.
    pub fn archive(&self) -> PathBuf {
        self.folder.path.join("banners.zip")
    }

    /// Where its content goes.
    pub fn images(&self) -> PathBuf {
        self.folder.path.join("banners")
    }

    /// Returns what removes the output folder, if it is new and still empty.
    pub fn remove_empty_folder(&self) -> impl FnOnce() + Send + use<> {
        let folder = Folder { path: self.folder.path.clone(), is_ours: self.folder.is_ours };
        move || drop(folder)
    }
}

/// Adds an error to the problems.
fn told<T, E: ToString>(problems: &mut Vec<String>, result: Result<T, E>) -> Option<T> {
    result.map_err(|error| problems.push(error.to_string())).ok()
}

fn secret_of_environment() -> Result<Option<SigningSecret>, String> {
    match env::var("ABYSSALE_SIGNING_SECRET") {
        Ok(secret) if secret.is_empty() => Ok(None),
        Ok(secret) => match SigningSecret::new(secret) {
            Ok(secret) => Ok(Some(secret)),
            Err(error) => Err(format!("ABYSSALE_SIGNING_SECRET: {error}")),
        },
        Err(VarError::NotPresent) => Ok(None),
        // Left out silently, it would mean that nothing is checked.
        Err(VarError::NotUnicode(_)) => Err("ABYSSALE_SIGNING_SECRET is not text".into()),
    }
}

fn bind(address: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).map_err(|error| {
        let is_port = address.parse::<u16>().is_ok();
        if is_port || error.kind() == io::ErrorKind::InvalidInput {
            let port = if is_port { address } else { "8080" };
            format!("--listen {address}: give a host and a port, such as 0.0.0.0:{port}")
        } else {
            format!("--listen {address}: {error}; choose another address of this machine, or another port")
        }
    })
}

/// The folder of one export. Removed again if it is ours and nothing came into it.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    is_ours: bool,
}

impl Folder {
    /// Creates the folder, unless it is there and empty.
    fn create(chosen: Option<PathBuf>) -> Result<Self, String> {
        let path = chosen.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            Path::new("abyssale-export").join(now.as_millis().to_string())
        });
        let refused = |what: &str| Err(format!("--output {}: {what}", path.display()));
        if path.is_file() {
            return refused("it is a file; choose a folder that is absent or empty");
        }
        let is_ours = !path.exists();
        if let Err(error) = fs::create_dir_all(&path) {
            return refused(&format!("the folder cannot be created: {error}; choose another"));
        }
        match fs::read_dir(&path).map(|mut entries| entries.next().is_none()) {
            Ok(true) => Ok(Self { path, is_ours }),
            Ok(false) => refused("there are files in it; choose a folder that is absent or empty"),
            Err(error) => refused(&format!("the folder cannot be read: {error}; choose another")),
        }
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
    /// Options are missing, or they or the environment cannot be used.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// A secret of the simulator cannot be one.
    #[error("the simulator's secrets: {0}")]
    Secret(#[from] InvalidSecret),
    /// The simulator did not start.
    #[error("the simulator cannot start: {0}")]
    Simulator(#[from] StartError),
}

const WAIT: Duration = Duration::from_secs(30 * 60);
