//! The requests to the service (`PROTOCOL.md` §1, §5). A [`Request`] is complete: an adapter sends it as it is.

use alloc::{borrow::Cow, vec::Vec};
use core::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct};
use thiserror::Error;

use crate::{
    http::{InvalidUrl, Method, Request, Scheme, Url},
    id::BannerId,
    order::Order,
    redact::redact,
    secret::ApiKey,
    token::Token,
};

/// The service's base URL and the API key. It builds the requests to the service.
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
    /// The base URL of the live service.
    pub const DEFAULT_BASE_URL: &str = "https://api.abyssale.com";

    /// Creates an endpoint. Slashes at the end of the base URL are ignored.
    ///
    /// # Errors
    ///
    /// Fails if `base` is not a URL, has a query, or uses `http` with another host than this machine: the API key would
    /// be sent unencrypted.
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

    /// Returns the base URL, without a slash at its end.
    pub fn base_url(&self) -> &Url {
        &self.base
    }

    /// Builds `POST /async/banners/export`, which requests an export.
    pub fn create_export(&self, order: &Order) -> Request {
        self.request(Method::Post, "/async/banners/export").json(export_body(order))
    }

    /// Builds `GET /banners/{id}`, which describes a banner. The answer is 404 if the service does not know it.
    pub fn banner(&self, id: &BannerId) -> Request {
        self.request(Method::Get, &["/banners/", id.as_str()].concat())
    }

    /// Builds `POST /auth`, which checks the key: the status of the answer is 2xx, or 401.
    pub fn check_key(&self) -> Request {
        self.request(Method::Post, "/auth")
    }

    /// Builds `GET /signing-secret`, which reads the signing secret. **The first call creates the secret**: from then on
    /// all deliveries of the workspace are signed.
    pub fn signing_secret(&self) -> Request {
        self.request(Method::Get, "/signing-secret")
    }

    /// Builds `POST /signing-secret/rotate`, which creates a new secret. For 24 hours, deliveries are signed with the old
    /// secret as well.
    ///
    /// During these hours the service refuses another rotation with `previous_secret_still_active`, unless it is forced.
    pub fn rotate_signing_secret(&self, force: bool) -> Request {
        let path = if force { "/signing-secret/rotate?force=true" } else { "/signing-secret/rotate" };
        self.request(Method::Post, path)
    }

    /// Builds `POST /signing-secret/revoke`, which ends the use of the previous secret at once.
    pub fn revoke_signing_secret(&self) -> Request {
        self.request(Method::Post, "/signing-secret/revoke")
    }

    /// Replaces the key in the body of an answer, in case the answer repeats the request. Call it before creating an
    /// [`ApiError`](crate::ApiError); a job does so by itself.
    ///
    /// A key of fewer than eight characters is not replaced.
    pub fn redact<'b>(&self, body: &'b [u8]) -> Cow<'b, [u8]> {
        redact(body, &[self.key.expose()])
    }

    /// Replaces the key, and the token of the order.
    pub(crate) fn redact_with<'b>(&self, order: &Order, body: &'b [u8]) -> Cow<'b, [u8]> {
        let token = order.token().map(Token::as_str);
        redact(body, &[self.key.expose(), token.unwrap_or_default()])
    }

    fn request(&self, method: Method, path: &str) -> Request {
        Request::new(method, self.base.joined(path))
            .header("accept", "application/json")
            // Nobody here decodes.
            .header("accept-encoding", "identity")
            .header("user-agent", USER_AGENT)
            .key(self.key.clone())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("base", &self.base).finish_non_exhaustive()
    }
}

/// The base URL of an [`Endpoint`] is not usable.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum InvalidEndpoint {
    /// The base URL is not a URL.
    #[error("base URL: {0}")]
    Url(#[from] InvalidUrl),
    /// The base URL has a query.
    #[error("base URL: it has a query, which would end up in the middle of every request")]
    Query,
    /// The base URL would send the key unencrypted.
    #[error(
        "base URL: plain http is accepted for this machine only, since the API key would travel in the clear; use https"
    )]
    Insecure,
}

/// Builds the `GET` of an archive. An archive is on another host than the API, so the request never carries the key.
pub(crate) fn download(url: Url) -> Request {
    // No compression: the length that is checked has to be the archive's.
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

    // Serialising strings into a vector does not fail.
    serde_json::to_vec(&Body(order)).unwrap_or_default()
}

pub(crate) const USER_AGENT: &str = concat!("abyssale-rust/", env!("CARGO_PKG_VERSION"));

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
        assert_eq!(header("accept-encoding").as_deref(), Some("identity"));
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
    fn a_banner_is_asked_for_by_its_id() {
        let id = "64238d01-d402-474b-8c2d-fbc957e9d290".parse().unwrap();
        let request = endpoint("https://api.abyssale.com").unwrap().banner(&id);
        assert_eq!(request.method(), Method::Get);
        assert_eq!(
            request.url().as_str(),
            "https://api.abyssale.com/banners/64238d01-d402-474b-8c2d-fbc957e9d290"
        );
        assert!(request.carries_key());
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
