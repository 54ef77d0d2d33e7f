//! The folder that an archive is unpacked in until all of it is there, locked as long as this process uses it.
//!
//! A process that is killed leaves its folder. The next one that unpacks beside it finds the lock free, and removes it.

use std::{
    fs::{self, DirEntry, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

/// A folder that nobody else may look into.
pub(super) struct Staging {
    // Removed before its lock is given back.
    hidden: TempDir,
    _lock: File,
}

impl Staging {
    /// Makes one in `parent`, and removes what killed processes have left there.
    pub(super) fn new(parent: &Path) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        for entry in fs::read_dir(parent)?.flatten() {
            // One that cannot be removed is another user's, or somebody else removes it: unpacking goes on.
            let _ = remove_abandoned(&entry);
        }
        for _ in 0..ATTEMPTS {
            let hidden = builder().prefix(PREFIX).tempdir_in(parent)?;
            // Until it is locked, another process may take it for abandoned.
            let path = hidden.path().join(LOCK);
            match File::create_new(&path) {
                Ok(lock) if is_locked(&lock)? && path.exists() => {
                    let staging = Self { hidden, _lock: lock };
                    fs::create_dir(staging.path())?;
                    return Ok(staging);
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, "other processes remove the folder to unpack in"))
    }

    /// Where entries go. Unlike the folder around it, it has the permissions of the user's other folders.
    pub(super) fn path(&self) -> PathBuf {
        self.hidden.path().join(CONTENT)
    }

    /// Gives the folder its name, in one step.
    pub(super) fn publish(self, folder: &Path) -> io::Result<()> {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::rename(self.path(), folder),
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // First, because a process that is killed here must leave its lock for the next. The rest removes itself.
        let _ = fs::remove_dir_all(self.path());
    }
}

fn remove_abandoned(entry: &DirEntry) -> io::Result<()> {
    let is_staging = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
    if !is_staging || !entry.file_type()?.is_dir() {
        return Ok(());
    }
    let (folder, lock) = (entry.path(), entry.path().join(LOCK));
    // Empty: its process was killed before there was a lock. If it was not, it makes another one.
    if fs::remove_dir(&folder).is_ok() || !fs::symlink_metadata(&lock)?.is_file() {
        return Ok(());
    }
    let lock = File::options().read(true).write(true).open(lock)?;
    if lock.try_lock().is_ok() {
        match fs::remove_dir_all(folder.join(CONTENT)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::remove_dir_all(folder)?,
        }
    }
    Ok(())
}

/// Takes the lock. Where a file system has none, nobody removes what others have left either.
fn is_locked(lock: &File) -> io::Result<bool> {
    match lock.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(unix)]
fn builder() -> tempfile::Builder<'static, 'static> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut builder = tempfile::Builder::new();
    builder.permissions(fs::Permissions::from_mode(0o700));
    builder
}

#[cfg(not(unix))]
fn builder() -> tempfile::Builder<'static, 'static> {
    tempfile::Builder::new()
}

const PREFIX: &str = ".unpacking-";
const LOCK: &str = "lock";
const CONTENT: &str = "unpacked";

/// How often another process may remove the folder in the instant before it is locked.
const ATTEMPTS: usize = 16;
