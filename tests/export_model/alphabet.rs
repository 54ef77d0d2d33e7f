//! Everything that can happen to an export, as letters without data of their own.
//!
//! A letter means the same at every moment: an answer is to the newest attempt, whether there is one
//! or not, so that every sequence of letters is a legal history.

use std::{sync::LazyLock, time::Duration};

use abyssale_core::{
    CallError, CallId, Disposition, Export, Input, Sent, Timestamp, Token, download::DownloadError,
    http::Response, webhook::NewExport,
};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Letter {
    /// Time passes until the job's own deadline.
    Deadline,
    /// Time passes until a millisecond before it.
    JustBefore,
    /// Some time passes.
    Pass(Duration),
    /// The clock is set back by an hour.
    ClockBack,
    /// One output is polled, saved for, and carried out.
    PollOnce,
    /// All outputs are.
    PollAll,
    /// The newest attempt comes to this.
    Answer(Answer),
    /// The newest attempt is answered in the very millisecond of its deadline.
    AnswerAtDeadline,
    /// Attempts before the newest are heard of again, in every way there is.
    Stale,
    /// An event is delivered to an address, the job saved, and the delivery acknowledged.
    Event(Story, Address),
    /// The newest attempt, as a download: some bytes came.
    Progress,
    /// The newest attempt, as a download: it broke off.
    Interrupted,
    /// The newest attempt, as a download: the archive is here.
    Downloaded,
    /// The archive is not wanted any more.
    Cancel,
    /// The process ends, and another one begins from what was saved.
    Crash,
    /// The same, just after an output was polled and before the job was saved.
    CrashAfterPoll,
    /// The same, just after an event was handled and before the job was saved.
    CrashAfterEvent,
}

/// What an attempt comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    /// 200 with an export id.
    Accepted,
    /// 200 with something else.
    Unreadable,
    /// 429 with `Retry-After`.
    Throttled,
    /// 429 without.
    BareThrottled,
    /// 503.
    Fault,
    /// 400 that names a banner.
    Invalid,
    /// 401.
    Unauthorized,
    /// 404.
    NotFound,
    /// It was never sent.
    NotSent,
    /// It may have been sent, and got no answer.
    Lost,
}

/// What an event says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Story {
    /// What the service would say, had it given the answer of [`Answer::Accepted`].
    Right,
    /// The same export, and another archive.
    OtherArchive,
    /// Another export.
    OtherExport,
}

/// Where an event is delivered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Address {
    /// With the job's token.
    Ours,
    /// Without a token.
    Bare,
    /// With the token of another job.
    Foreign,
}

/// The letters of the exhaustive search; the random one also lets other times pass.
pub(crate) const ALPHABET: [Letter; 31] = [
    Letter::PollAll,
    Letter::PollOnce,
    Letter::Deadline,
    Letter::JustBefore,
    Letter::Pass(Duration::from_secs(7)),
    Letter::ClockBack,
    Letter::Answer(Answer::Accepted),
    Letter::Answer(Answer::Unreadable),
    Letter::Answer(Answer::Throttled),
    Letter::Answer(Answer::BareThrottled),
    Letter::Answer(Answer::Fault),
    Letter::Answer(Answer::Invalid),
    Letter::Answer(Answer::Unauthorized),
    Letter::Answer(Answer::NotFound),
    Letter::Answer(Answer::NotSent),
    Letter::Answer(Answer::Lost),
    Letter::AnswerAtDeadline,
    Letter::Stale,
    Letter::Event(Story::Right, Address::Ours),
    Letter::Event(Story::OtherArchive, Address::Ours),
    Letter::Event(Story::OtherExport, Address::Ours),
    Letter::Event(Story::Right, Address::Bare),
    Letter::Event(Story::OtherArchive, Address::Bare),
    Letter::Event(Story::Right, Address::Foreign),
    Letter::Progress,
    Letter::Interrupted,
    Letter::Downloaded,
    Letter::Cancel,
    Letter::Crash,
    Letter::CrashAfterPoll,
    Letter::CrashAfterEvent,
];

impl Answer {
    /// Tells the machine.
    pub(crate) fn to(self, export: &mut Export, now: Timestamp, call: CallId) -> Disposition {
        let (status, headers, body): (u16, &[(&str, &str)], &[u8]) = match self {
            Self::Accepted => (200, &[], br#"{"export_id":"54e62358-2656-455c-afd7-66d5ed3dd581"}"#),
            Self::Unreadable => (200, &[], b"{}"),
            Self::Throttled => (429, &[("retry-after", "2")], br#"{"id":"request_rate_limited"}"#),
            Self::BareThrottled => (429, &[], br#"{"message":"Too Many Requests"}"#),
            Self::Fault => (503, &[], b"<html>"),
            Self::Invalid => (400, &[], br#"{"errors":{"media":{"ids":{"0":["Length must be 36."]}}}}"#),
            Self::Unauthorized => (401, &[], br#"{"id":"unauthorized"}"#),
            Self::NotFound => (404, &[], b""),
            Self::NotSent => {
                return export.handle(
                    now,
                    Input::CallFailed {
                        call,
                        error: CallError { sent: Sent::Never, reason: "refused".into() },
                    },
                );
            }
            Self::Lost => {
                return export.handle(
                    now,
                    Input::CallFailed {
                        call,
                        error: CallError { sent: Sent::Maybe, reason: "reset".into() },
                    },
                );
            }
        };
        export.handle(now, Input::Response { call, response: Response::new(status, headers, body) })
    }
}

impl Story {
    pub(crate) fn export_id(self) -> &'static str {
        match self {
            Self::Right | Self::OtherArchive => EXPORT,
            Self::OtherExport => "00000000-2656-455c-afd7-66d5ed3dd581",
        }
    }

    pub(crate) fn event(self) -> &'static NewExport {
        static EVENTS: LazyLock<[NewExport; 3]> = LazyLock::new(|| {
            [
                (Story::Right, "https://store.example.com/right.zip"),
                (Story::OtherArchive, "https://store.example.com/other-archive.zip"),
                (Story::OtherExport, "https://store.example.com/other-export.zip"),
            ]
            .map(|(story, url)| {
                let json = serde_json::json!({ "export_id": story.export_id(), "archive_url": url });
                serde_json::from_value(json).unwrap()
            })
        });
        let [right, other_archive, other_export] = &*EVENTS;
        match self {
            Self::Right => right,
            Self::OtherArchive => other_archive,
            Self::OtherExport => other_export,
        }
    }

    /// Tells the machine.
    pub(crate) fn to(self, export: &mut Export, now: Timestamp, address: Address) -> Disposition {
        let token = match address {
            Address::Ours => Some(our_token()),
            Address::Bare => None,
            Address::Foreign => Some(Token::from_random([8; 16])),
        };
        export.handle(now, Input::Event { event: self.event().clone(), token })
    }
}

/// What can be heard of a download.
pub(crate) fn progress(call: CallId) -> Input {
    Input::Progress { call, received: 1, total: None }
}

pub(crate) fn interrupted(call: CallId) -> Input {
    Input::DownloadFailed { call, error: DownloadError::Interrupted("reset".into()) }
}

pub(crate) fn downloaded(call: CallId) -> Input {
    Input::Downloaded { call, bytes: 22 }
}

pub(crate) fn our_token() -> Token {
    Token::from_random([7; 16])
}

/// The name of an attempt that the machine has not made (yet).
pub(crate) fn invented(number: u64) -> CallId {
    serde_json::from_value(number.into()).unwrap()
}

pub(crate) const EXPORT: &str = "54e62358-2656-455c-afd7-66d5ed3dd581";
