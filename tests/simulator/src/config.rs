//! What a simulator is told before it starts. Every field has a default that behaves like the service on a good day;
//! a test names only what it cares about.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use crate::archive::Contents;
use crate::trouble::Trouble;

/// The key a simulator accepts unless told another.
pub const DEFAULT_API_KEY: &str = "simulator-key";

/// How a simulator is to behave.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen: a loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The one key that is accepted in `x-api-key`.
    pub api_key: String,
    /// Which of its two languages the service speaks.
    pub dialect: Dialect,
    /// The signing secret the workspace already has; without one deliveries are unsigned until it is asked for.
    pub signing_secret: Option<String>,
    /// Time between accepting an export and its event. Taken as it is, not scaled.
    pub render_delay: Duration,
    /// The waits between the attempts of one delivery: one attempt more than there are waits. Scaled.
    pub ladder: Vec<Duration>,
    /// How long a receiver may take to answer a delivery. Taken as it is, not scaled.
    pub delivery_timeout: Duration,
    /// What the service's long waits are multiplied by: the ladder and the 24 hours of a secret's overlap.
    pub time_scale: f64,
    /// The gateway's ceiling; `None` switches it off.
    pub requests_per_second: Option<u32>,
    /// What becomes of a request that names unknown banners among known ones.
    pub unknown_banners: UnknownBanners,
    /// Banner ids the service does not know. Every other UUID is known.
    pub unknown_ids: Vec<String>,
    /// What the service's clock shows in the `Date` of its answers; `None` for the time of this machine.
    pub date: Option<SystemTime>,
    /// What the archives hold.
    pub archive: Contents,
    /// What is to go wrong, in order, for each endpoint; afterwards all is well.
    pub troubles: Vec<Trouble>,
    /// Fixes every id and secret the simulator makes up; `None` draws a seed.
    pub seed: Option<[u8; 32]>,
}

/// The two languages the service has spoken; both are met today.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Dialect {
    /// The documented one: status 400, a tree of messages, the same tree as Python text.
    Legacy,
    /// The one since 2026: an envelope of id, message and a flat list of errors.
    #[default]
    Current,
}

/// What becomes of a request that names known and unknown banners.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum UnknownBanners {
    /// It succeeds, and the archive holds the known ones: what the service does today.
    #[default]
    Dropped,
    /// It is refused with a 404: what the older documentation says.
    Refused,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            api_key: DEFAULT_API_KEY.to_owned(),
            dialect: Dialect::default(),
            signing_secret: None,
            render_delay: Duration::from_millis(50),
            ladder: LADDER.to_vec(),
            delivery_timeout: Duration::from_secs(15),
            time_scale: 1.0,
            requests_per_second: Some(10),
            unknown_banners: UnknownBanners::default(),
            unknown_ids: Vec::new(),
            date: None,
            archive: Contents::default(),
            troubles: Vec::new(),
            seed: None,
        }
    }
}

impl Config {
    /// One of the service's long waits, as long as this simulator makes it.
    pub(crate) fn scaled(&self, wait: Duration) -> Duration {
        Duration::try_from_secs_f64(wait.as_secs_f64() * self.time_scale).unwrap_or(Duration::MAX)
    }
}

/// Six attempts "over hours" is all that is published; the steps between are ours.
const LADDER: [Duration; 5] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 60 * 60),
    Duration::from_secs(6 * 60 * 60),
];
