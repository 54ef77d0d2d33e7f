//! The banners this service knows: six made for demonstrations, and for every other UUID one that follows from its
//! digits, so that any id a test makes up has a picture, and always the same one.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use crate::{draw, encode};

/// A banner: what it is called, how large it is, in what format it is exported.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Banner {
    /// The banner id.
    pub id: Cow<'static, str>,
    /// The name of its format, such as "Leaderboard".
    pub name: &'static str,
    /// In pixels.
    pub width: u16,
    /// In pixels.
    pub height: u16,
    /// How it is encoded.
    pub format: PictureFormat,
}

/// The encodings banners are exported in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PictureFormat {
    /// Lossless.
    Png,
    /// Lossy, quality 90.
    Jpeg,
    /// Two frames that alternate for ever.
    Gif,
    /// Lossless.
    Webp,
}

/// Six banners to show: one of each usual shape, in every format.
pub const DEMO_BANNERS: [Banner; 6] = [
    demo("64238d01-d402-474b-8c2d-fbc957e9d290", "Leaderboard", 728, 90, PictureFormat::Png),
    demo("1f7c5a92-3b0e-4d6a-9c84-2e5d7a61b3f0", "Medium rectangle", 300, 250, PictureFormat::Jpeg),
    demo("b82e4d17-90c3-4f58-a6d1-7c3f05e9a284", "Skyscraper", 160, 600, PictureFormat::Png),
    demo("e05d93b6-7a41-4c2f-8b9e-16f4d8c27a53", "Square", 1080, 1080, PictureFormat::Jpeg),
    demo("39a6f0c8-5e2d-4b71-b3f7-d94c1e80652a", "Half page", 300, 600, PictureFormat::Gif),
    demo("c4718be3-2d96-4a05-9f6c-83b5a0d1e74f", "Billboard", 970, 250, PictureFormat::Webp),
];

const fn demo(
    id: &'static str,
    name: &'static str,
    width: u16,
    height: u16,
    format: PictureFormat,
) -> Banner {
    Banner { id: Cow::Borrowed(id), name, width, height, format }
}

impl Banner {
    /// The banner with this id.
    pub fn of(id: &str) -> Self {
        if let Some(banner) = DEMO_BANNERS.into_iter().find(|banner| banner.id.eq_ignore_ascii_case(id)) {
            return banner;
        }
        let [kind, ..] = fingerprint(id);
        let (name, width, height, format) = match kind % 6 {
            0 => ("Medium rectangle", 300, 250, PictureFormat::Png),
            1 => ("Mobile banner", 320, 50, PictureFormat::Png),
            2 => ("Full banner", 468, 60, PictureFormat::Gif),
            3 => ("Skyscraper", 120, 600, PictureFormat::Jpeg),
            4 => ("Square", 250, 250, PictureFormat::Webp),
            _ => ("Leaderboard", 728, 90, PictureFormat::Jpeg),
        };
        Self { id: Cow::Owned(id.to_owned()), name, width, height, format }
    }

    /// Its name in the archive, such as `leaderboard-728x90-64238d01.png`.
    pub fn file_name(&self) -> String {
        self.named(self.short_id())
    }

    /// A name that no other id shares.
    pub(crate) fn long_file_name(&self) -> String {
        self.named(&self.id)
    }

    /// The picture, encoded. The same id gives the same bytes.
    pub fn render(&self) -> Vec<u8> {
        let frames = draw::frames(self);
        encode::encode(&frames, self.format)
    }

    /// The first eight characters of the id: what is written on the picture.
    pub(crate) fn short_id(&self) -> &str {
        self.id.get(..8).unwrap_or(&self.id)
    }

    fn named(&self, id: &str) -> String {
        let slug = self.name.to_lowercase().replace(' ', "-");
        format!("{slug}-{}x{}-{id}.{}", self.width, self.height, self.format.extension())
    }
}

impl PictureFormat {
    /// The file name extension, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Gif => "gif",
            Self::Webp => "webp",
        }
    }
}

/// What everything arbitrary about a banner is derived from.
pub(crate) fn fingerprint(id: &str) -> [u8; 32] {
    Sha256::digest(id.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_says_what_it_holds() {
        assert_eq!(DEMO_BANNERS[0].file_name(), "leaderboard-728x90-64238d01.png");
    }

    #[test]
    fn every_format_is_encoded_as_what_its_name_says() {
        for (banner, magic) in DEMO_BANNERS.iter().zip([
            b"\x89PNG".as_slice(),
            b"\xff\xd8\xff",
            b"\x89PNG",
            b"\xff\xd8\xff",
            b"GIF89a",
            b"RIFF",
        ]) {
            assert!(banner.render().starts_with(magic), "{}", banner.name);
        }
    }

    #[test]
    fn a_made_up_id_has_always_the_same_picture() {
        let id = "00000000-0000-4000-8000-000000000000";
        assert_eq!(Banner::of(id).render(), Banner::of(id).render());
    }
}
