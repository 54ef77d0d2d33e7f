//! All changes of a job's state. Each goes through [`Export::enter`].

use alloc::{borrow::Cow, boxed::Box, format, string::ToString, vec::Vec};
use core::time::Duration;

use sha2::{Digest, Sha256};

use super::{
    AttemptFailure, CallId, Config, Disposition, Export, Failure, Finished, NotTaken, Notice, RetryReason,
    State, Tries, UnknownCause, UnknownOutcome,
};
use crate::{
    archive::{self, NotAnArchive},
    download::{DownloadError, Transfer},
    error::ApiError,
    http::{Method, Response},
    id::ExportId,
    order::{Goal, Order},
    redact::{excerpt, redact_query},
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
                    Verdict::Final => self.not_taken(Failure::Refused(error)),
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
            Verdict::Final | Verdict::Unknown => self.not_taken(Failure::Unreachable { reason }),
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
    fn not_taken(&mut self, failure: Failure) {
        let failure = self.doubt().cloned().map_or(failure, Failure::Unknown);
        self.fail(failure);
    }

    /// Follows the policy for a request that may or may not have been accepted.
    pub(super) fn unknown(&mut self, cause: UnknownCause) {
        match self.config.unknown_outcome {
            UnknownOutcome::AwaitEvent { grace } if self.order.token().is_some() => {
                let until = self.after(grace);
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

/// Downloads.
impl Export {
    pub(super) fn fetch(&mut self, event: Box<NewExport>) {
        let Config { endpoint, archive, .. } = &*self.config;
        match archive.check(&event.archive_url, endpoint.base_url()) {
            Ok(url) => {
                let transfer = Transfer::new(url, archive.clone(), endpoint.base_url().clone());
                self.transfer = Some(Box::new(transfer));
            }
            Err(source) => return self.fail(Failure::ArchiveUrl { event: *event, source }),
        }
        let call = self.next_call();
        self.enter(State::Downloading {
            event,
            call,
            sent: false,
            deadline: self.after(self.config.first_byte_timeout),
        });
    }

    /// Extends the download's time limit after progress. This does not need to be saved.
    pub(super) fn extend_download(&mut self) {
        let deadline = self.after(self.config.stall_timeout);
        if let Some(current) = self.state.deadline_mut() {
            *current = deadline;
        }
    }

    pub(super) fn download_answered(&mut self, response: &Response) -> Disposition {
        let Response { status, headers, body } = response;
        let status = *status;
        let has_no_body = matches!(status, 202 | 204 | 205);
        if (200..300).contains(&status) && !has_no_body {
            self.extend_download();
            return Disposition::Accepted;
        }
        let State::Downloading { event, .. } = &self.state else { return Disposition::Stale };
        let body = without_query(event, body);
        let said = archive::store_error(&body);
        if archive::is_gone(status) || has_no_body {
            let (event, host) = ((**event).clone(), host(event));
            let reason = said.unwrap_or_default();
            let failure = if has_no_body {
                Failure::Download { event, host, reason: format!("it answered {status}").into() }
            } else {
                Failure::ArchiveGone { event, host, status, reason: reason.clone() }
            };
            if status == 410 {
                self.fail(failure);
            } else {
                let why = format!("the archive is not there yet: the store answered {status} {reason}");
                self.archive_not_ready(failure, why.trim_end().into());
            }
        } else {
            let error = ApiError::parse(status, headers, &body);
            let outcome = if archive::may_pass(status) {
                AttemptFailure::Unavailable(error.retry_delay(self.now))
            } else {
                AttemptFailure::Refused(&error)
            };
            let verdict = self.verdict(Method::Get, outcome);
            let reason = match said {
                Some(said) => shown(&format!("it answered {status} {said}")),
                None => shown(&error.to_string()),
            };
            self.download_retry(verdict, RetryReason::Refused(error), reason);
        }
        Disposition::Accepted
    }

    pub(super) fn download_failed(&mut self, error: DownloadError) -> Disposition {
        let State::Downloading { event, .. } = &self.state else { return Disposition::Stale };
        let event = (**event).clone();
        match error {
            DownloadError::Refused(response) => return self.download_answered(&response),
            DownloadError::Interrupted(reason) => {
                let verdict = self.verdict(Method::Get, AttemptFailure::Lost);
                self.download_retry(verdict, RetryReason::Failed(shown(&reason)), shown(&reason));
            }
            // Some stores and caches answer with an empty body or an error page before they have the archive.
            DownloadError::NotAnArchive(source @ NotAnArchive::NoMagic { .. }) => {
                let why = shown(&format!("the archive is not there yet: {source}"));
                self.archive_not_ready(Failure::NotAnArchive { event, source }, why);
            }
            DownloadError::NotAnArchive(source) => {
                self.fail(Failure::NotAnArchive { event, source });
            }
            DownloadError::Address(source) => {
                self.fail(Failure::ArchiveUrl { event, source });
            }
            DownloadError::Storage(reason) => {
                self.fail(Failure::Storage { event, reason: shown(&reason) });
            }
        }
        Disposition::Accepted
    }

    pub(super) fn downloaded(&mut self, call: CallId, bytes: u64) -> Disposition {
        match &self.state {
            State::Downloading { event, call: current, sent: true, .. } if *current == call => {
                let event = (**event).clone();
                self.finish(Finished::Archive { event, bytes });
                Disposition::Accepted
            }
            _ => Disposition::Stale,
        }
    }

    /// Requests the archive again after a wait, since the store may not have it yet, or fails.
    fn archive_not_ready(&mut self, failure: Failure, why: Box<str>) {
        let State::Downloading { event, .. } = &self.state else { return };
        let event = event.clone();
        let jitter = jitter(self.seed, self.tries.total());
        let Verdict::Retry { after, .. } = self.config.retry.archive_verdict(self.tries, jitter) else {
            return self.fail(failure);
        };
        self.tries = self.tries.after_not_ready();
        let until = self.report_retry(after, RetryReason::Failed(why));
        self.enter(State::DownloadBackoff { event, until });
    }

    fn download_retry(&mut self, verdict: Verdict, why: RetryReason, reason: Box<str>) {
        let State::Downloading { event, .. } = &self.state else { return };
        let event = event.clone();
        match verdict {
            Verdict::Retry { after, probe } => {
                let until = self.schedule_retry(after, probe, why);
                self.enter(State::DownloadBackoff { event, until });
            }
            Verdict::Final | Verdict::Unknown => {
                let host = host(&event);
                self.fail(Failure::Download { event: *event, host, reason });
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
                    self.fail(Failure::Unknown(cause));
                }
                State::AwaitingEvent { export_id, since, .. } => {
                    let (export_id, waited) = (export_id.clone(), self.now.saturating_duration_since(*since));
                    let not_taken = self.rare.as_ref().and_then(|rare| rare.not_taken.clone());
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

    fn finish(&mut self, finished: Finished) {
        self.enter(State::Done(Ok(Box::new(finished))));
    }

    /// Changes the state.
    fn enter(&mut self, state: State) {
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

    fn verdict(&self, method: Method, outcome: AttemptFailure<'_>) -> Verdict {
        let jitter = jitter(self.seed, self.tries.total());
        self.config.retry.verdict(self.now, method, outcome, self.tries, jitter)
    }

    /// Counts a retry and reports it. Returns its time.
    fn schedule_retry(&mut self, after: Duration, probe: bool, reason: RetryReason) -> Timestamp {
        self.tries = self.tries.after(probe);
        self.report_retry(after, reason)
    }

    /// Reports a retry that was counted. Returns its time.
    fn report_retry(&mut self, after: Duration, reason: RetryReason) -> Timestamp {
        let at = self.after(after);
        self.notice(Notice::Retrying { at, after, retry: self.tries.total(), reason });
        at
    }

    /// Adds a notice, and removes an earlier one of the same kind.
    fn notice(&mut self, notice: Notice) {
        let kind = core::mem::discriminant(&notice);
        let notices = &mut self.rare().notices;
        notices.retain(|older| core::mem::discriminant(older) != kind);
        notices.push(notice);
    }

    fn next_call(&mut self) -> CallId {
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

/// Removes the query of the archive's URL from a body: a server's refusal may repeat the signature.
fn without_query<'b>(event: &NewExport, body: &'b [u8]) -> Cow<'b, [u8]> {
    let query = event.archive_url.split_once('?').map_or("", |(_, query)| query);
    redact_query(body, query)
}

fn host(event: &NewExport) -> Box<str> {
    crate::http::Url::from_peer(&event.archive_url).map(|url| url.host().into()).unwrap_or_default()
}

fn shown(reason: &str) -> Box<str> {
    excerpt(reason.as_bytes(), MAX_REASON).into()
}

/// How many events without a token a job keeps before the answer arrives.
pub(super) const MAX_HELD: usize = 16;

const MAX_REASON: usize = 200;
