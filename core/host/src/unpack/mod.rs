//! Unpacking an archive into a folder, as if its maker were hostile.
//!
//! Everything is written into a temporary folder beside the target, which takes the target's name
//! once all of it is there and every checksum has fitted. So a folder is whole or not there at all,
//! and no entry can land anywhere else. It is not flushed to the disk, as the archive was: after a power cut, unpack again.

mod kind;
mod name;
mod survey;

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use thiserror::Error;
use zip::result::ZipError;

use self::survey::Survey;
use crate::{Observer, Progress};

pub use kind::Kind;
pub use name::NameError;

/// Bounds on what is unpacked. The defaults hold any export and stop a bomb.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The most entries: 100,000.
    pub entries: usize,
    /// The most bytes that all entries unpack to: 16 GiB.
    pub total: u64,
    /// The most bytes that one entry unpacks to: 4 GiB.
    pub entry: u64,
    /// The most bytes that one packed byte may unpack to, past the first MiB: 200.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 100_000, total: 16 << 30, entry: 4 << 30, ratio: 200 }
    }
}

/// An entry that was unpacked.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// Its name in the archive.
    pub name: String,
    /// Where it is now.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// What it is by its content.
    pub kind: Kind,
    /// For images: width and height in pixels.
    pub dimensions: Option<(usize, usize)>,
}

/// Unpacks the archive at `archive` into `folder`, which must be absent or empty.
///
/// Archives inside of it are left packed. `observer` is told each entry ([`Progress::Unpacked`]) before the folder has its
/// name, and at the end if there are fewer files than were `asked_for` ([`Progress::PartialArchive`]): no error, since the
/// service leaves out ids that it does not know.
pub fn unpack(
    archive: &Path,
    folder: &Path,
    limits: Limits,
    asked_for: usize,
    observer: &mut dyn Observer,
) -> Result<Vec<Entry>, UnpackError> {
    let Survey { mut zip, entries: planned } = Survey::of(archive, limits)?;
    check_target(folder)?;
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|source| UnpackError::storage(parent, source))?;
    // Nobody else may look into it. What is made in there is for whom the user's files are for.
    let hidden = tempfile::Builder::new()
        .prefix(".unpacking-")
        .tempdir_in(parent)
        .map_err(|source| UnpackError::storage(parent, source))?;
    let staging = hidden.path().join("unpacked");
    // What is kept is allocated before the first entry is opened. Between the large pieces that a decompressor takes for
    // each entry and gives back, it would leave holes that none of them fits in again: 20 KiB an entry.
    let mut folders = Folders::default();
    folders.make(&staging)?;
    for planned in &planned {
        let staged = staging.join(&planned.path);
        let needed = if planned.is_folder { Some(staged.as_path()) } else { staged.parent() };
        folders.make(needed.unwrap_or(&staging))?;
    }
    let paths: Vec<_> = planned.iter().map(|planned| folder.join(&planned.path)).collect();
    let (of, mut entries) = (planned.len(), Vec::with_capacity(planned.len()));
    let mut buffer = vec![0; BUFFER];
    let mut left = limits.total;
    for (index, (planned, path)) in planned.into_iter().zip(paths).enumerate() {
        if planned.is_folder {
            continue;
        }
        let staged = staging.join(&planned.path);
        let mut packed = zip.by_index(index).map_err(UnpackError::archive)?;
        let written = write_entry(&mut packed, &staged, planned.room.min(left), &mut buffer)?;
        left -= written.bytes;
        let Written { bytes, kind, dimensions } = written;
        let entry = Entry { name: planned.name, path, bytes, kind, dimensions };
        observer.observe(Progress::Unpacked { entry: &entry, number: index + 1, of });
        entries.push(entry);
    }
    publish(&staging, folder)?;
    let found = entries.len();
    if found < asked_for {
        observer.observe(Progress::PartialArchive { asked_for, found });
    }
    Ok(entries)
}

/// What came of an entry.
struct Written {
    bytes: u64,
    kind: Kind,
    dimensions: Option<(usize, usize)>,
}

/// Copies an entry to a new file. Its checksum is compared on the way.
fn write_entry(
    packed: &mut impl Read,
    staged: &Path,
    room: u64,
    buffer: &mut [u8],
) -> Result<Written, UnpackError> {
    let storage = |source| UnpackError::storage(staged, source);
    let mut file = File::options().read(true).write(true).create_new(true).open(staged).map_err(storage)?;
    let (mut bytes, mut kind) = (0u64, Kind::Other);
    loop {
        let piece =
            fill(packed, buffer).map_err(|source| UnpackError::Archive { reason: source.to_string() })?;
        if bytes == 0 {
            kind = kind::kind(piece);
        }
        bytes += piece.len() as u64;
        if bytes > room {
            return Err(UnpackError::TooLarge { what: "an entry unpacks to more than is allowed" });
        }
        file.write_all(piece).map_err(storage)?;
        if piece.len() < BUFFER {
            break;
        }
    }
    let dimensions = kind::dimensions(kind, &mut file).map_err(storage)?;
    Ok(Written { bytes, kind, dimensions })
}

/// Reads until the buffer is full or nothing more comes. Reading and writing fail for different reasons, so `io::copy`
/// would say too little.
fn fill<'b>(packed: &mut impl Read, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
    let mut len = 0;
    while let Some(rest) = buffer.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match packed.read(rest) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(buffer.get(..len).unwrap_or_default())
}

/// The folders that were made so far, so that none is asked for twice.
#[derive(Default)]
struct Folders(HashSet<PathBuf>);

impl Folders {
    fn make(&mut self, folder: &Path) -> Result<(), UnpackError> {
        if !self.0.contains(folder) {
            fs::create_dir_all(folder).map_err(|source| UnpackError::storage(folder, source))?;
            self.0.insert(folder.to_owned());
        }
        Ok(())
    }
}

fn check_target(folder: &Path) -> Result<(), UnpackError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            Some(_) => Err(UnpackError::NotEmpty { folder: folder.to_owned() }),
            None => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(UnpackError::storage(folder, source)),
    }
}

/// Gives the staged folder its name, in one step.
fn publish(staging: &Path, folder: &Path) -> Result<(), UnpackError> {
    let storage = |source| UnpackError::storage(folder, source);
    match fs::remove_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(storage(error)),
        _ => {}
    }
    fs::rename(staging, folder).map_err(storage)
}

/// An archive cannot be unpacked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// It is damaged, or packed in a way that is not read here.
    #[error("the archive cannot be read: {reason}")]
    Archive {
        /// What is wrong with it.
        reason: String,
    },
    /// It is larger than the [`Limits`] allow.
    #[error("{what}")]
    TooLarge {
        /// Which limit was met.
        what: &'static str,
    },
    /// Two entries have one name.
    #[error("the archive has two entries of the same name")]
    Duplicate,
    /// Two entries have packed bytes in common.
    #[error("the archive has entries that overlap")]
    Overlap,
    /// An entry is encrypted.
    #[error("entry {name:?} is encrypted")]
    Encrypted {
        /// Its name.
        name: String,
    },
    /// An entry's name is not one that a file may have here.
    #[error("entry {name:?} {source}")]
    Name {
        /// The name, shortened.
        name: String,
        /// What is wrong with it.
        source: NameError,
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
    fn storage(path: &Path, source: io::Error) -> Self {
        Self::Storage { path: path.to_owned(), source }
    }

    #[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
    fn archive(error: ZipError) -> Self {
        Self::Archive { reason: error.to_string() }
    }
}

const BUFFER: usize = 128 << 10;

#[cfg(test)]
mod tests;
