//! Checks that a file is a complete ZIP archive, by its beginning and its end.

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::redact::excerpt;

/// Checks that a file is a complete ZIP archive, by its beginning and its end.
///
/// `head` has the first bytes of the file (256 are enough), `tail` the last [`TAIL_LEN`] bytes or all of them, and `len` is
/// the file's size. This detects an error page with status 200, and an archive that was cut off or lacks a piece.
///
/// Byte order marks, line ends, blanks and NULs may precede or follow the archive: some servers add them, and unpacking
/// programs skip them.
///
/// # Errors
///
/// Fails if the file is not a complete archive.
pub fn check_ends(head: &[u8], tail: &[u8], len: u64) -> Result<(), NotAnArchive> {
    check_magic(head)?;
    let last = tail.len().checked_sub(END_LEN).ok_or(NotAnArchive::NoEnd)?;
    let filled = tail.iter().rposition(|byte| !is_filler(*byte)).map_or(0, |at| at + 1);
    let ends = |at: usize, record: &[u8]| {
        let end = record_len(record).map(|len| at + len);
        end.is_some_and(|end| (filled..=tail.len()).contains(&end))
    };
    let records = (0..=last).rev().filter_map(|at| Some((at, tail.get(at..)?)));
    let record = records.filter(|(at, record)| ends(*at, record)).map(|(_, record)| record).next();
    let record = record.ok_or(NotAnArchive::NoEnd)?;
    let before = len.saturating_sub(record.len() as u64);
    let (size, offset) = (field(record, 12), field(record, 16));
    // A ZIP64 archive has these numbers elsewhere. Bytes before the archive make them too small, never too large.
    let is_elsewhere = size == u32::MAX || offset == u32::MAX;
    if is_elsewhere || u64::from(size) + u64::from(offset) <= before {
        Ok(())
    } else {
        Err(NotAnArchive::Incomplete)
    }
}

/// Checks the first bytes: a local file header, or the end record of an empty archive.
fn check_magic(head: &[u8]) -> Result<(), NotAnArchive> {
    let first = head.iter().position(|byte| !is_filler(*byte)).unwrap_or_default();
    let archive = head.get(first..).unwrap_or_default();
    if archive.starts_with(b"PK\x03\x04") || archive.starts_with(END_RECORD) {
        return Ok(());
    }
    Err(NotAnArchive::NoMagic { begins_with: excerpt(head, 200).into() })
}

/// Returns the length of an end record: 22 bytes, the last two of which are the length of the comment behind it.
fn record_len(record: &[u8]) -> Option<usize> {
    let comment = <[u8; 2]>::try_from(record.get(20..END_LEN)?).ok()?;
    record.starts_with(END_RECORD).then(|| END_LEN + usize::from(u16::from_le_bytes(comment)))
}

/// Whether a byte may precede or follow an archive: one of a byte order mark, a line end, a blank, or NUL.
fn is_filler(byte: u8) -> bool {
    matches!(byte, 0 | b'\t' | b'\n' | b'\r' | 0x1a | b' ' | 0xef | 0xbb | 0xbf)
}

fn field(record: &[u8], at: usize) -> u32 {
    let bytes = record.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    bytes.map(u32::from_le_bytes).unwrap_or_default()
}

/// Why a file is not a complete ZIP archive.
#[derive(Clone, Debug, Deserialize, Eq, Error, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotAnArchive {
    /// The file begins with something else, such as an error page.
    #[error("the downloaded file is no ZIP archive; it begins with {begins_with:?}")]
    NoMagic {
        /// The beginning, at most 200 printable characters.
        begins_with: Box<str>,
    },
    /// The end record is missing: the file was cut off.
    #[error("the archive has no end record, so it was cut off")]
    NoEnd,
    /// The file is shorter than the end record says.
    #[error("the archive is shorter than its end record says, so bytes of it are missing")]
    Incomplete,
    /// The server sent the file with a content encoding, although none was accepted, so its length means nothing.
    #[error("the server sent the archive with the content encoding {coding:?}, although none was accepted")]
    Encoded {
        /// The content coding, at most 40 printable characters.
        coding: Box<str>,
    },
}

/// The length of the end record with the longest comment: 65,557 bytes.
pub const TAIL_LEN: usize = END_LEN + 65_535;

const END_RECORD: &[u8] = b"PK\x05\x06";

