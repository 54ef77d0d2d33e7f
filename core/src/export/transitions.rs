//! The changes of a job's state by answers, events and time. Each goes through [`Export::enter`]. Those by a download are
//! in `downloads`.

use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;

use sha2::{Digest, Sha256};

use super::{
    AttemptFailure, CallId, Disposition, Export, Failure, Finished, NotTaken, Notice, RetryReason, State,
    Tries, UnknownCause, UnknownOutcome,
};
use crate::{
    http::{Method, Response},
    id::ExportId,
    order::{Goal, Order},
    redact::excerpt,
    response::{ExportAccepted, ResponseError},
    retry::Verdict,
    time::Timestamp,
    token::Token,
    webhook::NewExport,
};

/// Results of the request.
impl Export {
    pub(super) fn call(&mut self) {
        let call = self.next_call();
        self.enter(State::Requesting { call, sent: false, deadline: self.after(self.config.call_timeout) });
    }

    pub(super) fn answered(&mut self, response: &Response) -> Disposition {
        let Response { status, headers, body } = response;
        let answer = ExportAccepted::parse(*status, headers, body).or_else(|_| {
            // A part of the body is shown to users and saved.
            let body = self.config.endpoint.redact_with(&self.order, body);
            ExportAccepted::parse(*status, headers, &body)
        });
        match answer {
            Ok(accepted) => self.accepted(accepted.export_id),
            Err(ResponseError::Unexpected(answer)) => self.unknown(UnknownCause::Unreadable(answer)),
            Err(ResponseError::Api(error)) => {
                let error = error.naming_ids(&self.order);
                match self.verdict(Method::Post, AttemptFailure::Refused(&error)) {
                    Verdict::Retry { after, probe } => {
                        let until = self.schedule_retry(after, probe, RetryReason::Refused(error));
                        self.enter(State::RequestBackoff { until });
                    }
                    Verdict::Final => self.fail_not_accepted(Failure::Refused(error)),
                    Verdict::Unknown => self.unknown(UnknownCause::Answer(error)),
                }
            }
        }
        Disposition::Accepted
    }

    pub(super) fn not_sent(&mut self, reason: &str) -> Disposition {
        let reason = shown(reason);
        match self.verdict(Method::Post, AttemptFailure::NotSent) {
            Verdict::Retry { after, probe } => {
                let until = self.schedule_retry(after, probe, RetryReason::Failed(reason));
                self.enter(State::RequestBackoff { until });
            }
            Verdict::Final | Verdict::Unknown => self.fail_not_accepted(Failure::Unreachable { reason }),
        }
        Disposition::Accepted
    }

    pub(super) fn lost(&mut self, reason: &str) -> Disposition {
        self.unknown(UnknownCause::Lost(shown(reason)));
        Disposition::Accepted
    }

    fn accepted(&mut self, export_id: ExportId) {
        self.notice(Notice::Accepted { export_id: export_id.clone() });
        if self.order.goal() == Goal::Acceptance {
            return self.finish(Finished::Accepted { export_id });
        }
        let mut early = core::mem::take(&mut self.rare().held);
        early.retain(|event| event.export_id == export_id);
        let mut early = early.into_iter();
        let until = self.after(self.config.event_timeout);
        self.enter(State::AwaitingEvent { export_id, since: self.now, until });
        if let Some(first) = early.next() {
            let url = first.archive_url.clone();
            self.take(first);
            for other in early.filter(|other| other.archive_url != url) {
                let _ = self.contradicted(other);
            }
        }
    }

    /// Fails after a request that was certainly not accepted. An earlier one may have been.
    fn fail_not_accepted(&mut self, failure: Failure) {
        let failure = self.doubt().cloned().map_or(failure, Failure::Unknown);
        self.fail(failure);
    }

