//! Downloads an archive into a file. Core decides what to ask for and what an answer means, the host keeps the file; this
//! moves the bytes. Whatever touches the disk runs on a thread for blocking work.

use std::{
    error::Error as _,
    future::{Future, ready},
    io,
    path::Path,
    pin::pin,
    time::Duration,
};

use abyssale_core::{
    CallId,
    download::{DownloadError, DownloadLimits, RateMeter, Receive, Step, Transfer},
};
use abyssale_host::{Attempt, DownloadFile};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};
use tracing::{Instrument as _, debug, trace};

use crate::{
    Client,
    send::{begin, read_bounded, with_causes},
};

/// The progress of a download.
#[derive(Clone, Copy, Default)]
pub(crate) struct Count {
    pub(crate) received: u64,
    pub(crate) total: Option<u64>,
    pub(crate) resumed_from: u64,
}

/// Downloads to `target`, resuming what an earlier attempt has left there. Returns the archive's size in bytes.
///
/// On an error, or if the future is dropped, `target` is as it was.
pub(crate) async fn download(
    client: &Client,
    call: CallId,
    transfer: Transfer,
    limits: DownloadLimits,
    target: &Path,
    progress: watch::Sender<Count>,
) -> Result<u64, DownloadError> {
    let attempt = Attempt::download(transfer.url(), call);
    let span = attempt.span().clone();
    let disk = Disk { stall: limits.stall_timeout, progress };
    let downloaded = request(client, transfer, limits, target, &disk).instrument(span).await;
    attempt.downloaded(&downloaded);
    downloaded
}

async fn request(
    client: &Client,
    transfer: Transfer,
    limits: DownloadLimits,
    target: &Path,
    disk: &Disk,
) -> Result<u64, DownloadError> {
    let target = target.to_owned();
    let file = disk.run(move || DownloadFile::open(&target)).await?;
    let mut transfer = file.resumed(transfer);
    if let Some(rest) = transfer.nothing_left() {
        let (received, total) = (rest.from, rest.total);
        disk.progress.send_replace(Count { received, total, resumed_from: received });
        return disk.close(move || file.finish(&rest)).await;
    }
    loop {
        let deadline = Instant::now() + limits.first_byte_timeout;
        let response = begin(client.download_http(), transfer.request(), deadline).await;
        let (parts, body) = match response {
            Ok(response) => response.into_parts(),
            Err(error) => {
                let error = error.into();
                return disk.close(move || Err(file.give_up(error))).await;
            }
        };
        match transfer.handle_head(parts.status.as_u16(), &parts.headers) {
            Step::Receive(receive) => return receive_body(file, receive, body, limits, disk).await,
            Step::Refused { is_gone } => {
                let body = read_bounded(body, deadline).await;
                let response = http::Response::from_parts(parts, body);
                let refused = DownloadError::Refused(transfer.redact(response.into()));
                return disk
                    .close(move || {
                        if is_gone {
                            file.discard();
                        }
                        Err(refused)
                    })
                    .await;
            }
            Step::Failed(error) => return disk.close(move || Err(file.give_up(error))).await,
            // The next request has a connection of its own, so the rest of this body need not be read.
            _ => {}
        }
    }
}

async fn receive_body(
    mut file: DownloadFile,
    receive: Receive,
    mut body: Incoming,
    limits: DownloadLimits,
    disk: &Disk,
) -> Result<u64, DownloadError> {
    let Receive { from, total, .. } = receive;
    debug!(target: TARGET, resumed_from = from, total, "receiving");
    let mut count = Count { received: from, total, resumed_from: from };
    disk.progress.send_replace(count);
    let begun = receive.clone();
    file = disk.run(move || file.begin(&begun).map(|()| file)).await?;
    let mut pieces = Vec::new();
    let mut bytes = 0;
    let (stall, mut meter) = (limits.stall_timeout, RateMeter::new(limits.min_rate));
    let ended = loop {
        let is_full = bytes >= BATCH || pieces.len() >= MAX_PIECES;
        let waiting = Instant::now();
        let frame = tokio::select! {
            biased;
            frame = timeout(stall, body.frame()), if !is_full => frame,
            // No further piece is here yet, so that the file gets what there is.
            () = ready(()), if !pieces.is_empty() => {
                let batch = std::mem::take(&mut pieces);
                bytes = 0;
                file = disk.run(move || write(&mut file, &batch).map(|()| file)).await?;
                continue;
            }
        };
        match frame {
            Ok(None) => break Ok(()),
            Ok(Some(Ok(frame))) => {
                let Ok(piece) = frame.into_data() else { continue };
                count.received += piece.len() as u64;
                let length = piece.len();
                bytes += length;
                pieces.push(piece);
                trace!(target: TARGET, bytes = count.received, "received");
                disk.progress.send_replace(count);
                if let Err(error) = meter.received(waiting.elapsed(), length) {
                    break Err(error);
                }
            }
            // Some servers end TLS without saying so. Where no length was announced, the archive's own end decides.
            Ok(Some(Err(error))) if total.is_none() && is_early_end(&error) => break Ok(()),
            Ok(Some(Err(error))) => break Err(DownloadError::Interrupted(with_causes(&error).into())),
            Err(_) => {
                let reason = format!("no byte came for {} s", stall.as_secs_f32());
                break Err(DownloadError::Interrupted(reason.into()));
            }
        }
    };
    disk.close(move || {
        // What was received is kept, whatever ended the rest.
        write(&mut file, &pieces)?;
        ended.and_then(|()| file.finish(&receive))
    })
    .await
}

/// Returns whether the connection ended where more was expected.
fn is_early_end(error: &hyper::Error) -> bool {
    let io = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|cause| cause.kind() == io::ErrorKind::UnexpectedEof)
}

fn write(file: &mut DownloadFile, pieces: &[Bytes]) -> Result<(), DownloadError> {
    pieces.iter().try_for_each(|piece| file.write(piece))
}

/// Threads for blocking work, on which a download uses its file.
struct Disk {
    stall: Duration,
    progress: watch::Sender<Count>,
}

impl Disk {
    /// Uses the file, and reports progress again and again meanwhile: the disk may take longer than a server may be
    /// silent, and the job would begin anew while the file is still locked.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, DownloadError> + Send + 'static,
    ) -> Result<T, DownloadError> {
        let done = self.wait(spawn_blocking(work)).await;
        // It fails only when the runtime shuts down; the next process resumes the download.
        done.unwrap_or_else(|error| Err(DownloadError::Interrupted(error.to_string().into())))
    }

    /// Uses the file for the last time. Reports progress first, because the job's patience may end with the download's.
    async fn close<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, DownloadError> + Send + 'static,
    ) -> Result<T, DownloadError> {
        self.progress.send_modify(|_| {});
        self.run(work).await
    }

    async fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = sleep(self.stall / 4) => self.progress.send_modify(|_| {}),
            }
        }
    }
}

const TARGET: &str = "abyssale::download";

/// How many bytes are received before they are written.
const BATCH: usize = 1 << 20;

/// How many pieces are received before they are written, however small: each takes memory of its own.
const MAX_PIECES: usize = 4096;

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
        let disk = Disk { stall: Duration::from_millis(4), progress };
        assert_eq!(runtime.block_on(disk.wait(work)), 7);
    }
}
