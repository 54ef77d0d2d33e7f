//! Unpacking an archive into a folder, as if its maker were hostile.
//!
//! Everything is written into a temporary folder beside the target, which takes the target's name once all of it is there.
//! So the folder appears at once, with whole files whose checksums fit, and no entry can land anywhere else. It is not
//! flushed to the disk, as the archive was: after a power cut, unpack again.
//!
//! An odd name never costs an entry: it is made safe (the rules are at [`Entry::written`]). An entry that cannot be unpacked
//! never costs the others: it is reported in [`Unpacked::skipped`]. [`Options::all_or_nothing`] changes the latter.

mod directory;
mod kind;
mod method;
mod name;
mod staging;

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Write as _},
    path::{Path, PathBuf},
};

use thiserror::Error;

use self::{directory::Listed, name::Names, staging::Staging};
use crate::{Observer, Progress};

pub use kind::Kind;
pub use method::Method;

/// Bounds on what is unpacked, and what to do about entries that cannot be. The defaults hold any export.
///
/// How well an entry is compressed is no bound: content of one colour is honest. What is written is bounded: by these,
/// by what the directory says of the entry, and by the free space of the disk.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The most entries, and the most folders that their names lead through. Default: 100,000.
    pub entries: usize,
    /// The most bytes that all entries unpack to. Default: 16 GiB.
    pub total: u64,
    /// The most bytes that one entry unpacks to. Default: 4 GiB.
    pub entry: u64,
    /// Whether an entry that cannot be unpacked is an error ([`UnpackError::Entry`]), and nothing is left of the others.
    /// Default: no.
    pub all_or_nothing: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { entries: 100_000, total: 16 << 30, entry: 4 << 30, all_or_nothing: false }
    }
}

/// What came of an archive.
///
/// Iterates over its entries. Look at [`skipped`](Self::skipped) too: what is there is not in the folder.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use = "entries may have been skipped"]
#[non_exhaustive]
pub struct Unpacked {
    /// The files that were written, in the order of the archive.
    pub entries: Vec<Entry>,
    /// The entries that could not be unpacked, in the order of the archive. Of them, nothing is in the folder.
    pub skipped: Vec<Skipped>,
}

impl Unpacked {
    /// Returns whether entries of the archive are missing in the folder.
    pub fn is_partial(&self) -> bool {
        !self.skipped.is_empty()
    }
}

impl IntoIterator for Unpacked {
    type Item = Entry;
    type IntoIter = std::vec::IntoIter<Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

/// An entry that was unpacked.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// Its name in the archive, decoded: UTF-8 if that is what its bytes are, else code page 437.
    ///
    /// Any character can be in it. `{:?}` shows it with those escaped that a terminal would act on.
    pub name: String,
    /// The bytes of its name in the archive.
    pub raw_name: Vec<u8>,
    /// The name it was written under, seen from the folder, with `/` between levels: safe to print.
    ///
    /// It is made of [`name`](Self::name) in one way on all systems. `/` and `\` separate levels; empty ones and `.` are
    /// dropped. Control characters, `< > : " | ? *`, line separators, marks that change the direction of text, and dots
    /// and blanks at the end of a level become `_` (so `..` becomes `__`). A device name of Windows gets a `_` before
    /// it. A level is shortened to 255 bytes with its extension kept; a name, to 64 levels and 2,048 bytes. A name that another
    /// entry has already, capital letters aside, gets a number: `a (2).png`.
    pub written: String,
    /// Where it is now.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// What it is by its content.
    pub kind: Kind,
    /// For images: width and height in pixels.
    pub dimensions: Option<(usize, usize)>,
}