    /// Follows the policy for a request that may or may not have been accepted.
    pub(super) fn unknown(&mut self, cause: UnknownCause) {
        match self.config.unknown_outcome {
            UnknownOutcome::AwaitEvent { grace } if self.order.token().is_some() => {
                let until = self.after(grace.min(self.config.event_timeout));
                self.notice(Notice::OutcomeUnknown { cause: cause.clone(), until });
                self.enter(State::OutcomeUnknown { cause: Box::new(cause), until });
            }
            UnknownOutcome::AskAgain => {
                // This policy means to treat the request as if it had never been sent.
                match self.verdict(Method::Post, AttemptFailure::NotSent) {
                    Verdict::Retry { after, probe } => {
                        self.rare().doubt.get_or_insert_with(|| cause.clone());
                        let until = self.schedule_retry(after, probe, RetryReason::Unknown(cause));
                        self.enter(State::RequestBackoff { until });
                    }
                    Verdict::Final | Verdict::Unknown => self.fail(Failure::Unknown(cause)),
                }
            }
            _ => self.fail(Failure::Unknown(cause)),
        }
    }
}

/// Events.
impl Export {
    pub(super) fn event(&mut self, event: NewExport, token: Option<&Token>) -> Disposition {
        match (token, self.order.token()) {
            (Some(theirs), Some(ours)) if theirs == ours => {}
            (Some(_), _) => return Disposition::Unrelated,
            // Without a token, the export's id decides. It is unknown before the answer.
            (None, _) => match (self.export_id(), &self.state) {
                (Some(id), _) if *id == event.export_id => {}
                (None, State::Requesting { .. } | State::RequestBackoff { .. }) => return self.hold(event),
                _ => return Disposition::Unrelated,
            },
        }
        if let Some(first) = self.state.event() {
            let same = first.export_id == event.export_id && first.archive_url == event.archive_url;
            return if same { Disposition::Duplicate } else { self.contradicted(event) };
        }
        match &self.state {
            State::Done(_) => Disposition::Stale,
            // If the request was repeated, two exports may have been made. The first event is used.
            State::AwaitingEvent { export_id, .. }
                if *export_id != event.export_id && self.doubt().is_none() =>
            {
                self.contradicted(event)
            }
            _ => {
                self.take(event);
                Disposition::Accepted
            }
        }
    }

    fn hold(&mut self, event: NewExport) -> Disposition {
        if self.held().contains(&event) {
            return Disposition::Duplicate;
        }
        if self.held().len() >= MAX_HELD {
            return Disposition::NoRoom;
        }
        self.rare().held.push(event);
        self.revision += 1;
        Disposition::Held
    }

    /// Counts and reports a delivery to the job's callback URL that was not taken.
    pub(super) fn delivery_not_taken(&mut self, reason: &str) -> Disposition {
        let count = self.rare().not_taken.as_ref().map_or(0, |not_taken| not_taken.count);
        let not_taken = NotTaken { count: count.saturating_add(1), reason: shown(reason) };
        self.rare().not_taken = Some(not_taken.clone());
        self.revision += 1;
        self.notice(Notice::DeliveryNotTaken(not_taken));
        Disposition::Accepted
    }

    fn contradicted(&mut self, event: NewExport) -> Disposition {
        // No output follows the result.
        if !self.done_was_given {
            self.notice(Notice::ConflictingEvent(event));
        }
        Disposition::Conflicting
    }

    /// Takes the job's event, which settles whether the request was accepted.
    fn take(&mut self, event: NewExport) {
        self.abort();
        self.notice(Notice::EventReceived(event.clone()));
        match self.order.goal() {
            // An export that is ready was certainly accepted.
            Goal::Acceptance => self.finish(Finished::Accepted { export_id: event.export_id }),
            Goal::Event => self.finish(Finished::Event(event)),
            Goal::Archive => {
                self.tries = Tries::default();
                self.fetch(Box::new(event));
            }
        }
    }
}

