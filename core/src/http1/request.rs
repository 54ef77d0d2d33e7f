//! Reading an HTTP/1.1 request from bytes, strictly: what two servers could frame differently is
//! refused. No I/O: bytes in, a request out.
//!
//! Long, because half of it are its tests.
//!
//! The head is taken apart by httparse, which hyper and ureq use as well. Framing is decided here,
//! because what there is to borrow is looser than an address on the open internet should be.

use alloc::{borrow::ToOwned as _, string::String, vec::Vec};
use core::fmt;

use super::{Lines, Names, NotLines};
use crate::http::Headers;

/// The head of a request.
///
/// The target may hold a token and the fields a signature: `Debug` shows the length of the one and the names of the others.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct Head {
    /// The method's name, as it came.
    pub method: String,
    /// Path and query, as they came.
    pub target: String,
    /// The header fields, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// How the end of the body is known.
    pub framing: Framing,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The client may send another request on the same connection.
    pub keeps_alive: bool,
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("method", &self.method)
            .field("target", &format_args!("({} bytes)", self.target.len()))
            .field("headers", &Names(&self.headers))
            .field("framing", &self.framing)
            .field("expects_continue", &self.expects_continue)
            .field("keeps_alive", &self.keeps_alive)
            .finish()
    }
}

/// How the end of the body is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// Nothing is said about it, which means that there is none.
    Absent,
    /// It has this many bytes.
    Length(u64),
    /// It comes in chunks.
    Chunked,
}

/// Why a request is refused before anybody looks at what it is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Malformed {
    /// 400.
    BadRequest,
    /// 411: nothing is said about a body, where there has to be one.
    LengthRequired,
    /// 413.
    BodyTooLarge,
    /// 431.
    HeadTooLarge,
}

impl Malformed {
    /// The HTTP status to answer.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::LengthRequired => 411,
            Self::BodyTooLarge => 413,
            Self::HeadTooLarge => 431,
        }
    }
}

/// Collects a head. Looks at every byte once, however few come at a time.
#[derive(Debug)]
pub struct HeadReader {
    lines: Lines,
    max_bytes: usize,
    max_fields: usize,
}

impl HeadReader {
    /// For a head of at most so many bytes and fields; [`MAX_HEAD`] and [`MAX_FIELDS`] by default.
    pub fn new(max_bytes: usize, max_fields: usize) -> Self {
        Self { lines: Lines::default(), max_bytes, max_fields }
    }

    /// Whether nothing has come yet.
    pub fn is_empty(&self) -> bool {
        self.lines.bytes.is_empty()
    }

    /// Takes bytes. Once the head is whole, returns it and what has come behind it.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<(Head, Vec<u8>)>, Malformed> {
        // Some readers skip an empty line before a request, and some take it for the end of one.
        if self.is_empty() && bytes.first() == Some(&b'\r') {
            return Err(Malformed::BadRequest);
        }
        let whole = self.lines.feed(bytes, self.max_bytes).map_err(|error| match error {
            NotLines::LineEnd => Malformed::BadRequest,
            NotLines::TooLong => Malformed::HeadTooLarge,
        })?;
        whole.map(|(head, behind)| Ok((parse_head(&head, self.max_fields)?, behind))).transpose()
    }
}

impl Default for HeadReader {
    fn default() -> Self {
        Self::new(MAX_HEAD, MAX_FIELDS)
    }
}

fn parse_head(head: &[u8], max_fields: usize) -> Result<Head, Malformed> {
    // As many as are usual need no allocation of their own.
    let (mut few, mut many) = ([httparse::EMPTY_HEADER; MAX_FIELDS], Vec::new());
    let fields = few.get_mut(..max_fields).unwrap_or_else(|| {
        many.resize(max_fields, httparse::EMPTY_HEADER);
        &mut many
    });
    let mut request = httparse::Request::new(fields);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Malformed::HeadTooLarge),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Malformed::BadRequest),
    }
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(Malformed::BadRequest);
    };
    // Proxies send the origin form to servers; anything else is not meant for us.
    if !target.starts_with('/') {
        return Err(Malformed::BadRequest);
    }
    let headers: Vec<_> =
        request.headers.iter().map(|field| (field.name.to_owned(), field.value.to_vec())).collect();
    let framing = framing(&headers, version)?;
    let expects_continue = match headers.only("expect") {
        None if headers.first("expect").is_none() => false,
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => version == 1,
        _ => return Err(Malformed::BadRequest),
    };
    let keeps_alive = version == 1 && !says_close(&headers);
    let (method, target) = (method.to_owned(), target.to_owned());
    Ok(Head { method, target, headers, framing, expects_continue, keeps_alive })
}