/// An entry that was not unpacked.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("entry {name:.200?} {reason}")]
#[non_exhaustive]
pub struct Skipped {
    /// Its name in the archive, decoded as in [`Entry::name`].
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
    /// It unpacks to more than [`Options::entry`], or to more than is left of [`Options::total`].
    #[error("unpacks to {size} bytes, of which {allowed} are allowed")]
    TooLarge {
        /// What the archive says of its size.
        size: u64,
        /// What was allowed.
        allowed: u64,
    },
    /// Its name leads through more new folders than [`Options::entries`] leaves.
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

/// Unpacks the archive at `archive` into `folder`, which must be absent or empty.
///
/// Archives inside of it are left packed. `observer` is told each entry ([`Progress::Unpacked`], [`Progress::Skipped`]) before
/// the folder has its name, and at the end if there are fewer files than were `asked_for` ([`Progress::PartialArchive`]):
/// no error, since the service leaves out ids that it does not know.
///
/// What killed processes have left beside the folder is removed.
pub fn unpack(
    archive: &Path,
    folder: &Path,
    options: Options,
    asked_for: usize,
    observer: &mut dyn Observer,
) -> Result<Unpacked, UnpackError> {
    let unread = |source| UnpackError::storage(archive, source);
    let file = File::open(archive).map_err(unread)?;
    let listed = directory::read(&file, archive, &options)?;
    let (mut names, refusals, needed) = look_through(&listed, &options);
    let mut refused = refusals.iter().zip(&listed);
    if options.all_or_nothing
        && let Some((Some(reason), entry)) = refused.find(|(reason, _)| reason.is_some())
    {
        return Err(UnpackError::Entry(entry.skipped(reason.clone())));
    }
    check_target(folder)?;
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let staging = Staging::new(parent).map_err(|source| UnpackError::storage(parent, source))?;
    check_space(parent, needed)?;
    let staged = staging.path();
    for path in names.folders() {
        let path = staged.join(path);
        fs::create_dir_all(&path).map_err(|source| UnpackError::storage(&path, source))?;
    }
    let mut reader = BufReader::with_capacity(BUFFER, file);
    let mut buffer = vec![0; BUFFER];
    let (of, mut unpacked) = (listed.len(), Unpacked::default());
    for (index, (listed, refusal)) in listed.into_iter().zip(refusals).enumerate() {
        if listed.is_folder && refusal.is_none() {
            continue;
        }
        let written = match refusal {
            Some(reason) => Err(Failed::Entry(reason)),
            None => listed.write(&mut reader, &staged, &mut names, &mut buffer),
        };
        match written {
            Ok((written, content)) => {
                let path = folder.join(&written);
                let written = written.to_string_lossy().replace('\\', "/");
                let Content { bytes, kind, dimensions } = content;
                let (name, raw_name) = (listed.name, listed.raw_name);
                let entry = Entry { name, raw_name, written, path, bytes, kind, dimensions };
                observer.observe(Progress::Unpacked { entry: &entry, number: index + 1, of });
                unpacked.entries.push(entry);
            }
            Err(Failed::Entry(reason)) => {
                let skipped = listed.skipped(reason);
                if options.all_or_nothing {
                    return Err(UnpackError::Entry(skipped));
                }
                observer.observe(Progress::Skipped(&skipped));
                unpacked.skipped.push(skipped);
            }
            Err(Failed::Archive(source)) => return Err(unread(source)),
            Err(Failed::Storage(error)) => return Err(error),
        }
    }
    if unpacked.entries.is_empty() && unpacked.is_partial() {
        return Err(UnpackError::Nothing { skipped: unpacked.skipped });
    }
    staging.publish(folder).map_err(|source| UnpackError::storage(folder, source))?;
    let found = unpacked.entries.len() + unpacked.skipped.len();
    if found < asked_for {
        observer.observe(Progress::PartialArchive { asked_for, found });
    }
    Ok(unpacked)
}

/// Decides what is unpacked: names, the reason why an entry is not, and the bytes that the rest needs on the disk.
fn look_through(listed: &[Listed], options: &Options) -> (Names, Vec<Option<SkipReason>>, u64) {
    let (mut names, mut left, mut needed) = (Names::default(), options.total, 0u64);
    let mut refuse = |entry: &Listed| {
        if let Some(reason) = entry.refusal() {
            return Some(reason);
        }
        let allowed = options.entry.min(left);
        if entry.size > allowed {
            return Some(SkipReason::TooLarge { size: entry.size, allowed });
        }
        let levels = name::levels(&entry.name);
        let folders =
            if entry.is_folder { &levels[..] } else { levels.split_last().map_or(&[][..], |(_, to)| to) };
        if names.folders().len().saturating_add(folders.len()) > options.entries
            && !names.has_folders(folders)
        {
            return Some(SkipReason::TooManyFolders);
        }
        names.add_folders(folders);
        left -= entry.size;
        needed = needed.saturating_add(entry.size).saturating_add(BLOCK);
        None
    };
    let refusals = listed.iter().map(&mut refuse).collect();
    let needed = needed.saturating_add(BLOCK.saturating_mul(names.folders().len() as u64));
    (names, refusals, needed)
}

impl Listed {
    /// Why this entry is not unpacked, as far as the directory tells.
    fn refusal(&self) -> Option<SkipReason> {
        let method = Method(self.method);
        let is_empty =
            self.size == 0 && self.packed <= EMPTY && (method != Method::STORED || self.packed == 0);
        match self.unix_type {
            _ if !self.is_here => Some(SkipReason::OtherDisk),
            0o120_000 => Some(SkipReason::Link),
            0o010_000 | 0o020_000 | 0o060_000 | 0o140_000 => Some(SkipReason::Special),
            _ if self.is_folder => (!is_empty).then_some(SkipReason::FolderWithContent),
            _ if self.flags & ENCRYPTED != 0 || method == Method::ENCRYPTED => Some(SkipReason::Encrypted),
            _ => (!method.is_supported()).then_some(SkipReason::Method(method)),
        }
    }

