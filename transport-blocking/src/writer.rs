//! A download to where nothing can be taken back. The machine, the checks and the way of the bytes are those of every
//! download; what such a place needs beside them is core's ([`Stream`]).

use std::{
    io::{self, Write},
    thread,
};

use abyssale_core::{
    Finished, Input, Output,
    download::{DownloadError, Receive, Stream, Transfer},
    webhook::NewExport,
};
use abyssale_host::{Error, Observer, Progress, download_only, trace::Job};

use crate::{
    Client,
    download::{Count, Store, fetch_into},
};

/// Downloads the archive that an event names, over as many attempts as the settings allow.
pub(crate) fn download(
    client: &Client,
    event: &NewExport,
    writer: &mut dyn Write,
    observer: &mut dyn Observer,
) -> Result<u64, Error> {
    let job = Job::fetch(event);
    let result = job.span().in_scope(|| carry_on(client, &job, event, writer, observer));
    job.end(&result);
    match result? {
        Finished::Archive { bytes, .. } => Ok(bytes),
        other => unreachable!("a job with this goal ends with an archive: {other:?}"),
    }
}

fn carry_on(
    client: &Client,
    job: &Job,
    event: &NewExport,
    writer: &mut dyn Write,
    observer: &mut dyn Observer,
) -> Result<Finished, Error> {
    let clock = client.clock();
    let mut export = download_only(client.config(), event, clock.now())?;
    let mut stream = Stream::new();
    loop {
        while let Some(output) = export.poll_output() {
            match output {
                Output::Download { call, transfer, first_byte_timeout, stall_timeout } => {
                    let outlet = Outlet { stream: &mut stream, writer };
                    let mut progress = |Count { received, total, resumed_from }| {
                        observer.observe(Progress::Downloading { received, total, resumed_from });
                    };
                    let fetched = fetch_into(
                        client,
                        call,
                        *transfer,
                        first_byte_timeout,
                        stall_timeout,
                        || Ok(outlet),
                        &mut progress,
                    );
                    // Whatever became of it, the next output says what follows.
                    let _ = export.handle(clock.now(), Input::of_download(call, fetched));
                }
                Output::Done(result) => return Ok(result?),
                Output::Notice(notice) => {
                    job.notice(&notice);
                    observer.observe(Progress::Notice(&notice));
                }
                // There is nothing to abort between two attempts.
                _ => {}
            }
        }
        let wait = export.poll_timeout().map(|until| until.saturating_duration_since(clock.now()));
        thread::sleep(wait.unwrap_or_default());
        let _ = export.handle(clock.now(), Input::Tick);
    }
}

/// A writer, and what was written to it in this and in earlier attempts.
struct Outlet<'o> {
    stream: &'o mut Stream,
    writer: &'o mut dyn Write,
}

impl Store for Outlet<'_> {
    fn resumed(&self, transfer: Transfer) -> Transfer {
        self.stream.resumed(transfer)
    }

    fn len(&self) -> u64 {
        self.stream.passed()
    }

    fn begin(&mut self, receive: &Receive) -> Result<(), DownloadError> {
        self.stream.begin(receive);
        Ok(())
    }

    fn write(&mut self, receive: &Receive, buffer: &mut Vec<u8>, count: usize) -> Result<(), DownloadError> {
        let piece = buffer.get(..count).unwrap_or_default();
        let new = self.stream.take(receive, piece)?;
        self.writer.write_all(&new).map_err(|error| refused(&error))
    }

    fn finish(self, receive: &Receive) -> Result<u64, DownloadError> {
        let bytes = self.stream.finish(receive)?;
        self.writer.flush().map_err(|error| refused(&error))?;
        Ok(bytes)
    }

    fn give_up(self, error: DownloadError) -> DownloadError {
        error
    }

    /// What was written stays written.
    fn discard(self) {}
}

fn refused(error: &io::Error) -> DownloadError {
    DownloadError::Storage(format!("the archive cannot be handed on: {error}").into())
}
