//! A valid ZIP of any size that nobody has to store: entries of incompressible noise, kept uncompressed, of which only
//! one block and the headers are ever in memory. Written by hand because the checksums are known by arithmetic, long
//! before a byte is sent, which is also what makes ranges of it cheap.

use std::sync::LazyLock;

use bytes::Bytes;
use crc32fast::Hasher;

use crate::archive::{Archive, Segment};

/// A ZIP of exactly `size` bytes; sizes that no plain ZIP can have are moved to the nearest that one can.
pub(crate) fn archive(size: u64) -> Archive {
    let size = size.clamp(END_RECORD, u32::MAX.into());
    let entries = size.div_ceil(LARGEST_ENTRY).max(1);
    let Some(payload) = size.checked_sub(END_RECORD + entries * ENTRY_OVERHEAD) else {
        // Too small for an entry: an empty archive, brought to size by its comment.
        return Archive::whole(end_record(0, 0, 0, size - END_RECORD));
    };
    let block = NOISE.clone();
    let (mut segments, mut directory, mut offset) = (Vec::new(), Vec::new(), 0);
    for number in 0..entries {
        let len = payload / entries + u64::from(number < payload % entries);
        let entry = Entry { number, len, crc: checksum(&block, len), offset };
        segments.push(Bytes::from(entry.local_header()).into());
        segments.push(Segment { block: block.clone(), len });
        directory.extend(entry.directory_header());
        offset += LOCAL_HEADER + NAME + len;
    }
    let directory_len = directory.len() as u64;
    directory.extend(end_record(entries, directory_len, offset, 0));
    segments.push(Bytes::from(directory).into());
    Archive::new(segments)
}

struct Entry {
    number: u64,
    len: u64,
    crc: u32,
    offset: u64,
}

impl Entry {
    fn local_header(&self) -> Vec<u8> {
        [b"PK\x03\x04".as_slice(), &self.description(), self.name().as_bytes()].concat()
    }

    fn directory_header(&self) -> Vec<u8> {
        let made_by = short(20);
        // No comment, first disk, no attributes.
        let place = [0; 10];
        [
            b"PK\x01\x02",
            made_by.as_slice(),
            &self.description(),
            &place,
            &word(self.offset),
            self.name().as_bytes(),
        ]
        .concat()
    }

    /// What both headers share: version, flags, method "stored", a fixed date, checksum, lengths.
    fn description(&self) -> Vec<u8> {
        let date = short(DATE);
        [
            [short(20), short(0), short(0), short(0), date].concat(),
            self.crc.to_le_bytes().to_vec(),
            [word(self.len), word(self.len)].concat(),
            [short(NAME), short(0)].concat(),
        ]
        .concat()
    }

    fn name(&self) -> String {
        format!("noise-{:02}.bin", self.number)
    }
}

fn end_record(entries: u64, directory_len: u64, directory_at: u64, comment: u64) -> Vec<u8> {
    let mut record = b"PK\x05\x06\0\0\0\0".to_vec();
    record.extend([short(entries), short(entries)].concat());
    record.extend([word(directory_len), word(directory_at)].concat());
    record.extend(short(comment));
    record.extend((0..comment).map(|_| b' '));
    record
}

/// The checksum of `len` bytes of the repeated block, by combining instead of reading.
fn checksum(block: &Bytes, len: u64) -> u32 {
    let size = block.len() as u64;
    let mut once = Hasher::new();
    once.update(block);
    let mut sum = Hasher::new();
    for _ in 0..len / size {
        sum.combine(&once);
    }
    let rest = usize::try_from(len % size).unwrap_or(0);
    sum.update(block.get(..rest).unwrap_or_default());
    sum.finalize()
}

/// One block for all archives.
static NOISE: LazyLock<Bytes> = LazyLock::new(noise);

/// Noise that does not compress, the same every time (xorshift64).
fn noise() -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(BLOCK / 8).flatten().collect()
}

fn short(value: u64) -> [u8; 2] {
    u16::try_from(value).unwrap_or(u16::MAX).to_le_bytes()
}

fn word(value: u64) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}

const BLOCK: usize = 1024 * 1024;
const LARGEST_ENTRY: u64 = 256 * 1024 * 1024;
const NAME: u64 = 12;
const LOCAL_HEADER: u64 = 30;
const ENTRY_OVERHEAD: u64 = LOCAL_HEADER + 46 + 2 * NAME;
const END_RECORD: u64 = 22;
/// The first of January 2026 in DOS form.
const DATE: u64 = (46 << 9) | (1 << 5) | 1;

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use std::io::{Cursor, Read};

    #[tokio::test]
    async fn a_synthetic_archive_has_the_size_asked_for_and_unpacks() {
        for size in [22, 100, 121, 122, 123, 5000, 3 * 1024 * 1024 + 17] {
            let archive = archive(size);
            assert_eq!(archive.len(), size);
            let bytes = archive.body(0, size, 0).collect().await.unwrap().to_bytes();
            assert_eq!(bytes.len() as u64, size);
            let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
            for at in 0..zip.len() {
                let mut entry = zip.by_index(at).unwrap();
                // Reading to the end checks the checksum.
                assert_eq!(entry.read_to_end(&mut Vec::new()).unwrap() as u64, entry.size());
            }
        }
    }

    #[test]
    fn a_gigabyte_costs_no_memory_and_has_several_entries() {
        let archive = archive(1 << 30);
        assert_eq!(archive.len(), 1 << 30);
    }
}
