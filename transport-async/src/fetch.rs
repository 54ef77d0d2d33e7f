//! Downloading an archive into a file. What to ask for and what an answer means is core's decision, what survives on the
//! disk is the host's; here bytes move.

use std::{path::Path, time::Duration};

use abyssale_core::{
    download::{Receive, Step, Transfer},
    http::Request,
};
use abyssale_host::{FileError, PartFile};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{
    Client,
    send::{Answer, begin, read_bounded, with_causes},
    sink::{Sink, in_background, interrupted},
};

/// What a download came to, when it did not come to an archive.
pub(crate) enum NotFetched {
    /// The answer was not a 2xx.
    Refused(Box<Answer>),
    /// It did not begin, broke off, is no archive, or cannot be stored.
    Failed(FileError),
}

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
    request: Request,
    stall: Duration,
    target: &Path,
    progress: watch::Sender<Count>,
) -> Result<u64, NotFetched> {
    let owned = target.to_owned();
    let file = in_background(move || PartFile::open(&owned)).await?;
    let config = client.config();
    let base = config.endpoint.base_url().clone();
    let mut transfer = file.resumed(Transfer::new(request.url().clone(), config.archive, base));
    if let Some(rest) = transfer.nothing_left() {
        progress.send_replace(Count { received: rest.from, total: rest.total, resumed_from: rest.from });
        return Ok(in_background(move || file.finish(&rest)).await?);
    }
    loop {
        let deadline = Instant::now() + stall;
        let response = begin(client.download_http(), transfer.request(), deadline)
            .await
            .map_err(|error| interrupted(&error.reason))?;
        let (parts, body) = response.into_parts();
        match transfer.handle_head(parts.status.as_u16(), &parts.headers) {
            Step::Receive(receive) => return Ok(take_in(file, receive, body, stall, &progress).await?),
            Step::Refused { is_gone } => {
                if is_gone {
                    file.discard();
                }
                let (status, body) = (parts.status.as_u16(), read_bounded(body, deadline).await);
                return Err(NotFetched::Refused(Box::new(Answer { status, headers: parts.headers, body })));
            }
            Step::Failed(error) => return Err(file.give_up(error).into()),
            // The next connection is another one, so what is left of this body need not be read.
            _ => {}
        }
    }
}

async fn take_in(
    file: PartFile,
    receive: Receive,
    mut body: Incoming,
    stall: Duration,
    progress: &watch::Sender<Count>,
) -> Result<u64, FileError> {
    let mut count = Count { received: receive.from, total: receive.total, resumed_from: receive.from };
    progress.send_replace(count);
    let begun = receive.clone();
    let mut sink = Sink::new(file, move |file| file.begin(&begun));
    let mut deadline = Instant::now() + stall;
    let ended = loop {
        tokio::select! {
            biased;
            turned = sink.turn(), if sink.is_waiting() => turned?,
            frame = body.frame(), if !sink.is_full() => match frame {
                None => break Ok(()),
                Some(Err(error)) => break Err(interrupted(&with_causes(&error))),
                Some(Ok(frame)) => if let Ok(piece) = frame.into_data() {
                    count.received += piece.len() as u64;
                    sink.push(piece);
                    progress.send_replace(count);
                },
            },
            () = sleep_until(deadline), if !sink.is_full() => {
                break Err(interrupted(&format!("no byte came for {} s", stall.as_secs_f32())));
            }
        }
        // Waiting for the disk is not waiting for the server.
        deadline = Instant::now() + stall;
    };
    // What has come is kept, whatever came of the rest.
    let file = sink.into_file().await?;
    ended?;
    in_background(move || file.finish(&receive)).await
}

impl From<FileError> for NotFetched {
    fn from(error: FileError) -> Self {
        Self::Failed(error)
    }
}
