//! Where a job stands: one of seven states, each with the time at which it ends by itself.

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};

use crate::{
    ExportId, Order, Timestamp,
    export::{CallId, Failure, Finished, UnknownCause},
    webhook::NewExport,
};

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// The request is to be sent (`sent` is false), or under way.
    Calling { call: CallId, sent: bool, deadline: Timestamp },
    /// The request was not taken, and will be repeated.
    Pausing { until: Timestamp },
    /// It is not known whether the request was taken; its event would tell.
    Uncertain { cause: Box<UnknownCause>, until: Timestamp },
    /// The request was taken.
    Waiting { export_id: ExportId, since: Timestamp, until: Timestamp },
    /// The archive is to be fetched (`sent` is false), or on its way.
    Fetching { event: Box<NewExport>, call: CallId, sent: bool, deadline: Timestamp },
    /// The download broke off, and will be repeated.
    Resting { event: Box<NewExport>, until: Timestamp },
    /// It is over.
    Done(Result<Box<Finished>, Box<Failure>>),
}

impl State {
    /// When the state ends by itself.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Calling { deadline, .. } | Self::Fetching { deadline, .. } => Some(*deadline),
            Self::Pausing { until }
            | Self::Uncertain { until, .. }
            | Self::Waiting { until, .. }
            | Self::Resting { until, .. } => Some(*until),
            Self::Done(_) => None,
        }
    }

    pub(super) fn deadline_mut(&mut self) -> Option<&mut Timestamp> {
        match self {
            Self::Calling { deadline, .. } | Self::Fetching { deadline, .. } => Some(deadline),
            Self::Pausing { until }
            | Self::Uncertain { until, .. }
            | Self::Waiting { until, .. }
            | Self::Resting { until, .. } => Some(until),
            Self::Done(_) => None,
        }
    }

    /// The attempt that is under way.
    pub(super) fn in_flight(&self) -> Option<CallId> {
        match self {
            Self::Calling { call, sent: true, .. } | Self::Fetching { call, sent: true, .. } => Some(*call),
            _ => None,
        }
    }

    /// The same state, with the banner id beside each problem of a refusal that is about one.
    pub(super) fn naming_ids(mut self, order: &Order) -> Self {
        let refusal = match &mut self {
            Self::Uncertain { cause, .. } => match &mut **cause {
                UnknownCause::Answer(error) => Some(error),
                _ => None,
            },
            Self::Done(Err(failure)) => match &mut **failure {
                Failure::Refused(error) | Failure::Unknown(UnknownCause::Answer(error)) => Some(error),
                _ => None,
            },
            _ => None,
        };
        if let Some(error) = refusal {
            *error = error.clone().naming_ids(order);
        }
        self
    }

    /// The event that was accepted.
    pub(super) fn event(&self) -> Option<&NewExport> {
        match self {
            Self::Fetching { event, .. } | Self::Resting { event, .. } => Some(event),
            Self::Done(Ok(finished)) => finished.event(),
            _ => None,
        }
    }

    /// Whether the event was taken, whatever came of the archive.
    pub(super) fn took_event(&self) -> bool {
        self.event().is_some() || matches!(self, Self::Done(Err(failure)) if failure.event().is_some())
    }

    /// The id of the export, where it is known.
    pub(super) fn export_id(&self) -> Option<&ExportId> {
        match self {
            Self::Waiting { export_id, .. } => Some(export_id),
            Self::Done(Ok(finished)) => Some(finished.export_id()),
            Self::Done(Err(failure)) => failure.export_id(),
            _ => self.event().map(|event| &event.export_id),
        }
    }
}
