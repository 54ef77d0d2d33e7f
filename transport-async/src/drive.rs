//! The loop around a job: carries out what it says, and tells it what happened.

use std::{future::Future, path::Path, pin::Pin};

use abyssale_core::{
    CallError, CallId, Export, Finished, Input, Output, download::DownloadError, http::Response,
};
use abyssale_host::{
    Clock, Error, Observer, Progress,
    jobs::{Message, RunningJob, Waker},
    trace::Job,
};
use tokio::{
    sync::{Notify, watch},
    time::sleep,
};

use crate::{
    Client,
    download::{Count, fetch},
    send::send,
};

/// A job that is carried out in the calling task.
pub(crate) trait Machine {
    /// The next thing to be done, if there is one.
    fn poll(&mut self) -> Result<Option<Output>, Error>;
    /// Waits until there may be something to be done. May be dropped in the middle.
    fn wait(&mut self) -> impl Future<Output = ()> + Send;
    /// Tells the job what happened. Whatever becomes of it, the next output says what follows.
    fn tell(&mut self, input: Input);
}

/// Carries out a job. Dropping the future ends that: its connection is closed, and what can be resumed of a download
/// stays beside the target.
///
/// `target` is where the archive goes.
pub(crate) async fn drive(
    client: &Client,
    job: Job,
    machine: &mut (impl Machine + Send),
    target: &Path,
    observer: &mut dyn Observer,
) -> Result<Finished, Error> {
    let result = job.span().around(carry_on(client, &job, machine, target, observer)).await;
    job.end(&result);
    result
}

async fn carry_on(
    client: &Client,
    job: &Job,
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
                    work = Work::Call(call, Box::pin(send(client.http(), request, limit, Some(call))));
                }
                Output::Download { call, transfer, first_byte_timeout, stall_timeout } => {
                    let (sender, progress) = watch::channel(Count::default());
                    let fetch =
                        fetch(client, call, *transfer, first_byte_timeout, stall_timeout, target, sender);
                    work = Work::Fetch(call, Box::pin(fetch), progress);
                }
                Output::Abort(call) if work.call() == Some(call) => work = Work::None,
                Output::Notice(notice) => {
                    job.notice(&notice);
                    observer.observe(Progress::Notice(&notice));
                }
                Output::Done(result) => return Ok(result?),
                // An attempt that has ended by itself; new kinds of output are added together with
                // what carries them out.
                _ => {}
            }
        }
        let (input, resumed_from) = tokio::select! {
            // What has happened is told before the time is: an answer that came with the deadline counts.
            biased;
            happened = work.next() => happened,
            () = machine.wait() => continue,
        };
        if !matches!(input, Input::Progress { .. }) {
            work = Work::None;
        }
        show(&input, resumed_from, target, observer);
        machine.tell(input);
    }
}

/// A job by itself, without a store.
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

    fn tell(&mut self, input: Input) {
        let _ = self.export.handle(self.clock.now(), input);
    }
}

impl Machine for RunningJob<'_, TaskWaker> {
    fn poll(&mut self) -> Result<Option<Output>, Error> {
        match self.take() {
            Some(Message::Output(output)) => Ok(Some(output)),
            Some(Message::NotSaved(error)) => Err(error.into()),
            None => Ok(None),
        }
    }

    async fn wait(&mut self) {
        // It remembers a wake-up that nobody waited for.
        self.waker().0.notified().await;
    }

    fn tell(&mut self, input: Input) {
        RunningJob::tell(self, input);
    }
}

/// Wakes a task.
#[derive(Debug, Default)]
pub(crate) struct TaskWaker(Notify);

impl Waker for TaskWaker {
    fn wake(&self) {
        self.0.notify_one();
    }
}

/// What is under way: one thing at a time.
enum Work<'w> {
    None,
    Call(CallId, Pin<Box<dyn Future<Output = Result<Response, CallError>> + Send + 'w>>),
    Fetch(
        CallId,
        Pin<Box<dyn Future<Output = Result<u64, DownloadError>> + Send + 'w>>,
        watch::Receiver<Count>,
    ),
}

impl Work<'_> {
    fn call(&self) -> Option<CallId> {
        match self {
            Self::None => None,
            Self::Call(call, _) | Self::Fetch(call, ..) => Some(*call),
        }
    }

    /// Goes on with the work, and says what came of it and how much of a download was here before. Dropped in the
    /// middle, it goes on from there the next time.
    async fn next(&mut self) -> (Input, u64) {
        match self {
            Self::None => std::future::pending().await,
            Self::Call(call, answering) => (Input::of_call(*call, answering.await), 0),
            Self::Fetch(call, fetching, progress) => tokio::select! {
                // The end is looked at first, so that no progress is told after it.
                biased;
                fetched = fetching => (Input::of_download(*call, fetched), progress.borrow().resumed_from),
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
