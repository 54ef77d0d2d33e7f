//! Reading an HTTP/1.1 answer from the bytes of a connection that carries no other.

use alloc::{borrow::ToOwned as _, string::String, vec::Vec};
use core::fmt;

use thiserror::Error;

use super::{BodyReader, Framing, Lines, Names, NotLines};
use crate::{
    MAX_ANSWER,
    http::{Headers, Response},
};

/// Reads one answer.
///
/// It keeps what came of the body until [`take_body`](Self::take_body) takes it: after each [`feed`](Self::feed) for
/// an archive, which goes to a file piece by piece; at the end, or at [`MAX_ANSWER`](crate::MAX_ANSWER) bytes, for the
/// answer to a call.
///
/// ```
/// # use abyssale_core::http1::ResponseReader;
/// let mut reader = ResponseReader::default();
/// reader.feed(b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nhel")?;
/// assert_eq!(reader.head().map(|head| head.status), Some(404));
/// assert!(!reader.is_done());
/// reader.feed(b"lo")?;
/// assert!(reader.is_done());
/// assert_eq!(reader.take_body(), b"hello");
/// # Ok::<(), abyssale_core::http1::BadResponse>(())
/// ```
#[derive(Debug, Default)]
pub struct ResponseReader {
    lines: Lines,
    head: Option<ResponseHead>,
    body: Body,
}

/// The head of an answer. `Debug` shows the names of its fields, and no values.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct ResponseHead {
    /// The HTTP status, from 200 up: interim answers are skipped.
    pub status: u16,
    /// The header fields, in order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl fmt::Debug for ResponseHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, headers } = self;
        f.debug_struct("ResponseHead").field("status", status).field("headers", &Names(headers)).finish()
    }
}

/// Why bytes are no answer. What came of it before stands: a status that was read has said the main thing.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum BadResponse {
    /// It does not begin as HTTP/1 does.
    #[error("the answer is not HTTP/1.1")]
    NotHttp,
    /// Its head is longer than 64 KiB or has more than 128 fields.
    #[error("the head of the answer is too large")]
    HeadTooLarge,
    /// It cannot be told where its body ends, or its chunks are not what they say.
    #[error("the body of the answer is not framed as it should be")]
    Framing,
    /// The connection ended before the answer did.
    #[error("the answer broke off")]
    BrokenOff,
}

#[derive(Default)]
enum Body {
    /// The head is still to come.
    #[default]
    ToCome,
    Framed(BodyReader),
    /// It ends with the connection.
    UntilEnd {
        bytes: Vec<u8>,
        is_done: bool,
    },
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ToCome => f.write_str("ToCome"),
            Self::Framed(reader) => reader.fmt(f),
            Self::UntilEnd { bytes, is_done } => {
                write!(f, "UntilEnd({} bytes, done: {is_done})", bytes.len())
            }
        }
    }
}

