//! What is unpacked: archives such as an export has, and one of very many small files.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

/// 200 files of a megabyte that hardly compress, as pictures do.
pub(crate) fn pictures(archive: &Path) {
    pack(archive, 200, |number| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ number;
        let words = std::iter::repeat_with(move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // One byte in eight is the same, so that there is something to find.
            (state | 0xff).to_le_bytes()
        });
        words.take(1 << 17).flatten().collect()
    });
}

/// 10,000 files of two kilobytes that compress well.
pub(crate) fn texts(archive: &Path) {
    pack(archive, 10_000, |number| format!("line {number} of many\n").repeat(100).into_bytes());
}

/// The bytes of all entries together.
pub(crate) fn unpacked_size(archive: &Path) -> u64 {
    let zip = ZipArchive::new(File::open(archive).unwrap()).unwrap();
    u64::try_from(zip.decompressed_size().unwrap()).unwrap()
}

fn pack(archive: &Path, count: u64, content: impl Fn(u64) -> Vec<u8>) {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let mut zip = ZipWriter::new(BufWriter::new(File::create(archive).unwrap()));
    for number in 0..count {
        zip.start_file(format!("{}/{number}.bin", number % 10), options).unwrap();
        zip.write_all(&content(number)).unwrap();
    }
    zip.finish().unwrap().into_inner().unwrap().sync_all().unwrap();
}
