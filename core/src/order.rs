//! An order: the banner ids to export, and the callback URL for the event.

use alloc::{boxed::Box, collections::BTreeSet, vec::Vec};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    http::{InvalidUrl, Url},
    id::{BannerId, InvalidBannerId},
    token::{Token, TokenPlacement},
};

/// An order for one export.
///
/// The service accepts a request without a callback URL; this crate requires one. The service has no endpoint that
/// returns the state of an export, so without a callback the archive could never be downloaded.
///
/// ```
/// # use abyssale_core::Order;
/// let order = Order::new(["64238d01-d402-474b-8c2d-fbc957e9d290"], "https://hooks.example.com/abyssale")?;
/// assert_eq!(order.ids().len(), 1);
/// # Ok::<(), abyssale_core::InvalidOrder>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Order {
    ids: Box<[BannerId]>,
    callback: Url,
    /// Checked to fit into the callback URL.
    token: Option<(Token, TokenPlacement)>,
    goal: Goal,
}

impl Order {
    /// Creates an order. `callback` has to be an absolute `http` or `https` URL.
    ///
    /// The ids are sent in this order and as often as they are given. The service documents no maximum.
    pub fn new<I>(ids: I, callback: &str) -> Result<Self, InvalidOrder>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let ids = ids
            .into_iter()
            .enumerate()
            .map(|(index, id)| id.as_ref().parse().map_err(|source| InvalidOrder::Id { index, source }));
        let ids = ids.collect::<Result<Box<[_]>, _>>()?;
        if ids.is_empty() {
            return Err(InvalidOrder::NoIds);
        }
        let callback = callback.parse::<Url>()?;
        Ok(Self { ids, callback, token: None, goal: Goal::default() })
    }

    /// Adds a correlation token to the callback URL. Use a different token for each order.
    ///
    /// Without a token, the event of an export whose answer was lost cannot be matched to its job.
    ///
    /// # Errors
    ///
    /// Fails if the URL would be too long, or if the name of the query parameter is not valid.
    pub fn with_token(mut self, token: Token, placement: TokenPlacement) -> Result<Self, InvalidOrder> {
        placed(&self.callback, &token, &placement).ok_or(InvalidOrder::TokenPlacement)?;
        self.token = Some((token, placement));
        Ok(self)
    }

    /// Sets where the job ends. Default: [`Goal::Archive`].
    #[must_use]
    pub fn with_goal(mut self, goal: Goal) -> Self {
        self.goal = goal;
        self
    }

    /// Returns the banner ids, at least one, in the order in which they are sent.
    pub fn ids(&self) -> &[BannerId] {
        &self.ids
    }

    /// Returns each banner once. Ids that differ only in the case of their letters are of one banner.
    pub fn distinct_ids(&self) -> Vec<BannerId> {
        let mut seen = BTreeSet::new();
        let is_first = |id: &BannerId| seen.insert(id.as_str().to_ascii_lowercase());
        self.ids.iter().copied().filter(is_first).collect()
    }

    /// Returns the callback URL without the token.
    pub fn callback(&self) -> &Url {
        &self.callback
    }

    /// Returns the callback URL as it is sent to the service, with the token.
    pub fn callback_with_token(&self) -> Url {
        let with_token = self.token.as_ref().and_then(|(token, at)| placed(&self.callback, token, at));
        // That the token fits was checked when it was set.
        with_token.unwrap_or_else(|| self.callback.clone())
    }

    /// Returns the correlation token, if the order has one.
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref().map(|(token, _)| token)
    }

    /// Returns where the job ends.
    pub fn goal(&self) -> Goal {
        self.goal
    }
}

/// Returns the callback URL with the token in it, if it fits.
fn placed(callback: &Url, token: &Token, placement: &TokenPlacement) -> Option<Url> {
    match placement {
        TokenPlacement::PathSegment => callback.with_path_segment(token.as_str()),
        TokenPlacement::QueryParameter(name) => callback.with_query_parameter(name, token.as_str()),
    }
}

/// Where a job ends.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Goal {
    /// When the service has accepted the export. Something else receives the event.
    Acceptance,
    /// When the event has arrived. Something else downloads the archive.
    Event,
    /// When the archive is downloaded.
    #[default]
    Archive,
}

