//! What is said on one connection, and when: reads requests one after another, and tells the transport what to do next.
//!
//! ```text
//!            ┌──────────── 2xx, and there may be another ─────────────┐
//!            ▼                                                        │
//!   Idle ──byte──► Head ──admitted──► Body ──whole──► Handling ──answer──► Write
//!    ▲              │                  │                              │
//!  start            └──── refused ─────┴────────► Write ──► Lingering ◄┘ ──► Close
//! ```
//!
//! A connection goes on only after a request that was read wholly and strictly and was acknowledged: behind anything
//! else something could hide.

use std::{
    fmt, mem,
    sync::Arc,
    time::{Duration, Instant},
};

use abyssale_core::{
    http1::{BodyReader, Framing, Head, HeadReader, Malformed, answer, answer_and_keep},
    webhook::{MAX_DELIVERY, Reply},
};

use super::{ListenerSettings, Memory, Phase, memory::Share};
use crate::Counters;

/// One connection's conversation. Tell it what came of each [`Step`], then ask for the next.
pub struct Conversation {
    settings: Arc<ListenerSettings>,
    counters: Arc<Counters>,
    memory: Arc<Memory>,
    state: State,
    /// What has been read and not looked at: at most what is read at a time.
    unread: Vec<u8>,
    /// The other end has said everything.
    ended: bool,
    shutting_down: bool,
    /// What is to be written.
    out: Vec<u8>,
    served: u32,
}

/// What a transport has to do next.
#[derive(Debug)]
pub enum Step {
    /// Read, and tell [`Conversation::received`] or [`Conversation::ended`]; when it is `until`, just ask again.
    Read {
        /// When to stop waiting.
        until: Instant,
    },
    /// Find out what to answer, and tell [`Conversation::answer`].
    Handle(Request),
    /// Write all of this. If that fails, or is not done `until` then, close.
    Write {
        /// What to write.
        bytes: Vec<u8>,
        /// When to give up.
        until: Instant,
    },
    /// Say that nothing more will be written: shut down the writing half.
    Finish,
    /// Close the connection; there will be no other step.
    Close,
}

/// A request that was read wholly.
pub struct Request {
    /// Its head.
    pub head: Head,
    /// Its body, taken out of its framing.
    pub body: Vec<u8>,
    /// As long as there is the body, it counts.
    _share: Share,
}

/// No more of what was read than how much it is.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("head", &self.head)
            .field("body", &format_args!("({} bytes)", self.body.len()))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation")
            .field("state", &self.state)
            .field("unread", &format_args!("({} bytes)", self.unread.len()))
            .field("ended", &self.ended)
            .field("shutting_down", &self.shutting_down)
            .field("served", &self.served)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum State {
    Idle { until: Instant },
    Head { reader: HeadReader, until: Instant },
    Body { head: Head, reader: BodyReader, share: Share, until: Instant },
    Handling { keep: bool },
    Finishing,
    Lingering { until: Instant, left: usize },
    Closed,
}

impl Conversation {
    /// A connection that has just been made; a handshake of TLS counts from then on, too. `memory` is the listener's.
    pub fn new(
        settings: Arc<ListenerSettings>,
        counters: Arc<Counters>,
        memory: Arc<Memory>,
        now: Instant,
    ) -> Self {
        let state = head(&settings, now);
        let (unread, out) = (Vec::new(), Vec::new());
        Self { settings, counters, memory, state, unread, ended: false, shutting_down: false, out, served: 0 }
    }

