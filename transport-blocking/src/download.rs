//! Downloading an archive. What to ask for and what an answer means is core's decision, what survives on the
//! disk is the host's; here bytes move.

use std::{
    io::{self, Read as _},
    path::Path,
    time::Duration,
};

use abyssale_core::{
    CallId,
    download::{DownloadError, Receive, Step, Transfer},
};
use abyssale_host::{
    DownloadFile,
    trace::{self, Download},
};
use ureq::{Body, http};

use crate::{
    Client,
    send::{begin_download, read_bounded},
    write_behind::WriteBehind,
};

/// How far a download is.
#[derive(Clone, Copy)]
pub(crate) struct Count {
    pub(crate) received: u64,
    pub(crate) total: Option<u64>,
    pub(crate) resumed_from: u64,
}

/// Where the bytes of an archive go.
pub(crate) trait Store {
    /// The transfer that goes on from what is there.
    fn resumed(&self, transfer: Transfer) -> Transfer;
    /// How many bytes are there.
    fn len(&self) -> u64;
    fn begin(&mut self, receive: &Receive) -> Result<(), DownloadError>;
    /// Takes the first `count` bytes of `buffer`, and perhaps the buffer for another one of its size.
    fn write(&mut self, receive: &Receive, buffer: &mut Vec<u8>, count: usize) -> Result<(), DownloadError>;
    fn finish(self, receive: &Receive) -> Result<u64, DownloadError>;
    fn give_up(self, error: DownloadError) -> DownloadError;
    fn discard(self);
}

/// Downloads to `target`, going on from what an earlier attempt has left there. Returns the archive's size.
///
/// On an error `target` is as it was.
pub(crate) fn fetch(
    client: &Client,
    call: CallId,
    transfer: Transfer,
    first_byte: Duration,
    stall: Duration,
    target: &Path,
    progress: &mut dyn FnMut(Count),
) -> Result<u64, DownloadError> {
    let open = || Ok(WriteBehind::new(DownloadFile::open(target)?, target.to_owned()));
    fetch_into(client, call, transfer, first_byte, stall, open, progress)
}

/// The same into any store.
pub(crate) fn fetch_into<S: Store>(
    client: &Client,
    call: CallId,
    transfer: Transfer,
    first_byte: Duration,
    stall: Duration,
    open: impl FnOnce() -> Result<S, DownloadError>,
    progress: &mut dyn FnMut(Count),
) -> Result<u64, DownloadError> {
    let download = Download::begin(transfer.url(), call);
    let fetched =
        download.span().in_scope(|| attempt(client, transfer, first_byte, stall, open()?, progress));
    match &fetched {
        Ok(bytes) => download.done(*bytes),
        Err(DownloadError::Refused(answer)) => download.refused(answer.status),
        Err(error) => download.failed(error),
    }
    fetched
}

fn attempt<S: Store>(
    client: &Client,
    transfer: Transfer,
    first_byte: Duration,
    stall: Duration,
    store: S,
    progress: &mut dyn FnMut(Count),
) -> Result<u64, DownloadError> {
    let mut transfer = store.resumed(transfer);
    if let Some(rest) = transfer.nothing_left() {
        return store.finish(&rest);
    }
    loop {
        let response = begin_download(client.download_caller(), transfer.request(), first_byte, stall)
            .map_err(|error| DownloadError::Interrupted(error.reason))?;
        let (parts, body) = response.into_parts();
        match transfer.handle_head(parts.status.as_u16(), &parts.headers) {
            Step::Receive(receive) => return take_in(store, &receive, body, progress),
            Step::Refused { is_gone } => {
                if is_gone {
                    store.discard();
                }
                let response = http::Response::from_parts(parts, read_bounded(body));
                return Err(DownloadError::Refused(transfer.redact(response.into())));
            }
            Step::Failed(error) => return Err(store.give_up(error)),
            // The next connection is another one, so what is left of this body need not be read.
            _ => {}
        }
    }
}

fn take_in<S: Store>(
    mut store: S,
    receive: &Receive,
    body: Body,
    progress: &mut dyn FnMut(Count),
) -> Result<u64, DownloadError> {
    store.begin(receive)?;
    trace::receiving(receive);
    let mut report = |received| {
        trace::received(received);
        progress(Count { received, total: receive.total, resumed_from: receive.from });
    };
    report(store.len());
    let mut body = body.into_with_config().limit(u64::MAX).reader();
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = match body.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(DownloadError::Interrupted(error.to_string().into())),
        };
        if read == 0 {
            break;
        }
        store.write(receive, &mut buffer, read)?;
        report(store.len());
    }
    store.finish(receive)
}

/// The size of the pieces that a body is taken in by.
pub(crate) const CHUNK: usize = 128 << 10;
