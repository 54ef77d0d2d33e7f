//! One request under way: from the bytes to send to what the job is told. The socket is the runtime's.

use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

use abyssale_core::{
    CallError, CallId, Input, MAX_ANSWER, Output, Sent, Timestamp,
    download::{DownloadError, Receive, Step, Transfer},
    http::{Request, Scheme},
};
use abyssale_host::DownloadFile;

use crate::http::Answer;

/// One call or download.
///
/// Connect to where [`connect_to`](Self::connect_to) says, send [`to_send`](Self::to_send), hand what comes to
/// [`received`](Self::received) while it [`wants_more`](Self::wants_more); begin anew while there is somewhere to connect
/// to; then tell the job what it came to, which is [`over`](Self::over).
#[derive(Debug)]
pub struct Attempt {
    call: CallId,
    kind: Kind,
    /// What reads the answer, once the request is sent.
    reader: Option<Answer>,
    phase: Phase,
    /// Whether a byte of the request may have been sent.
    begun: bool,
}

#[derive(Debug)]
enum Kind {
    Call {
        request: Request,
        deadline: Instant,
    },
    Download {
        transfer: Box<Transfer>,
        file: Option<Box<DownloadFile>>,
        receive: Option<Receive>,
        first_byte: Duration,
        stall: Duration,
    },
}

#[derive(Debug)]
enum Phase {
    /// To be sent, on a connection of its own.
    Connect,
    /// Sent, and not yet answered. After the head it is known what to make of the body.
    Exchange {
        knows_head: bool,
    },
    Over(Input),
}

impl Attempt {
    /// What a [`Output::Call`] or [`Output::Download`] asks for; `None` for every other output.
    ///
    /// `now` is the time of the clock that the job runs on.
    pub fn new(output: Output, target: &Path, now: Timestamp) -> Option<Self> {
        let mut phase = Phase::Connect;
        let (call, kind) = match output {
            Output::Call { call, request, deadline } => {
                let deadline = Instant::now() + deadline.saturating_duration_since(now);
                (call, Kind::Call { request, deadline })
            }
            Output::Download { call, mut transfer, limits } => {
                let (first_byte, stall) = (limits.first_byte_timeout, limits.stall_timeout);
                let file = DownloadFile::open(target).map_err(|error| {
                    phase = Phase::Over(Input::of_download(call, Err(error)));
                });
                if let Ok(file) = &file {
                    *transfer = file.resumed(*transfer);
                }
                (
                    call,
                    Kind::Download {
                        transfer,
                        file: file.ok().map(Box::new),
                        receive: None,
                        first_byte,
                        stall,
                    },
                )
            }
            _ => return None,
        };
        Some(Self { call, kind, reader: None, phase, begun: false })
    }

    /// The request to send now, for a runtime that has an HTTP client. What is received from here on is its answer.
    pub fn request_to_send(&mut self) -> Request {
        self.expect();
        self.request()
    }

    fn request(&self) -> Request {
        match &self.kind {
            Kind::Call { request, .. } => request.clone(),
            Kind::Download { transfer, .. } => transfer.request(),
        }
    }

    /// Where to connect to, `host:port`; `None` once the attempt is over.
    pub fn connect_to(&mut self) -> Option<String> {
        let url = self.request().url().clone();
        if matches!(self.phase, Phase::Connect) && url.scheme() == Scheme::Https {
            self.broke(&io::Error::other("this example has sockets and no TLS"));
        }
        let host = if url.host().contains(':') { format!("[{}]", url.host()) } else { url.host().into() };
        matches!(self.phase, Phase::Connect).then(|| format!("{host}:{}", url.port()))
    }

    /// The bytes to send once there is a connection. From here on they may have been seen.
    pub fn to_send(&mut self) -> Vec<u8> {
        self.begun = true;
        self.expect()
    }

    /// Returns the bytes of the request. What is received from here on is the answer.
    fn expect(&mut self) -> Vec<u8> {
        self.phase = Phase::Exchange { knows_head: false };
        match Answer::to(&self.request()) {
            Ok((bytes, reader)) => {
                self.reader = Some(reader);
                bytes
            }
            Err(error) => {
                self.broke(&error);
                Vec::new()
            }
        }
    }

    /// Whether the answer on this connection is not whole yet.
    pub fn wants_more(&self) -> bool {
        matches!(self.phase, Phase::Exchange { .. })
    }

    /// Whether there is nothing left to do but to tell what it came to.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }

    /// How long to wait for the next sign of life.
    pub fn patience(&self) -> Duration {
        match &self.kind {
            Kind::Call { deadline, .. } => deadline.saturating_duration_since(Instant::now()),
            Kind::Download { receive: None, first_byte, .. } => *first_byte,
            Kind::Download { stall, .. } => *stall,
        }
    }

