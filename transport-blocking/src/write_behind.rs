//! A file that is written by a thread of its own, so that receiving does not wait for the disk, nor the disk for the
//! network.

use std::{
    io, mem,
    path::PathBuf,
    sync::mpsc::{Receiver, SyncSender, channel, sync_channel},
    thread::{self, JoinHandle},
};

use abyssale_core::download::{DownloadError, Receive, Transfer};
use abyssale_host::DownloadFile;

use crate::download::{CHUNK, Store};

/// Dropped, it waits until what has come is written, and closes the file.
pub(crate) struct WriteBehind {
    target: PathBuf,
    state: State,
    /// How many bytes have come, written or not.
    len: u64,
}

enum State {
    /// There is no body yet.
    Idle(Box<DownloadFile>),
    Writing(Writer),
    /// It is over.
    Ended,
}

struct Writer {
    /// Buffers, and how much of each is to be written.
    full: SyncSender<(Vec<u8>, usize)>,
    /// The same buffers, on their way back.
    empty: Receiver<Vec<u8>>,
    thread: JoinHandle<Result<DownloadFile, DownloadError>>,
}

impl WriteBehind {
    pub(crate) fn new(file: DownloadFile, target: PathBuf) -> Self {
        Self { target, len: file.len(), state: State::Idle(Box::new(file)) }
    }

    /// The file, with everything in it that has come.
    fn into_file(mut self) -> Result<DownloadFile, DownloadError> {
        match mem::replace(&mut self.state, State::Ended) {
            State::Idle(file) => Ok(*file),
            State::Writing(writer) => writer.end(),
            State::Ended => Err(ended()),
        }
    }
}

impl Store for WriteBehind {
    fn resumed(&self, transfer: Transfer) -> Transfer {
        match &self.state {
            State::Idle(file) => file.resumed(transfer),
            State::Writing(_) | State::Ended => transfer,
        }
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn begin(&mut self, receive: &Receive) -> Result<(), DownloadError> {
        let State::Idle(mut file) = mem::replace(&mut self.state, State::Ended) else { return Err(ended()) };
        file.begin(receive)?;
        self.len = file.len();
        let writer = Writer::start(*file);
        let failed = |source| DownloadError::Storage(format!("{}: {source}", self.target.display()).into());
        self.state = State::Writing(writer.map_err(failed)?);
        Ok(())
    }

    fn write(&mut self, _: &Receive, buffer: &mut Vec<u8>, count: usize) -> Result<(), DownloadError> {
        let State::Writing(writer) = &mut self.state else { return Err(ended()) };
        let next = writer.empty.try_recv().unwrap_or_else(|_| vec![0; CHUNK]);
        if writer.full.send((mem::replace(buffer, next), count)).is_ok() {
            self.len += count as u64;
            return Ok(());
        }
        // It takes nothing more because something has gone wrong, which it says at its end.
        match mem::replace(&mut self.state, State::Ended) {
            State::Writing(writer) => writer.end().and_then(|_| Err(ended())),
            State::Idle(_) | State::Ended => Err(ended()),
        }
    }

    fn finish(self, receive: &Receive) -> Result<u64, DownloadError> {
        self.into_file()?.finish(receive)
    }

    fn give_up(self, error: DownloadError) -> DownloadError {
        match self.into_file() {
            Ok(file) => file.give_up(error),
            Err(error) => error,
        }
    }

    fn discard(self) {
        if let Ok(file) = self.into_file() {
            file.discard();
        }
    }
}

impl Drop for WriteBehind {
    fn drop(&mut self) {
        // The next attempt goes on from what is there, and would find the file locked.
        if let State::Writing(writer) = mem::replace(&mut self.state, State::Ended) {
            // Why the body broke off has been said; what the disk says now, it says again the next time.
            let _ = writer.end();
        }
    }
}

impl Writer {
    fn start(mut file: DownloadFile) -> io::Result<Self> {
        let (full, filled) = sync_channel::<(Vec<u8>, usize)>(WAITING);
        let (emptied, empty) = channel();
        let thread = thread::Builder::new().name("abyssale-write".into()).spawn(move || {
            for (buffer, count) in filled {
                file.write(buffer.get(..count).unwrap_or_default())?;
                // Nobody wants it back at the end.
                let _ = emptied.send(buffer);
            }
            Ok(file)
        })?;
        Ok(Self { full, empty, thread })
    }

    fn end(self) -> Result<DownloadFile, DownloadError> {
        drop(self.full);
        self.thread.join().unwrap_or_else(|_| Err(ended()))
    }
}

fn ended() -> DownloadError {
    DownloadError::Interrupted("the writing of the file has ended".into())
}

/// How many buffers may wait to be written: with those that are being filled and written, less than a megabyte.
const WAITING: usize = 4;
