//! The compression methods of entries: which are unpacked, and what the others are called.

use std::{
    fmt,
    io::{self, BufRead, Read},
};

use bzip2::bufread::BzDecoder;
use deflate64::Deflate64Decoder;
use flate2::bufread::DeflateDecoder;
use lzma_rust2::LzmaReader;
use ruzstd::decoding::StreamingDecoder;

/// A compression method, by its number in the format.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Method(pub u16);

impl Method {
    pub(super) const STORED: Self = Self(0);
    pub(super) const ENCRYPTED: Self = Self(99);

    pub(super) fn is_supported(self) -> bool {
        matches!(self.0, 0 | 8 | 9 | 12 | 14 | 20 | 93)
    }

    /// Unpacks what `packed` has. Each decoder takes a bounded amount of memory, whatever the entry asks for.
    pub(super) fn unpack<'r>(
        self,
        mut packed: impl BufRead + 'r,
        size: u64,
        has_end_mark: bool,
    ) -> io::Result<Box<dyn Read + 'r>> {
        Ok(match self.0 {
            0 => Box::new(packed),
            8 => Box::new(DeflateDecoder::new(packed)),
            9 => Box::new(Deflate64Decoder::with_buffer(packed)),
            12 => Box::new(BzDecoder::new(packed)),
            14 => {
                let mut head = [0; 9];
                packed.read_exact(&mut head)?;
                let [_, _, _, _, properties, window @ ..] = head;
                let window = u32::from_le_bytes(window);
                if window > MAX_WINDOW {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "its LZMA window is over 128 MiB",
                    ));
                }
                let size = if has_end_mark { u64::MAX } else { size };
                Box::new(LzmaReader::new_with_props(packed, size, properties, window, None)?)
            }
            20 | 93 => {
                let decoder = StreamingDecoder::new_with_max_window_size(packed, MAX_WINDOW.into());
                Box::new(decoder.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?)
            }
            _ => return Err(io::Error::from(io::ErrorKind::Unsupported)),
        })
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0 => "Stored",
            1 => "Shrink",
            2..=5 => "Reduce",
            6 => "Implode",
            8 => "Deflate",
            9 => "Deflate64",
            10 => "PKWARE Implode",
            12 => "bzip2",
            14 => "LZMA",
            16 => "IBM z/OS CMPSC",
            18 => "IBM TERSE",
            19 => "IBM LZ77",
            20 | 93 => "Zstandard",
            94 => "MP3",
            95 => "xz",
            96 => "JPEG",
            97 => "WavPack",
            98 => "PPMd",
            99 => "AES",
            other => return write!(f, "method {other}"),
        };
        f.pad(name)
    }
}

/// Of the methods whose streams say how much memory they take.
const MAX_WINDOW: u32 = 128 << 20;
