//! A check of what an export needs, before there is one: the key, the callback URL, the clock and the output folder.
//!
//! A transport sends two requests: `POST /auth` to the service, and a delivery of our own to the callback URL by its public
//! name. That the latter arrived at our own receiver proves that the URL leads here: its export id is random, and known to
//! nobody else. A stranger learns nothing from the receiver, since any other delivery is answered as ever.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use abyssale_core::{
    ApiError, CallError, Endpoint, ExportId, Timestamp,
    http::{Request, Response},
    webhook::Reply,
};
use thiserror::Error;

use crate::{Callback, Clock, Deliveries, Error, random_token};

/// Something that would keep an export from its archive, and what to do about it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Finding {
    /// The service did not answer, so neither the key nor the clock could be checked.
    #[error("the service does not answer: {}; check the network and the base URL", .0.reason)]
    NoService(CallError),
    /// The service does not accept the key.
    #[error("the API key is refused: {0}; check that it is complete, active, and of the right workspace")]
    Key(ApiError),
    /// The service answered something from which nothing follows about the key.
    #[error("the API key could not be checked: {0}; check the base URL, or try again later")]
    KeyUnknown(ApiError),
    /// The clock of this machine differs from the service's by more than a minute. From five minutes on, every signed
    /// delivery is refused.
    #[error("the clock of this machine is {} s {} the service's; set it by NTP, or signed deliveries are refused", by.as_secs(), if *is_ahead { "ahead of" } else { "behind" })]
    Clock {
        /// The difference.
        by: Duration,
        /// Whether this machine is ahead.
        is_ahead: bool,
    },
    /// The callback URL could not be reached. Where a network does not route its own public address back, it may be
    /// reachable for the service nevertheless.
    #[error(
        "the callback URL cannot be reached from here: {}; check its name, port and certificate, and that no firewall is in the way", .0.reason
    )]
    CallbackUnreachable(CallError),
    /// Something else answered at the callback URL.
    #[error(
        "the callback URL does not lead to this program: something else answered {status}; check the name and where its proxy forwards to"
    )]
    CallbackElsewhere {
        /// The status of its answer.
        status: u16,
    },
    /// A delivery arrived, and was not genuine any more.
    #[error(
        "a delivery through the callback URL arrives, but changed: {0}; let the proxy pass path, method, headers and body as they are"
    )]
    CallbackChanged(Reply),
    /// A delivery arrived, but the service would not see that it was acknowledged.
    #[error("a delivery through the callback URL arrives, but its sender is not told 200, {}; let the proxy pass the answer on", answer.as_ref().map_or_else(|error| error.reason.to_string(), |status| format!("but {status}")))]
    CallbackAnswer {
        /// The status that arrived instead, or why none did.
        answer: Result<u16, CallError>,
    },
    /// No file can be created in the output folder.
    #[error("the folder {} cannot be written to: {reason}; choose another, or change its permissions", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system says.
        reason: String,
    },
}

impl Finding {
    /// Returns what was checked: `key`, `clock`, `callback` or `folder`.
    pub fn subject(&self) -> &'static str {
        match self {
            Self::NoService(_) | Self::Key(_) | Self::KeyUnknown(_) => "key",
            Self::Clock { .. } => "clock",
            Self::CallbackUnreachable(_)
            | Self::CallbackElsewhere { .. }
            | Self::CallbackChanged(_)
            | Self::CallbackAnswer { .. } => "callback",
            Self::Folder { .. } => "folder",
        }
    }
}

/// What the answer to [`Endpoint::check_key`] says of the key and of the clock.
pub fn check_service(endpoint: &Endpoint, answer: Result<Response, CallError>) -> Vec<Finding> {
    let now = Clock::wall();
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return vec![Finding::NoService(error)],
    };
    let key = (!(200..300).contains(&answer.status)).then(|| {
        let error = ApiError::parse(answer.status, &answer.headers, &endpoint.redact(&answer.body));
        if matches!(answer.status, 401 | 403) { Finding::Key(error) } else { Finding::KeyUnknown(error) }
    });
    key.into_iter().chain(clock(now, answer.date(now))).collect()
}