/// The length of the end record without a comment.
const END_LEN: usize = 22;

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::*;

    fn check(archive: &[u8]) -> Result<(), NotAnArchive> {
        check_ends(archive, archive, archive.len() as u64)
    }

    /// Something that begins like an archive, and the end record of a directory of `size` bytes at `offset`.
    fn archive(before: usize, size: u32, offset: u32) -> Vec<u8> {
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.resize(before, 0);
        bytes.extend([END_RECORD, &[0; 8], &size.to_le_bytes(), &offset.to_le_bytes(), &[0; 2]].concat());
        bytes
    }

    #[test]
    fn an_archive_is_known_by_its_two_ends() {
        let mut empty = END_RECORD.to_vec();
        empty.extend([0; 18]);
        assert_eq!(check(&empty), Ok(()));
        let mut commented = [b"PK\x03\x04....".to_vec(), empty.clone(), b"hello".to_vec()].concat();
        *commented.get_mut(8 + 20).unwrap() = 5;
        assert_eq!(check(&commented), Ok(()));
        let cut: Vec<u8> = commented.iter().copied().take(commented.len() - 1).collect();
        assert_eq!(check(&cut), Err(NotAnArchive::NoEnd));
        assert!(matches!(check(b"<html>"), Err(NotAnArchive::NoMagic { .. })));
        assert!(check(b"").is_err());
        assert_eq!(check_ends(b"PK\x03\x04", &vec![b'P'; TAIL_LEN], 1 << 40), Err(NotAnArchive::NoEnd));
    }

    #[test]
    fn filler_around_an_archive_is_passed_over() {
        for (before, behind) in [
            (&b"\xef\xbb\xbf"[..], &b""[..]),
            (b"\n", b"\r\n"),
            (b"\r\n\r\n", b"\0\0\0\0"),
            (b"", b"\n\0 \x1a"),
            (b"", &[0; 4096]),
        ] {
            assert_eq!(check(&[before, &archive(100, 40, 60), behind].concat()), Ok(()));
            let mut commented = archive(100, 40, 60);
            *commented.get_mut(100 + 20).unwrap() = 5;
            assert_eq!(check(&[before, &commented, b"hello", behind].concat()), Ok(()));
        }
        assert_eq!(check(&[&archive(100, 40, 60)[..], b"\r\nx"].concat()), Err(NotAnArchive::NoEnd));
        assert!(matches!(check(b"\r\n<html>\r\n"), Err(NotAnArchive::NoMagic { .. })));
        assert!(matches!(check(b"\0\0\0\0"), Err(NotAnArchive::NoMagic { .. })));
        assert_eq!(check(&[&archive(99, 40, 60)[..], b"\0\0"].concat()), Err(NotAnArchive::Incomplete));
    }

    #[test]
    fn the_end_record_is_found_before_the_longest_comment_there_may_be() {
        let comment = u16::MAX;
        let mut commented = archive(100, 0, 100);
        let at = commented.len() - 2;
        commented.splice(at.., comment.to_le_bytes());
        commented.resize(commented.len() + usize::from(comment), b' ');
        let len = commented.len() as u64;
        let tail = |count: usize| commented.get(commented.len() - count..).unwrap();
        assert_eq!(check_ends(&commented, tail(TAIL_LEN), len), Ok(()));
        assert_eq!(check_ends(&commented, tail(TAIL_LEN - 1), len), Err(NotAnArchive::NoEnd));
    }

    #[test]
    fn a_piece_that_is_missing_from_the_middle_is_missed() {
        assert_eq!(check(&archive(100, 40, 60)), Ok(()));
        assert_eq!(check(&archive(99, 40, 60)), Err(NotAnArchive::Incomplete));
        assert_eq!(check(&archive(101, 40, 60)), Ok(()), "something may lie before it");
        assert_eq!(check(&archive(4, u32::MAX - 1, u32::MAX - 1)), Err(NotAnArchive::Incomplete));
        for (size, offset) in [(u32::MAX, u32::MAX), (40, u32::MAX), (u32::MAX, 40)] {
            assert_eq!(check(&archive(100, size, offset)), Ok(()), "the 64-bit form");
        }
        let tail = archive(100, 40, 1_000_000);
        assert_eq!(check_ends(b"PK\x03\x04", &tail, 1_000_062), Ok(()));
        assert_eq!(check_ends(b"PK\x03\x04", &tail, 1_000_061), Err(NotAnArchive::Incomplete));
    }
}