    /// Takes what came; nothing means that the connection has ended. What it returns is to be told to the job.
    pub fn received(&mut self, bytes: &[u8]) -> Option<Input> {
        let Some(reader) = &mut self.reader else { return None };
        let read = match bytes {
            [] if reader.end() => Ok(()),
            [] => Err("the answer broke off".to_owned()),
            bytes => reader.feed(bytes).map_err(|error| error.to_string()),
        };
        if let Err(error) = self.take_in() {
            self.phase = Phase::Over(Input::of_download(self.call, Err(error)));
        } else if let (Err(error), true) = (read, self.wants_more()) {
            self.broke(&io::Error::other(error));
        }
        match &self.kind {
            Kind::Download { file: Some(file), receive: Some(receive), .. } => {
                Some(Input::Progress { call: self.call, received: file.len(), total: receive.total })
            }
            _ => None,
        }
    }

    /// Nothing more will come, because of this.
    pub fn broke(&mut self, error: &dyn std::error::Error) {
        let (call, reason) = (self.call, error.to_string().into());
        let is_receiving = matches!(self.kind, Kind::Download { receive: Some(_), .. });
        self.phase = Phase::Over(match (self.answered(), &self.kind) {
            // The status has said the main thing already.
            (Some(answered), _) if !is_receiving => answered,
            (_, Kind::Call { .. }) => {
                let sent = if self.begun { Sent::Maybe } else { Sent::Never };
                Input::of_call(call, Err(CallError { sent, reason }))
            }
            (_, Kind::Download { .. }) => Input::of_download(call, Err(DownloadError::Interrupted(reason))),
        });
    }

    /// For a runtime whose HTTP client says when it is done: whether a byte was sent, and how it ended.
    #[must_use]
    pub fn ended(mut self, was_sent: bool, result: Result<(), impl std::error::Error>) -> Self {
        self.begun |= was_sent;
        match result {
            // It was ended here, when there was enough of it.
            _ if !self.wants_more() => {}
            Ok(()) => drop(self.received(&[])),
            Err(error) => self.broke(&error),
        }
        self
    }

    /// What it came to.
    pub fn over(mut self) -> Input {
        if !matches!(self.phase, Phase::Over(_)) {
            self.broke(&io::Error::other("nobody went on with it"));
        }
        match self.phase {
            Phase::Over(report) => report,
            Phase::Connect | Phase::Exchange { .. } => unreachable!("it was just ended"),
        }
    }

    /// Looks at a head that is new, and puts away what came of an archive.
    fn take_in(&mut self) -> Result<(), DownloadError> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        if let (Phase::Exchange { knows_head: false }, Some((status, fields))) = (&self.phase, reader.head())
        {
            self.phase = Phase::Exchange { knows_head: true };
            if let Kind::Download { transfer, file, receive, .. } = &mut self.kind {
                match transfer.handle_head(*status, fields) {
                    Step::Receive(whole) => {
                        if let Some(file) = file {
                            file.begin(&whole)?;
                        }
                        *receive = Some(whole);
                    }
                    Step::Refused { is_gone } => {
                        if let Some(file) = file.take().filter(|_| is_gone) {
                            file.discard();
                        }
                    }
                    Step::Failed(error) => {
                        return Err(match file.take() {
                            Some(file) => file.give_up(error),
                            None => error,
                        });
                    }
                    // Somewhere else, or all of it: on another connection.
                    _ => {
                        self.phase = Phase::Connect;
                        return Ok(());
                    }
                }
            }
        }
        if let Kind::Download { file, receive: Some(receive), .. } = &mut self.kind {
            if let Some(file) = file {
                file.write(&reader.take_body())?;
            }
            if reader.is_done()
                && let Some(file) = file.take()
            {
                let bytes = file.finish(receive)?;
                self.phase = Phase::Over(Input::of_download(self.call, Ok(bytes)));
            }
        } else if (reader.is_done() || reader.body_len() >= MAX_ANSWER)
            && let Some(answered) = self.answered()
        {
            self.phase = Phase::Over(answered);
        }
        Ok(())
    }

    fn answered(&mut self) -> Option<Input> {
        let answer = self.reader.as_mut()?.take_response()?;
        Some(match &self.kind {
            Kind::Call { .. } => Input::of_call(self.call, Ok(answer)),
            Kind::Download { transfer, .. } => {
                Input::of_download(self.call, Err(DownloadError::Refused(transfer.redact(answer))))
            }
        })
    }
}
