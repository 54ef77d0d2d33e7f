//! The way of a body's pieces to the disk, which may take its time while the runtime's threads must not wait for it.

use abyssale_core::download::DownloadError;
use abyssale_host::DownloadFile;
use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

/// A file that is written to in the background, one batch at a time, while the next one gathers.
///
/// Dropped, it stops after the batch that is being written; the file's lock is kept until then.
pub(crate) struct WriteBehind {
    writing: JoinHandle<Result<DownloadFile, DownloadError>>,
    gathered: Vec<Bytes>,
    bytes: usize,
}

impl WriteBehind {
    /// A sink into `file`, once `prepare` has been done to it.
    pub(crate) fn new(
        mut file: DownloadFile,
        prepare: impl FnOnce(&mut DownloadFile) -> Result<(), DownloadError> + Send + 'static,
    ) -> Self {
        let writing = spawn_blocking(move || prepare(&mut file).map(|()| file));
        Self { writing, gathered: Vec::new(), bytes: 0 }
    }

    /// Adds a piece to the batch.
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        self.gathered.push(piece);
    }

    /// Whether there is something to be written.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.gathered.is_empty()
    }

    /// Whether so much is to be written that more should not be received first.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= BATCH || self.gathered.len() >= PIECES
    }

    /// Waits until the disk has done with the last batch, and begins with this one. May be dropped in the middle.
    pub(crate) async fn turn(&mut self) -> Result<(), DownloadError> {
        let mut file = joined((&mut self.writing).await)?;
        let batch = std::mem::take(&mut self.gathered);
        self.bytes = 0;
        self.writing = spawn_blocking(move || {
            for piece in batch {
                file.write(&piece)?;
            }
            Ok(file)
        });
        Ok(())
    }

    /// Waits until everything is written.
    pub(crate) async fn into_file(mut self) -> Result<DownloadFile, DownloadError> {
        if self.is_waiting() {
            self.turn().await?;
        }
        joined(self.writing.await)
    }
}

/// Does something to a file in the background.
pub(crate) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DownloadError> + Send + 'static,
) -> Result<T, DownloadError> {
    joined(spawn_blocking(work).await)
}

fn joined<T>(joined: Result<Result<T, DownloadError>, tokio::task::JoinError>) -> Result<T, DownloadError> {
    // It fails only when the runtime is shutting down; the next process goes on.
    joined.unwrap_or_else(|error| Err(interrupted(&error.to_string())))
}

/// An attempt that broke off.
pub(crate) fn interrupted(reason: &str) -> DownloadError {
    DownloadError::Interrupted(reason.into())
}

/// While this much waits for the disk, nothing more is received.
const BATCH: usize = 1 << 20;

/// However small they are: each piece takes memory of its own.
const PIECES: usize = 4096;
