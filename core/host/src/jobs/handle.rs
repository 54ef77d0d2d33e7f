//! Handles to a job: running, or stored and not yet resumed.

use std::{
    fmt, iter,
    path::{Path, PathBuf},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use abyssale_core::{
    Config, Export, ExportId, Failure, Finished, Goal, Input, JobId, Notice, Order, Output, Timestamp,
    UnknownOutcome, download::DownloadError, webhook::NewExport,
};
use tracing::{
    Span,
    field::{Empty, display},
    info, info_span, warn,
};

use super::{Jobs, State};
use crate::{Clock, Error, attempt::Timed, download_only};

/// A job that its thread or task carries out.
///
/// Dropping it before [`finish`](Self::finish) cancels the job, or holds it if there is a store.
pub struct RunningJob<'j> {
    kind: Kind<'j>,
    timed: Timed,
    /// Whether the span has the export id.
    is_named: bool,
    /// Why the archive cannot be stored here. The job itself is not told, so that it stays in the store as it is.
    kept: Option<Box<Failure>>,
    is_finished: bool,
}

enum Kind<'j> {
    /// One of an exporter's jobs. The saver tells it the time.
    Shared { jobs: &'j Jobs, job: JobId },
    /// A job by itself, which nothing saves.
    Alone { export: Box<Export>, clock: Clock },
}

impl<'j> RunningJob<'j> {
    pub(super) fn new(jobs: &'j Jobs, job: JobId, order: &Order) -> Self {
        let span = span(Some(job), order.goal(), Some(order.ids().len()));
        Self::begin(Kind::Shared { jobs, job }, span)
    }

    /// Creates a job by itself that asks for an export, and ends when the service has accepted it.
    pub fn create_export(config: &Config, order: &Order, clock: Clock) -> Self {
        let order = order.clone().with_goal(Goal::Acceptance);
        let span = span(None, order.goal(), Some(order.ids().len()));
        let mut config = config.clone();
        // The event goes elsewhere, so there is nothing to wait for.
        config.unknown_outcome = UnknownOutcome::Fail;
        let export = Box::new(Export::new(Arc::new(config), order, clock.now()));
        let running = Self::begin(Kind::Alone { export, clock }, span);
        info!(target: JOB, parent: running.timed.id(), "job begun");
        running
    }

    /// Creates a job by itself that has its event and downloads the archive.
    ///
    /// # Errors
    ///
    /// Fails if the operating system has no random numbers.
    pub fn download(config: &Arc<Config>, event: &NewExport, clock: Clock) -> Result<Self, Error> {
        let export = Box::new(download_only(config, event, clock.now())?);
        let mut running = Self::begin(Kind::Alone { export, clock }, span(None, Goal::Archive, None));
        running.name(&event.export_id);
        info!(target: JOB, parent: running.timed.id(), "job begun");
        Ok(running)
    }

    fn begin(kind: Kind<'j>, span: Span) -> Self {
        Self { kind, timed: Timed::new(span), is_named: false, kept: None, is_finished: false }
    }

    /// Returns the span of the job.
    pub fn span(&self) -> &Span {
        &self.timed.span
    }

    /// Returns the next output to carry out. If there is none, the caller is woken when there is one, or must
    /// [tell](Self::tell) the time after [`time_left`](Self::time_left).
    ///
    /// # Errors
    ///
    /// Fails if the job is new and could not be saved: no request was sent for it. Fails if the archive cannot be stored:
    /// then a job of an exporter with a store stays in the store.
    pub fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Result<Output, Error>> {
        if let Some(failure) = &self.kept {
            return Poll::Ready(Err(Error::Kept(failure.clone())));
        }
        let polled = match &mut self.kind {
            Kind::Shared { jobs, job } => match jobs.shared.lock().mailboxes.get_mut(job) {
                Some(mailbox) => mailbox.poll(cx).map_err(Error::from),
                None => Poll::Pending,
            },
            Kind::Alone { export, .. } => {
                export.poll_output().map_or(Poll::Pending, |output| Poll::Ready(Ok(output)))
            }
        };
        if let Poll::Ready(Ok(Output::Notice(notice))) = &polled {
            self.log(notice);
        }
        polled
    }

    /// Returns how long to wait for an output before telling the job [`Input::Tick`]; `None` for as long as it takes.
    pub fn time_left(&self) -> Option<Duration> {
        match &self.kind {
            Kind::Shared { .. } => None,
            Kind::Alone { export, clock } => {
                export.poll_timeout().map(|timeout| timeout.saturating_duration_since(clock.now()))
            }
        }
    }

    /// Tells the job what happened. The next output says what follows.
    pub fn tell(&mut self, input: Input) {
        match &mut self.kind {
            Kind::Shared { jobs, job } => {
                let mut state = jobs.shared.lock();
                let now = jobs.shared.clock.now();
                if state.queue.is_some() && is_local(&input) {
                    let mut export = state.exports.get(*job).cloned();
                    self.kept = export.as_mut().and_then(|export| failure(export, now, input));
                    return;
                }
                let _ = state.exports.handle(now, *job, input);
                jobs.shared.advance(&mut state);
            }
            Kind::Alone { export, clock } => {
                let _ = export.handle(clock.now(), input);
            }
        }
    }