fn says_close(headers: &[(String, Vec<u8>)]) -> bool {
    let fields = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection"));
    let mut options = fields.flat_map(|(_, value)| value.split(|byte| *byte == b','));
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

fn framing(headers: &[(String, Vec<u8>)], version: u8) -> Result<Framing, Malformed> {
    // `&[T]` is sized, so it can be looked into through the trait.
    let headers = &headers;
    let hosts = headers.first("host").is_some();
    if headers.nth("host", 1).is_some() || (version == 1 && !hosts) {
        return Err(Malformed::BadRequest);
    }
    match (headers.first("content-length"), headers.first("transfer-encoding")) {
        (Some(_), Some(_)) => Err(Malformed::BadRequest),
        (None, None) => Ok(Framing::Absent),
        (Some(_), None) => {
            let value = headers.only("content-length").ok_or(Malformed::BadRequest)?;
            let digits =
                str::from_utf8(value).ok().filter(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit()));
            digits.and_then(|t| t.parse().ok()).map(Framing::Length).ok_or(Malformed::BadRequest)
        }
        (None, Some(_)) => match headers.only("transfer-encoding") {
            Some(coding) if version == 1 && coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            _ => Err(Malformed::BadRequest),
        },
    }
}

/// Collects a body, at most `limit` bytes of it.
pub struct BodyReader {
    state: State,
    body: Vec<u8>,
    limit: usize,
}

impl fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyReader")
            .field("state", &self.state)
            .field("body", &format_args!("({} bytes)", self.body.len()))
            .field("limit", &self.limit)
            .finish()
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// So many bytes are to come; then the body is over.
    Counted(u64),
    /// In a chunk's size line, with its digits so far.
    Size {
        digits: u8,
        size: u64,
    },
    /// Behind the size, at its line feed.
    SizeEnd {
        size: u64,
    },
    /// In a chunk.
    Chunk(u64),
    /// Behind a chunk, at its carriage return, then at its line feed.
    ChunkEnd {
        feed: bool,
    },
    /// Behind the last chunk: trailers are refused, so a line end must follow.
    LastEnd {
        feed: bool,
    },
    Done,
}

impl BodyReader {
    /// For a body of at most `limit` bytes; one that announces more is refused at once.
    pub fn new(framing: Framing, limit: usize) -> Result<Self, Malformed> {
        match framing {
            Framing::Length(length) if length > limit as u64 => Err(Malformed::BodyTooLarge),
            framing => Ok(Self { limit, ..Self::piecewise(framing) }),
        }
    }

    /// For a body of any size, which [`take_body`](Self::take_body) takes piece by piece.
    pub(super) fn piecewise(framing: Framing) -> Self {
        let state = match framing {
            Framing::Absent | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Counted(length),
            Framing::Chunked => State::Size { digits: 0, size: 0 },
        };
        Self { state, body: Vec::new(), limit: usize::MAX }
    }

    /// Takes bytes, and returns how many of them belong to this body.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut rest = bytes;
        while let (false, Some((&byte, behind))) = (self.is_done(), rest.split_first()) {
            self.state = match self.state {
                State::Counted(left) | State::Chunk(left) => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let (piece, behind) = rest.split_at(count);
                    if piece.len() > self.limit - self.body.len() {
                        return Err(Malformed::BodyTooLarge);
                    }
                    self.body.extend_from_slice(piece);
                    rest = behind;
                    match (self.state, left - count as u64) {
                        (State::Counted(_), 0) => State::Done,
                        (State::Counted(_), left) => State::Counted(left),
                        (_, 0) => State::ChunkEnd { feed: false },
                        (_, left) => State::Chunk(left),
                    }
                }
                framing => {
                    rest = behind;
                    framing.step(byte)?
                }
            };
        }
        Ok(bytes.len() - rest.len())
    }

    /// Whether the body is whole.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// What has come of it.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// What has come of it, taken out.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// What has come of it since this was last called.
    pub(super) fn take_body(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.body)
    }
}

