//! The file beside a store that keeps a second exporter out, and remembers the last write.
//!
//! The database file itself carries no such lock: an operating system drops SQLite's locks as soon as the process closes
//! any other handle of that file. The lock file stays when the store is closed, since removing it would let two processes
//! lock two files of the same name.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use abyssale_core::StoreError;

use super::database::checksum;

/// The right to use a store, until it is dropped.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    pub(super) fn take(store: &Path) -> Result<Self, StoreError> {
        let path = beside(store, ".lock");
        let failed = |error| StoreError::refused(format_args!("cannot lock {}: {error}", path.display()));
        refuse_others(&path).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = private(&mut options).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse),
            // Some file systems have no locks. SQLite's own, of another kind, is left.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(Self(file)),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Remembers that the write of this number is in the store.
    ///
    /// Not flushed to the disk: after a power cut the number may be too small, and never too large.
    pub(super) fn remember(&mut self, write: u64) -> io::Result<()> {
        let number = write.to_be_bytes();
        let sum = checksum(write, &number).to_be_bytes();
        self.0.seek(SeekFrom::Start(0))?;
        self.0.write_all(&[number, sum].concat())
    }

    /// The number that was last remembered, if there is one.
    pub(super) fn last_write(&mut self) -> Option<u64> {
        let (mut number, mut sum) = ([0; 8], [0; 8]);
        self.0.seek(SeekFrom::Start(0)).ok()?;
        self.0.read_exact(&mut number).ok()?;
        self.0.read_exact(&mut sum).ok()?;
        let write = u64::from_be_bytes(number);
        (checksum(write, &number) == i64::from_be_bytes(sum)).then_some(write)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A process that is being started holds a copy of every handle for an instant, and the lock with it.
        let _closing_unlocks_too = self.0.unlock();
    }
}

/// The name with something appended.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Fails if there is something else than a plain file, such as a link to another one.
pub(super) fn refuse_others(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is not a plain file; remove it")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes new files readable for their owner only.
pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}
