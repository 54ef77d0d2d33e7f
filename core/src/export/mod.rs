//! One export, from the order to the archive.
//!
//! [`Export`] is a state machine: it is told what happened ([`Input`]), and says what to do ([`Output`]). `state` has its
//! states, `transitions` and `downloads` all changes of them, `snapshot` their saved form.

mod config;
mod downloads;
mod failure;
mod input;
mod output;
mod snapshot;
mod state;
mod transitions;

#[cfg(test)]
mod tests;

use alloc::{boxed::Box, string::ToString as _, sync::Arc, vec::Vec};

use self::{state::State, transitions::seed_of};
use crate::{
    download::{DownloadLimits, Transfer},
    id::ExportId,
    order::Order,
    retry::{AttemptFailure, Tries},
    time::Timestamp,
    webhook::{Delivery, Event, NewExport, Reply},
};

pub use config::{Config, UnknownOutcome};
pub use failure::{Failure, NotTaken, UnknownCause};
pub use input::{CallError, CallId, Disposition, Input, Sent};
pub use output::{Finished, Notice, Output, RetryReason};
pub use snapshot::{RestoreError, Snapshot};

/// The state machine of one export.
///
/// It performs no I/O: it is told what happened ([`handle`](Self::handle), [`handle_delivery`](Self::handle_delivery))
/// and says what to do ([`poll_output`](Self::poll_output), [`poll_timeout`](Self::poll_timeout)). The crate's page shows
/// its states.
///
/// ```no_run
/// # use abyssale_core::{Config, Export, Input, Order, Output, Timestamp};
/// # use std::sync::Arc;
/// # struct Io;
/// # impl Io {
/// #     fn save(&self, _: &abyssale_core::Snapshot) {}
/// #     fn act(&self, _: Output) {}
/// #     fn wait(&self, _: Option<Timestamp>) -> Input { Input::Tick }
/// # }
/// # fn now() -> Timestamp { Timestamp::default() }
/// # fn run(config: Arc<Config>, order: Order, io: Io) {
/// let mut export = Export::new(config, order, now());
/// let mut saved = 0;
/// loop {
///     while let Some(output) = export.poll_output() {
///         if export.revision() != saved {
///             io.save(&export.snapshot());             // first save,
///             saved = export.revision();
///         }
///         match output {
///             Output::Notice(notice) => println!("{notice}"),
///             Output::Done(result) => return println!("{result:?}"),
///             request => io.act(request),              // then act
///         }
///     }
///     let input = io.wait(export.poll_timeout());      // an answer, an event, or a timeout
///     let _ = export.handle(now(), input);
/// }
/// # }
/// ```
///
/// Any order of calls is legal. Outputs are derived from the state and given once for each change of it. They are not
/// queued, so inputs without a poll in between take no memory.
///
/// # Saving
///
/// [`revision`](Self::revision) changes whenever the job should be saved. Save it after
/// [`poll_output`](Self::poll_output) and before acting on the output, and after [`handle`](Self::handle) and before
/// acknowledging the delivery that was handled. Then a job that is restored after a crash at any point neither requests
/// its export twice nor loses its event.
#[derive(Clone, Debug)]
pub struct Export {
    config: Arc<Config>,
    order: Order,
    state: State,
    /// Spreads the waits of different jobs.
    seed: u64,
    tries: Tries,
    next_call: u64,
    now: Timestamp,
    revision: u64,
    /// The download that is to be polled.
    transfer: Option<Box<Transfer>>,
    /// The attempt that is to be aborted, and was not polled yet.
    abort: Option<CallId>,
    /// Absent while it is empty, which it is for almost every waiting job.
    rare: Option<Box<Rare>>,
    done_was_given: bool,
}

/// What few jobs have.
#[derive(Clone, Debug, Default, PartialEq)]
struct Rare {
    /// Events that arrived without a token before the answer. One of them may be this job's.
    held: Vec<NewExport>,
    /// Why an earlier request may have been accepted, if the policy was to repeat it.
    doubt: Option<UnknownCause>,
    /// Notices that were not polled yet, at most one of each kind.
    notices: Vec<Notice>,
    /// The deliveries to the callback URL that were not taken.
    not_taken: Option<NotTaken>,
}

impl Export {
    /// Creates a job. Its first output is the request.
    pub fn new(config: Arc<Config>, order: Order, now: Timestamp) -> Self {
        let mut export = Self {
            config,
            seed: seed_of(&order),
            order,
            state: State::RequestBackoff { until: now },
            tries: Tries::default(),
            next_call: 0,
            now,
            revision: 0,
            transfer: None,
            abort: None,
            rare: None,
            done_was_given: false,
        };
        export.call();
        export
    }

