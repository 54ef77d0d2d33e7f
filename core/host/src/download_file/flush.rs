//! Writing a file out to the disk while more of it is still coming, so that the flush at the end has little left to do.
//!
//! The end of a large download would otherwise wait for all of it, on a disk that has had nothing to do until then. It is
//! a help and no more: where there is no thread for it, everything is flushed at the end.

use std::{
    fs::File,
    io,
    sync::mpsc::{SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

/// Flushes a file in the background, one time after the other.
#[derive(Debug, Default)]
pub(super) struct Flusher {
    /// Bytes that were written since the last nudge.
    waiting: u64,
    worker: Option<Worker>,
}

#[derive(Debug)]
struct Worker {
    nudge: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Flusher {
    /// Says that so many more bytes were written to `file`.
    pub(super) fn wrote(&mut self, file: &File, bytes: u64) {
        self.waiting += bytes;
        if self.waiting < PORTION {
            return;
        }
        self.waiting = 0;
        if self.worker.is_none() {
            self.worker = Worker::start(file).ok();
        }
        if let Some(worker) = &self.worker {
            // While it is busy, or has failed, there is nothing to be said.
            let _ = worker.nudge.try_send(());
        }
    }

    /// Ends it, and returns the error that it met: the system reports an error of the disk once, to the first flush.
    pub(super) fn stop(&mut self) -> io::Result<()> {
        let Some(Worker { nudge, thread }) = self.worker.take() else { return Ok(()) };
        drop(nudge);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("flushing panicked")))
    }
}

impl Worker {
    fn start(file: &File) -> io::Result<Self> {
        let file = file.try_clone()?;
        let (nudge, nudged) = sync_channel(1);
        let thread = thread::Builder::new().name("abyssale-flush".into()).spawn(move || {
            while nudged.recv().is_ok() {
                file.sync_data()?;
            }
            Ok(())
        })?;
        Ok(Self { nudge, thread })
    }
}

/// Each flush has the file system write its journal, so not too often; often enough that the last one is a small one.
const PORTION: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_large_file_is_flushed_on_the_way_and_a_small_one_at_its_end() {
        let mut file = tempfile::tempfile().unwrap();
        let mut flusher = Flusher::default();
        flusher.wrote(&file, PORTION - 1);
        assert!(flusher.worker.is_none());
        for _ in 0..3 {
            file.write_all(b"more").unwrap();
            flusher.wrote(&file, PORTION);
        }
        assert!(flusher.worker.is_some());
        flusher.stop().unwrap();
        assert!(flusher.worker.is_none());
    }

    #[cfg(unix)]
    #[test]
    fn what_it_has_met_is_told_at_the_end() {
        // A pipe cannot be flushed.
        let (_reader, writer) = io::pipe().unwrap();
        let pipe = File::from(std::os::fd::OwnedFd::from(writer));
        let mut flusher = Flusher::default();
        flusher.wrote(&pipe, PORTION);
        assert!(flusher.stop().is_err());
        assert!(flusher.stop().is_ok(), "once");
    }
}
