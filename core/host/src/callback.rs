//! The callback address of a program: what protects it, and the orders that name it.

use abyssale_core::{
    Endpoint, Order, SigningSecret, Token, TokenPlacement,
    archive::ArchivePolicy,
    http::{Scheme, Url},
    webhook::{CallbackEndpoint, Verifier},
};
use tracing::warn;

use crate::{Error, random_token};

/// How deliveries come in, as it is set; [`check`](Self::check) makes a [`Callback`] of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct CallbackSettings {
    /// The address that the service calls. Required.
    pub address: Option<String>,
    /// The secrets that deliveries may be signed with.
    pub secrets: Vec<SigningSecret>,
    /// Whether deliveries without a signature are accepted by name.
    pub accept_unsigned: bool,
    /// Where each order's token stands; the last segment of the path unless set.
    pub token: Option<TokenPlacement>,
    /// The largest delivery that is read, in bytes, if not the default.
    pub delivery_limit: Option<usize>,
}

impl Default for CallbackSettings {
    fn default() -> Self {
        let token = Some(TokenPlacement::default());
        Self { address: None, secrets: Vec::new(), accept_unsigned: false, token, delivery_limit: None }
    }
}

impl CallbackSettings {
    /// Checks that there is an address that the service can reach, and that something protects it: a token, a signature, or
    /// the user's word that nothing has to.
    ///
    /// `base` is the service's base URL: only the live service cannot reach this machine's own network. The endpoint expects the address's path if `exact_path` is set, which is right for a listener; behind
    /// a router that has chosen by the path already, it may be another one.
    pub fn check(self, base: &Url, exact_path: bool) -> Result<(Callback, CallbackEndpoint), Error> {
        let address: Url = self.address.ok_or(Error::NoCallback)?.parse().map_err(Error::Callback)?;
        if is_live(base) {
            let mut anywhere = ArchivePolicy::default();
            anywhere.allow_http = true;
            if anywhere.check(address.as_str(), base).is_err() {
                return Err(Error::CallbackUnreachable { host: address.host().into() });
            }
            if address.scheme() == Scheme::Http {
                warn!(target: EXPORTER, host = address.host(), "callback without TLS");
            }
        }
        if self.token.is_none() && self.secrets.is_empty() && !self.accept_unsigned {
            return Err(Error::Unprotected);
        }
        // Without a secret there is nothing to check a signature with, and the token stands for it.
        let unsigned = self.accept_unsigned || self.secrets.is_empty();
        let mut verifier = Verifier::new(self.secrets);
        if unsigned {
            verifier = verifier.accept_unsigned();
        }
        let mut endpoint = CallbackEndpoint::new(verifier).token(self.token.clone());
        if let Some(bytes) = self.delivery_limit {
            endpoint = endpoint.body_limit(bytes);
        }
        if exact_path {
            endpoint = endpoint.path(address.path());
        }
        Ok((Callback { address, token: self.token }, endpoint))
    }
}

/// Returns whether this is the live service, and not a simulator or a gateway.
fn is_live(base: &Url) -> bool {
    Endpoint::DEFAULT_BASE_URL.parse::<Url>().is_ok_and(|live| live.host() == base.host())
}

const EXPORTER: &str = "abyssale::exporter";

/// A callback address that is protected.
#[derive(Clone, Debug)]
pub struct Callback {
    address: Url,
    token: Option<TokenPlacement>,
}

impl Callback {
    /// An order that names this address, with a token of its own in it.
    pub fn order<I>(&self, ids: I) -> Result<Order, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let order = Order::new(ids, self.address.as_str())?;
        Ok(match &self.token {
            Some(placement) => order.with_token(random_token()?, placement.clone())?,
            None => order,
        })
    }
}

impl Callback {
    /// Returns a callback URL as an export would have it, and its token.
    pub(crate) fn another(&self) -> Result<(Url, Option<Token>), Error> {
        let order = self.order(["00000000-0000-0000-0000-000000000000"])?;
        Ok((order.callback_with_token(), order.token().copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> CallbackSettings {
        CallbackSettings {
            address: Some("https://hooks.example.com/abyssale".into()),
            ..CallbackSettings::default()
        }
    }

    fn live() -> Url {
        Endpoint::DEFAULT_BASE_URL.parse().unwrap()
    }

    #[test]
    fn the_live_service_cannot_reach_this_machine_or_a_private_network() {
        let check = |address: &str, base: &str| {
            let settings = CallbackSettings { address: Some(address.into()), ..CallbackSettings::default() };
            settings.check(&base.parse().unwrap(), true).map(drop)
        };
        for address in [
            "http://localhost:8080/a",
            "https://127.0.0.1/a",
            "https://[::1]/a",
            "https://10.0.0.7/a",
            "https://192.168.1.2/a",
            "https://[fd00::1]/a",
            "http://0.0.0.0:8080/a",
        ] {
            let error = check(address, Endpoint::DEFAULT_BASE_URL).unwrap_err();
            assert!(matches!(error, Error::CallbackUnreachable { .. }), "{address}: {error:?}");
            for base in ["http://127.0.0.1:9", "https://gateway.example.com/abyssale", "http://10.0.0.1"] {
                assert!(check(address, base).is_ok(), "{address} {base}");
            }
        }
        for address in ["https://hooks.example.com/a", "http://hooks.example.com/a", "https://1.1.1.1/a"] {
            assert!(check(address, Endpoint::DEFAULT_BASE_URL).is_ok(), "{address}");
        }
        assert!(matches!(check("https://h..example/a", "http://127.0.0.1:9"), Err(Error::Callback(_))));
    }

    #[test]
    fn every_order_has_a_token_of_its_own() {
        let (callback, _) = settings().check(&live(), true).unwrap();
        let order = || callback.order(["64238d01-d402-474b-8c2d-fbc957e9d290"]).unwrap();
        assert_ne!(order().token().unwrap(), order().token().unwrap());
    }

    #[test]
    fn an_address_that_nothing_protects_is_refused_unless_by_name() {
        let bare = || CallbackSettings { token: None, ..settings() };
        assert!(matches!(bare().check(&live(), true), Err(Error::Unprotected)));
        assert!(CallbackSettings { accept_unsigned: true, ..bare() }.check(&live(), true).is_ok());
        let secrets = vec![SigningSecret::new("whsec_a").unwrap()];
        assert!(CallbackSettings { secrets, ..bare() }.check(&live(), true).is_ok());
    }

    #[test]
    fn an_address_is_required() {
        assert!(matches!(CallbackSettings::default().check(&live(), true), Err(Error::NoCallback)));
        let settings =
            CallbackSettings { address: Some("hooks.example.com".into()), ..CallbackSettings::default() };
        assert!(matches!(settings.check(&live(), true), Err(Error::Callback(_))));
    }
}
