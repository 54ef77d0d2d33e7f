//! An answer made to order: any status, in any of the shapes the service and the proxies before it use.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::{Response, StatusCode, header};
use serde_json::json;

use crate::config::Dialect;
use crate::envelope;
use crate::reply::{Body, full};

/// An answer made to order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The machine-readable id in the envelope; by default the usual one for the status.
    pub id: Option<String>,
    /// The `Retry-After` header, if there is to be one.
    pub retry_after: Option<RetryAfter>,
    /// The shape of the body; by default the envelope if there is an id, else that of the simulator's dialect.
    pub body: Option<AnswerBody>,
    /// Whether the export is accepted all the same. Means nothing for an archive.
    pub accepted: bool,
    /// Whether a byte order mark stands before the body.
    pub byte_order_mark: bool,
}

/// A `Retry-After` header in one of its two forms.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RetryAfter {
    /// Whole seconds.
    Seconds(u64),
    /// The HTTP date that is this many seconds from the answer.
    Date(u64),
}

/// The shapes of an error body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AnswerBody {
    /// `{"id": …, "message": …, "version": …}`.
    Envelope,
    /// `{"message": …}`, the service before 2026; a gateway sends the same, such as `{"message": "Too Many Requests"}`.
    Bare,
    /// `{"title": …, "description": …}`: Falcon's own errors.
    Falcon,
    /// The XML of an object store, with the id as its code.
    Store,
    /// A proxy's page.
    Html,
    /// Nothing.
    Empty,
}

impl Answer {
    /// The usual answer with this status.
    pub fn status(status: u16) -> Self {
        Self { status, id: None, retry_after: None, body: None, accepted: false, byte_order_mark: false }
    }

    /// With this id in its envelope.
    #[must_use]
    pub fn id(self, id: &str) -> Self {
        Self { id: Some(id.to_owned()), ..self }
    }

    /// With a `Retry-After` header.
    #[must_use]
    pub fn retry_after(self, retry_after: RetryAfter) -> Self {
        Self { retry_after: Some(retry_after), ..self }
    }

    /// With a body of this shape.
    #[must_use]
    pub fn body(self, body: AnswerBody) -> Self {
        Self { body: Some(body), ..self }
    }

    /// The export is accepted all the same.
    #[must_use]
    pub fn accepted(self) -> Self {
        Self { accepted: true, ..self }
    }

    pub(crate) fn response(&self, dialect: Dialect) -> Response<Body> {
        // An informational status would not be an answer.
        let status = StatusCode::from_u16(self.status).ok().filter(|status| !status.is_informational());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let reason = status.canonical_reason().unwrap_or("Error");
        let shape = self.body.unwrap_or(match dialect {
            Dialect::Legacy if self.id.is_none() => AnswerBody::Bare,
            _ => AnswerBody::Envelope,
        });
        let (content_type, body) = match shape {
            AnswerBody::Envelope => {
                ("application/json", envelope::body(self.id_or_usual(), reason, &[]).to_string().into())
            }
            AnswerBody::Bare => ("application/json", json!({ "message": reason }).to_string().into()),
            AnswerBody::Falcon => {
                let description = "Could not parse JSON body - the simulator was told to say so";
                (
                    "application/json",
                    json!({ "title": reason, "description": description }).to_string().into(),
                )
            }
            AnswerBody::Store => ("application/xml", store_error(self.id_or_usual())),
            AnswerBody::Html => ("text/html", page(status, reason)),
            AnswerBody::Empty => ("", Bytes::new()),
        };
        let body = if self.byte_order_mark { with_byte_order_mark(&body) } else { body };
        let mut response = Response::new(full(body));
        *response.status_mut() = status;
        if !content_type.is_empty() {
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
        }
        if let Some(value) = self.retry_after.and_then(RetryAfter::value) {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }

    fn id_or_usual(&self) -> &str {
        match (&self.id, self.status) {
            (Some(id), _) => id,
            (None, 400) => "invalid_payload",
            (None, 401) => "unauthorized",
            (None, 404) => "visual_not_found",
            (None, 409) => "previous_secret_still_active",
            (None, 429) if self.retry_after.is_some() => "request_rate_limited",
            (None, 429) => "rate_limit_exceeded",
            (None, 500) => "internal_server_error",
            (None, _) => "internal_error",
        }
    }
}

impl RetryAfter {
    fn value(self) -> Option<header::HeaderValue> {
        let text = match self {
            Self::Seconds(seconds) => seconds.to_string(),
            Self::Date(seconds) => {
                httpdate::fmt_http_date(SystemTime::now().checked_add(Duration::from_secs(seconds))?)
            }
        };
        text.parse().ok()
    }
}

/// The same bytes behind a byte order mark.
pub(crate) fn with_byte_order_mark(body: &[u8]) -> Bytes {
    [b"\xef\xbb\xbf", body].concat().into()
}

/// The XML in which an object store says no.
pub(crate) fn store_error(code: &str) -> Bytes {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code></Error>\n").into()
}

/// What a proxy shows when the service behind it does not answer.
pub(crate) fn page(status: StatusCode, reason: &str) -> Bytes {
    let line = format!("{} {reason}", status.as_u16());
    format!(
        "<html>\r\n<head><title>{line}</title></head>\r\n<body>\r\n<center><h1>{line}</h1></center>\r\n\
         <hr><center>gateway</center>\r\n</body>\r\n</html>\r\n"
    )
    .into()
}
