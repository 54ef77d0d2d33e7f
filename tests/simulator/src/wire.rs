//! The last stop before the socket, where an answer can still be cut, stalled, slowed, spoilt or dropped. hyper only
//! ever writes correct HTTP, so what is to look wrong to a client is made wrong here, below hyper and to the byte.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// What happens to the bytes of one answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// None of it is written.
    HangUp { reset: bool },
    /// Something else is written.
    Garbage,
    /// The head and this much of the body is written, then the connection ends.
    Cut(u64),
    /// The head and this much of the body is written, then nothing more.
    Stall(u64),
    /// One byte is written, then there is a pause.
    Drip(Duration),
}

/// The handle by which whoever makes an answer tells the wire what to do to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tap(Arc<Mutex<Spill>>);

/// A connection with a tap on it.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    tap: Tap,
    pause: Option<Pin<Box<Sleep>>>,
}

/// The fault in force, and how far the current answer has got.
#[derive(Debug, Default)]
struct Spill {
    fault: Option<Fault>,
    written: Written,
}

/// How much of an answer has been written, told apart into head and body.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    /// How many bytes of the blank line that ends the head were seen last; 4 when the head is over.
    blank_line: usize,
    body: u64,
}

impl Tap {
    /// Puts a fault in force for the answer that is written next, or takes one off.
    pub(crate) fn turn(&self, fault: Option<Fault>) {
        *self.lock() = Spill { fault, written: Written::default() };
    }

    fn lock(&self) -> MutexGuard<'_, Spill> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, tap: Tap) -> Self {
        Self { stream, tap, pause: None }
    }

    /// Writes what fits under `limit` bytes of body; `Ok(None)` when the limit is reached.
    fn write_up_to(
        &mut self,
        cx: &mut Context<'_>,
        buf: &[u8],
        limit: u64,
    ) -> Poll<io::Result<Option<usize>>> {
        let permitted = self.tap.lock().written.permitted(buf, limit);
        let Some(part @ [_, ..]) = buf.get(..permitted) else { return Poll::Ready(Ok(None)) };
        let count = ready!(Pin::new(&mut self.stream).poll_write(cx, part))?;
        self.tap.lock().written.advance(part.get(..count).unwrap_or_default());
        Poll::Ready(Ok(Some(count)))
    }

    fn write_slowly(&mut self, cx: &mut Context<'_>, buf: &[u8], pause: Duration) -> Poll<io::Result<usize>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
        }
        self.pause = None;
        let count = ready!(Pin::new(&mut self.stream).poll_write(cx, buf.get(..1).unwrap_or_default()))?;
        self.pause = Some(Box::pin(sleep(pause)));
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let fault = self.tap.lock().fault;
        match fault {
            None => Pin::new(&mut self.stream).poll_write(cx, buf),
            Some(Fault::HangUp { reset }) => {
                if reset {
                    self.stream.set_zero_linger()?;
                }
                Poll::Ready(Err(dropped()))
            }
            Some(Fault::Garbage) => {
                ready!(Pin::new(&mut self.stream).poll_write(cx, GARBAGE))?;
                Poll::Ready(Err(dropped()))
            }
            Some(Fault::Cut(limit)) => {
                let written = ready!(self.write_up_to(cx, buf, limit))?;
                Poll::Ready(written.ok_or_else(dropped))
            }
            // Nothing wakes this write: the stall ends when hyper reads that the client has left, or with the
            // connection's time.
            Some(Fault::Stall(limit)) => match ready!(self.write_up_to(cx, buf, limit))? {
                Some(count) => Poll::Ready(Ok(count)),
                None => Poll::Pending,
            },
            Some(Fault::Drip(pause)) => self.write_slowly(cx, buf, pause),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let spoilt = self.tap.lock().fault.is_some();
        if spoilt {
            // Faults count bytes one buffer at a time; a short write is always allowed.
            let first = bufs.iter().find(|buf| !buf.is_empty());
            return self.poll_write(cx, first.map_or(&[], |buf| buf));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    /// Spares hyper from copying large bodies.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Written {
    /// How many bytes of `buf` may be written before the body exceeds `limit`.
    fn permitted(self, buf: &[u8], limit: u64) -> usize {
        let mut ahead = self;
        let head = buf.iter().take_while(|byte| ahead.head_byte(**byte)).count();
        let room = usize::try_from(limit.saturating_sub(self.body)).unwrap_or(usize::MAX);
        head.saturating_add(room).min(buf.len())
    }

    fn advance(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if !self.head_byte(*byte) {
                self.body += 1;
            }
        }
    }

    /// Takes in one byte; whether it belongs to the head.
    fn head_byte(&mut self, byte: u8) -> bool {
        if self.blank_line == BLANK_LINE.len() {
            return false;
        }
        self.blank_line = match BLANK_LINE.get(self.blank_line) {
            Some(expected) if *expected == byte => self.blank_line + 1,
            _ => usize::from(byte == b'\r'),
        };
        true
    }
}

fn dropped() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the script ends this connection here")
}

const BLANK_LINE: &[u8] = b"\r\n\r\n";
const GARBAGE: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is not HTTP \xff\xfe\x00\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_counts_bytes_of_the_body_wherever_the_head_is_split() {
        let answer = b"HTTP/1.1 200 OK\r\na: b\r\n\r\n0123456789";
        for split in 0..answer.len() {
            let (first, second) = answer.split_at(split);
            let mut written = Written::default();
            let mut passed = written.permitted(first, 4);
            written.advance(&first[..passed]);
            if passed == first.len() {
                passed += written.permitted(second, 4);
            }
            assert_eq!(passed, answer.len() - 6, "split at {split}");
        }
    }
}
