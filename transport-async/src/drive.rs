//! The loop around a job: it carries out the job's outputs and tells the job what happened.

use std::{
    future::{Future, pending, poll_fn},
    path::Path,
    pin::Pin,
    time::Duration,
};

use abyssale_core::{
    BannerId, CallError, CallId, Finished, Input, Output, download::DownloadError, http::Response,
};
use abyssale_host::{
    BannerLookups, Error, Jobs, LookUp, MissingBanners, Observer, Progress, RunningJob, count_files,
};
use tokio::{sync::watch, task::spawn_blocking, time::sleep};
use tracing::Instrument as _;

use crate::{
    Client,
    download::{Count, download},
    send::send,
};

/// Carries out a job. Dropping the future ends that: its connection is closed, and what can be resumed of a download
/// stays beside the target.
///
/// `target` is where the archive goes; `wanted` are the banners in it, if the service is to be asked about those that it
/// lacks.
pub(crate) async fn drive(
    client: &Client,
    mut running: RunningJob<'_>,
    target: &Path,
    wanted: Option<(&Jobs, &[BannerId])>,
    observer: Option<&mut dyn Observer>,
) -> Result<(Finished, MissingBanners), Error> {
    let mut ignore = |_: Progress<'_>| {};
    let observer: &mut dyn Observer = match observer {
        Some(observer) => observer,
        None => &mut ignore,
    };
    let span = running.span().clone();
    let result = carry_on(client, &mut running, target, observer).instrument(span.clone()).await;
    let missing = match (&result, wanted) {
        (Ok(Finished::Archive { .. }), Some((jobs, banners))) => {
            look_up(client, jobs, banners, target).instrument(span).await
        }
        _ => MissingBanners::default(),
    };
    running.finish(&result);
    Ok((result?, missing))
}

/// Asks the service about the banners of a partial archive.
async fn look_up(client: &Client, jobs: &Jobs, banners: &[BannerId], archive: &Path) -> MissingBanners {
    let archive = archive.to_owned();
    // A runtime that is shutting down has no thread for it, and then nothing is asked.
    let files = spawn_blocking(move || count_files(&archive)).await.ok().flatten();
    let Some(mut lookups) = BannerLookups::begin(jobs, client.config(), banners, files) else {
        return MissingBanners::default();
    };
    while let Some(next) = lookups.poll() {
        match next {
            LookUp::Wait(time) => sleep(time).await,
            LookUp::Send(request, limit) => {
                lookups.answered(send(client.http(), request, limit, None).await);
            }
        }
    }
    lookups.end()
}

async fn carry_on(
    client: &Client,
    running: &mut RunningJob<'_>,
    target: &Path,
    observer: &mut dyn Observer,
) -> Result<Finished, Error> {
    let mut work = Work::None;
    loop {
        let time_left = running.time_left();
        let (input, resumed_from) = tokio::select! {
            // An answer that came with the deadline counts, so the time is told last.
            biased;
            output = poll_fn(|cx| running.poll_output(cx)) => {
                match output? {
                    Output::Call { call, request, deadline } => {
                        observer.observe(Progress::Requesting);
                        let limit = deadline.saturating_duration_since(client.clock().now());
                        work = Work::Call(call, Box::pin(send(client.http(), request, limit, Some(call))));
                    }
                    Output::Download { call, transfer, limits } => {
                        let (sender, progress) = watch::channel(Count::default());
                        let download = download(client, call, *transfer, limits, target, sender);
                        work = Work::Download(call, Box::pin(download), progress);
                    }
                    Output::Abort(call) if work.call() == Some(call) => work = Work::None,
                    Output::Notice(notice) => observer.observe(Progress::Notice(&notice)),
                    Output::Done(result) => return Ok(result?),
                    // The abort of an attempt that has ended by itself. Other outputs do not exist yet.
                    _ => {}
                }
                continue;
            }
            happened = work.next() => happened,
            () = tick(time_left) => {
                running.tell(Input::Tick);
                continue;
            }
        };
        if !matches!(input, Input::Progress { .. }) {
            // The attempt may have ended before its last progress was told, which may give its retries back.
            if let Some(progress) = work.progress() {
                running.tell(progress);
            }
            work = Work::None;
        }
        show(&input, resumed_from, target, observer);
        running.tell(input);
    }
}

/// Ends when the job must be told the time.
async fn tick(time_left: Option<Duration>) {
    match time_left {
        Some(time) => sleep(time).await,
        None => pending().await,
    }
}

/// What is under way: one thing at a time.
enum Work<'w> {
    None,
    Call(CallId, Pin<Box<dyn Future<Output = Result<Response, CallError>> + Send + 'w>>),
    Download(
        CallId,
        Pin<Box<dyn Future<Output = Result<u64, DownloadError>> + Send + 'w>>,
        watch::Receiver<Count>,
    ),
}

impl Work<'_> {
    fn call(&self) -> Option<CallId> {
        match self {
            Self::None => None,
            Self::Call(call, _) | Self::Download(call, ..) => Some(*call),
        }
    }

    /// Returns the progress of a download.
    fn progress(&self) -> Option<Input> {
        let Self::Download(call, _, progress) = self else { return None };
        let Count { received, total, .. } = *progress.borrow();
        Some(Input::Progress { call: *call, received, total })
    }

    /// Goes on with the work, and says what came of it and how much of a download was here before. Dropped in the
    /// middle, it goes on from there the next time.
    async fn next(&mut self) -> (Input, u64) {
        match self {
            Self::None => pending().await,
            Self::Call(call, answering) => (Input::of_call(*call, answering.await), 0),
            Self::Download(call, downloading, progress) => tokio::select! {
                // The end is looked at first, so that no progress is told after it.
                biased;
                downloaded = downloading => (Input::of_download(*call, downloaded), progress.borrow().resumed_from),
                Ok(()) = progress.changed() => {
                    let Count { received, total, resumed_from } = *progress.borrow_and_update();
                    (Input::Progress { call: *call, received, total }, resumed_from)
                }
            },
        }
    }
}

fn show(input: &Input, resumed_from: u64, target: &Path, observer: &mut dyn Observer) {
    match *input {
        Input::Progress { received, total, .. } => {
            observer.observe(Progress::Downloading { received, total, resumed_from });
        }
        Input::Downloaded { bytes, .. } => {
            observer.observe(Progress::Downloading { received: bytes, total: Some(bytes), resumed_from });
            observer.observe(Progress::Saved { path: target, bytes });
        }
        _ => {}
    }
}
