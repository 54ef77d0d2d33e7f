//! The settings and orders that the machine is tried under: each of them closes or opens a way.

use std::{sync::Arc, time::Duration};

use abyssale_core::{ApiKey, Config, Endpoint, Goal, Order, Timestamp, TokenPlacement, UnknownOutcome};

use super::alphabet::our_token;

/// One way to set a job up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub token: bool,
    pub goal: Goal,
    pub unknown: Policy,
    pub max_retries: u32,
    /// Whether all outputs are polled after every letter, as the usual loop does, or only when a letter says so.
    pub eager: bool,
}

/// [`UnknownOutcome`] without its figure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Policy {
    AwaitEvent,
    Fail,
    AskAgain,
}

impl Setting {
    pub(crate) fn config(self) -> Arc<Config> {
        let endpoint = Endpoint::new("https://api.abyssale.com", ApiKey::new(KEY).unwrap()).unwrap();
        let mut config = Config::new(endpoint);
        config.retry.max_retries = self.max_retries;
        // An archive that is not there yet has tests of its own, in the core.
        config.retry.archive_wait = Duration::ZERO;
        // Of no use to be the same.
        config.first_byte_timeout = Duration::from_secs(20);
        config.unknown_outcome = match self.unknown {
            Policy::AwaitEvent => UnknownOutcome::AwaitEvent { grace: Duration::from_secs(120) },
            Policy::Fail => UnknownOutcome::Fail,
            Policy::AskAgain => UnknownOutcome::AskAgain,
        };
        Arc::new(config)
    }

    pub(crate) fn order(self) -> Order {
        let ids = ["64238d01-d402-474b-8c2d-fbc957e9d290"];
        let order = Order::new(ids, "https://hooks.example.com/abyssale").unwrap().with_goal(self.goal);
        if self.token { order.with_token(our_token(), TokenPlacement::PathSegment).unwrap() } else { order }
    }

    /// Whether an unknown outcome is waited out.
    pub(crate) fn waits(self) -> bool {
        self.unknown == Policy::AwaitEvent && self.token
    }
}

pub(crate) const KEY: &str = "key-hunter2";
pub(crate) const START: Timestamp = Timestamp::from_secs(1_755_561_234);