    /// Sets the seed that spreads the waits of different jobs. It is saved with the job. By default it is derived from the
    /// order, so that jobs with different [tokens](crate::Token) do not retry at the same time.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Returns the order.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Returns the export's id, once the answer or the event has told it.
    pub fn export_id(&self) -> Option<&ExportId> {
        self.state.export_id()
    }

    /// Returns whether the job is over, even if its [`Output::Done`] was not polled yet.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done(_))
    }

    /// Returns whether the job took its event, whether or not the download succeeded.
    pub fn took_event(&self) -> bool {
        self.state.took_event()
    }

    /// Returns a number that changes whenever the job should be saved again.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the job's state, from which another process can continue it.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::take(self)
    }

    /// Continues a job from a snapshot.
    ///
    /// A request that was under way has an unknown outcome. The time between the snapshot and `now` does not count towards
    /// the job's deadlines.
    ///
    /// # Errors
    ///
    /// Fails if the snapshot contradicts itself.
    pub fn restore(config: Arc<Config>, snapshot: Snapshot, now: Timestamp) -> Result<Self, RestoreError> {
        snapshot.into_export(config, now)
    }

    /// Tells the job what happened, and the time.
    ///
    /// Every input is legal at any time: none panics, and none is an error. A `now` before the last one counts as the
    /// last one. An input that arrives together with a deadline is handled first.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Disposition {
        self.now = now.max(self.now);
        let disposition = match input {
            Input::Tick => Disposition::Accepted,
            Input::Response { call, response } if self.is_requesting(call) => self.answered(&response),
            Input::Response { call, response } if self.is_downloading(call) => {
                self.download_answered(&response)
            }
            Input::CallFailed { call, error } if self.is_requesting(call) => match error.sent {
                Sent::Never => self.not_sent(&error.reason),
                Sent::Maybe => self.lost(&error.reason),
            },
            Input::Event { event, token } => self.event(event, token.as_ref()),
            Input::DeliveryNotTaken { reason } if !self.is_done() => self.delivery_not_taken(&reason),
            Input::Progress { call, received, .. } if self.is_downloading(call) => {
                self.extend_download();
                self.tries = self.tries.after_progress(received);
                Disposition::Accepted
            }
            Input::Downloaded { call, bytes } => self.downloaded(call, bytes),
            Input::DownloadFailed { call, error } if self.is_downloading(call) => self.download_failed(error),
            Input::Cancel if !self.is_done() => {
                self.abort();
                self.fail(Failure::Cancelled);
                Disposition::Accepted
            }
            Input::Response { .. }
            | Input::CallFailed { .. }
            | Input::DeliveryNotTaken { .. }
            | Input::Progress { .. }
            | Input::DownloadFailed { .. }
            | Input::Cancel => Disposition::Stale,
        };
        self.expire();
        disposition
    }

    /// Passes a genuine delivery to the job. Returns the reply, to be sent once the job is saved.
    ///
    /// An event of another export is acknowledged, because the workspace may have other consumers of its events. If it was
    /// delivered to a URL with a [token](crate::Token), where there is no other consumer, it is not.
    pub fn handle_delivery(&mut self, now: Timestamp, delivery: &Delivery) -> Reply {
        let event = match &delivery.event {
            Event::NewExport(event) => event,
            Event::Other(other) => {
                if delivery.token.is_some() && delivery.token.as_ref() == self.order.token() {
                    let _ = self.handle(now, Input::DeliveryNotTaken { reason: other.to_string().into() });
                }
                return Reply::Acknowledged;
            }
        };
        match self.handle(now, Input::Event { event: event.clone(), token: delivery.token }) {
            Disposition::Unrelated if delivery.token.is_some() => Reply::NotFound,
            disposition => disposition.reply_of(self.took_event()),
        }
    }

    /// Returns the next thing to do, or `None` until the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(call) = self.abort.take() {
            return Some(Output::Abort(call));
        }
        if let Some(rare) = self.rare.as_mut().filter(|rare| !rare.notices.is_empty()) {
            let notice = rare.notices.remove(0);
            self.drop_what_is_empty();
            return Some(Output::Notice(notice));
        }
        self.poll_state()
    }

    /// Returns what is to be done in this state, if it was not polled yet.
    fn poll_state(&mut self) -> Option<Output> {
        match &mut self.state {
            State::Requesting { call, sent: sent @ false, deadline } => {
                *sent = true;
                // A job that is restored from here on must assume that the request was sent.
                self.revision += 1;
                let request = self.config.endpoint.create_export(&self.order);
                Some(Output::Call { call: *call, request, deadline: *deadline })
            }
            State::Downloading { call, sent: sent @ false, .. } => {
                *sent = true;
                let Config { first_byte_timeout, stall_timeout, min_download_rate: min_rate, .. } =
                    *self.config;
                let limits = DownloadLimits { first_byte_timeout, stall_timeout, min_rate };
                let transfer = self.transfer.take()?;
                Some(Output::Download { call: *call, transfer, limits })
            }
            State::Done(result) if !self.done_was_given => {
                self.done_was_given = true;
                Some(Output::Done(result.clone().map(|finished| *finished)))
            }
            _ => None,
        }
    }

    /// Returns when to call [`handle`](Self::handle) with [`Input::Tick`], if nothing happens earlier.
    ///
    /// It is later than the last `now`; `None` once the job is over.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.state.deadline()
    }
}