/// Time limits, and the end.
impl Export {
    /// Leaves each state whose deadline has passed.
    pub(super) fn expire(&mut self) {
        while self.state.deadline().is_some_and(|deadline| deadline <= self.now) {
            match &self.state {
                State::Requesting { sent: false, .. } => {
                    let _ = self.not_sent("the request was not sent in time");
                }
                State::Requesting { sent: true, .. } => {
                    self.abort();
                    self.unknown(UnknownCause::TimedOut);
                }
                State::RequestBackoff { .. } => self.call(),
                State::OutcomeUnknown { cause, .. } => {
                    let cause = (**cause).clone();
                    let cause = match self.not_taken() {
                        Some(not_taken) => {
                            UnknownCause::NotTaken { cause: Box::new(cause), not_taken: not_taken.clone() }
                        }
                        None => cause,
                    };
                    self.fail(Failure::Unknown(cause));
                }
                State::AwaitingEvent { export_id, since, .. } => {
                    let (export_id, waited) = (export_id.clone(), self.now.saturating_duration_since(*since));
                    let not_taken = self.not_taken().cloned();
                    self.fail(Failure::NoEvent { export_id, waited, not_taken });
                }
                State::Downloading { .. } => {
                    self.abort();
                    let verdict = self.verdict(Method::Get, AttemptFailure::Lost);
                    let reason: Box<str> = "no progress".into();
                    self.download_retry(verdict, RetryReason::Failed(reason.clone()), reason);
                }
                State::DownloadBackoff { event, .. } => {
                    let event = event.clone();
                    self.fetch(event);
                }
                State::Done(_) => return,
            }
        }
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        self.enter(State::Done(Err(Box::new(failure))));
    }

    pub(super) fn finish(&mut self, finished: Finished) {
        self.enter(State::Done(Ok(Box::new(finished))));
    }

    /// Changes the state.
    pub(super) fn enter(&mut self, state: State) {
        if matches!(state, State::AwaitingEvent { .. } | State::Downloading { .. } | State::Done(_))
            && let Some(rare) = &mut self.rare
        {
            rare.held = Vec::new();
        }
        self.state = state;
        self.revision += 1;
    }

    /// Aborts the attempt that is under way, if there is one.
    pub(super) fn abort(&mut self) {
        // There is at most one: an attempt is under way only after it was polled, and polling gives an earlier abort first.
        self.abort = self.state.in_flight().or(self.abort);
    }

    pub(super) fn verdict(&self, method: Method, outcome: AttemptFailure<'_>) -> Verdict {
        let jitter = jitter(self.seed, self.tries.total());
        self.config.retry.verdict(self.now, method, outcome, self.tries, jitter)
    }

    /// Counts a retry and reports it. Returns its time.
    pub(super) fn schedule_retry(&mut self, after: Duration, probe: bool, reason: RetryReason) -> Timestamp {
        self.tries = self.tries.after(probe);
        self.report_retry(after, reason)
    }

    /// Reports a retry that was counted. Returns its time.
    pub(super) fn report_retry(&mut self, after: Duration, reason: RetryReason) -> Timestamp {
        let at = self.after(after);
        let is_download = self.state.event().is_some();
        self.notice(Notice::Retrying { at, after, retry: self.tries.total(), is_download, reason });
        at
    }

    /// Adds a notice, and removes an earlier one of the same kind.
    fn notice(&mut self, notice: Notice) {
        let kind = core::mem::discriminant(&notice);
        let notices = &mut self.rare().notices;
        notices.retain(|older| core::mem::discriminant(older) != kind);
        notices.push(notice);
    }

    pub(super) fn next_call(&mut self) -> CallId {
        let call = CallId(self.next_call);
        self.next_call += 1;
        call
    }

    /// Returns a time in the future, even for a duration of zero.
    pub(super) fn after(&self, duration: Duration) -> Timestamp {
        self.now.saturating_add(duration.max(Duration::from_millis(1)))
    }
}

/// Derives a seed from an order, by its token if it has one.
pub(super) fn seed_of(order: &Order) -> u64 {
    let mut hash = Sha256::new();
    hash.update(order.token().map_or(order.callback().as_str(), Token::as_str));
    for id in order.ids() {
        hash.update(id.as_str());
    }
    let digest: [u8; 32] = hash.finalize().into();
    digest.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

/// Returns a number that differs between jobs and between retries, and is the same after a restore (`SplitMix64`).
pub(super) fn jitter(seed: u64, retry: u32) -> u64 {
    let mut bits = seed.wrapping_add(u64::from(retry).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

pub(super) fn shown(reason: &str) -> Box<str> {
    excerpt(reason.as_bytes(), MAX_REASON).into()
}

/// How many events without a token a job keeps before the answer arrives.
pub(super) const MAX_HELD: usize = 16;

const MAX_REASON: usize = 200;