impl ResponseReader {
    /// Takes bytes as they come. What is behind the answer is thrown away.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), BadResponse> {
        if self.head.is_some() {
            return self.take_in(bytes);
        }
        let mut behind = bytes;
        while self.head.is_none() {
            let fed = self.lines.feed(behind, MAX_HEAD).map_err(|not| match not {
                NotLines::LineEnd => BadResponse::NotHttp,
                NotLines::TooLong => BadResponse::HeadTooLarge,
            })?;
            let Some((lines, used)) = fed else { return Ok(()) };
            behind = behind.get(used..).unwrap_or_default();
            self.take_head(&lines)?;
        }
        self.take_in(behind)
    }

    /// The connection has ended; nothing more will come.
    pub fn end(&mut self) -> Result<(), BadResponse> {
        match &mut self.body {
            Body::UntilEnd { is_done, .. } => *is_done = true,
            body => {
                if !body.is_done() {
                    return Err(BadResponse::BrokenOff);
                }
            }
        }
        Ok(())
    }

    /// The head, as soon as it is there.
    pub fn head(&self) -> Option<&ResponseHead> {
        self.head.as_ref()
    }

    /// Whether the answer is whole.
    pub fn is_done(&self) -> bool {
        self.body.is_done()
    }

    /// How many bytes of the body are kept.
    pub fn body_len(&self) -> usize {
        match &self.body {
            Body::ToCome => 0,
            Body::Framed(body) => body.body().len(),
            Body::UntilEnd { bytes, .. } => bytes.len(),
        }
    }

    /// What came of the body since this was last called.
    pub fn take_body(&mut self) -> Vec<u8> {
        match &mut self.body {
            Body::ToCome => Vec::new(),
            Body::Framed(body) => body.take_body(),
            Body::UntilEnd { bytes, .. } => core::mem::take(bytes),
        }
    }

    /// As much of the answer as came, whole or not: its body cut off past [`MAX_ANSWER`] bytes, and without what
    /// [`take_body`](Self::take_body) took. `None` if not even its head came.
    pub fn take_response(&mut self) -> Option<Response> {
        let ResponseHead { status, headers } = self.head()?.clone();
        let mut body = self.take_body();
        body.truncate(MAX_ANSWER);
        Some(Response { status, headers, body })
    }

    fn take_in(&mut self, piece: &[u8]) -> Result<(), BadResponse> {
        match &mut self.body {
            Body::Framed(body) => body.feed(piece).map(drop).map_err(|_| BadResponse::Framing),
            Body::UntilEnd { bytes, is_done: false } => {
                bytes.extend_from_slice(piece);
                Ok(())
            }
            Body::ToCome | Body::UntilEnd { .. } => Ok(()),
        }
    }

    fn take_head(&mut self, lines: &[u8]) -> Result<(), BadResponse> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(lines) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(BadResponse::HeadTooLarge),
            Ok(httparse::Status::Partial) | Err(_) => return Err(BadResponse::NotHttp),
        }
        let status = response.code.ok_or(BadResponse::NotHttp)?;
        let headers: Vec<_> =
            response.headers.iter().map(|field| (field.name.to_owned(), field.value.to_vec())).collect();
        match status {
            // Another protocol is nothing that was asked for.
            101 | ..100 => return Err(BadResponse::NotHttp),
            // Interim: the answer is still to come.
            102..200 | 100 => return Ok(()),
            _ => {}
        }
        self.body = match framing(status, &headers)? {
            Some(framing) => Body::Framed(BodyReader::piecewise(framing)),
            None => Body::UntilEnd { bytes: Vec::new(), is_done: false },
        };
        self.head = Some(ResponseHead { status, headers });
        Ok(())
    }
}

impl Body {
    fn is_done(&self) -> bool {
        match self {
            Self::ToCome => false,
            Self::Framed(body) => body.is_done(),
            Self::UntilEnd { is_done, .. } => *is_done,
        }
    }
}

/// RFC 9112 §6.3, with what it leaves to the reader refused: `None` means that the connection's end is the body's.
fn framing(status: u16, headers: &[(String, Vec<u8>)]) -> Result<Option<Framing>, BadResponse> {
    if matches!(status, 204 | 304) {
        return Ok(Some(Framing::Length(0)));
    }
    let headers = &headers;
    match (headers.first("content-length"), headers.first("transfer-encoding")) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(BadResponse::Framing),
        (Some(_), None) => {
            let value = headers.only("content-length").and_then(|value| str::from_utf8(value).ok());
            let digits = value.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let length = digits.and_then(|text| text.parse().ok()).ok_or(BadResponse::Framing)?;
            Ok(Some(Framing::Length(length)))
        }
        (None, Some(_)) => match headers.only("transfer-encoding") {
            Some(coding) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Some(Framing::Chunked)),
            _ => Err(BadResponse::Framing),
        },
    }
}

/// The longest head that is read, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// The most header fields that are read.
const MAX_FIELDS: usize = 128;

#[cfg(test)]
mod tests {
    use alloc::{format, vec};

