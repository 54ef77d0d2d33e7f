//! The loop around a job: it carries out the job's outputs and tells the job what happened.

use std::{
    path::Path,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use abyssale_core::{BannerId, Finished, Input, Output};
use abyssale_host::{
    BannerLookups, Error, Jobs, LookUp, MissingBanners, Observer, Progress, RunningJob, count_files,
};

use crate::{
    Client,
    download::{Count, download},
    send::send,
};

/// Carries out a job in the calling thread. `target` is where the archive goes; `wanted` are the banners in it, if the
/// service is to be asked about those that it lacks.
pub(crate) fn drive(
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
    let result = span.in_scope(|| carry_on(client, &mut running, target, observer));
    let missing = match (&result, wanted) {
        (Ok(Finished::Archive { .. }), Some((jobs, banners))) => {
            span.in_scope(|| look_up(client, jobs, banners, target))
        }
        _ => MissingBanners::default(),
    };
    running.finish(&result);
    Ok((result?, missing))
}

/// Asks the service about the banners of a partial archive.
fn look_up(client: &Client, jobs: &Jobs, banners: &[BannerId], archive: &Path) -> MissingBanners {
    let files = count_files(archive);
    let Some(mut lookups) = BannerLookups::begin(jobs, client.config(), banners, files) else {
        return MissingBanners::default();
    };
    while let Some(next) = lookups.poll() {
        match next {
            LookUp::Wait(time) => thread::sleep(time),
            LookUp::Send(request, limit) => {
                lookups.answered(send(client.caller(), request, limit, None));
            }
        }
    }
    lookups.end()
}

fn carry_on(
    client: &Client,
    running: &mut RunningJob<'_>,
    target: &Path,
    observer: &mut dyn Observer,
) -> Result<Finished, Error> {
    let clock = client.clock();
    loop {
        match next_output(running)? {
            Output::Call { call, request, deadline } => {
                observer.observe(Progress::Requesting);
                let timeout = deadline.saturating_duration_since(clock.now());
                running.tell(Input::of_call(call, send(client.caller(), request, timeout, Some(call))));
            }
            Output::Download { call, transfer, limits } => {
                let mut progress = |Count { received, total, resumed_from }| {
                    running.tell(Input::Progress { call, received, total });
                    observer.observe(Progress::Downloading { received, total, resumed_from });
                };
                let downloaded = download(client, call, *transfer, limits, target, &mut progress);
                if let Ok(bytes) = downloaded {
                    observer.observe(Progress::Saved { path: target, bytes });
                }
                running.tell(Input::of_download(call, downloaded));
            }
            Output::Notice(notice) => observer.observe(Progress::Notice(&notice)),
            Output::Done(result) => return Ok(result?),
            // Attempts are made one after the other here, so there is none to abort; new kinds of output are added
            // together with what carries them out.
            _ => {}
        }
    }
}

/// Waits for the next output of a job.
fn next_output(running: &mut RunningJob<'_>) -> Result<Output, Error> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(output) = running.poll_output(&mut Context::from_waker(&waker)) {
            return output;
        }
        match running.time_left() {
            None => thread::park(),
            Some(time) => {
                thread::park_timeout(time);
                running.tell(Input::Tick);
            }
        }
    }
}

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
