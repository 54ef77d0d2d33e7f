//! A simulator, an exporter that talks to it, and a folder to work in.

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use abyssale_core::{Failure, TokenPlacement, UnknownOutcome};
use abyssale_host::{Error, Observer, Progress};
use abyssale_simulator::{Config, RequestRecord, Simulator};

use crate::adapter::{Adapter, Saved, Setup};

pub(crate) const IDS: [&str; 2] =
    ["64238d01-d402-474b-8c2d-fbc957e9d290", "39a6f0c8-5e2d-4b71-b3f7-d94c1e80652a"];
pub(crate) const SECRET: &str = "whsec_hunter2";

/// Far longer than anything here takes; only a failing test meets it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct World<A> {
    pub(crate) simulator: Simulator,
    pub(crate) adapter: A,
    pub(crate) folder: tempfile::TempDir,
    /// What the observer was told.
    pub(crate) told: Arc<Mutex<Vec<String>>>,
}

/// A simulator with these troubles, with short waits and no ceiling.
pub(crate) fn simulator(troubles: &[&str]) -> Simulator {
    Simulator::start(config(troubles)).unwrap()
}

pub(crate) fn config(troubles: &[&str]) -> Config {
    Config {
        signing_secret: Some(SECRET.into()),
        render_delay: Duration::from_millis(20),
        time_scale: 0.0001,
        requests_per_second: None,
        troubles: troubles.iter().map(|text| text.parse().unwrap()).collect(),
        ..Config::default()
    }
}

/// An exporter's settings for this simulator, with short waits.
pub(crate) fn setup(simulator: &Simulator) -> Setup {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let callback = format!("http://{}/abyssale", socket.local_addr().unwrap());
    Setup {
        api_key: simulator.api_key().into(),
        base_url: simulator.base_url().into(),
        callback: Some(callback),
        socket: Some(socket),
        listen: None,
        secret: Some(SECRET.into()),
        token: Some(TokenPlacement::PathSegment),
        timeout: PATIENCE,
        max_retries: 3,
        event_timeout: PATIENCE,
        stall_timeout: PATIENCE,
        connect_timeout: None,
        first_byte_timeout: None,
        min_download_rate: None,
        unknown_outcome: UnknownOutcome::AwaitEvent { grace: PATIENCE },
        archive: abyssale_core::archive::ArchivePolicy::default(),
        banner_lookups: None,
        own_client: false,
        store: None,
    }
}

impl<A: Adapter> World<A> {
    pub(crate) fn new(troubles: &[&str]) -> Self {
        Self::with(troubles, |_| {})
    }

    pub(crate) fn with(troubles: &[&str], change: impl FnOnce(&mut Setup)) -> Self {
        Self::on(simulator(troubles), change)
    }

    pub(crate) fn on(simulator: Simulator, change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = setup(&simulator);
        change(&mut setup);
        let adapter = A::build(setup).unwrap();
        Self { simulator, adapter, folder: tempfile::tempdir().unwrap(), told: Arc::default() }
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.folder.path().join("banners.zip")
    }

    pub(crate) fn save(&self) -> Result<Saved, Error> {
        self.adapter.save(&IDS, &self.target(), self.observer())
    }

    /// Notes what it is told, but for pieces of the archive.
    pub(crate) fn observer(&self) -> impl Observer + 'static {
        let told = Arc::clone(&self.told);
        move |progress: Progress<'_>| {
            let text = match progress {
                Progress::Notice(notice) => notice.to_string(),
                Progress::Requesting => "requesting".into(),
                Progress::Downloading { resumed_from: from @ 1.., .. } => format!("resumed from {from}"),
                Progress::Downloading { .. } => return,
                Progress::Saved { bytes, .. } => format!("saved {bytes}"),
                other => format!("{other:?}"),
            };
            told.lock().unwrap().push(text);
        }
    }

    /// The archive that was saved must be the one that the simulator serves.
    pub(crate) fn assert_saved(&self) -> Saved {
        let saved = self.save().unwrap_or_else(|error| panic!("{error}\n{:#?}", self.simulator.requests()));
        assert_eq!(fs::metadata(self.target()).unwrap().len(), saved.bytes);
        assert_eq!(self.left_behind(), ["banners.zip"]);
        saved
    }

    /// The job must fail, and leave nothing behind.
    pub(crate) fn failure(&self) -> Failure {
        match self.save() {
            Err(Error::Failure(failure)) => {
                assert!(self.left_behind().is_empty(), "{:?}", self.left_behind());
                *failure
            }
            Err(error) => panic!("{error}"),
            Ok(saved) => panic!("{} bytes", saved.bytes),
        }
    }

    pub(crate) fn left_behind(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// The requests for an export that arrived.
    pub(crate) fn posts(&self) -> Vec<RequestRecord> {
        let is_post = |request: &RequestRecord| request.path == "/async/banners/export";
        self.simulator.requests().into_iter().filter(is_post).collect()
    }

    /// The requests for an archive that arrived.
    pub(crate) fn downloads(&self) -> Vec<RequestRecord> {
        self.simulator
            .requests()
            .into_iter()
            .filter(|request| request.path.starts_with("/archives/"))
            .collect()
    }

    pub(crate) fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}