    fn skipped(&self, reason: SkipReason) -> Skipped {
        Skipped { name: self.name.clone(), raw_name: self.raw_name.clone(), reason }
    }

    /// Unpacks this entry into a new file, whose name it returns. If it cannot be unpacked, nothing of it stays.
    fn write(
        &self,
        archive: &mut BufReader<File>,
        staged: &Path,
        names: &mut Names,
        buffer: &mut [u8],
    ) -> Result<(PathBuf, Content), Failed> {
        match self.open(archive).map_err(Failed::reading)? {
            Some(true) => {}
            Some(false) => return Err(Failed::Entry(SkipReason::Overlap)),
            None => return Err(Failed::damaged("there is no entry where the archive says")),
        }
        let packed = archive.by_ref().take(self.packed);
        let has_end_mark = self.flags & LZMA_END_MARK != 0;
        let mut content =
            Method(self.method).unpack(packed, self.size, has_end_mark).map_err(Failed::reading)?;
        let (mut file, name) = create(staged, names, &name::levels(&self.name))?;
        let path = staged.join(&name);
        match copy(&mut content, self, &mut file, &path, buffer) {
            Ok(content) => Ok((name, content)),
            Err(failed) => {
                drop(file);
                fs::remove_file(&path).map_err(|source| Failed::storage(&path, source))?;
                Err(failed)
            }
        }
    }
}

/// Creates a file under a name that is free in the file system too: that may take different spellings of a letter for one.
fn create(staged: &Path, names: &mut Names, levels: &[String]) -> Result<(File, PathBuf), Failed> {
    loop {
        let name = names.place(levels);
        let path = staged.join(&name);
        match File::options().read(true).write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((file, name)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(Failed::storage(&path, source)),
        }
    }
}

/// What was written of an entry.
struct Content {
    bytes: u64,
    kind: Kind,
    dimensions: Option<(usize, usize)>,
}

/// Copies the content of an entry to a file, never more than the archive says that there is, and checks it.
fn copy(
    content: &mut dyn Read,
    entry: &Listed,
    file: &mut File,
    path: &Path,
    buffer: &mut [u8],
) -> Result<Content, Failed> {
    let storage = |source| Failed::storage(path, source);
    let wrong_size = Failed::Entry(SkipReason::WrongSize { size: entry.size });
    let (mut bytes, mut kind, mut crc) = (0u64, Kind::Other, flate2::Crc::new());
    loop {
        let piece = fill(content, buffer).map_err(Failed::reading)?;
        if bytes == 0 {
            kind = kind::kind(piece);
        }
        bytes += piece.len() as u64;
        if bytes > entry.size {
            return Err(wrong_size);
        }
        crc.update(piece);
        file.write_all(piece).map_err(storage)?;
        if piece.len() < BUFFER {
            break;
        }
    }
    if bytes < entry.size {
        return Err(wrong_size);
    }
    if crc.sum() != entry.crc {
        return Err(Failed::Entry(SkipReason::Checksum));
    }
    let dimensions = kind::dimensions(kind, file).map_err(storage)?;
    Ok(Content { bytes, kind, dimensions })
}

/// Reads until the buffer is full or nothing more comes. Reading and writing fail for different reasons, so `io::copy`
/// would say too little.
fn fill<'b>(content: &mut dyn Read, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
    let mut len = 0;
    while let Some(rest) = buffer.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match content.read(rest) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(buffer.get(..len).unwrap_or_default())
}