fn clock(here: Timestamp, there: Option<Timestamp>) -> Option<Finding> {
    let there = there?;
    let (ahead, behind) = (here.saturating_duration_since(there), there.saturating_duration_since(here));
    let by = ahead.max(behind);
    (by > TOLERATED).then_some(Finding::Clock { by, is_ahead: ahead > behind })
}

/// A delivery of our own that is under way to the callback URL.
#[derive(Debug)]
pub struct CallbackCheck<'d> {
    deliveries: &'d Deliveries,
    export_id: ExportId,
}

impl<'d> CallbackCheck<'d> {
    /// How long the service waits for the answer to a delivery.
    pub const TIMEOUT: Duration = Duration::from_secs(15);

    /// Returns the request to send within [`Self::TIMEOUT`].
    ///
    /// # Errors
    ///
    /// Fails if the operating system has no random numbers.
    pub fn begin(deliveries: &'d Deliveries, callback: &Callback) -> Result<(Self, Request), Error> {
        let (export_id, request) = deliveries.probe(callback)?;
        Ok((Self { deliveries, export_id }, request))
    }

    /// Says what follows from the answer, and from whether the delivery arrived.
    pub fn end(self, answer: Result<Response, CallError>) -> Option<Finding> {
        let answer = answer.map(|answer| answer.status);
        match (self.deliveries.arrived(&self.export_id), answer) {
            (Some(Reply::Acknowledged), Ok(200)) => None,
            (Some(Reply::Acknowledged), answer) => Some(Finding::CallbackAnswer { answer }),
            (Some(refusal), _) => Some(Finding::CallbackChanged(refusal)),
            (None, Ok(status)) => Some(Finding::CallbackElsewhere { status }),
            (None, Err(error)) => Some(Finding::CallbackUnreachable(error)),
        }
    }
}

impl Drop for CallbackCheck<'_> {
    fn drop(&mut self) {
        let _given_up = self.deliveries.arrived(&self.export_id);
    }
}

/// Creates a file in the folder that archives go to, and removes it.
pub fn check_folder(folder: &Path) -> Option<Finding> {
    let written = || -> Result<(), String> {
        let random = random_token().map_err(|error| error.to_string())?;
        let path = folder.join(format!(".abyssale-check-{}", random.as_str()));
        let created = File::create_new(&path).and_then(|mut file| file.write_all(b"check"));
        let removed = fs::remove_file(&path);
        created.and(removed).map_err(|error| error.to_string())
    };
    let failed = |reason| Finding::Folder { path: folder.to_owned(), reason };
    written().err().map(failed)
}

/// A difference that no delivery is refused for, and more than a request takes.
const TOLERATED: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use abyssale_core::ApiKey;

    use super::*;

    #[test]
    fn the_answer_to_the_key_tells_the_clock_too() {
        let endpoint = Endpoint::new("https://h", ApiKey::new("hunter2hunter2").unwrap()).unwrap();
        let old = [("date", "Sun, 06 Nov 1994 08:49:37 GMT")];
        for (status, headers, subjects) in [
            (200, &[][..], &[][..]),
            (401, &[], &["key"]),
            (403, &old, &["key", "clock"]),
            (502, &[], &["key"]),
            (204, &old, &["clock"]),
        ] {
            let findings = check_service(&endpoint, Ok(Response::new(status, headers, b"hunter2hunter2")));
            assert_eq!(findings.iter().map(Finding::subject).collect::<Vec<_>>(), subjects);
            assert!(!format!("{findings:?}").contains("hunter2"), "{findings:?}");
        }
    }

    #[test]
    fn a_minute_is_tolerated_in_both_directions() {
        let at = Timestamp::from_secs;
        let seconds = |there| match clock(at(10_000), Some(at(there))) {
            Some(Finding::Clock { by, is_ahead }) => Some((by.as_secs(), is_ahead)),
            _ => None,
        };
        assert_eq!((seconds(9_940), seconds(10_060)), (None, None));
        assert_eq!((seconds(9_400), seconds(10_600)), (Some((600, true)), Some((600, false))));
        assert!(clock(at(10_000), None).is_none());
    }

    #[test]
    fn a_folder_that_is_not_there_is_found() {
        assert!(check_folder(Path::new("/nowhere/at/all")).is_some());
        assert!(check_folder(&std::env::temp_dir()).is_none());
    }
}
