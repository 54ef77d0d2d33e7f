//! The loop around a job: carries out what it says, and tells it what happened.

use std::{future::Future, path::Path, pin::Pin};

use abyssale_core::{CallId, Export, Finished, Input, Output};
use abyssale_host::{
    Clock, Error, Observer, Progress,
    office::{Bell, Mail, Seat},
};
use tokio::{
    sync::{Notify, watch},
    time::sleep,
};

use crate::{
    Client,
    fetch::{Count, NotFetched, fetch},
    send::{Answer, NoAnswer, send},
};

/// A job that is carried out in the calling task.
pub(crate) trait Machine {
    /// The next thing to be done, if there is one.
    fn poll(&mut self) -> Result<Option<Output>, Error>;
    /// Waits until there may be something to be done. May be dropped in the middle.
    fn wait(&mut self) -> impl Future<Output = ()> + Send;
    /// Tells the job what happened. Whatever becomes of it, the next output says what follows.
    fn tell(&mut self, input: Input<'_>);
}

/// Carries out a job. Dropping the future ends that: its connection is closed, and what can be resumed of a download
/// stays beside the target.
///
/// `target` is where the archive goes.
pub(crate) async fn drive(
    client: &Client,
    machine: &mut (impl Machine + Send),
    target: &Path,
    observer: &mut dyn Observer,
) -> Result<Finished, Error> {
    let mut work = Work::None;
    loop {
        while let Some(output) = machine.poll()? {
            match output {
                Output::Call { call, request, deadline } => {
                    observer.observe(Progress::Requesting);
                    let limit = deadline.saturating_duration_since(client.clock().now());
                    work = Work::Call(call, Box::pin(send(client.http(), request, limit)));
                }
                Output::Download { call, request, stall_timeout } => {
                    let (sender, progress) = watch::channel(Count::default());
                    let fetch = fetch(client, request, stall_timeout, target, sender);
                    work = Work::Fetch(call, Box::pin(fetch), progress);
                }
                Output::Abort(call) if work.call() == Some(call) => work = Work::None,
                Output::Notice(notice) => observer.observe(Progress::Notice(&notice)),
                Output::Done(result) => return Ok(result?),
                // An attempt that has ended by itself; new kinds of output are added together with
                // what carries them out.
                _ => {}
            }
        }
        let happened = tokio::select! {
            // What has happened is told before the time is: an answer that came with the deadline counts.
            biased;
            happened = work.next() => happened,
            () = machine.wait() => continue,
        };
        if !matches!(happened, Happened::Progress(..)) {
            work = Work::None;
        }
        tell(machine, happened, target, observer);
    }
}

/// A job by itself, in nobody's books.
pub(crate) struct Alone {
    pub(crate) export: Export,
    pub(crate) clock: Clock,
}

impl Machine for Alone {
    fn poll(&mut self) -> Result<Option<Output>, Error> {
        Ok(self.export.poll_output())
    }

    async fn wait(&mut self) {
        let deadline = self.export.poll_timeout().unwrap_or_default();
        sleep(deadline.saturating_duration_since(self.clock.now())).await;
        self.tell(Input::Tick);
    }

    fn tell(&mut self, input: Input<'_>) {
        let _ = self.export.handle(self.clock.now(), input);
    }
}

impl Machine for Seat<'_, Doorbell> {
    fn poll(&mut self) -> Result<Option<Output>, Error> {
        match self.take() {
            Some(Mail::Output(output)) => Ok(Some(output)),
            Some(Mail::NotSaved(error)) => Err(error.into()),
            None => Ok(None),
        }
    }

    async fn wait(&mut self) {
        // It remembers a ring that nobody waited for.
        self.bell().0.notified().await;
    }

    fn tell(&mut self, input: Input<'_>) {
        Seat::tell(self, input);
    }
}

/// Wakes a task.
#[derive(Debug, Default)]
pub(crate) struct Doorbell(Notify);

impl Bell for Doorbell {
    fn ring(&self) {
        self.0.notify_one();
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

fn tell(machine: &mut impl Machine, happened: Happened, target: &Path, observer: &mut dyn Observer) {
    let response = |call, answer: &Answer, machine: &mut _| {
        let Answer { status, headers, body } = answer;
        Machine::tell(machine, Input::Response { call, status: *status, headers, body });
    };
    match happened {
        Happened::Answered(call, Ok(answer)) => response(call, &answer, machine),
        Happened::Answered(call, Err(NoAnswer { sent, reason })) => {
            machine.tell(Input::CallFailed { call, sent, reason: &reason });
        }
        Happened::Progress(call, Count { received, total, resumed_from }) => {
            observer.observe(Progress::Downloading { received, total, resumed_from });
            machine.tell(Input::Progress { call, received, total });
        }
        Happened::Fetched(call, Ok(bytes), Count { resumed_from, .. }) => {
            observer.observe(Progress::Downloading { received: bytes, total: Some(bytes), resumed_from });
            observer.observe(Progress::Saved { path: target, bytes });
            machine.tell(Input::Downloaded { call, bytes });
        }
        Happened::Fetched(call, Err(NotFetched::Refused(answer)), _) => response(call, &answer, machine),
        Happened::Fetched(call, Err(NotFetched::Failed(error)), _) => {
            let reason = error.to_string();
            machine.tell(Input::DownloadFailed { call, error: error.as_input(&reason) });
        }
    }
}
