//! Downloading an archive into a file. What to ask for and what an answer means is core's decision, what survives on the
//! disk is the host's; here bytes move. Everything that touches the disk does so on a thread for blocking work.

use std::{error::Error as _, future::Future, io, path::Path, pin::pin, time::Duration};

use abyssale_core::{
    CallId,
    download::{DownloadError, Receive, Step, Transfer},
    http::Response,
};
use abyssale_host::{
    DownloadFile,
    trace::{self, Download},
};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    Client,
    send::{begin, read_bounded, with_causes},
    write_behind::{WriteBehind, in_background, interrupted},
};

/// How far a download is.
#[derive(Clone, Copy, Default)]
pub(crate) struct Count {
    pub(crate) received: u64,
    pub(crate) total: Option<u64>,
    pub(crate) resumed_from: u64,
}

/// Downloads to `target`, going on from what an earlier attempt has left there. Returns the archive's size.
///
/// On an error, or if the future is dropped, `target` is as it was.
pub(crate) async fn fetch(
    client: &Client,
    call: CallId,
    transfer: Transfer,
    first_byte: Duration,
    stall: Duration,
    target: &Path,
    progress: watch::Sender<Count>,
) -> Result<u64, DownloadError> {
    let download = Download::begin(transfer.url(), call);
    let attempt = attempt(client, transfer, first_byte, stall, target, progress);
    let fetched = download.span().around(attempt).await;
    end(download, &fetched);
    fetched
}

/// Says what a download came to.
pub(crate) fn end(download: Download, fetched: &Result<u64, DownloadError>) {
    match fetched {
        Ok(bytes) => download.done(*bytes),
        Err(DownloadError::Refused(answer)) => download.refused(answer.status),
        Err(error) => download.failed(error),
    }
}

async fn attempt(
    client: &Client,
    transfer: Transfer,
    first_byte: Duration,
    stall: Duration,
    target: &Path,
    progress: watch::Sender<Count>,
) -> Result<u64, DownloadError> {
    let owned = target.to_owned();
    let file = in_background(move || DownloadFile::open(&owned)).await?;
    let mut transfer = file.resumed(transfer);
    if let Some(rest) = transfer.nothing_left() {
        progress.send_replace(Count { received: rest.from, total: rest.total, resumed_from: rest.from });
        return patiently(in_background(move || file.finish(&rest)), stall, &progress).await;
    }
    match ask(client, &mut transfer, first_byte).await {
        Ok((receive, body)) => take_in(file, receive, body, stall, &progress).await,
        Err(NotBegun::Refused { is_gone, response }) => {
            // Closing it may remove it, which takes the disk a while.
            let close = in_background(move || {
                if is_gone {
                    file.discard();
                }
                Ok(())
            });
            at_the_end(close, stall, &progress).await?;
            Err(DownloadError::Refused(response))
        }
        Err(NotBegun::Failed(error)) => {
            let close = in_background(move || Err(file.give_up(error)));
            at_the_end(close, stall, &progress).await
        }
    }
}

/// Why there is no body.
pub(crate) enum NotBegun {
    /// The answer was not a 2xx.
    Refused { is_gone: bool, response: Response },
    /// There was none, or it cannot be used.
    Failed(DownloadError),
}

/// Asks until there is a body to take in: again after a redirect, and without a range where the range did not fit.
pub(crate) async fn ask(
    client: &Client,
    transfer: &mut Transfer,
    first_byte: Duration,
) -> Result<(Receive, Incoming), NotBegun> {
    loop {
        let deadline = Instant::now() + first_byte;
        let response = begin(client.download_http(), transfer.request(), deadline)
            .await
            .map_err(|error| NotBegun::Failed(DownloadError::Interrupted(error.reason)))?;
        let (parts, body) = response.into_parts();
        match transfer.handle_head(parts.status.as_u16(), &parts.headers) {
            Step::Receive(receive) => return Ok((receive, body)),
            Step::Refused { is_gone } => {
                let body = read_bounded(body, deadline).await;
                let response = http::Response::from_parts(parts, body);
                return Err(NotBegun::Refused { is_gone, response: transfer.redact(response.into()) });
            }
            Step::Failed(error) => return Err(NotBegun::Failed(error)),
            // The next connection is another one, so what is left of this body need not be read.
            _ => {}
        }
    }
}

async fn take_in(
    file: DownloadFile,
    receive: Receive,
    mut body: Incoming,
    stall: Duration,
    progress: &watch::Sender<Count>,
) -> Result<u64, DownloadError> {
    let mut count = Count { received: receive.from, total: receive.total, resumed_from: receive.from };
    trace::receiving(&receive);
    progress.send_replace(count);
    let begun = receive.clone();
    let mut write_behind = WriteBehind::new(file, move |file| file.begin(&begun));
    let mut deadline = Instant::now() + stall;
    let ended = loop {
        tokio::select! {
            biased;
            turned = patiently(write_behind.turn(), stall, progress), if write_behind.is_waiting() => turned?,
            frame = body.frame(), if !write_behind.is_full() => match frame {
                None => break Ok(()),
                // Some servers end TLS without saying so. Where no length was announced, the archive's own end decides.
                Some(Err(error)) if receive.total.is_none() && is_early_end(&error) => break Ok(()),
                Some(Err(error)) => break Err(interrupted(&with_causes(&error))),
                Some(Ok(frame)) => if let Ok(piece) = frame.into_data() {
                    count.received += piece.len() as u64;
                    trace::received(count.received);
                    write_behind.push(piece);
                    progress.send_replace(count);
                },
            },
            () = sleep_until(deadline), if !write_behind.is_full() => {
                break Err(interrupted(&format!("no byte came for {} s", stall.as_secs_f32())));
            }
        }
        // Waiting for the disk is not waiting for the server.
        deadline = Instant::now() + stall;
    };
    // What has come is kept, whatever came of the rest.
    let file = at_the_end(write_behind.into_file(), stall, progress).await?;
    let close = in_background(move || match ended {
        Ok(()) => file.finish(&receive),
        Err(error) => {
            drop(file);
            Err(error)
        }
    });
    at_the_end(close, stall, progress).await
}

/// Whether the connection ended where more was expected.
fn is_early_end(error: &hyper::Error) -> bool {
    let io = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|cause| cause.kind() == io::ErrorKind::UnexpectedEof)
}

/// Closes a file. The job is told first that there is life, since its own patience may end with that of the download: it
/// would begin anew while the file is still locked.
async fn at_the_end<T>(
    close: impl Future<Output = T>,
    stall: Duration,
    progress: &watch::Sender<Count>,
) -> T {
    progress.send_modify(|_| {});
    patiently(close, stall, progress).await
}

/// Waits for the disk, and says again and again that there is life: writing a large file out may take longer than a
/// server may be silent, and is no reason to begin anew.
async fn patiently<T>(work: impl Future<Output = T>, stall: Duration, progress: &watch::Sender<Count>) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = sleep(stall / 4) => progress.send_modify(|_| {}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_takes_its_time_is_a_sign_of_life() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (progress, mut seen) = watch::channel(Count { received: 7, ..Count::default() });
        let work = async {
            // It is not done before it was heard of three times.
            for _ in 0..3 {
                seen.changed().await.unwrap();
            }
            seen.borrow().received
        };
        let done = runtime.block_on(patiently(work, Duration::from_millis(4), &progress));
        assert_eq!(done, 7);
    }
}
