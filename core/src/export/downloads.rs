//! The changes of a job's state by its download.

use alloc::{borrow::Cow, boxed::Box, format, string::ToString};

use super::{
    AttemptFailure, CallId, Config, Disposition, Export, Failure, Finished, RetryReason, State,
    transitions::{jitter, shown},
};
use crate::{
    archive::{self, NotAnArchive},
    download::{DownloadError, Transfer},
    error::ApiError,
    http::{Method, Response, Url},
    redact::redact_query,
    retry::Verdict,
    webhook::NewExport,
};

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

    pub(super) fn download_retry(&mut self, verdict: Verdict, why: RetryReason, reason: Box<str>) {
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

/// Removes the query of the archive's URL from a body: a server's refusal may repeat the signature.
fn without_query<'b>(event: &NewExport, body: &'b [u8]) -> Cow<'b, [u8]> {
    let query = event.archive_url.split_once('?').map_or("", |(_, query)| query);
    redact_query(body, query)
}

fn host(event: &NewExport) -> Box<str> {
    Url::from_peer(&event.archive_url).map(|url| url.host().into()).unwrap_or_default()
}