    /// These bytes have come. To be told only after a [`Step::Read`], and never more than one buffer of them.
    pub fn received(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Lingering { left, .. } => *left = left.saturating_sub(bytes.len()),
            _ => self.unread.extend_from_slice(bytes),
        }
    }

    /// Nothing more will come.
    pub fn ended(&mut self) {
        self.ended = true;
    }

    /// No request after the one that has begun, if one has.
    pub fn shut_down(&mut self) {
        self.shutting_down = true;
    }

    /// What to answer to the request that was handed out last.
    pub fn answer(&mut self, now: Instant, reply: &Reply) {
        let State::Handling { keep } = self.state else { return };
        self.served = self.served.saturating_add(1);
        let keep = keep
            && reply.status() == 200
            && !self.shutting_down
            && self.served < self.settings.requests_per_connection;
        self.say(reply.status(), keep);
        self.state = if keep {
            State::Idle { until: later(now, self.settings.idle_timeout) }
        } else {
            State::Finishing
        };
    }

    /// What to do next. `admit` says by a head alone whether its body is worth reading.
    pub fn next(&mut self, now: Instant, admit: impl Fn(&Head) -> Result<(), Reply>) -> Step {
        loop {
            if !self.out.is_empty() {
                let until = later(now, self.settings.write_timeout);
                return Step::Write { bytes: mem::take(&mut self.out), until };
            }
            match &mut self.state {
                State::Idle { .. } if !self.unread.is_empty() => self.state = head(&self.settings, now),
                State::Idle { until } => {
                    if self.ended || self.shutting_down || now >= *until {
                        self.state = State::Closed;
                    } else {
                        return Step::Read { until: *until };
                    }
                }
                State::Head { reader, until } => match reader.feed(&self.unread) {
                    Err(malformed) => self.refuse(malformed),
                    Ok(Some((head, used))) => {
                        self.unread.drain(..used);
                        self.begin_body(now, head, &admit);
                    }
                    Ok(None) => {
                        self.unread.clear();
                        let silent = reader.is_empty();
                        if self.ended || (silent && (self.shutting_down || now >= *until)) {
                            self.state = State::Closed;
                        } else if now >= *until {
                            self.turn_down(&Reply::TooSlow);
                        } else {
                            return Step::Read { until: *until };
                        }
                    }
                },
                State::Body { head, reader, share, until } => match reader.feed(&self.unread) {
                    Err(Malformed::BodyTooLarge) => self.turn_down(&Reply::TooLarge),
                    Err(malformed) => self.refuse(malformed),
                    Ok(_) if !share.grow(reader.body().len()) => self.turn_down(&Reply::NoRoom),
                    Ok(used) if reader.is_done() => {
                        self.unread.drain(..used);
                        let keep = head.keeps_alive;
                        let State::Body { head, reader, share, .. } =
                            mem::replace(&mut self.state, State::Handling { keep })
                        else {
                            return Step::Close;
                        };
                        return Step::Handle(Request { head, body: reader.into_body(), _share: share });
                    }
                    Ok(_) => {
                        self.unread.clear();
                        if self.ended {
                            // Nobody is there to be answered, but it counts.
                            self.counters.reply(&Reply::TooSlow);
                            self.state = State::Closed;
                        } else if now >= *until {
                            self.turn_down(&Reply::TooSlow);
                        } else {
                            return Step::Read { until: *until };
                        }
                    }
                },
                State::Finishing => {
                    let left = LINGER_BYTES.saturating_sub(mem::take(&mut self.unread).len());
                    self.state = State::Lingering { until: later(now, LINGER), left };
                    return Step::Finish;
                }
                // What is still being sent is read and thrown away, so that closing does not reset the connection
                // before the answer is read.
                State::Lingering { until, left } => {
                    if self.ended || *left == 0 || now >= *until {
                        self.state = State::Closed;
                    } else {
                        return Step::Read { until: *until };
                    }
                }
                // Who forgets to answer has nothing to say.
                State::Handling { .. } | State::Closed => return Step::Close,
            }
        }
    }

    /// How easily the connection could be spared at this moment.
    pub fn phase(&self) -> Phase {
        match &self.state {
            State::Idle { .. } | State::Finishing | State::Lingering { .. } | State::Closed => Phase::Idle,
            State::Head { reader, .. } if reader.is_empty() => Phase::Silent,
            State::Head { .. } | State::Body { .. } => Phase::Reading,
            State::Handling { .. } => Phase::Handling,
        }
    }

    fn begin_body(&mut self, now: Instant, head: Head, admit: &impl Fn(&Head) -> Result<(), Reply>) {
        if let Err(reply) = admit(&head) {
            self.say(reply.status(), false);
            self.state = State::Finishing;
            return;
        }
        if head.framing == Framing::Absent {
            // HTTP takes it for no body; a delivery always has one.
            return self.refuse(Malformed::LengthRequired);
        }
        match BodyReader::new(head.framing, self.settings.body_bytes.min(MAX_DELIVERY)) {
            Err(_) => self.turn_down(&Reply::TooLarge),
            Ok(reader) => {
                if head.expects_continue && !reader.is_done() && self.unread.is_empty() {
                    self.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
                let until = later(now, self.settings.body_timeout);
                let share = Share::none_of(&self.memory);
                self.state = State::Body { head, reader, share, until };
            }
        }
    }

    /// Not a request that can be read in one way only.
    fn refuse(&mut self, malformed: Malformed) {
        self.counters.bad_request(malformed.status());
        self.say(malformed.status(), false);
        self.state = State::Finishing;
    }

    /// A request that we do not read to its end.
    fn turn_down(&mut self, reply: &Reply) {
        self.counters.reply(reply);
        self.say(reply.status(), false);
        self.state = State::Finishing;
    }

    fn say(&mut self, status: u16, keep: bool) {
        let said = if keep { answer_and_keep(status) } else { answer(status) };
        if self.out.is_empty() {
            self.out = said;
        } else {
            self.out.extend(said);
        }
    }
}

fn head(settings: &ListenerSettings, now: Instant) -> State {
    State::Head {
        reader: HeadReader::new(settings.head_bytes, settings.head_fields),
        until: later(now, settings.head_timeout),
    }
}

/// A clock can be asked for a moment only so far ahead.
fn later(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).or_else(|| now.checked_add(LONGEST)).unwrap_or(now)
}

/// How long what is still being sent is read and thrown away, and how much of it.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 16 << 20;
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[cfg(test)]
mod tests;
