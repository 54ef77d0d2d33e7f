//! Unpacking an archive into a folder, as if its maker were hostile.
//!
//! Everything is written into a temporary folder beside the target, which takes the target's name once all of it is there.
//! So the folder appears at once, with whole files whose checksums fit, and no entry can land anywhere else. It is not
//! flushed to the disk, as the archive was: after a power cut, unpack again.
//!
//! An odd name never costs an entry: it is made safe (the rules are at [`Entry::written`]). An entry that cannot be unpacked
//! never costs the others: it is reported in [`Unpacked::skipped`]. [`Options::all_or_nothing`] changes the latter.

mod content;
mod directory;
mod error;
mod kind;
mod method;
mod name;
mod staging;

use std::{
    fs::{self, File},
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use self::{
    content::{Content, Failed},
    directory::Listed,
    name::Names,
    staging::Staging,
};
use crate::{Observer, Progress};

pub use error::{SkipReason, Skipped, UnpackError};
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

/// Returns the number of files in the archive, or `None` if it cannot be read.
pub(crate) fn count_files(archive: &Path) -> Option<usize> {
    let file = File::open(archive).ok()?;
    let listed = directory::read(&file, archive, &Options::default()).ok()?;
    Some(listed.iter().filter(|entry| !entry.is_folder).count())
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

/// Small writes cost more than memory.
const BUFFER: usize = 128 << 10;

/// What a file or folder takes on most disks beside its content.
const BLOCK: u64 = 4 << 10;

/// What is left free: 64 MiB, of a small disk less.
const SPARE: u64 = 64 << 20;

#[cfg(test)]
mod tests;
