//! Downloads an archive into a file. Core decides what to ask for and what an answer means, the host keeps the file; this
//! moves the bytes.

use std::{
    io::{self, Read as _},
    path::Path,
    time::Instant,
};

use abyssale_core::{
    CallId,
    download::{DownloadError, DownloadLimits, RateMeter, Receive, Step, Transfer},
};
use abyssale_host::{Attempt, DownloadFile};
use tracing::{debug, trace};
use ureq::{Body, http};

use crate::{
    Client,
    send::{begin_download, read_bounded},
};

/// The progress of a download.
#[derive(Clone, Copy)]
pub(crate) struct Count {
    pub(crate) received: u64,
    pub(crate) total: Option<u64>,
    pub(crate) resumed_from: u64,
}

/// Downloads to `target`, resuming what an earlier attempt has left there. Returns the archive's size in bytes.
///
/// On an error `target` is as it was.
pub(crate) fn download(
    client: &Client,
    call: CallId,
    transfer: Transfer,
    limits: DownloadLimits,
    target: &Path,
    progress: &mut dyn FnMut(Count),
) -> Result<u64, DownloadError> {
    let attempt = Attempt::download(transfer.url(), call);
    let downloaded = attempt.span().in_scope(|| request(client, transfer, limits, target, progress));
    attempt.downloaded(&downloaded);
    downloaded
}

fn request(
    client: &Client,
    transfer: Transfer,
    limits: DownloadLimits,
    target: &Path,
    progress: &mut dyn FnMut(Count),
) -> Result<u64, DownloadError> {
    let file = DownloadFile::open(target)?;
    let mut transfer = file.resumed(transfer);
    if let Some(rest) = transfer.nothing_left() {
        return file.finish(&rest);
    }
    loop {
        let response = match begin_download(client.download_caller(), transfer.request(), limits) {
            Ok(response) => response,
            Err(error) => return Err(file.give_up(error)),
        };
        let (parts, body) = response.into_parts();
        match transfer.handle_head(parts.status.as_u16(), &parts.headers) {
            Step::Receive(receive) => return receive_body(file, &receive, body, limits, progress),
            Step::Refused { is_gone } => {
                if is_gone {
                    file.discard();
                }
                let response = http::Response::from_parts(parts, read_bounded(body));
                return Err(DownloadError::Refused(transfer.redact(response.into())));
            }
            Step::Failed(error) => return Err(file.give_up(error)),
            // The next request has a connection of its own, so the rest of this body need not be read.
            _ => {}
        }
    }
}

fn receive_body(
    mut file: DownloadFile,
    receive: &Receive,
    body: Body,
    limits: DownloadLimits,
    progress: &mut dyn FnMut(Count),
) -> Result<u64, DownloadError> {
    let Receive { from, total, .. } = *receive;
    debug!(target: TARGET, resumed_from = from, total, "receiving");
    file.begin(receive)?;
    progress(Count { received: from, total, resumed_from: from });
    let mut body = body.into_with_config().limit(u64::MAX).reader();
    let mut buffer = vec![0; CHUNK];
    let mut meter = RateMeter::new(limits.min_rate);
    loop {
        let waiting = Instant::now();
        let read = match body.read(&mut buffer) {
            Ok(0) => return file.finish(receive),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(DownloadError::Interrupted(error.to_string().into())),
        };
        let waited = waiting.elapsed();
        file.write(buffer.get(..read).unwrap_or_default())?;
        trace!(target: TARGET, bytes = file.len(), "received");
        progress(Count { received: file.len(), total, resumed_from: from });
        meter.received(waited, read)?;
    }
}

const TARGET: &str = "abyssale::download";

/// The size of the buffer that a body is read into.
const CHUNK: usize = 128 << 10;