/// For [`Exports`](crate::Exports), which decides when each job may send.
impl Export {
    /// Returns the last `now`.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Makes the job's waits differ from those of jobs with other numbers.
    pub(crate) fn seeded_beside(mut self, number: u64) -> Self {
        self.seed ^= number;
        self
    }

    /// Returns the request of a job that waited in a send queue, before the job's notices.
    ///
    /// There is no abort to give first, since nothing of a waiting job is under way.
    pub(crate) fn poll_attempt(&mut self) -> Option<Output> {
        self.poll_state()
    }

    /// Returns the kind of request that the next output is, if it is one.
    pub(crate) fn next_attempt(&self) -> Option<RequestKind> {
        let something_else_first = self.abort.is_some() || self.has_notices();
        self.attempt_to_come().filter(|_| !something_else_first)
    }

    /// Returns the kind of request that is under way.
    pub(crate) fn attempt_under_way(&self) -> Option<RequestKind> {
        match self.state {
            State::Requesting { sent: true, .. } => Some(RequestKind::Call),
            State::Downloading { sent: true, .. } => Some(RequestKind::Download),
            _ => None,
        }
    }

    /// Returns whether the next output is an [`Output::Abort`].
    pub(crate) fn has_abort_to_give(&self) -> bool {
        self.abort.is_some()
    }

    /// Starts the time limit of a request that was not polled yet anew, so that waiting in a queue does not count.
    pub(crate) fn postpone(&mut self, now: Timestamp) {
        let wait = match self.attempt_to_come() {
            Some(RequestKind::Call) => self.config.call_timeout,
            Some(RequestKind::Download) => self.config.first_byte_timeout,
            None => return,
        };
        self.now = now.max(self.now);
        let deadline = self.after(wait);
        if let Some(current) = self.state.deadline_mut() {
            *current = deadline;
        }
    }

    /// Returns the kind of request that follows the pending notices.
    pub(crate) fn attempt_to_come(&self) -> Option<RequestKind> {
        match self.state {
            State::Requesting { sent: false, .. } => Some(RequestKind::Call),
            State::Downloading { sent: false, .. } => Some(RequestKind::Download),
            _ => None,
        }
    }
}

/// A kind of request with a send queue of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RequestKind {
    /// To the service.
    Call,
    /// To the archive's server.
    Download,
}

/// Queries.
impl Export {
    fn has_notices(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| !rare.notices.is_empty())
    }

    fn held(&self) -> &[NewExport] {
        self.rare.as_ref().map_or(&[], |rare| &rare.held)
    }

    fn doubt(&self) -> Option<&UnknownCause> {
        self.rare.as_ref()?.doubt.as_ref()
    }

    fn not_taken(&self) -> Option<&NotTaken> {
        self.rare.as_ref()?.not_taken.as_ref()
    }

    /// Returns since when the job waits for its event, if it does.
    pub(crate) fn awaits_event_since(&self) -> Option<Timestamp> {
        match self.state {
            State::AwaitingEvent { since, .. } => Some(since),
            _ => None,
        }
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn drop_what_is_empty(&mut self) {
        if self.rare.as_deref().is_some_and(|rare| *rare == Rare::default()) {
            self.rare = None;
        }
    }

    pub(crate) fn is_requesting(&self, call: CallId) -> bool {
        matches!(self.state, State::Requesting { .. }) && self.state.in_flight() == Some(call)
    }

    fn is_downloading(&self, call: CallId) -> bool {
        matches!(self.state, State::Downloading { .. }) && self.state.in_flight() == Some(call)
    }
}
