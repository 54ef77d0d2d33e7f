//! An answer to a request.

use alloc::{string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    http::{Headers as _, parse_http_date},
    time::Timestamp,
};

/// The answer to a [`Request`](super::Request), with its body bounded.
///
/// ```
/// # use abyssale_core::http::{Headers as _, Response};
/// let headers = vec![("Retry-After".into(), b"2".to_vec())];
/// let response = Response { status: 429, headers, body: Vec::new() };
/// assert_eq!(response.headers.first("retry-after"), Some(&b"2"[..]));
/// ```
///
/// `Debug` shows neither the header fields nor the body: an answer may hold a signing secret.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The header fields, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, cut off after [`MAX_ANSWER`](crate::MAX_ANSWER) bytes. If it broke off, the part that arrived.
    pub body: Vec<u8>,
}

impl Response {
    /// Creates an answer, for a test or a simulator.
    pub fn new(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Self { status, headers, body: body.into() }
    }

    /// Returns the time in the `date` header, if there is one. `now` tells the century of a date with a two-digit year.
    pub fn date(&self, now: Timestamp) -> Option<Timestamp> {
        parse_http_date(self.headers.only("date")?, now)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("header_count", &self.headers.len())
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "http")]
impl<B: Into<Vec<u8>>> From<::http::Response<B>> for Response {
    /// Converts from the types of the `http` crate.
    fn from(response: ::http::Response<B>) -> Self {
        let (parts, body) = response.into_parts();
        let field = |(name, value): (&::http::HeaderName, &::http::HeaderValue)| {
            (name.as_str().into(), value.as_bytes().to_vec())
        };
        let headers = parts.headers.iter().map(field).collect();
        Self { status: parts.status.as_u16(), headers, body: body.into() }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec};

    use super::*;

    #[test]
    fn the_date_of_an_answer_is_read() {
        let date = |headers: &[(&str, &str)]| Response::new(200, headers, b"").date(Timestamp::default());
        let sent = Some(Timestamp::from_secs(784_111_777));
        assert_eq!(date(&[("Date", "Sun, 06 Nov 1994 08:49:37 GMT")]), sent);
        assert_eq!(date(&[("date", "yesterday")]), None);
        assert_eq!(date(&[]), None);
    }

    #[test]
    fn nothing_of_an_answer_is_shown_that_could_be_a_secret() {
        let headers = vec![("set-cookie".into(), b"hunter2".to_vec())];
        let response = Response { status: 200, headers, body: b"whsec_hunter2".to_vec() };
        assert_eq!(format!("{response:?}"), "Response { status: 200, header_count: 1, body_len: 13, .. }");
    }
}
