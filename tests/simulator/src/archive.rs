//! An archive as bytes that can be read from any offset without all of them being in memory: a row of segments, each a
//! block repeated as often as its length asks for.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use sha2::{Digest, Sha256};

use crate::mint::hex;
use crate::reply::Body;

/// What the archives of a simulator hold.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Contents {
    /// The pictures of the banners that were asked for.
    #[default]
    Pictures,
    /// Noise, as a valid ZIP of exactly so many bytes (from 22 to 4 GiB - 1), made while it is sent.
    Synthetic(u64),
    /// These bytes, whatever they are: for archives that are not as they should be.
    Given(Bytes),
}

/// The bytes of one archive.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    segments: Arc<[Segment]>,
    len: u64,
    etag: String,
}

/// A block, repeated and cut to a length.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) block: Bytes,
    pub(crate) len: u64,
}

impl Archive {
    /// An archive that is in memory.
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::new(vec![bytes.into().into()])
    }

    pub(crate) fn new(segments: Vec<Segment>) -> Self {
        let mut hash = Sha256::new();
        for segment in &segments {
            hash.update(segment.len.to_be_bytes());
            hash.update(&segment.block);
        }
        let len = segments.iter().map(|segment| segment.len).sum();
        let etag = hex(hash.finalize().get(..16).unwrap_or_default());
        Self { segments: segments.into(), len, etag }
    }

    /// The same archive with these bytes before and behind it. Its `ETag` stays.
    pub(crate) fn between(&self, before: &[u8], behind: &[u8]) -> Self {
        let [before, behind] = [before, behind].map(|bytes| Segment::from(Bytes::copy_from_slice(bytes)));
        let len = before.len + self.len + behind.len;
        let segments = [&[before], &*self.segments, &[behind]].concat();
        Self { segments: segments.into(), len, etag: self.etag.clone() }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The opaque part of a strong `ETag`, without quotes.
    pub(crate) fn etag(&self) -> &str {
        &self.etag
    }

    /// `len` bytes from `start` on, and `padding` zeros after them.
    pub(crate) fn body(&self, start: u64, len: u64, padding: u64) -> Body {
        Slice::new(&self.segments, start, len, padding).boxed()
    }
}

impl From<Bytes> for Segment {
    fn from(block: Bytes) -> Self {
        Self { len: block.len() as u64, block }
    }
}

/// A part of an archive on its way out.
struct Slice {
    parts: VecDeque<Part>,
    left: u64,
}

struct Part {
    block: Bytes,
    at: u64,
    left: u64,
}

impl Slice {
    fn new(segments: &[Segment], start: u64, len: u64, padding: u64) -> Self {
        let (mut skip, mut wanted) = (start, len);
        let mut parts = VecDeque::new();
        for segment in segments {
            let at = skip.min(segment.len);
            let left = (segment.len - at).min(wanted);
            skip -= at;
            wanted -= left;
            parts.push_back(Part { block: segment.block.clone(), at, left });
        }
        parts.push_back(Part { block: Bytes::from_static(&[0; 1024]), at: 0, left: padding });
        let left = parts.iter().map(|part| part.left).sum();
        Self { parts, left }
    }

    fn next(&mut self) -> Option<Bytes> {
        while self.parts.front().is_some_and(|part| part.left == 0) {
            self.parts.pop_front();
        }
        let part = self.parts.front_mut()?;
        let size = part.block.len() as u64;
        let from = part.at.checked_rem(size)?;
        let count = part.left.min(size - from).min(CHUNK);
        part.at += count;
        part.left -= count;
        self.left -= count;
        // Both ends lie within the block, so both conversions hold.
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let to = from.saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
        Some(part.block.slice(from..to.min(part.block.len())))
    }
}

impl hyper::body::Body for Slice {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Poll::Ready(self.next().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Large enough to keep a fast client busy, small enough that a cut or a pause takes effect soon.
const CHUNK: u64 = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_of_a_segmented_archive_reads_as_if_it_were_in_memory() {
        let archive = Archive::new(vec![
            Bytes::from_static(b"head").into(),
            Segment { block: Bytes::from_static(b"abc"), len: 7 },
            Bytes::from_static(b"tail").into(),
        ]);
        let whole = b"headabcabcatail";
        assert_eq!(archive.len(), whole.len() as u64);
        for start in 0..=whole.len() {
            for end in start..=whole.len() {
                let mut slice = Slice::new(&archive.segments, start as u64, (end - start) as u64, 0);
                let mut read = Vec::new();
                while let Some(bytes) = slice.next() {
                    read.extend_from_slice(&bytes);
                }
                assert_eq!(read, &whole[start..end]);
            }
        }
    }
}
