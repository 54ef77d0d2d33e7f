//! What a handler gives back: a response for hyper, and what the wire is to do to its bytes.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use crate::wire::Fault;

/// Every body this server sends.
pub(crate) type Body = BoxBody<Bytes, Infallible>;

/// A response, and what befalls it on its way.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) response: Response<Body>,
    pub(crate) fault: Option<Fault>,
}

impl Reply {
    pub(crate) fn with_fault(response: Response<Body>, fault: Fault) -> Self {
        Self { response, fault: Some(fault) }
    }

    /// No answer at all.
    pub(crate) fn hang_up(reset: bool) -> Self {
        Self::with_fault(Response::new(full(Bytes::new())), Fault::HangUp { reset })
    }

    /// Bytes that are not HTTP.
    pub(crate) fn garbage() -> Self {
        Self::with_fault(Response::new(full(Bytes::new())), Fault::Garbage)
    }

    /// The status the client can see, if it can see one.
    pub(crate) fn status_seen(&self) -> Option<u16> {
        match self.fault {
            Some(Fault::HangUp { .. } | Fault::Garbage) => None,
            _ => Some(self.response.status().as_u16()),
        }
    }
}

impl From<Response<Body>> for Reply {
    fn from(response: Response<Body>) -> Self {
        Self { response, fault: None }
    }
}

/// A body that is there already.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed()
}

/// An answer with a body of this type.
pub(crate) fn typed(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, body: &impl ToString) -> Response<Body> {
    typed(status, "application/json", body.to_string())
}