/// Why an entry was not written.
enum Failed {
    /// Because of what it is: the others can be.
    Entry(SkipReason),
    /// The file that is the archive cannot be read.
    Archive(io::Error),
    Storage(UnpackError),
}

impl Failed {
    fn damaged(reason: &str) -> Self {
        Self::Entry(SkipReason::Damaged(reason.to_owned()))
    }

    fn storage(path: &Path, source: io::Error) -> Self {
        Self::Storage(UnpackError::storage(path, source))
    }

    /// Tells the operating system's errors, which have a number, from those of a decoder.
    fn reading(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(_) => Self::Archive(error),
            None => Self::Entry(SkipReason::Damaged(error.to_string())),
        }
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

/// Checks that a disk has room before anything is written to it, and some to spare for others.
fn check_space(folder: &Path, needed: u64) -> Result<(), UnpackError> {
    // A file system that does not tell may have room: should it have none, writing fails.
    let Ok(free) = fs4::available_space(folder) else { return Ok(()) };
    if needed <= free - SPARE.min(free / 16) {
        return Ok(());
    }
    let reason = format!("no storage space: {needed} bytes are needed, {free} are free");
    Err(UnpackError::storage(folder, io::Error::new(io::ErrorKind::StorageFull, reason)))
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
    /// It has more entries than the [`Options`] allow.
    #[error("{what}")]
    TooLarge {
        /// Which limit was met.
        what: &'static str,
    },
    /// An entry cannot be unpacked, and [`Options::all_or_nothing`] is set.
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
    fn storage(path: &Path, source: io::Error) -> Self {
        Self::Storage { path: path.to_owned(), source }
    }
}

fn first(skipped: &[Skipped]) -> String {
    skipped.first().map(|skipped| format!("; {skipped}")).unwrap_or_default()
}

const BUFFER: usize = 128 << 10;

/// Traditional and strong encryption, and a directory that is encrypted.
const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;

/// Of an LZMA stream, which then does not end by its size.
const LZMA_END_MARK: u16 = 1 << 1;

/// What a file or folder takes on most disks beside its content.
const BLOCK: u64 = 4 << 10;

/// What is left free: 64 MiB, of a small disk less.
const SPARE: u64 = 64 << 20;

/// The longest stream of any method that unpacks to nothing, which some writers give folders.
const EMPTY: u64 = 14;

#[cfg(test)]
mod tests;
