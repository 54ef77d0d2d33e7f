//! The requests that the service understands, made complete and inert.

use alloc::{borrow::Cow, vec::Vec};
use core::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct};
use thiserror::Error;

use crate::{
    ApiKey, Order, Token,
    http::{InvalidUrl, Method, Request, Scheme, Url},
    redact::conceal,
};

/// Where the service is, and the key that opens it.
///
/// ```
/// # use abyssale_core::{ApiKey, Endpoint, Order};
/// let endpoint = Endpoint::new("https://api.abyssale.com", ApiKey::new("not-a-real-key")?)?;
/// let order = Order::new(["64238d01-d402-474b-8c2d-fbc957e9d290"], "https://hooks.example.com/abyssale")?;
/// let request = endpoint.create_export(&order);
/// assert_eq!(request.url().as_str(), "https://api.abyssale.com/async/banners/export");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Endpoint {
    base: Url,
    key: ApiKey,
}

impl Endpoint {
    /// The live service.
    pub const DEFAULT_BASE_URL: &str = "https://api.abyssale.com";

    /// Takes the service's base address; slashes at its end are ignored.
    ///
    /// Plain `http` is refused except to this machine, because the key would travel in the clear.
    pub fn new(base: &str, key: ApiKey) -> Result<Self, InvalidEndpoint> {
        let base = base.trim_end_matches('/').parse::<Url>()?;
        if base.query().is_some() {
            return Err(InvalidEndpoint::Query);
        }
        if base.scheme() == Scheme::Http && !base.is_loopback() {
            return Err(InvalidEndpoint::Insecure);
        }
        Ok(Self { base, key })
    }

    /// The base address, without a slash at its end.
    pub fn base_url(&self) -> &Url {
        &self.base
    }

    /// `POST /async/banners/export`: asks for an archive.
    pub fn create_export(&self, order: &Order) -> Request {
        self.request(Method::Post, "/async/banners/export").json(export_body(order))
    }

    /// `GET /signing-secret`: reads the signing secret. **The first call creates one**, and with it
    /// every delivery of the workspace is signed from then on.
    pub fn signing_secret(&self) -> Request {
        self.request(Method::Get, "/signing-secret")
    }

    /// `POST /signing-secret/rotate`: makes a new secret; the old one signs along for 24 hours.
    ///
    /// Refused with `previous_secret_still_active` during those hours, unless forced.
    pub fn rotate_signing_secret(&self, force: bool) -> Request {
        let path = if force { "/signing-secret/rotate?force=true" } else { "/signing-secret/rotate" };
        self.request(Method::Post, path)
    }

    /// `POST /signing-secret/revoke`: the previous secret ceases to sign at once.
    pub fn revoke_signing_secret(&self) -> Request {
        self.request(Method::Post, "/signing-secret/revoke")
    }

    /// The body of an answer without the key in it, should it repeat the request: for an error that is made of it.
    ///
    /// A job does so by itself. A key of fewer than eight characters is left where it is.
    pub fn conceal<'b>(&self, body: &'b [u8]) -> Cow<'b, [u8]> {
        conceal(body, &[self.key.expose()])
    }

    /// The same for the answer to an order, whose token the answer may repeat as well.
    pub(crate) fn conceal_with<'b>(&self, order: &Order, body: &'b [u8]) -> Cow<'b, [u8]> {
        let token = order.token().map(Token::as_str);
        conceal(body, &[self.key.expose(), token.unwrap_or_default()])
    }

    fn request(&self, method: Method, path: &'static str) -> Request {
        Request::new(method, self.base.joined(path))
            .header("accept", "application/json")
            .header("user-agent", USER_AGENT)
            .key(self.key.clone())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("base", &self.base).finish_non_exhaustive()
    }
}

/// The service cannot be reached in this way.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum InvalidEndpoint {
    /// The base address is not one.
    #[error("base URL: {0}")]
    Url(#[from] InvalidUrl),
    /// The base address has a query.
    #[error("base URL: it has a query, which would end up in the middle of every request")]
    Query,
    /// The key would travel in the clear.
    #[error(
        "base URL: plain http is accepted for this machine only, since the API key would travel in the clear; use https"
    )]
    Insecure,
}

/// `GET` of an archive: an address of its own on another host, so it never carries the key.
pub(crate) fn download(url: Url) -> Request {
    // Identity only: a length that is checked must be that of the archive itself.
    Request::new(Method::Get, url)
        .header("accept", "*/*")
        .header("accept-encoding", "identity")
        .header("user-agent", USER_AGENT)
}

fn export_body(order: &Order) -> Vec<u8> {
    struct Body<'a>(&'a Order);

    impl Serialize for Body<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut body = serializer.serialize_struct("Body", 2)?;
            body.serialize_field("ids", self.0.ids())?;
            body.serialize_field("callback_url", &self.0.callback_with_token())?;
            body.end()
        }
    }

    // Strings into a vector: nothing here can fail.
    serde_json::to_vec(&Body(order)).unwrap_or_default()
}

const USER_AGENT: &str = concat!("abyssale-rust/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString};

    use super::*;

    fn endpoint(base: &str) -> Result<Endpoint, InvalidEndpoint> {
        Endpoint::new(base, ApiKey::new("hunter2").unwrap())
    }

    #[test]
    fn an_export_is_asked_for_as_documented() {
        let order = Order::new(["64238d01-d402-474b-8c2d-fbc957e9d290"], "https://h/c").unwrap();
        let request = endpoint("https://api.abyssale.com//").unwrap().create_export(&order);
        assert_eq!(request.method(), Method::Post);
        assert_eq!(request.url().as_str(), "https://api.abyssale.com/async/banners/export");
        assert_eq!(
            str::from_utf8(request.body()).unwrap(),
            r#"{"ids":["64238d01-d402-474b-8c2d-fbc957e9d290"],"callback_url":"https://h/c"}"#
        );
        let header = |name: &str| request.headers().find(|(n, _)| *n == name).map(|(_, v)| v.to_string());
        assert_eq!(header("x-api-key").as_deref(), Some("hunter2"));
        assert_eq!(header("content-type").as_deref(), Some("application/json"));
        assert_eq!(header("accept").as_deref(), Some("application/json"));
        assert!(header("user-agent").unwrap().starts_with("abyssale-rust/"));
    }

    #[test]
    fn a_download_never_carries_the_key() {
        let request = download("https://store.example.com/a.zip?sig=hunter2".parse().unwrap());
        assert!(!request.carries_key());
        assert!(request.headers().all(|(name, _)| name != "x-api-key"));
        assert!(!format!("{request:?}").contains("hunter2"));
    }

    #[test]
    fn nothing_shows_the_key() {
        let endpoint = endpoint("https://h").unwrap();
        let request = endpoint.signing_secret();
        assert!(!format!("{endpoint:?} {request:?}").contains("hunter2"));
    }

    #[test]
    fn a_base_address_that_would_leak_the_key_is_refused() {
        assert_eq!(endpoint("http://api.abyssale.com").unwrap_err(), InvalidEndpoint::Insecure);
        assert_eq!(endpoint("https://h?a").unwrap_err(), InvalidEndpoint::Query);
        assert!(matches!(endpoint("api.abyssale.com"), Err(InvalidEndpoint::Url(_))));
        assert!(endpoint("http://127.0.0.1:8080/edge/").is_ok());
    }
}