impl State {
    /// One byte of the framing: sizes are 1 to 8 hexadecimal digits, without extensions or blanks.
    fn step(self, byte: u8) -> Result<Self, Malformed> {
        match (self, byte) {
            (Self::Size { digits, size }, b'\r') if digits > 0 => Ok(Self::SizeEnd { size }),
            (Self::Size { digits: 0..8, size }, digit) if digit.is_ascii_hexdigit() => {
                let value = char::from(digit).to_digit(16).ok_or(Malformed::BadRequest)?;
                let Self::Size { digits, .. } = self else { return Err(Malformed::BadRequest) };
                Ok(Self::Size { digits: digits + 1, size: size * 16 + u64::from(value) })
            }
            (Self::SizeEnd { size: 0 }, b'\n') => Ok(Self::LastEnd { feed: false }),
            (Self::SizeEnd { size }, b'\n') => Ok(Self::Chunk(size)),
            (Self::ChunkEnd { feed: false }, b'\r') => Ok(Self::ChunkEnd { feed: true }),
            (Self::ChunkEnd { feed: true }, b'\n') => Ok(Self::Size { digits: 0, size: 0 }),
            (Self::LastEnd { feed: false }, b'\r') => Ok(Self::LastEnd { feed: true }),
            (Self::LastEnd { feed: true }, b'\n') => Ok(Self::Done),
            _ => Err(Malformed::BadRequest),
        }
    }
}

/// The longest head that is read unless set, in bytes.
pub const MAX_HEAD: usize = 16 << 10;

