//! An archive, looked through before anything is written: what each entry is called, where it lies and what it claims.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    rc::Rc,
};

use zip::{
    ZipArchive,
    read::{ArchiveOffset, Config},
};

use super::{Limits, NameError, UnpackError, name::Names};

/// An archive whose entries may be unpacked, as far as its directory tells.
pub(super) struct Survey {
    pub(super) zip: ZipArchive<BufReader<Metered>>,
    /// In the order of the archive.
    pub(super) entries: Vec<Planned>,
}

/// An entry that is to be unpacked.
pub(super) struct Planned {
    pub(super) name: String,
    /// Where it goes, seen from the target.
    pub(super) path: PathBuf,
    pub(super) is_folder: bool,
    /// The most bytes that it may unpack to.
    pub(super) room: u64,
}

impl Survey {
    /// Reads the directory of the archive at `path`, and refuses what should not be unpacked.
    pub(super) fn of(path: &Path, limits: Limits) -> Result<Self, UnpackError> {
        let file = File::open(path).map_err(|source| UnpackError::storage(path, source))?;
        let entries = limits.entries as u64;
        let left =
            Rc::new(Cell::new(entries.saturating_mul(DIRECTORY_ENTRY).saturating_add(DIRECTORY_SPARE)));
        let metered = Metered { file, left: Rc::clone(&left) };
        // What lies before an archive is none of ours; to look for it would be to guess.
        let config = Config { archive_offset: ArchiveOffset::Known(0) };
        let zip = match ZipArchive::with_config(config, BufReader::with_capacity(BUFFER, metered)) {
            Ok(zip) => zip,
            Err(_) if left.get() == 0 => {
                return Err(UnpackError::TooLarge { what: "the archive's directory is too large" });
            }
            Err(error) => return Err(UnpackError::archive(error)),
        };
        left.set(u64::MAX);
        Self { zip, entries: Vec::new() }.look_through(limits)
    }

    fn look_through(mut self, limits: Limits) -> Result<Self, UnpackError> {
        if self.zip.len() > limits.entries {
            return Err(UnpackError::TooLarge { what: "the archive has too many entries" });
        }
        if self.zip.has_duplicate_names() {
            return Err(UnpackError::Duplicate);
        }
        let (mut names, mut total) = (Names::default(), 0u64);
        for index in 0..self.zip.len() {
            let entry = self.zip.by_index_data(index).map_err(UnpackError::archive)?;
            let name = entry.name().map_err(UnpackError::archive)?.into_owned();
            if entry.encrypted() {
                return Err(UnpackError::Encrypted { name: shown(&name) });
            }
            let refused = |source| UnpackError::Name { name: shown(&name), source };
            if entry.is_symlink() {
                return Err(refused(NameError::Link));
            }
            let is_folder = entry.is_dir();
            let path = names.accept(&name, is_folder).map_err(refused)?;
            total = total.saturating_add(entry.size());
            let ratio = entry.compressed_size().saturating_mul(limits.ratio).saturating_add(1 << 20);
            self.entries.push(Planned { path, is_folder, room: limits.entry.min(ratio), name });
        }
        if let Some(name) = names.file_and_folder() {
            return Err(UnpackError::Name { name: shown(name), source: NameError::Both });
        }
        // What an entry claims may be a lie, and is measured again as it is unpacked; this saves the work.
        if total > limits.total {
            return Err(UnpackError::TooLarge { what: "the archive unpacks to more than is allowed" });
        }
        // Entries that share packed bytes are how a small archive unpacks to a huge one without any entry being
        // suspicious.
        if self.zip.has_overlapping_entries().map_err(UnpackError::archive)? {
            return Err(UnpackError::Overlap);
        }
        Ok(self)
    }
}

/// A file of which only so many bytes may be read: of its directory, everything is kept in memory.
pub(super) struct Metered {
    file: File,
    left: Rc<Cell<u64>>,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        let left = self.left.get().checked_sub(read as u64);
        self.left.set(left.unwrap_or_default());
        left.map(|_| read).ok_or_else(|| io::ErrorKind::FileTooLarge.into())
    }
}

impl Seek for Metered {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

fn shown(name: &str) -> String {
    name.chars().take(100).collect()
}

/// A directory's entry has 46 bytes, its name, and perhaps a few fields beside it.
const DIRECTORY_ENTRY: u64 = 256;

/// For looking for the directory, and for longer names in small archives.
const DIRECTORY_SPARE: u64 = 1 << 20;

const BUFFER: usize = 32 << 10;
