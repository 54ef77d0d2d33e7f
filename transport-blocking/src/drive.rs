//! The loop around core's machine: carries out what it says, and tells it what happened.

use std::{
    path::Path,
    sync::mpsc::{Receiver, RecvTimeoutError},
};

use abyssale_core::{Export, ExportId, Failure, Finished, Input, Output, Token, webhook::NewExport};
use abyssale_host::{Observer, Progress};

use crate::{
    Client,
    fetch::{Count, NotFetched, fetch},
    send::send,
};

/// An event on its way to a job, with the token of the address that it came to.
pub(crate) type Mail = (NewExport, Option<Token>);

/// Carries out a job in the calling thread.
///
/// `named` is called, perhaps repeatedly, once the answer has told the export's id; `target` is where the archive goes.
pub(crate) fn drive(
    client: &Client,
    export: &mut Export,
    mailbox: &Receiver<Mail>,
    target: &Path,
    observer: &mut dyn Observer,
    named: &mut dyn FnMut(&ExportId),
) -> Result<Finished, Box<Failure>> {
    let clock = client.clock();
    loop {
        while let Some(output) = export.poll_output() {
            match output {
                Output::Call { call, request, deadline } => {
                    observer.observe(Progress::Requesting);
                    let timeout = deadline.saturating_duration_since(clock.now());
                    let answered = send(client.caller(), request, timeout);
                    // What was acknowledged while the call was under way counts first: it may settle what the call
                    // leaves open.
                    while let Ok((event, token)) = mailbox.try_recv() {
                        let _ =
                            export.handle(clock.now(), Input::Event { event: &event, token: token.as_ref() });
                    }
                    let disposition = match answered {
                        Ok(answer) => export.handle(
                            clock.now(),
                            Input::Response {
                                call,
                                status: answer.status,
                                headers: &answer.headers,
                                body: &answer.body,
                            },
                        ),
                        Err(error) => export.handle(
                            clock.now(),
                            Input::CallFailed { call, sent: error.sent, reason: &error.reason },
                        ),
                    };
                    // Whatever became of it, the next output says what follows.
                    let _ = disposition;
                }
                Output::Download { call, request, stall_timeout } => {
                    let mut progress = |Count { received, total, resumed_from }| {
                        let _ = export.handle(clock.now(), Input::Progress { call, received, total });
                        observer.observe(Progress::Downloading { received, total, resumed_from });
                    };
                    let fetched = fetch(client, &request, stall_timeout, target, &mut progress);
                    if let Ok(bytes) = fetched {
                        observer.observe(Progress::Saved { path: target, bytes });
                    }
                    let reason;
                    let input = match &fetched {
                        Ok(bytes) => Input::Downloaded { call, bytes: *bytes },
                        Err(NotFetched::Refused(answer)) => Input::Response {
                            call,
                            status: answer.status,
                            headers: &answer.headers,
                            body: &answer.body,
                        },
                        Err(NotFetched::Failed(error)) => {
                            reason = error.to_string();
                            Input::DownloadFailed { call, error: error.as_input(&reason) }
                        }
                    };
                    let _ = export.handle(clock.now(), input);
                }
                Output::Notice(notice) => observer.observe(Progress::Notice(&notice)),
                Output::Done(result) => return result,
                // Calls are made one after the other here, so there is none to abort; new kinds of
                // output are added together with what carries them out.
                _ => {}
            }
            if let Some(id) = export.export_id() {
                named(id);
            }
        }
        let wait = export.poll_timeout().map(|deadline| deadline.saturating_duration_since(clock.now()));
        let _ = match mailbox.recv_timeout(wait.unwrap_or_default()) {
            Ok((event, token)) => {
                export.handle(clock.now(), Input::Event { event: &event, token: token.as_ref() })
            }
            Err(RecvTimeoutError::Timeout) => export.handle(clock.now(), Input::Tick),
            // Cannot be while the job holds its own sending end; if it were, waiting would spin.
            Err(RecvTimeoutError::Disconnected) => export.handle(clock.now(), Input::Cancel),
        };
    }
}