    use proptest::prelude::*;

    use super::*;

    /// Feeds pieces of this size, then the end.
    fn read(bytes: &[u8], step: usize) -> (Result<(), BadResponse>, Option<u16>, Vec<u8>) {
        let mut reader = ResponseReader::default();
        let mut result = bytes.chunks(step).try_for_each(|piece| reader.feed(piece));
        if result.is_ok() {
            result = reader.end();
        }
        let status = reader.head().map(|head| head.status);
        (result, status, reader.take_body())
    }

    #[test]
    fn an_answer_is_the_same_however_it_arrives() {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\nhello",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 \r\ncontent-length:5\r\n\r\nhello",
        ] {
            for step in 1..=answer.len() {
                assert_eq!(
                    read(answer.as_bytes(), step),
                    (Ok(()), Some(200), b"hello".to_vec()),
                    "{answer:?}"
                );
            }
        }
        let none = "HTTP/1.1 204 No Content\r\ncontent-length: 7\r\n\r\n";
        assert_eq!(read(none.as_bytes(), 1), (Ok(()), Some(204), Vec::new()));
    }

    #[test]
    fn a_body_that_breaks_off_leaves_what_came_of_it() {
        for answer in [
            "HTTP/1.1 503 No\r\nContent-Length: 50\r\n\r\nhello",
            "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
        ] {
            let expected = (Err(BadResponse::BrokenOff), Some(503), b"hello".to_vec());
            assert_eq!(read(answer.as_bytes(), 3), expected, "{answer:?}");
        }
        assert_eq!(read(b"HTTP/1.1 200 OK\r\n", 3), (Err(BadResponse::BrokenOff), None, Vec::new()));
        let mut reader = ResponseReader::default();
        assert_eq!(reader.end(), Err(BadResponse::BrokenOff));
        assert_eq!(reader.take_response(), None);
        reader.feed(b"HTTP/1.1 503 No\r\nContent-Length: 2000000\r\n\r\n").unwrap();
        reader.feed(&vec![b'x'; MAX_ANSWER + 1]).unwrap();
        let Some(Response { status: 503, headers, body }) = reader.take_response() else { panic!() };
        assert_eq!(headers.first("content-length"), Some(&b"2000000"[..]));
        assert_eq!(body.len(), MAX_ANSWER);
    }

    #[test]
    fn what_readers_could_frame_differently_is_refused() {
        for fields in [
            "content-length: 5\r\ncontent-length: 5\r\n",
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "content-length: +5\r\n",
            "content-length: 5, 5\r\n",
            "content-length:\r\n",
            "transfer-encoding: gzip, chunked\r\n",
        ] {
            let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\nhello");
            assert_eq!(read(answer.as_bytes(), 9).0, Err(BadResponse::Framing), "{fields:?}");
        }
        for not_http in
            ["garbage\r\n\r\n", "HTTP/1.1 200 OK\n\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 101 Up\r\n\r\n"]
        {
            assert_eq!(read(not_http.as_bytes(), 9).0, Err(BadResponse::NotHttp), "{not_http:?}");
        }
    }

    #[test]
    fn a_head_is_bounded() {
        let long = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(MAX_HEAD));
        assert_eq!(read(long.as_bytes(), 4096).0, Err(BadResponse::HeadTooLarge));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(MAX_FIELDS + 1));
        assert_eq!(read(many.as_bytes(), 4096).0, Err(BadResponse::HeadTooLarge));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_pieces_make_no_difference(
            bytes in "(HTTP/1\\.[01] [0-9]{3} [a-z]{0,3}\r\n)?(content-length: [0-9]{0,3}\r\n|transfer-encoding: chunked\r\n|x: y\r\n){0,2}(\r\n)?[0-9a-f\r\n ;]{0,30}",
            step in 1usize..40,
        ) {
            prop_assert_eq!(read(bytes.as_bytes(), step), read(bytes.as_bytes(), bytes.len().max(1)));
        }
    }
}
