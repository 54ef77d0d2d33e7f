//! The loop around a job: carries out what it says, and tells it what happened.

use std::{
    path::Path,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use abyssale_core::{Export, Finished, Input, Output};
use abyssale_host::{
    Clock, Error, Observer, Progress,
    jobs::{Message, RunningJob, Waker},
    trace::Job,
};

use crate::{
    Client,
    download::{Count, fetch},
    send::send,
};

/// A job that is carried out in the calling thread.
pub(crate) trait Machine {
    /// The next thing to be done, if there is one.
    fn poll(&mut self) -> Result<Option<Output>, Error>;
    /// Waits until there may be something to be done.
    fn wait(&mut self);
    /// Tells the job what happened. Whatever becomes of it, the next output says what follows.
    fn tell(&mut self, input: Input);
}

/// Carries out a job in the calling thread. `target` is where the archive goes.
pub(crate) fn drive(
    client: &Client,
    job: Job,
    machine: &mut impl Machine,
    target: &Path,
    observer: &mut dyn Observer,
) -> Result<Finished, Error> {
    let result = job.span().in_scope(|| carry_on(client, &job, machine, target, observer));
    job.end(&result);
    result
}

fn carry_on(
    client: &Client,
    job: &Job,
    machine: &mut impl Machine,
    target: &Path,
    observer: &mut dyn Observer,
) -> Result<Finished, Error> {
    let clock = client.clock();
    loop {
        match machine.poll()? {
            Some(Output::Call { call, request, deadline }) => {
                observer.observe(Progress::Requesting);
                let timeout = deadline.saturating_duration_since(clock.now());
                machine.tell(Input::of_call(call, send(client.caller(), request, timeout, Some(call))));
            }
            Some(Output::Download { call, transfer, first_byte_timeout, stall_timeout }) => {
                let mut progress = |Count { received, total, resumed_from }| {
                    machine.tell(Input::Progress { call, received, total });
                    observer.observe(Progress::Downloading { received, total, resumed_from });
                };
                let fetched =
                    fetch(client, call, *transfer, first_byte_timeout, stall_timeout, target, &mut progress);
                if let Ok(bytes) = fetched {
                    observer.observe(Progress::Saved { path: target, bytes });
                }
                machine.tell(Input::of_download(call, fetched));
            }
            Some(Output::Notice(notice)) => {
                job.notice(&notice);
                observer.observe(Progress::Notice(&notice));
            }
            Some(Output::Done(result)) => return Ok(result?),
            // Attempts are made one after the other here, so there is none to abort; new kinds of output are added
            // together with what carries them out.
            Some(_) => {}
            None => machine.wait(),
        }
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

    fn wait(&mut self) {
        let deadline = self.export.poll_timeout().unwrap_or_default();
        thread::sleep(deadline.saturating_duration_since(self.clock.now()));
        self.tell(Input::Tick);
    }

    fn tell(&mut self, input: Input) {
        let _ = self.export.handle(self.clock.now(), input);
    }
}

impl Machine for RunningJob<'_, ThreadWaker> {
    fn poll(&mut self) -> Result<Option<Output>, Error> {
        match self.take() {
            Some(Message::Output(output)) => Ok(Some(output)),
            Some(Message::NotSaved(error)) => Err(error.into()),
            None => Ok(None),
        }
    }

    fn wait(&mut self) {
        self.waker().wait();
    }

    fn tell(&mut self, input: Input) {
        RunningJob::tell(self, input);
    }
}

/// Wakes a thread.
#[derive(Debug, Default)]
pub(crate) struct ThreadWaker {
    has_rung: Mutex<bool>,
    ringing: Condvar,
}

impl ThreadWaker {
    /// Waits until it rings, or has rung since the last time.
    fn wait(&self) {
        let waiting = self.ringing.wait_while(self.has_rung(), |has_rung| !*has_rung);
        *waiting.unwrap_or_else(PoisonError::into_inner) = false;
    }

    fn has_rung(&self) -> MutexGuard<'_, bool> {
        self.has_rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waker for ThreadWaker {
    fn wake(&self) {
        *self.has_rung() = true;
        self.ringing.notify_one();
    }
}
