//! The content of an entry on its way to a file: never more than the archive says that there is, and checked.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Write as _},
    path::{Path, PathBuf},
};

use super::{
    Kind, Method, SkipReason, Skipped, UnpackError,
    directory::Listed,
    kind,
    name::{self, Names},
};

impl Listed {
    /// Returns why this entry is not unpacked, as far as the directory tells.
    pub(super) fn refusal(&self) -> Option<SkipReason> {
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

    pub(super) fn skipped(&self, reason: SkipReason) -> Skipped {
        Skipped { name: self.name.clone(), raw_name: self.raw_name.clone(), reason }
    }

    /// Unpacks this entry into a new file, whose name it returns. If it cannot be unpacked, nothing of it stays.
    pub(super) fn write(
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
pub(super) struct Content {
    pub(super) bytes: u64,
    pub(super) kind: Kind,
    pub(super) dimensions: Option<(usize, usize)>,
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
    let capacity = buffer.len();
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
        if piece.len() < capacity {
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
pub(super) enum Failed {
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

/// Traditional and strong encryption, and a directory that is encrypted.
const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;

/// Of an LZMA stream, which then does not end by its size.
const LZMA_END_MARK: u16 = 1 << 1;

/// The longest stream of any method that unpacks to nothing, which some writers give folders.
const EMPTY: u64 = 14;