/// The parts of an [`Order`] are not valid.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum InvalidOrder {
    /// There is no banner id.
    #[error("an export needs at least one banner id")]
    NoIds,
    /// A text is not a banner id.
    #[error("ids[{index}]: {source}")]
    Id {
        /// Its index among the ids.
        index: usize,
        /// What is wrong with the text.
        source: InvalidBannerId,
    },
    /// The callback is not a URL.
    #[error("callback: {0}")]
    Callback(#[from] InvalidUrl),
    /// The callback URL would be too long with the token, or the name of the query parameter is not valid.
    #[error("the correlation token does not fit into the callback URL")]
    TokenPlacement,
}

/// The serialised form.
#[derive(Clone, Deserialize, Serialize)]
struct Parts {
    ids: Box<[BannerId]>,
    callback: Url,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<(Token, TokenPlacement)>,
    #[serde(default)]
    goal: Goal,
}

impl From<Order> for Parts {
    fn from(Order { ids, callback, token, goal, .. }: Order) -> Self {
        Self { ids, callback, token, goal }
    }
}

impl TryFrom<Parts> for Order {
    type Error = InvalidOrder;

    fn try_from(Parts { ids, callback, token, goal }: Parts) -> Result<Self, Self::Error> {
        let order = Self::new(ids, callback.as_str())?.with_goal(goal);
        match token {
            Some((token, placement)) => order.with_token(token, placement),
            None => Ok(order),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    const ID: &str = "64238d01-d402-474b-8c2d-fbc957e9d290";
    const CALLBACK: &str = "https://hooks.example.com/abyssale";

    #[test]
    fn an_order_names_what_is_wrong_with_it() {
        let refused =
            |ids: &[&str], callback| Order::new(ids.iter().copied(), callback).unwrap_err().to_string();
        assert_eq!(refused(&[], CALLBACK), "an export needs at least one banner id");
        assert!(refused(&[ID, "x"], CALLBACK).starts_with(r#"ids[1]: "x" is not a banner id"#));
        assert!(refused(&[ID], "ftp://h").contains("must begin with https:// or http://"));
    }

    #[test]
    fn a_banner_counts_once_however_its_id_is_spelled() {
        let upper = ID.to_ascii_uppercase();
        let other = "39a6f0c8-5e2d-4b71-b3f7-d94c1e80652a";
        let order = Order::new([ID, &upper, other, ID], CALLBACK).unwrap();
        assert_eq!(order.distinct_ids(), [ID, other].map(|id| id.parse().unwrap()));
        assert_eq!(order.ids().len(), 4, "they are sent as they were given");
    }

    #[test]
    fn the_token_stands_where_it_was_told_to() {
        let token = Token::from_random([7; 16]);
        let sent = |placement| {
            let order = Order::new([ID], CALLBACK).unwrap().with_token(token, placement)?;
            Ok::<_, InvalidOrder>(order.callback_with_token().as_str().to_string())
        };
        let digits = token.as_str();
        assert_eq!(sent(TokenPlacement::PathSegment).unwrap(), [CALLBACK, "/", digits].concat());
        assert_eq!(
            sent(TokenPlacement::QueryParameter("t".into())).unwrap(),
            [CALLBACK, "?t=", digits].concat()
        );
        assert_eq!(sent(TokenPlacement::QueryParameter("a&b".into())), Err(InvalidOrder::TokenPlacement));
    }

    #[test]
    fn debug_shows_a_token_no_further_than_the_token_does() {
        let token = Token::from_random([7; 16]);
        let order =
            Order::new([ID], CALLBACK).unwrap().with_token(token, TokenPlacement::PathSegment).unwrap();
        let shown = alloc::format!("{order:?}");
        assert!(shown.contains("Token(070707…)") && !shown.contains(token.as_str()), "{shown}");
    }

    #[test]
    fn an_order_survives_serialisation() {
        let order = Order::new([ID], CALLBACK).unwrap();
        let with_token =
            order.clone().with_token(Token::from_random([7; 16]), TokenPlacement::PathSegment).unwrap();
        for order in [order, with_token] {
            let json = serde_json::to_string(&order).unwrap();
            assert_eq!(serde_json::from_str::<Order>(&json).unwrap(), order);
        }
    }
}
