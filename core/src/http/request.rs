//! A complete, inert request: everything that is to be sent, and nothing that sends it.

use alloc::{borrow::Cow, vec::Vec};
use core::fmt;

use crate::{ApiKey, http::Url};

/// The method of a [`Request`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Method {
    /// Reads, and may be repeated.
    Get,
    /// Creates something, and is never repeated while the fate of the last one is unknown.
    Post,
}

impl Method {
    /// The method's name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }

    /// Whether sending it twice has the effect of sending it once.
    pub(crate) const fn is_idempotent(self) -> bool {
        matches!(self, Self::Get)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request that is ready to be sent as it is.
///
/// Whoever sends it follows no redirect while [`carries_key`](Self::carries_key) is true, adds no
/// header but the connection's own (`host`, `content-length`, `connection`), and sends a
/// [`Method::Post`] on a fresh connection, since a pooled one may die under it.
///
/// `Debug` shows neither the key nor the body.
#[derive(Clone)]
pub struct Request {
    method: Method,
    url: Url,
    headers: Vec<(&'static str, Cow<'static, str>)>,
    key: Option<ApiKey>,
    body: Vec<u8>,
}

impl Request {
    /// A request with no headers and no body.
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: Vec::new(), key: None, body: Vec::new() }
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    #[must_use]
    pub(crate) fn key(mut self, key: ApiKey) -> Self {
        self.key = Some(key);
        self
    }

    #[must_use]
    pub(crate) fn json(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self.header("content-type", "application/json")
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Where it goes.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The header fields in order, names in lower case, values visible ASCII; the key is among them.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let plain = self.headers.iter().map(|(name, value)| (*name, value.as_ref()));
        plain.chain(self.key.iter().map(|key| ("x-api-key", key.expose())))
    }

    /// The body; empty when there is none.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body, taken out.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// Whether the API key is among the headers.
    pub fn carries_key(&self) -> bool {
        self.key.is_some()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("headers", &self.headers)
            .field("carries_key", &self.carries_key())
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "http")]
impl TryFrom<Request> for ::http::Request<Vec<u8>> {
    type Error = ::http::Error;

    /// The same request in the types of the `http` crate, the key marked as sensitive.
    fn try_from(request: Request) -> Result<Self, Self::Error> {
        let mut builder =
            ::http::Request::builder().method(request.method.as_str()).uri(request.url.as_str());
        for (name, value) in request.headers() {
            let mut value = ::http::HeaderValue::from_str(value)?;
            value.set_sensitive(name == "x-api-key");
            builder = builder.header(name, value);
        }
        builder.body(request.into_body())
    }
}
