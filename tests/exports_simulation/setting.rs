//! What kind of day it is: the settings of the program, its orders, and how bad the network is.

use std::{sync::Arc, time::Duration};

use abyssale_core::{
    ApiKey, Config, Endpoint, Goal, Limits, Order, Timestamp, Token, TokenPlacement, UnknownOutcome,
};

use super::dice::Dice;

#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub policy: Policy,
    pub max_retries: u32,
    pub limits: Limits,
    pub orders: u64,
    /// How often, in a thousand, a thing goes wrong.
    pub trouble: u64,
    pub crash: u64,
    pub crashes: u32,
    /// How often, in a thousand, an order has no token, is cancelled, or is not carried out to its end.
    pub bare: u64,
    pub cancels: u64,
    pub other_goals: u64,
}

/// [`UnknownOutcome`] without its figure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Policy {
    AwaitEvent,
    Fail,
    AskAgain,
}

impl Setting {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let mut limits = Limits::default();
        limits.calls = usize::try_from(1 + dice.below(6)).unwrap();
        limits.downloads = usize::try_from(1 + dice.below(4)).unwrap();
        limits.requests_per_second = dice.of(&[1, 2, 10]);
        let most_orders = dice.of(&[4, 12, 40]);
        Self {
            policy: dice.of(&[Policy::AwaitEvent, Policy::AwaitEvent, Policy::Fail, Policy::AskAgain]),
            max_retries: dice.of(&[0, 1, 3]),
            limits,
            orders: 1 + dice.below(most_orders),
            trouble: dice.of(&[0, 50, 200, 400]),
            crash: dice.of(&[0, 5, 30]),
            crashes: u32::try_from(1 + dice.below(4)).unwrap(),
            bare: dice.of(&[0, 0, 300, 1000]),
            cancels: dice.of(&[0, 100]),
            other_goals: dice.of(&[0, 300]),
        }
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        let endpoint = Endpoint::new("https://api.abyssale.com", ApiKey::new("key").unwrap()).unwrap();
        let mut config = Config::new(endpoint);
        config.retry.max_retries = self.max_retries;
        // An archive that is not there yet has tests of its own, in the core.
        config.retry.archive_wait = Duration::ZERO;
        config.unknown_outcome = match self.policy {
            Policy::AwaitEvent => UnknownOutcome::AwaitEvent { grace: Duration::from_secs(120) },
            Policy::Fail => UnknownOutcome::Fail,
            Policy::AskAgain => UnknownOutcome::AskAgain,
        };
        Arc::new(config)
    }

    pub(crate) fn order(&self, dice: &mut Dice, nth: u64) -> Order {
        let is_other = dice.chance(self.other_goals);
        let goal = if is_other { dice.of(&[Goal::Event, Goal::Acceptance]) } else { Goal::Archive };
        let order =
            Order::new(["64238d01-d402-474b-8c2d-fbc957e9d290"], "https://hooks.example.com/abyssale");
        let order = order.unwrap().with_goal(goal);
        if dice.chance(self.bare) {
            return order;
        }
        order.with_token(token(nth), TokenPlacement::PathSegment).unwrap()
    }
}

pub(crate) fn token(nth: u64) -> Token {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&nth.to_le_bytes());
    Token::from_random(bytes)
}

pub(crate) const START: Timestamp = Timestamp::from_secs(1_755_561_234);
