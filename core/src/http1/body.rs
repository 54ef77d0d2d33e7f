//! Reading the body of an HTTP/1.1 message from bytes, counted or in chunks, as strictly as its head:
//! a chunk has no extensions, and nothing follows the last one.

use alloc::vec::Vec;
use core::fmt;

use super::{Framing, Malformed};

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
            (Self::Size { digits: digits @ 0..8, size }, digit) => {
                let value = char::from(digit).to_digit(16).ok_or(Malformed::BadRequest)?;
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

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

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
            "\r\n\r\n",
            "g\r\n",
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
        let just = [b'x'; 100];
        assert_eq!(body(Framing::Length(100), &just, 9), Ok((just.to_vec(), 100)));
        let chunked = [b"32\r\n", &just[..50], b"\r\n32\r\n", &just[50..], b"\r\n0\r\n\r\n"].concat();
        assert_eq!(body(Framing::Chunked, &chunked, 9), Ok((just.to_vec(), chunked.len())));
    }

    #[test]
    fn what_came_is_not_shown() {
        let mut reader = BodyReader::new(Framing::Length(9), 100).unwrap();
        reader.feed(b"s3cret").unwrap();
        assert_eq!(reader.body(), b"s3cret");
        assert_eq!(format!("{reader:?}"), "BodyReader { state: Counted(3), body: (6 bytes), limit: 100 }");
    }
}
