//! HTTP/1.1 as bytes, without I/O: for a runtime that has sockets and no HTTP client, and for a listener of one's own.
//!
//! | to | use |
//! |---|---|
//! | send a request | [`Request::to_http1`](crate::http::Request::to_http1), on a connection of its own |
//! | read what comes back | [`ResponseReader`] |
//! | read a delivery | [`DeliveryReader`], or [`HeadReader`] and [`BodyReader`] one after the other |
//! | answer it | [`answer`], or [`answer_and_keep`] |
//!
//! One request a connection is what they are made for: nothing can hide behind another message. Who goes on with a
//! connection does so only after a request that was read to its end and acknowledged. Heads are bounded, and so is
//! what is kept of a body. What two readers could understand differently is refused.
//!
//! TLS is yours to put underneath: the bytes are the same.

mod body;
mod delivery;
mod head;
mod request;
mod response;
mod write;

use alloc::{string::String, vec::Vec};
use core::fmt;

pub use body::BodyReader;
pub use delivery::{DeliveryReader, Incoming};
pub use head::{Framing, Head};
pub use request::{HeadReader, MAX_FIELDS, MAX_HEAD, Malformed};
pub use response::{BadResponse, ResponseHead, ResponseReader};
pub use write::{answer, answer_and_keep};

/// The lines before a body. Looks at every byte once, however few come at a time.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    /// How many bytes have been looked at.
    seen: usize,
}

/// A head with the empty line that ends it, and how many of the bytes that came last belong to it.
type HeadAndUsed = (Vec<u8>, usize);

/// Why lines are no head.
enum NotLines {
    /// A line ends otherwise than with CR LF.
    LineEnd,
    /// There are too many bytes.
    TooLong,
}

/// What is read may hold a key, a token or a secret, so no `Debug` here shows more of it than its length.
impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lines({} bytes)", self.bytes.len())
    }
}

/// The fields of a head, of which `Debug` shows the names.
struct Names<'h>(&'h [(String, Vec<u8>)]);

impl fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Lines {
    /// Takes bytes. Once an empty line has come, returns it all.
    fn feed(&mut self, bytes: &[u8], limit: usize) -> Result<Option<HeadAndUsed>, NotLines> {
        self.bytes.extend_from_slice(bytes);
        while self.seen < self.bytes.len() {
            if !self.is_behind_return() {
                // Up to the next of these two there is nothing to look at.
                let rest = self.bytes.get(self.seen..self.bytes.len().min(limit)).unwrap_or_default();
                self.seen += memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                if self.seen >= limit {
                    return Err(NotLines::TooLong);
                }
            }
            let Some(&byte) = self.bytes.get(self.seen) else { break };
            let before = self.bytes.get(..self.seen).unwrap_or_default();
            // A bare line feed would end a line for a lenient reader, and a bare carriage return might.
            if (byte == b'\n') != before.ends_with(b"\r") {
                return Err(NotLines::LineEnd);
            }
            self.seen += 1;
            if byte == b'\n' && before.ends_with(b"\r\n\r") {
                let used = bytes.len() - (self.bytes.len() - self.seen);
                self.bytes.truncate(self.seen);
                self.seen = 0;
                return Ok(Some((core::mem::take(&mut self.bytes), used)));
            }
            if self.seen >= limit {
                return Err(NotLines::TooLong);
            }
        }
        Ok(None)
    }

    fn is_behind_return(&self) -> bool {
        self.bytes.get(..self.seen).unwrap_or_default().ends_with(b"\r")
    }
}
