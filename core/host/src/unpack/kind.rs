//! What an unpacked file is by its content, whatever its name says.

use std::{
    fmt,
    fs::File,
    io::{self, BufReader, Seek as _},
};

/// The kinds of asset that an export may hold (`core/PROTOCOL.md` §1).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// An AVIF image.
    Avif,
    /// A GIF image, perhaps animated.
    Gif,
    /// A JPEG image.
    Jpeg,
    /// A PNG image.
    Png,
    /// A WebP image.
    Webp,
    /// A PDF document.
    Pdf,
    /// An MP4 video.
    Mp4,
    /// A ZIP archive, such as an HTML5 bundle.
    Zip,
    /// Something else.
    Other,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Avif => "AVIF",
            Self::Gif => "GIF",
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Webp => "WebP",
            Self::Pdf => "PDF",
            Self::Mp4 => "MP4",
            Self::Zip => "ZIP",
            Self::Other => "other",
        })
    }
}

/// The width and height of an image of this kind, which `file` has from its beginning on.
pub(super) fn dimensions(kind: Kind, file: &mut File) -> io::Result<Option<(usize, usize)>> {
    if !matches!(kind, Kind::Avif | Kind::Gif | Kind::Jpeg | Kind::Png | Kind::Webp) {
        return Ok(None);
    }
    file.rewind()?;
    // A damaged image is still a file; it just has no size in pixels.
    let size = imagesize::reader_size(BufReader::new(file)).ok();
    Ok(size.map(|size| (size.width, size.height)))
}

/// What a file is that begins like this; 16 bytes are enough.
pub(super) fn kind(head: &[u8]) -> Kind {
    let brand = head.get(4..12).and_then(|b| b.strip_prefix(b"ftyp"));
    match head {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Kind::Png,
        [0xff, 0xd8, 0xff, ..] => Kind::Jpeg,
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Kind::Gif,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Kind::Webp,
        [b'%', b'P', b'D', b'F', b'-', ..] => Kind::Pdf,
        [b'P', b'K', 3, 4, ..] => Kind::Zip,
        _ => match brand {
            Some(b"avif" | b"avis") => Kind::Avif,
            Some(_) => Kind::Mp4,
            None => Kind::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_kind() {
        for (head, expected) in [
            (&b"\x89PNG\r\n\x1a\n"[..], Kind::Png),
            (b"\xff\xd8\xff\xe0", Kind::Jpeg),
            (b"GIF89a", Kind::Gif),
            (b"RIFF\0\0\0\0WEBP", Kind::Webp),
            (b"%PDF-1.7", Kind::Pdf),
            (b"PK\x03\x04", Kind::Zip),
            (b"\0\0\0\x1cftypavif", Kind::Avif),
            (b"\0\0\0\x1cftypisom", Kind::Mp4),
            (b"", Kind::Other),
            (b"<html>", Kind::Other),
        ] {
            assert_eq!(kind(head), expected);
        }
    }
}