/// The most header fields that are read unless set.
pub const MAX_FIELDS: usize = 64;

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    fn head(text: &str) -> Result<Option<(Head, Vec<u8>)>, Malformed> {
        HeadReader::default().feed(text.as_bytes())
    }

    fn framed(fields: &str) -> Result<Framing, Malformed> {
        head(&format!("POST /a HTTP/1.1\r\nHost: h\r\n{fields}\r\n")).map(|head| head.unwrap().0.framing)
    }

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let text = "POST /abyssale/t?a=b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello";
        let head_len = text.len() - 5;
        for step in 1..=text.len() {
            let mut reader = HeadReader::default();
            let pieces = text.as_bytes().chunks(step);
            let (at, (head, body)) = pieces
                .enumerate()
                .find_map(|(at, piece)| reader.feed(piece).unwrap().map(|read| (at, read)))
                .unwrap();
            assert_eq!(at, (head_len - 1) / step, "as soon as it is whole");
            assert!(text.ends_with("hello") && "hello".as_bytes().starts_with(&body));
            assert_eq!((head.method.as_str(), head.target.as_str()), ("POST", "/abyssale/t?a=b"));
            assert_eq!((head.framing, head.expects_continue), (Framing::Length(5), true));
        }
    }

    #[test]
    fn what_two_servers_could_frame_differently_is_refused() {
        assert_eq!(framed(""), Ok(Framing::Absent));
        assert_eq!(framed("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
        for fields in [
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding : chunked\r\n",
            " folded\r\n",
            "Host: other\r\n",
            "X: a\nY: b\r\n",
            "X: a\rY: b\r\n",
            "Expect: something\r\n",
        ] {
            assert_eq!(framed(fields), Err(Malformed::BadRequest), "{fields:?}");
        }
        for text in [
            "POST /a HTTP/1.1\r\n\r\n",
            "POST http://h/a HTTP/1.1\r\nHost: h\r\n\r\n",
            "POST * HTTP/1.1\r\nHost: h\r\n\r\n",
            "\r\nPOST /a HTTP/1.1\r\nHost: h\r\n\r\n",
            "\r\n",
            "\nPOST /a HTTP/1.1\r\nHost: h\r\n\r\n",
            "POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST /a HTTP/1.1\nHost: h\n\n",
            "POST /a HTTP/1.1\r\nHost: h\r\n\n",
            "POST /a HTTP/1.1\r\nHost: h\r\r\n\r\n",
            "POST  /a HTTP/1.1\r\nHost: h\r\n\r\n",
            "POST /a HTTP/2.0\r\nHost: h\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "garbage\r\n\r\n",
        ] {
            assert_eq!(head(text), Err(Malformed::BadRequest), "{text:?}");
        }
    }

    #[test]
    fn a_head_is_bounded() {
        let long = format!("POST /a HTTP/1.1\r\nHost: h\r\nX: {}", "x".repeat(MAX_HEAD));
        assert_eq!(head(&long), Err(Malformed::HeadTooLarge));
        let many = format!("POST /a HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(MAX_FIELDS));
        assert_eq!(head(&many), Err(Malformed::HeadTooLarge));
    }

    #[test]
    fn limits_are_the_operators() {
        let read = |bytes, fields| {
            HeadReader::new(bytes, fields).feed(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").map(drop)
        };
        assert_eq!(read(27, 1), Ok(()));
        assert_eq!((read(26, 1), read(27, 0)), (Err(Malformed::HeadTooLarge), Err(Malformed::HeadTooLarge)));
    }

    #[test]
    fn a_connection_is_kept_unless_somebody_says_otherwise() {
        let keeps = |version: &str, fields: &str| {
            let text = format!("POST /a HTTP/{version}\r\nHost: h\r\n{fields}\r\n");
            head(&text).unwrap().unwrap().0.keeps_alive
        };
        assert!(keeps("1.1", "") && keeps("1.1", "Connection: upgrade, keep-alive\r\n"));
        assert!(!keeps("1.1", "Connection: a, Close\r\n"));
        assert!(!keeps("1.1", "Connection: a\r\nConnection:close\r\n"));
        assert!(!keeps("1.0", "Connection: keep-alive\r\n"));
    }

    fn body(framing: Framing, bytes: &[u8], step: usize) -> Result<(Vec<u8>, usize), Malformed> {
        let mut reader = BodyReader::new(framing, 100)?;
        let mut used = 0;
        for piece in bytes.chunks(step) {
            let taken = reader.feed(piece)?;
            used += taken;
            if taken < piece.len() {
                break;
            }
        }
        if reader.is_done() { Ok((reader.into_body(), used)) } else { Err(Malformed::BadRequest) }
    }

    #[test]
    fn a_body_is_the_same_however_it_arrives() {
        let chunked = b"5\r\nhello\r\n00a\r\n, chunks!!\r\n0\r\n\r\nnext";
        for step in 1..=chunked.len() {
            assert_eq!(
                body(Framing::Chunked, chunked, step),
                Ok((b"hello, chunks!!".to_vec(), chunked.len() - 4))
            );
            assert_eq!(body(Framing::Length(5), b"helloNEXT", step), Ok((b"hello".to_vec(), 5)));
        }
        assert_eq!(body(Framing::Length(0), b"next", 1), Ok((Vec::new(), 0)));
    }

    #[test]
    fn a_loose_chunk_is_refused() {
        for text in [
            "+5\r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "5 \r\nhello\r\n0\r\n\r\n",
            "5;a=b\r\nhello\r\n0\r\n\r\n",
            "\r\n",
            "5\nhello\n0\n\n",
            "5\r\nhelloX\r\n0\r\n\r\n",
            "000000005\r\nhello\r\n0\r\n\r\n",
            "5\r\nhello\r\n0\r\nTrailer: a\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "-0\r\n\r\n",
        ] {
            assert_eq!(body(Framing::Chunked, text.as_bytes(), 7), Err(Malformed::BadRequest), "{text:?}");
        }
    }

    #[test]
    fn a_body_is_bounded() {
        assert_eq!(body(Framing::Length(101), b"", 1), Err(Malformed::BodyTooLarge));
        let endless = "10\r\n0123456789abcdef\r\n".repeat(100);
        assert_eq!(body(Framing::Chunked, endless.as_bytes(), 9), Err(Malformed::BodyTooLarge));
        assert_eq!(body(Framing::Chunked, b"ffffffff\r\nx", 9), Err(Malformed::BadRequest), "not whole");
    }
}