    /// Ends the job with the result that the caller gets, and removes it from the store, unless it can be resumed.
    pub fn finish(mut self, result: &Result<Finished, Error>) {
        self.is_finished = self.kept.is_none();
        if let (true, Kind::Shared { jobs, job }) = (self.is_finished, &self.kind) {
            let job = *job;
            let mut state = jobs.shared.lock();
            state.mailboxes.remove(&job);
            if let Some(queue) = &mut state.queue {
                queue.remove(job);
                jobs.shared.work.notify_one();
            }
        }
        let (parent, duration_ms) = (self.timed.id(), self.timed.millis());
        match result {
            Ok(finished) => {
                let bytes = match finished {
                    Finished::Archive { bytes, .. } => Some(*bytes),
                    _ => None,
                };
                info!(target: JOB, parent: parent, bytes, duration_ms, "job done");
            }
            Err(failure) => info!(target: JOB, parent: parent, %failure, duration_ms, "job failed"),
        }
    }

    fn log(&mut self, notice: &Notice) {
        if let Notice::Accepted { export_id } | Notice::EventReceived(NewExport { export_id, .. }) = notice {
            self.name(export_id);
        }
        let parent = self.timed.id();
        match notice {
            Notice::Accepted { export_id } => info!(target: JOB, parent: parent, %export_id, "accepted"),
            Notice::EventReceived(NewExport { export_id, .. }) => {
                info!(target: JOB, parent: parent, %export_id, "event received");
            }
            Notice::Retrying { after, retry, reason, .. } => {
                let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                warn!(target: JOB, parent: parent, retry, after_ms, %reason, "retrying");
            }
            Notice::OutcomeUnknown { cause, .. } => {
                warn!(target: JOB, parent: parent, reason = %cause, "outcome unknown");
            }
            Notice::DeliveryNotTaken(not_taken) => {
                warn!(target: JOB, parent: parent, reason = %not_taken.reason, "delivery not taken");
            }
            Notice::ConflictingEvent(NewExport { export_id, .. }) => {
                warn!(target: JOB, parent: parent, %export_id, "conflicting event ignored");
            }
            _ => {}
        }
    }

    /// Records the export id, once.
    fn name(&mut self, export_id: &ExportId) {
        if !self.is_named {
            self.is_named = true;
            self.timed.span.record("export_id", display(export_id));
        }
    }
}

impl Drop for RunningJob<'_> {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        info!(target: JOB, parent: self.timed.id(), duration_ms = self.timed.millis(), "job given up");
        let Kind::Shared { jobs, job } = self.kind else { return };
        let mut state = jobs.shared.lock();
        state.mailboxes.remove(&job);
        let now = jobs.shared.clock.now();
        if let Some(queue) = &mut state.queue {
            queue.drop_outputs(job);
            if state.exports.hold(now, job) {
                state.held.insert(job);
            }
        } else {
            let _ = state.exports.handle(now, job, Input::Cancel);
        }
        jobs.shared.advance(&mut state);
    }
}

impl fmt::Debug for RunningJob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningJob").finish_non_exhaustive()
    }
}

/// A stored job without a running handle. No other handle to the job exists while this one does.
pub struct StoredJob<'j> {
    jobs: &'j Jobs,
    job: JobId,
    order: Order,
    target: Option<PathBuf>,
    is_taken: bool,
}

impl<'j> StoredJob<'j> {
    pub(super) fn new(jobs: &'j Jobs, state: &State, job: JobId) -> Option<Self> {
        let order = state.exports.get(job)?.order().clone();
        let target = state.queue.as_ref().and_then(|queue| queue.target(job)).map(Path::to_owned);
        Some(Self { jobs, job, order, target, is_taken: false })
    }

    /// Returns the order.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Returns the path that the archive is saved to, if the job downloads one.
    pub fn target(&self) -> Option<&Path> {
        self.target.as_deref()
    }

    /// Resumes the job.
    pub fn resume(mut self) -> RunningJob<'j> {
        self.is_taken = true;
        let mut state = self.jobs.shared.lock();
        state.exports.release(self.jobs.shared.clock.now(), self.job);
        let running = self.jobs.start(state, self.job, &self.order);
        info!(target: JOB, parent: running.timed.id(), "job resumed");
        running
    }

    /// Cancels the job and removes it from the store.
    pub fn cancel(mut self) {
        self.is_taken = true;
        let shared = &self.jobs.shared;
        let mut state = shared.lock();
        if let Some(queue) = &mut state.queue {
            queue.remove(self.job);
        }
        state.exports.release(shared.clock.now(), self.job);
        let _ = state.exports.handle(shared.clock.now(), self.job, Input::Cancel);
        shared.advance(&mut state);
    }
}

impl Drop for StoredJob<'_> {
    fn drop(&mut self) {
        if !self.is_taken {
            self.jobs.shared.lock().held.insert(self.job);
        }
    }
}

impl fmt::Debug for StoredJob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredJob").field("job", &self.job).finish_non_exhaustive()
    }
}

/// Returns whether something failed on this machine, so that another attempt may succeed once it is put right.
fn is_local(input: &Input) -> bool {
    matches!(input, Input::DownloadFailed { error: DownloadError::Storage(_), .. })
}

/// Returns the failure that a job ends with after this input, if it ends.
fn failure(export: &mut Export, now: Timestamp, input: Input) -> Option<Box<Failure>> {
    let _ = export.handle(now, input);
    iter::from_fn(|| export.poll_output()).find_map(|output| match output {
        Output::Done(result) => result.err(),
        _ => None,
    })
}

fn span(job: Option<JobId>, goal: Goal, banners: Option<usize>) -> Span {
    let goal = match goal {
        Goal::Acceptance => "acceptance",
        Goal::Event => "event",
        _ => "archive",
    };
    info_span!(target: JOB, "job", job = job.map(JobId::as_u64), goal, banners, export_id = Empty)
}

pub(super) const JOB: &str = "abyssale::job";
