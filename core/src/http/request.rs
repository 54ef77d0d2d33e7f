//! A complete request, which an adapter sends as it is.

use alloc::{borrow::Cow, vec::Vec};
use core::fmt;

use crate::{http::Url, secret::ApiKey};

/// The method of a [`Request`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Method {
    /// A read, which may be repeated.
    Get,
    /// A creation, which is not repeated while the outcome of the last attempt is unknown.
    Post,
}

impl Method {
    /// Returns the method's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }

    /// Returns whether sending the request twice has the same effect as sending it once.
    pub(crate) const fn is_idempotent(self) -> bool {
        matches!(self, Self::Get)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A complete request.
///
/// An adapter sends it as it is. It adds no headers but those of the connection (`host`, `content-length`, `connection`),
/// follows no redirect if [`carries_key`](Self::carries_key) is true, and sends a [`Method::Post`] on a new connection,
/// since the peer may close a pooled one at any time.
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
    /// Creates a request without headers and body.
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

    /// Returns the method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Returns the URL.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the header fields, with the key: names in lower case, values in visible ASCII.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let plain = self.headers.iter().map(|(name, value)| (*name, value.as_ref()));
        plain.chain(self.key.iter().map(|key| ("x-api-key", key.expose())))
    }

    /// Returns the body, which may be empty.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the body, and drops the rest.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// Returns whether the API key is among the headers.
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

    /// Converts to the types of the `http` crate. The key is marked as sensitive.
    ///
    /// A POST without a body has `content-length: 0`, since some servers answer 411 without it.
    fn try_from(request: Request) -> Result<Self, Self::Error> {
        let mut builder =
            ::http::Request::builder().method(request.method.as_str()).uri(request.url.as_str());
        for (name, value) in request.headers() {
            let mut value = ::http::HeaderValue::from_str(value)?;
            value.set_sensitive(name == "x-api-key");
            builder = builder.header(name, value);
        }
        if request.method == Method::Post && request.body.is_empty() {
            builder = builder.header(::http::header::CONTENT_LENGTH, 0);
        }
        builder.body(request.into_body())
    }
}
