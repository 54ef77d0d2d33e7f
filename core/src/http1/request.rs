//! Reading an HTTP/1.1 request from bytes, strictly: what two servers could frame differently is
//! refused. No I/O: bytes in, a request out.

use alloc::vec::Vec;
use core::fmt;

use super::{Framing, Head, Lines, NotLines};

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

    /// Takes bytes. Once the head is whole, returns it, and how many of these bytes belong to it.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<(Head, usize)>, Malformed> {
        // Some readers skip an empty line before a request, and some take it for the end of one.
        if self.is_empty() && bytes.first() == Some(&b'\r') {
            return Err(Malformed::BadRequest);
        }
        let whole = self.lines.feed(bytes, self.max_bytes).map_err(|error| match error {
            NotLines::LineEnd => Malformed::BadRequest,
            NotLines::TooLong => Malformed::HeadTooLarge,
        })?;
        whole.map(|(head, used)| Ok((Head::parse(head, self.max_fields)?, used))).transpose()
    }
}

impl Default for HeadReader {
    fn default() -> Self {
        Self::new(MAX_HEAD, MAX_FIELDS)
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
    use crate::http::{Headers as _, Repeated};

    fn head(text: &str) -> Result<Option<(Head, usize)>, Malformed> {
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
            let (at, (head, used)) = pieces
                .enumerate()
                .find_map(|(at, piece)| reader.feed(piece).unwrap().map(|read| (at, read)))
                .unwrap();
            assert_eq!(at, (head_len - 1) / step, "as soon as it is whole");
            assert_eq!(at * step + used, head_len);
            assert_eq!((head.method(), head.target()), ("POST", "/abyssale/t?a=b"));
            assert_eq!((head.framing, head.expects_continue), (Framing::Length(5), true));
        }
    }

    #[test]
    fn fields_are_found_by_name_and_shown_without_what_they_say() {
        let text = "POST /abyssale/s3cret HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: other\r\na: \r\nContent-Lengtn: 7\r\n\r\n";
        let (head, _) = head(text).unwrap().unwrap();
        assert_eq!(
            (head.first("a"), head.nth("a", 1), head.nth("a", 2)),
            (Some(&b"1"[..]), Some(&b""[..]), None)
        );
        assert_eq!(
            (head.sole("A"), head.sole("b"), head.sole("c")),
            (Err(Repeated), Ok(Some(&b"other"[..])), Ok(None))
        );
        let fields: Vec<_> = head.fields().collect();
        let said: [(&str, &[u8]); 5] =
            [("Host", b"h"), ("A", b"1"), ("B", b"other"), ("a", b""), ("Content-Lengtn", b"7")];
        assert_eq!(fields, said);
        assert_eq!(head.framing, Framing::Absent, "a name that only looks like another");
        let shown = format!("{head:?}");
        assert!(shown.contains("POST") && shown.contains("Content-Lengtn"), "{shown}");
        assert!(!shown.contains("s3cret") && !shown.contains("other"), "{shown}");
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
    fn only_who_speaks_1_1_is_told_to_continue() {
        let waits = |version: &str| {
            let text = format!("POST /a HTTP/{version}\r\nHost: h\r\nExpect: 100-Continue\r\n\r\n");
            head(&text).unwrap().unwrap().0.expects_continue
        };
        assert_eq!((waits("1.1"), waits("1.0")), (true, false));
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
