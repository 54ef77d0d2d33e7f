//! Reading the head of an HTTP/1.1 request from bytes, strictly: what two servers could frame
//! differently is refused. Its body is read by [`BodyReader`](super::BodyReader).

use super::{Head, Lines, NotLines};

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

/// The longest head that is read unless set, in bytes.
pub const MAX_HEAD: usize = 16 << 10;

/// The most header fields that are read unless set.
pub const MAX_FIELDS: usize = 64;

#[cfg(test)]
mod tests {
    use alloc::{format, vec::Vec};

    use super::*;
    use crate::{
        http::{Headers as _, Repeated},
        http1::Framing,
    };

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
}
