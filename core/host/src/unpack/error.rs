//! Why an entry, or a whole archive, is not unpacked.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::Method;

/// An entry that was not unpacked.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("entry {:?} {reason}", shown(name))]
#[non_exhaustive]
pub struct Skipped {
    /// Its name in the archive, decoded as in [`Entry::name`](super::Entry::name).
    pub name: String,
    /// The bytes of its name in the archive.
    pub raw_name: Vec<u8>,
    /// Why it was not.
    pub reason: SkipReason,
}

/// Why an entry was not unpacked.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum SkipReason {
    /// It is encrypted.
    #[error("is encrypted")]
    Encrypted,
    /// It is packed with a method that is not supported.
    #[error("is packed with {0}, which is not supported")]
    Method(Method),
    /// It is a symbolic link.
    #[error("is a link")]
    Link,
    /// It is a device, a pipe or a socket.
    #[error("is a device, a pipe or a socket")]
    Special,
    /// It has the name of a folder, and content.
    #[error("is a folder with content")]
    FolderWithContent,
    /// It is in another part of an archive that was split.
    #[error("is in another part of a split archive")]
    OtherDisk,
    /// It has bytes in common with another entry, which is how small archives unpack to huge ones.
    #[error("shares bytes with another entry")]
    Overlap,
    /// It unpacks to more than [`Options::entry`](super::Options::entry), or to more than is left of [`Options::total`](super::Options::total).
    #[error("unpacks to {size} bytes, of which {allowed} are allowed")]
    TooLarge {
        /// What the archive says of its size.
        size: u64,
        /// What was allowed.
        allowed: u64,
    },
    /// Its name leads through more new folders than [`Options::entries`](super::Options::entries) leaves.
    #[error("leads through too many folders")]
    TooManyFolders,
    /// It unpacks to more or less than the archive's directory says.
    #[error("does not unpack to the {size} bytes that the archive says")]
    WrongSize {
        /// What the archive says of its size.
        size: u64,
    },
    /// Its content does not have the checksum that the archive says.
    #[error("does not have the checksum that the archive says")]
    Checksum,
    /// Its packed bytes cannot be read.
    #[error("is damaged: {0}")]
    Damaged(String),
}

/// An archive cannot be unpacked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// Its directory cannot be read.
    #[error("the archive cannot be read: {reason}")]
    Archive {
        /// What is wrong with it.
        reason: String,
    },
    /// It has more entries than the [`Options`](super::Options) allow.
    #[error("{what}")]
    TooLarge {
        /// Which limit was met.
        what: &'static str,
    },
    /// An entry cannot be unpacked, and [`Options::all_or_nothing`](super::Options::all_or_nothing) is set.
    #[error(transparent)]
    Entry(Skipped),
    /// None of its entries can be unpacked.
    #[error("none of the {} entries can be unpacked{}", skipped.len(), first(skipped))]
    Nothing {
        /// All of its entries but folders.
        skipped: Vec<Skipped>,
    },
    /// The target has files in it already.
    #[error("{} is not empty", folder.display())]
    NotEmpty {
        /// The target.
        folder: PathBuf,
    },
    /// The disk or the file system refuses.
    #[error("{}: {source}", path.display())]
    Storage {
        /// The file or folder that was to be read or written.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

impl UnpackError {
    pub(super) fn storage(path: &Path, source: io::Error) -> Self {
        Self::Storage { path: path.to_owned(), source }
    }
}

fn first(skipped: &[Skipped]) -> String {
    skipped.first().map(|skipped| format!("; {skipped}")).unwrap_or_default()
}

/// A name for a message: its beginning, since it may have 65,535 bytes.
fn shown(name: &str) -> String {
    name.chars().take(100).collect()
}
