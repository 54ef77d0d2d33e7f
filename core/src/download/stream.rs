//! An archive that is handed on as it comes, to where nothing can be taken back: a pipe, an upload, a buffer.
//!
//! What a file makes up for by being truncated, renamed or removed is made up for here by looking first and by
//! remembering: not a byte is handed on before the beginning is known to be an archive's, and where a download has to start
//! over, it goes on only if what comes again is what came before, by its SHA-256.

use alloc::{borrow::Cow, boxed::Box, vec::Vec};

use sha2::{Digest as _, Sha256};

use super::{DownloadError, Receive, ResumeState, Transfer};
use crate::archive::{self, TAIL_LEN};

/// The bytes of one archive on their way to a writer, over as many attempts as it takes. It holds about 128 KiB of them.
///
/// Who only has the whole archive once [`finish`](Self::finish) has said so: an archive that turns out to be cut off has been
/// handed on all the same.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// How many bytes have been handed on, and what they were.
    passed: u64,
    digest: Sha256,
    /// The first bytes, until there are enough to tell what they are of, and then those.
    head: Vec<u8>,
    /// The last bytes, and at times some before them.
    tail: Vec<u8>,
    /// What the bytes are of, if the rest can be asked for.
    resume_state: Option<ResumeState>,
    /// How far the body under way has come, counted from the beginning of the archive.
    at: u64,
    /// What has come again of what was handed on before, if the body under way began at the beginning.
    again: Option<Box<Sha256>>,
}

impl Stream {
    /// Before the first attempt.
    pub fn new() -> Self {
        Self::default()
    }

    /// A transfer that goes on behind what has been handed on.
    pub fn resumed(&self, transfer: Transfer) -> Transfer {
        match &self.resume_state {
            Some(resume_state) => transfer.resume(resume_state.clone(), self.passed),
            None => transfer,
        }
    }

    /// How many bytes have been handed on.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// Makes ready for a body.
    pub fn begin(&mut self, receive: &Receive) {
        self.at = receive.from;
        self.again = (receive.from == 0 && self.passed > 0).then(Box::default);
        // What comes again may be of another archive, whose rest must not be asked for before that is known.
        self.resume_state = receive.resume_state.clone().filter(|_| self.again.is_none());
        if self.passed == 0 {
            self.head.clear();
        }
    }

    /// Takes in a piece of the body, and says what to hand on now.
    pub fn take<'p>(&mut self, receive: &Receive, piece: &'p [u8]) -> Result<Cow<'p, [u8]>, DownloadError> {
        let end = self.at.saturating_add(piece.len() as u64);
        if let Err(error) = receive.check_room(end) {
            self.resume_state = None;
            return Err(error);
        }
        let new = self.compare(receive, piece)?;
        self.at = end;
        let new = self.look(receive, new)?;
        self.passed += new.len() as u64;
        self.digest.update(&new);
        self.remember(&new);
        Ok(new)
    }

    /// Checks that everything has been handed on, and that it is a whole archive. Returns its size in bytes.
    pub fn finish(&self, receive: &Receive) -> Result<u64, DownloadError> {
        receive.check_end(self.at)?;
        let last = self.tail.len().saturating_sub(TAIL_LEN);
        let tail = self.tail.get(last..).unwrap_or_default();
        if self.at < self.passed {
            // Cut off before where it had been, or all there is now and less than there was.
            return Err(match receive.total {
                None => DownloadError::Interrupted("it ended before where it had been".into()),
                Some(_) => self.changed(),
            });
        }
        archive::check_ends(&self.head, tail, self.passed).map_err(|found| receive.not_an_archive(found))?;
        Ok(self.passed)
    }

    /// Compares what comes again with what came before. Returns what is new.
    fn compare<'p>(&mut self, receive: &Receive, piece: &'p [u8]) -> Result<&'p [u8], DownloadError> {
        let Some(again) = &mut self.again else { return Ok(piece) };
        let known =
            usize::try_from(self.passed.saturating_sub(self.at)).unwrap_or(usize::MAX).min(piece.len());
        let (known, new) = piece.split_at(known);
        again.update(known);
        if self.at + known.len() as u64 == self.passed {
            // Compared once, at the moment when all of it is there.
            let is_same = again.clone().finalize() == self.digest.clone().finalize();
            self.again = None;
            if !is_same {
                return Err(self.changed());
            }
            self.resume_state.clone_from(&receive.resume_state);
        }
        Ok(new)
    }

    /// Holds the first bytes back until they are known to be an archive's.
    fn look<'p>(&mut self, receive: &Receive, piece: &'p [u8]) -> Result<Cow<'p, [u8]>, DownloadError> {
        if self.passed > 0 {
            return Ok(piece.into());
        }
        let held = self.head.len();
        self.head.extend_from_slice(piece.get(..HEAD_LEN).unwrap_or(piece));
        if self.head.len() < MAGIC_LEN {
            return Ok(Cow::Borrowed(&[]));
        }
        archive::check_magic(&self.head).map_err(|found| receive.not_an_archive(found))?;
        if held == 0 {
            return Ok(piece.into());
        }
        let held = self.head.get(..held).unwrap_or_default();
        Ok([held, piece].concat().into())
    }

    fn remember(&mut self, new: &[u8]) {
        let from = new.len().saturating_sub(TAIL_LEN);
        let new = new.get(from..).unwrap_or_default();
        if self.tail.len() + new.len() > 2 * TAIL_LEN {
            let surplus = (self.tail.len() + new.len() - TAIL_LEN).min(self.tail.len());
            self.tail.drain(..surplus);
        }
        self.tail.extend_from_slice(new);
    }

    fn changed(&self) -> DownloadError {
        DownloadError::Storage(
            alloc::format!(
                "the archive has changed since {} bytes of it were written where they cannot be taken back",
                self.passed
            )
            .into(),
        )
    }
}

