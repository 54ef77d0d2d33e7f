//! An archive on its way to the disk: nothing is seen under its final name unless it is whole, and what is there of it
//! survives the end of the process.
//!
//! The bytes are collected beside the target in `NAME.part`; what the rest needs to fit is in `NAME.part.json`. Both names
//! can be guessed, so that the next process finds them; a lock keeps two downloads to one target from mixing.

mod flush;

use std::{
    ffi::OsString,
    fs::{self, File, Metadata, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use self::flush::Flusher;
use abyssale_core::{
    archive,
    download::{DownloadError, Receive, ResumeState, Transfer},
};

/// The file that a download is collected in, locked, until it takes the target's name.
///
/// Dropped before [`finish`](Self::finish), it stays if the download can be resumed, and is removed if not.
#[derive(Debug)]
pub struct DownloadFile {
    target: PathBuf,
    path: PathBuf,
    state_path: PathBuf,
    /// Its lock is given back by name: a process that is being started holds a copy of every handle for an instant, and
    /// would hold the lock with it.
    file: File,
    len: u64,
    /// What the bytes are of. Without it they are of no use to anybody.
    resume_state: Option<ResumeState>,
    /// The body that is being taken in.
    body: Option<Receive>,
    flusher: Flusher,
    is_finished: bool,
}

impl DownloadFile {
    /// Finds what an earlier download to `target` has left, or begins. The folder must exist.
    ///
    /// Whatever is at `target` stays there until [`finish`](Self::finish).
    pub fn open(target: &Path) -> Result<Self, DownloadError> {
        let failed = |source| storage(target, &source);
        if target.is_dir() {
            return Err(failed(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        let path = beside(target, ".part");
        let file = open_locked(&path, target)?;
        let state_path = beside(target, ".part.json");
        let len = file.metadata().map_err(failed)?.len();
        // A state that cannot be read is as good as none.
        let resume_state = read_bounded(&state_path).ok().and_then(|json| ResumeState::from_json(&json));
        let target = target.to_owned();
        let flusher = Flusher::default();
        Ok(Self {
            target,
            path,
            state_path,
            file,
            len,
            resume_state,
            body: None,
            flusher,
            is_finished: false,
        })
    }

    /// The same download, going on from what is there.
    pub fn resumed(&self, transfer: Transfer) -> Transfer {
        match &self.resume_state {
            Some(resume_state) => transfer.resume(resume_state.clone(), self.len),
            None => transfer,
        }
    }

    /// Makes the file ready for a body: what is there from its beginning on is cut off.
    pub fn begin(&mut self, receive: &Receive) -> Result<(), DownloadError> {
        self.body = Some(receive.clone());
        self.prepare(receive).map_err(|source| self.storage(&source))
    }

    /// Appends a piece of the body. More than was announced is not written, and spoils what was.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), DownloadError> {
        let end = self.len.saturating_add(piece.len() as u64);
        if let Some(Err(error)) = self.body.as_ref().map(|body| body.check_room(end)) {
            self.resume_state = None;
            return Err(error);
        }
        if let Err(source) = self.file.write_all(piece) {
            if is_full(&source) {
                // Half an archive would keep the disk full, also for a store on it.
                self.resume_state = None;
            }
            // Of other failures, what was written in part stays: the next download asks the file system.
            return Err(self.storage(&source));
        }
        self.flusher.wrote(&self.file, piece.len() as u64);
        self.len += piece.len() as u64;
        Ok(())
    }

    /// How many bytes are there.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Checks that the file is a whole archive, flushes it to the disk and gives it its name.
    ///
    /// Returns its size in bytes. On an error the target is as it was before.
    pub fn finish(mut self, receive: &Receive) -> Result<u64, DownloadError> {
        receive.check_end(self.len)?;
        let (head, tail) = ends(&mut self.file, self.len).map_err(|source| self.storage(&source))?;
        if let Err(source) = archive::check_ends(&head, &tail, self.len) {
            return Err(self.give_up(receive.not_an_archive(source)));
        }
        self.publish().map_err(|source| self.storage(&source))?;
        Ok(self.len)
    }

    /// Ends the download with this error, and removes the file if another attempt would come no further.
    pub fn give_up(self, error: DownloadError) -> DownloadError {
        if !error.is_interruption() {
            self.discard();
        }
        error
    }

    /// Removes it, although it could be resumed: there will be nothing to resume it with.
    pub fn discard(mut self) {
        self.resume_state = None;
    }

    fn prepare(&mut self, receive: &Receive) -> io::Result<()> {
        if receive.from == 0 || receive.resume_state != self.resume_state {
            // While the bytes change, there must be no state that says what they were.
            self.resume_state = None;
            remove(&self.state_path)?;
        }
        self.file.set_len(receive.from)?;
        self.len = self.file.seek(SeekFrom::Start(receive.from))?;
        if let Some(resume_state) = receive.resume_state.as_ref().filter(|_| self.resume_state.is_none()) {
            // The name can be guessed, so what may lie in wait there is not written through.
            File::create_new(&self.state_path)?.write_all(resume_state.to_json().as_bytes())?;
            self.resume_state = Some(resume_state.clone());
        }
        Ok(())
    }

    fn publish(&mut self) -> io::Result<()> {
        self.flusher.stop()?;
        self.file.sync_all()?;
        fs::rename(&self.path, &self.target)?;
        self.is_finished = true;
        // The archive is there; a state without bytes is ignored by the next download.
        let _ = remove(&self.state_path);
        sync_folder(&self.target)
    }

    fn storage(&self, source: &io::Error) -> DownloadError {
        storage(&self.target, source)
    }
}

impl Drop for DownloadFile {
    fn drop(&mut self) {
        if !self.is_finished && (self.resume_state.is_none() || self.len == 0) {
            // The bytes first: a state alone is ignored. Still locked, so nobody else has begun.
            let _ = remove(&self.path);
            let _ = remove(&self.state_path);
        }
        // Where there are no locks, there is none to give back.
        let _ = self.file.unlock();
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The error for a file that the operating system does not let us write.
fn storage(path: &Path, source: &io::Error) -> DownloadError {
    DownloadError::Storage(format!("{}: {source}", path.display()).into())
}

/// The error for a target that another download, perhaps of another process, is writing.
fn busy(path: &Path) -> DownloadError {
    DownloadError::Storage(format!("{}: another download to this file is under way", path.display()).into())
}

/// Opens the file without touching what is in it, and takes the lock.
fn open_locked(path: &Path, target: &Path) -> Result<File, DownloadError> {
    let failed = |source| storage(target, &source);
    for _ in 0..ATTEMPTS {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(busy(target)),
            // Some network file systems have no locks. There, two downloads to one target are the user's to avoid.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        match fs::symlink_metadata(path) {
            Ok(named) if is_same(&file.metadata().map_err(failed)?, &named) => return Ok(file),
            Ok(named) if !named.is_file() => {
                let reason = "what is at its .part is no plain file";
                return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, reason)));
            }
            // Between opening and locking, its owner has finished: the name means another file now, or none.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(busy(target))
}

/// Whether an open file is what its name means, and nothing else means it: not a link that somebody has put there.
#[cfg(unix)]
fn is_same(open: &Metadata, named: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    named.is_file() && (open.dev(), open.ino()) == (named.dev(), named.ino()) && open.nlink() == 1
}

#[cfg(not(unix))]
fn is_same(_: &Metadata, named: &Metadata) -> bool {
    named.is_file()
}

fn ends(file: &mut File, len: u64) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut read = |from: u64, len: u64| {
        let mut piece = Vec::new();
        file.seek(SeekFrom::Start(from))?;
        (&*file).take(len).read_to_end(&mut piece)?;
        Ok::<_, io::Error>(piece)
    };
    let tail = archive::TAIL_LEN as u64;
    Ok((read(0, 256)?, read(len.saturating_sub(tail), tail)?))
}

fn beside(target: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = target.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    target.with_file_name(name)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    // Opening a pipe in its place would block.
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    File::open(path)?.take(ResumeState::MAX_LEN as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes the new name itself survive a power cut.
#[cfg(unix)]
fn sync_folder(target: &Path) -> io::Result<()> {
    match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// Elsewhere folders cannot be opened for it, and renaming is journalled.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the signature of the other one")]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// How often the file may be renamed or removed by its owner between opening it and locking it.
const ATTEMPTS: usize = 16;

#[cfg(test)]
mod tests;
