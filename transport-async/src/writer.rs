//! A download to where nothing can be taken back. The machine, the checks and the way of the bytes are those of every
//! download; what such a place needs beside them is core's ([`Stream`]).

use std::{io, time::Duration};

use abyssale_core::{
    Finished, Input, Output,
    download::{DownloadError, Stream, Transfer},
    webhook::NewExport,
};
use abyssale_host::{
    Error, Observer, Progress, download_only,
    trace::{self, Download, Job},
};
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    time::{sleep, timeout},
};

use crate::{
    Client,
    download::{NotBegun, ask, end},
    send::with_causes,
    write_behind::interrupted,
};

/// Downloads the archive that an event names, over as many attempts as the settings allow.
pub(crate) async fn download<W: AsyncWrite + Send + Unpin>(
    client: &Client,
    event: &NewExport,
    writer: &mut W,
    observer: &mut dyn Observer,
) -> Result<u64, Error> {
    let job = Job::fetch(event);
    let result = job.span().around(carry_on(client, &job, event, writer, observer)).await;
    job.end(&result);
    match result? {
        Finished::Archive { bytes, .. } => Ok(bytes),
        other => unreachable!("a job with this goal ends with an archive: {other:?}"),
    }
}

async fn carry_on<W: AsyncWrite + Send + Unpin>(
    client: &Client,
    job: &Job,
    event: &NewExport,
    writer: &mut W,
    observer: &mut dyn Observer,
) -> Result<Finished, Error> {
    let clock = client.clock();
    let mut export = download_only(client.config(), event, clock.now())?;
    let mut stream = Stream::new();
    loop {
        while let Some(output) = export.poll_output() {
            match output {
                Output::Download { call, transfer, first_byte_timeout, stall_timeout } => {
                    let download = Download::begin(transfer.url(), call);
                    let timeouts = [first_byte_timeout, stall_timeout];
                    let attempt = attempt(client, *transfer, timeouts, &mut stream, writer, observer);
                    let fetched = download.span().around(attempt).await;
                    end(download, &fetched);
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
        sleep(wait.unwrap_or_default()).await;
        let _ = export.handle(clock.now(), Input::Tick);
    }
}

async fn attempt<W: AsyncWrite + Send + Unpin>(
    client: &Client,
    transfer: Transfer,
    [first_byte, stall]: [Duration; 2],
    stream: &mut Stream,
    writer: &mut W,
    observer: &mut dyn Observer,
) -> Result<u64, DownloadError> {
    let mut transfer = stream.resumed(transfer);
    let (receive, mut body) = match ask(client, &mut transfer, first_byte).await {
        Ok(begun) => begun,
        Err(NotBegun::Refused { response, .. }) => return Err(DownloadError::Refused(response)),
        Err(NotBegun::Failed(error)) => return Err(error),
    };
    stream.begin(&receive);
    trace::receiving(&receive);
    loop {
        let (received, total, resumed_from) = (stream.passed(), receive.total, receive.from);
        observer.observe(Progress::Downloading { received, total, resumed_from });
        // Waiting for the writer is not waiting for the server.
        let Ok(frame) = timeout(stall, body.frame()).await else {
            return Err(interrupted(&format!("no byte came for {} s", stall.as_secs_f32())));
        };
        let piece = match frame {
            None => break,
            Some(Err(error)) => return Err(interrupted(&with_causes(&error))),
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
        };
        let new = stream.take(&receive, &piece)?;
        trace::received(stream.passed());
        writer.write_all(&new).await.map_err(|error| refused(&error))?;
    }
    let bytes = stream.finish(&receive)?;
    writer.flush().await.map_err(|error| refused(&error))?;
    Ok(bytes)
}

fn refused(error: &io::Error) -> DownloadError {
    DownloadError::Storage(format!("the archive cannot be handed on: {error}").into())
}