/// What tells an archive.
const MAGIC_LEN: usize = 4;

/// Enough of an error page to know it by.
const HEAD_LEN: usize = 256;

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString as _, vec};

    use proptest::prelude::*;

    use super::*;
    use crate::{archive::ArchivePolicy, download::Step};

    /// An archive, as far as its ends tell, of a kind.
    fn archive(kind: u8) -> Vec<u8> {
        [&b"PK\x03\x04"[..], &[kind; 60], b"PK\x05\x06", &[0; 18]].concat()
    }

    fn transfer() -> Transfer {
        let (url, base) = ("https://h/a.zip".parse().unwrap(), "https://api.h".parse().unwrap());
        Transfer::new(url, ArchivePolicy::default(), base)
    }

    /// One attempt: a whole answer of which `count` bytes come, in pieces of `size`; `tag` makes it resumable.
    fn attempt(
        stream: &mut Stream,
        out: &mut Vec<u8>,
        of: &[u8],
        tag: Option<&str>,
        count: usize,
        size: usize,
    ) -> Result<u64, DownloadError> {
        let mut transfer = stream.resumed(transfer());
        let length = of.len().to_string();
        let mut head = vec![("content-length", length.as_str())];
        head.extend(tag.map(|tag| ("etag", tag)));
        let range = format!("bytes {}-{}/{}", transfer.resumes_from(), of.len() - 1, of.len());
        let resumes =
            transfer.request().headers().any(|(name, value)| name == "if-range" && Some(value) == tag);
        let status = if resumes {
            head = vec![("content-range", range.as_str())];
            206
        } else {
            200
        };
        let Step::Receive(receive) = transfer.handle_head(status, &head) else { panic!() };
        stream.begin(&receive);
        let from = usize::try_from(receive.from).unwrap();
        for piece in of.get(from..).unwrap().get(..count.min(of.len() - from)).unwrap().chunks(size) {
            out.extend_from_slice(&stream.take(&receive, piece)?);
            assert_eq!(stream.passed(), out.len() as u64);
        }
        stream.finish(&receive)
    }

    #[test]
    fn nothing_is_handed_on_before_it_is_known_to_be_an_archive() {
        for size in 1..7 {
            let (mut stream, mut out) = (Stream::new(), Vec::new());
            let page = b"<html><title>This link has expired</title>";
            let error = attempt(&mut stream, &mut out, page, None, page.len(), size).unwrap_err();
            assert!(error.to_string().contains("<htm"), "{error}");
            assert!(out.is_empty() && !error.is_interruption());
        }
        let (mut stream, mut out) = (Stream::new(), Vec::new());
        let _ = attempt(&mut stream, &mut out, &archive(1), None, 4, 4).unwrap_err();
        assert_eq!(out, b"PK\x03\x04", "and no longer");
        let (mut stream, mut out) = (Stream::new(), Vec::new());
        let error = attempt(&mut stream, &mut out, b"PK", None, 2, 2).unwrap_err();
        assert!(matches!(error, DownloadError::NotAnArchive(_)), "{error:?}");
    }

    #[test]
    fn a_rest_is_appended_and_a_beginning_that_comes_again_is_compared() {
        let whole = archive(1);
        for cut in 0..whole.len() {
            for tags in [[Some("\"a\""), Some("\"a\"")], [None, None], [Some("\"a\""), Some("\"b\"")]] {
                let (mut stream, mut out) = (Stream::new(), Vec::new());
                let error = attempt(&mut stream, &mut out, &whole, tags[0], cut, 7).unwrap_err();
                assert!(error.is_interruption(), "{error:?}");
                assert_eq!(out.as_slice(), whole.get(..out.len()).unwrap());
                let len = attempt(&mut stream, &mut out, &whole, tags[1], usize::MAX, 5);
                assert_eq!((len, &out), (Ok(whole.len() as u64), &whole), "{cut} {tags:?}");
            }
        }
    }

    #[test]
    fn another_archive_is_never_put_behind_the_first_bytes_of_this_one() {
        let (whole, shorter) = (archive(1), archive(1).get(..30).unwrap().to_vec());
        for other in [archive(2), shorter] {
            let (mut stream, mut out) = (Stream::new(), Vec::new());
            let _ = attempt(&mut stream, &mut out, &whole, Some("\"a\""), 40, 7).unwrap_err();
            let error = attempt(&mut stream, &mut out, &other, Some("\"b\""), usize::MAX, 7).unwrap_err();
            assert!(
                matches!(&error, DownloadError::Storage(reason) if reason.contains("since 40 bytes")),
                "{error}"
            );
            assert_eq!(out.as_slice(), whole.get(..40).unwrap(), "nothing of it was handed on");
        }
    }

    #[test]
    fn an_end_is_found_however_long_its_comment_is() {
        let mut whole = archive(1);
        let at = whole.len() - 2;
        whole.truncate(at);
        whole.extend(u16::MAX.to_le_bytes());
        whole.resize(whole.len() + usize::from(u16::MAX), b' ');
        for size in [1000, 65_557, 100_000] {
            let (mut stream, mut out) = (Stream::new(), Vec::new());
            let padded = [whole.get(..4).unwrap(), &vec![0; 1_000_000][..], whole.get(4..).unwrap()].concat();
            let len = attempt(&mut stream, &mut out, &padded, None, usize::MAX, size);
            assert_eq!((len, out == padded), (Ok(padded.len() as u64), true));
            assert!(stream.tail.len() <= 2 * TAIL_LEN, "{}", stream.tail.len());
            assert!(stream.tail.capacity() <= 4 * TAIL_LEN, "{}", stream.tail.capacity());
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_one_archive_or_an_error(
            attempts in prop::collection::vec((1u8..3, 0usize..100, 1usize..20, prop::option::of(0u8..2)), 1..8),
        ) {
            let (mut stream, mut out) = (Stream::new(), Vec::new());
            for (kind, count, size, tag) in attempts {
                // A strong tag that lies about the version would be the server's word; these are honest.
                let tag = tag.map(|n| format!("\"{kind}-{n}\""));
                match attempt(&mut stream, &mut out, &archive(kind), tag.as_deref(), count, size) {
                    Ok(_) => {
                        prop_assert_eq!(out, archive(kind));
                        break;
                    }
                    Err(error) if error.is_interruption() => {}
                    Err(_) => break,
                }
                prop_assert!([1, 2].iter().any(|kind| archive(*kind).starts_with(&out)));
            }
        }
    }
}
