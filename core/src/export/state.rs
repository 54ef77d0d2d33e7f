//! The states of a job, each with the time at which it ends by itself.

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};

use crate::{
    export::{
        failure::{Failure, UnknownCause},
        input::CallId,
        output::Finished,
    },
    id::ExportId,
    order::Order,
    time::Timestamp,
    webhook::NewExport,
};

/// The state of a job. In snapshots the states keep the names that the first release gave them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// The request is to be sent (`sent` is false), or under way.
    #[serde(rename = "calling")]
    Requesting { call: CallId, sent: bool, deadline: Timestamp },
    /// The request was refused or not sent, and will be repeated.
    #[serde(rename = "pausing")]
    RequestBackoff { until: Timestamp },
    /// It is unknown whether the service accepted the request; its event would tell.
    #[serde(rename = "uncertain")]
    OutcomeUnknown { cause: Box<UnknownCause>, until: Timestamp },
    /// The service accepted the request.
    #[serde(rename = "waiting")]
    AwaitingEvent { export_id: ExportId, since: Timestamp, until: Timestamp },
    /// The archive is to be downloaded (`sent` is false), or its download is under way.
    #[serde(rename = "fetching")]
    Downloading { event: Box<NewExport>, call: CallId, sent: bool, deadline: Timestamp },
    /// The download failed, and will be repeated.
    #[serde(rename = "resting")]
    DownloadBackoff { event: Box<NewExport>, until: Timestamp },
    /// The job is over.
    Done(Result<Box<Finished>, Box<Failure>>),
}

impl State {
    /// Returns when the state ends by itself.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Requesting { deadline, .. } | Self::Downloading { deadline, .. } => Some(*deadline),
            Self::RequestBackoff { until }
            | Self::OutcomeUnknown { until, .. }
            | Self::AwaitingEvent { until, .. }
            | Self::DownloadBackoff { until, .. } => Some(*until),
            Self::Done(_) => None,
        }
    }

    pub(super) fn deadline_mut(&mut self) -> Option<&mut Timestamp> {
        match self {
            Self::Requesting { deadline, .. } | Self::Downloading { deadline, .. } => Some(deadline),
            Self::RequestBackoff { until }
            | Self::OutcomeUnknown { until, .. }
            | Self::AwaitingEvent { until, .. }
            | Self::DownloadBackoff { until, .. } => Some(until),
            Self::Done(_) => None,
        }
    }

    /// Returns the attempt that is under way.
    pub(super) fn in_flight(&self) -> Option<CallId> {
        match self {
            Self::Requesting { call, sent: true, .. } | Self::Downloading { call, sent: true, .. } => {
                Some(*call)
            }
            _ => None,
        }
    }

    /// Adds the banner id to each problem of a refusal that concerns one.
    pub(super) fn naming_ids(mut self, order: &Order) -> Self {
        let refusal = match &mut self {
            Self::OutcomeUnknown { cause, .. } => cause.answer_mut(),
            Self::Done(Err(failure)) => match &mut **failure {
                Failure::Refused(error) => Some(error),
                Failure::Unknown(cause) => cause.answer_mut(),
                _ => None,
            },
            _ => None,
        };
        if let Some(error) = refusal {
            *error = error.clone().naming_ids(order);
        }
        self
    }

    /// Returns the event that the job took.
    pub(super) fn event(&self) -> Option<&NewExport> {
        match self {
            Self::Downloading { event, .. } | Self::DownloadBackoff { event, .. } => Some(event),
            Self::Done(Ok(finished)) => finished.event(),
            _ => None,
        }
    }

    /// Returns whether the job took its event, whether or not the download succeeded.
    pub(super) fn took_event(&self) -> bool {
        self.event().is_some() || matches!(self, Self::Done(Err(failure)) if failure.event().is_some())
    }

    /// Returns the export's id, if it is known.
    pub(super) fn export_id(&self) -> Option<&ExportId> {
        match self {
            Self::AwaitingEvent { export_id, .. } => Some(export_id),
            Self::Done(Ok(finished)) => Some(finished.export_id()),
            Self::Done(Err(failure)) => failure.export_id(),
            _ => self.event().map(|event| &event.export_id),
        }
    }
}
