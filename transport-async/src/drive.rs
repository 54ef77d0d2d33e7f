//! The loop around core's machine: carries out what it says, and tells it what happened.

use std::{future::Future, path::Path, pin::Pin};

use abyssale_core::{
    CallId, Export, ExportId, Failure, Finished, Input, Output, Timestamp, Token, webhook::NewExport,
};
use abyssale_host::{Observer, Progress};
use tokio::{
    sync::{mpsc::Receiver, watch},
    time::sleep,
};

use crate::{
    Client,
    fetch::{Count, NotFetched, fetch},
    send::{Answer, NoAnswer, send},
};

/// An event on its way to a job, with the token of the address that it came to.
pub(crate) type Mail = (NewExport, Option<Token>);

/// Carries out a job. Dropping the future cancels it: its connection is closed, and what can be resumed of a download
/// stays beside the target.
///
/// `named` is called, perhaps repeatedly, once the export's id is known; `target` is where the archive
/// goes.
pub(crate) async fn drive(
    client: &Client,
    export: &mut Export,
    mailbox: &mut Receiver<Mail>,
    target: &Path,
    observer: &mut dyn Observer,
    named: &mut (dyn FnMut(&ExportId) + Send),
) -> Result<Finished, Box<Failure>> {
    let clock = client.clock();
    let mut work = Work::None;
    loop {
        while let Some(output) = export.poll_output() {
            match output {
                Output::Call { call, request, deadline } => {
                    observer.observe(Progress::Requesting);
                    let limit = deadline.saturating_duration_since(clock.now());
                    work = Work::Call(call, Box::pin(send(client.http(), request, limit)));
                }
                Output::Download { call, request, stall_timeout } => {
                    let (sender, progress) = watch::channel(Count::default());
                    let fetch = fetch(client, request, stall_timeout, target, sender);
                    work = Work::Fetch(call, Box::pin(fetch), progress);
                }
                Output::Abort(call) if work.call() == Some(call) => work = Work::None,
                Output::Notice(notice) => observer.observe(Progress::Notice(&notice)),
                Output::Done(result) => return result,
                // An attempt that has ended by itself; new kinds of output are added together with
                // what carries them out.
                _ => {}
            }
            if let Some(id) = export.export_id() {
                named(id);
            }
        }
        let happened = tokio::select! {
            // What has happened is told before the time is: an event that was acknowledged counts, and so does an
            // answer that came with the deadline.
            biased;
            mail = mailbox.recv() => mail.map_or(Happened::Closed, Happened::Mail),
            happened = work.next() => happened,
            () = until(export.poll_timeout(), clock.now()) => Happened::Nothing,
        };
        if !matches!(happened, Happened::Progress(..) | Happened::Mail(_) | Happened::Nothing) {
            work = Work::None;
        }
        tell(export, clock.now(), happened, target, observer);
    }
}

/// What is under way: one thing at a time.
enum Work<'w> {
    None,
    Call(CallId, Pin<Box<dyn Future<Output = Result<Answer, NoAnswer>> + Send + 'w>>),
    Fetch(CallId, Pin<Box<dyn Future<Output = Result<u64, NotFetched>> + Send + 'w>>, watch::Receiver<Count>),
}

enum Happened {
    Answered(CallId, Result<Answer, NoAnswer>),
    Progress(CallId, Count),
    Fetched(CallId, Result<u64, NotFetched>, Count),
    Mail(Mail),
    Nothing,
    /// Nobody can send an event any more.
    Closed,
}

impl Work<'_> {
    fn call(&self) -> Option<CallId> {
        match self {
            Self::None => None,
            Self::Call(call, _) | Self::Fetch(call, ..) => Some(*call),
        }
    }

    /// Goes on with the work. Dropped in the middle, it goes on from there the next time.
    async fn next(&mut self) -> Happened {
        match self {
            Self::None => std::future::pending().await,
            Self::Call(call, answering) => Happened::Answered(*call, answering.await),
            Self::Fetch(call, fetching, progress) => tokio::select! {
                // The end is looked at first, so that no progress is told after it.
                biased;
                fetched = fetching => Happened::Fetched(*call, fetched, *progress.borrow()),
                Ok(()) = progress.changed() => Happened::Progress(*call, *progress.borrow_and_update()),
            },
        }
    }
}

fn tell(export: &mut Export, now: Timestamp, happened: Happened, target: &Path, observer: &mut dyn Observer) {
    let response = |call, answer: &Answer, export: &mut Export| {
        let Answer { status, headers, body } = answer;
        export.handle(now, Input::Response { call, status: *status, headers, body })
    };
    // Whatever becomes of it, the next output says what follows.
    let _ = match happened {
        Happened::Answered(call, Ok(answer)) => response(call, &answer, export),
        Happened::Answered(call, Err(NoAnswer { sent, reason })) => {
            export.handle(now, Input::CallFailed { call, sent, reason: &reason })
        }
        Happened::Progress(call, Count { received, total, resumed_from }) => {
            observer.observe(Progress::Downloading { received, total, resumed_from });
            export.handle(now, Input::Progress { call, received, total })
        }
        Happened::Fetched(call, Ok(bytes), Count { resumed_from, .. }) => {
            observer.observe(Progress::Downloading { received: bytes, total: Some(bytes), resumed_from });
            observer.observe(Progress::Saved { path: target, bytes });
            export.handle(now, Input::Downloaded { call, bytes })
        }
        Happened::Fetched(call, Err(NotFetched::Refused(answer)), _) => response(call, &answer, export),
        Happened::Fetched(call, Err(NotFetched::Failed(error)), _) => {
            let reason = error.to_string();
            export.handle(now, Input::DownloadFailed { call, error: error.as_input(&reason) })
        }
        Happened::Mail((event, token)) => {
            export.handle(now, Input::Event { event: &event, token: token.as_ref() })
        }
        Happened::Nothing => export.handle(now, Input::Tick),
        // Cannot be while the job holds its own sending end; if it were, waiting would spin.
        Happened::Closed => export.handle(now, Input::Cancel),
    };
}

async fn until(deadline: Option<Timestamp>, now: Timestamp) {
    match deadline {
        Some(deadline) => sleep(deadline.saturating_duration_since(now)).await,
        None => std::future::pending().await,
    }
}
