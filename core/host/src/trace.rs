//! What is said through [`tracing`](https://docs.rs/tracing), for who watches a program from outside: everything that both
//! transports say, at which level and with which fields, is in this file. Long, because all of it is.
//!
//! It takes the feature `tracing`, which both transports hand on. Without it there is nothing: every type here is empty, every
//! function too, and no crate comes in. A program that wants figures instead reads
//! [`Counts`](crate::Counts), which needs no feature.
//!
//! | what | level | target | fields |
//! |---|---|---|---|
//! | span `job` | INFO | `abyssale::job` | `job` `goal` `banners` `export_id` |
//! | job begun | INFO | `abyssale::job` | |
//! | job resumed | INFO | `abyssale::job` | |
//! | accepted | INFO | `abyssale::job` | `export_id` |
//! | event received | INFO | `abyssale::job` | `export_id` |
//! | retrying | WARN | `abyssale::job` | `retry` `after_ms` `reason` |
//! | outcome unknown | WARN | `abyssale::job` | `reason` |
//! | conflicting event ignored | WARN | `abyssale::job` | `export_id` |
//! | job done | INFO | `abyssale::job` | `bytes` `duration_ms` |
//! | job failed | INFO | `abyssale::job` | `failure` `duration_ms` |
//! | job given up | INFO | `abyssale::job` | `duration_ms` |
//! | span `call` | DEBUG | `abyssale::call` | `endpoint` `host` `attempt` |
//! | answered | DEBUG | `abyssale::call` | `status` `bytes` `duration_ms` |
//! | not answered | DEBUG | `abyssale::call` | `sent` `reason` `duration_ms` |
//! | call given up | DEBUG | `abyssale::call` | `duration_ms` |
//! | span `download` | DEBUG | `abyssale::download` | `host` `attempt` |
//! | receiving | DEBUG | `abyssale::download` | `resumed_from` `total` |
//! | received | TRACE | `abyssale::download` | `bytes` |
//! | downloaded | DEBUG | `abyssale::download` | `bytes` `duration_ms` |
//! | download refused | DEBUG | `abyssale::download` | `status` `duration_ms` |
//! | download failed | DEBUG | `abyssale::download` | `reason` `duration_ms` |
//! | download given up | DEBUG | `abyssale::download` | `duration_ms` |
//! | span `delivery` | INFO | `abyssale::delivery` | `delivery_id` `export_id` `event_type` |
//! | delivery acknowledged | DEBUG | `abyssale::delivery` | `duration_ms` |
//! | delivery refused | WARN | `abyssale::delivery` | `status` `refusal` |
//! | request refused | DEBUG | `abyssale::delivery` | `status` `refusal` |
//! | connection turned away | WARN | `abyssale::listener` | |
//! | connection not accepted | WARN | `abyssale::listener` | `reason` |
//! | connection made room | DEBUG | `abyssale::listener` | |
//! | jobs saved | TRACE | `abyssale::store` | `jobs` `duration_ms` |
//! | jobs not saved | WARN | `abyssale::store` | `jobs` `reason` |
//!
//! `job` is the number under which the job is in the store; a job of [`Client`](https://docs.rs/abyssale-blocking)'s own has none.
//! `attempt` counts what a job has asked for, downloads included, from 0. `duration_ms` is counted from the beginning of what is
//! over. The spans of calls and downloads are in that of their job; that of a delivery is not, since whose it is turns out in it.
//!
//! **A failed job is INFO**, because its error is returned, and how bad that is only the caller knows. **A refusal is WARN** where an
//! operator can do something about it: what says that it is a delivery and is not taken, most likely because of a wrong secret or
//! clock. Since a stranger can say so, too, each kind is told at most once a second at this level, and otherwise at DEBUG, as is what
//! cannot be a delivery of ours, which an address on the open internet is sent all day.
//!
//! **Nothing that is said holds a secret**: neither the key nor a signing secret, of a callback address not even the path, and of an
//! archive's address the host alone. What a peer has said is there in a bounded and printable piece, as in the errors.

#![cfg_attr(
    not(feature = "tracing"),
    allow(
        dead_code,
        unused_variables,
        clippy::if_same_then_else,
        clippy::match_same_arms,
        clippy::unused_self,
        reason = "nothing is made of what is given"
    )
)]

mod open;
mod pace;

use std::io;

use abyssale_core::{
    CallId, DeliveryId, Finished, Goal, JobId, Notice, Sent, StoreError,
    download::DownloadError,
    download::Receive,
    http::{Headers, Request, Url},
    webhook::{self, DELIVERY_ID_HEADER, Event, NewExport, Reply},
};
#[cfg(feature = "tracing")]
use tracing::{Level, field::Empty};

use self::open::Open;
use crate::Error;

pub use self::open::Span;
pub(crate) use self::pace::Pace;

/// Says something, or is nothing at all.
macro_rules! event {
    ($($said:tt)*) => {{
        #[cfg(feature = "tracing")]
        ::tracing::event!($($said)*);
    }};
}

/// Something that is under way: what is said if nobody sees it to its end, and its span.
macro_rules! open {
    ($given_up:expr, $($span:tt)*) => {{
        #[cfg(feature = "tracing")]
        let open = Open::new(::tracing::span!($($span)*), $given_up);
        #[cfg(not(feature = "tracing"))]
        let open = Open::default();
        open
    }};
}

/// A job that is being carried out. Dropped before its [`end`](Self::end), it was given up.
#[derive(Debug)]
pub struct Job(Open);

impl Job {
    /// A new job: its number, if it is one of an exporter's, how far it goes, and how many banners were ordered.
    pub fn begin(number: Option<JobId>, goal: Goal, banners: usize) -> Self {
        let job = Self::new(number, goal, banners);
        event!(target: JOB, parent: job.0.id(), Level::INFO, "job begun");
        job
    }

    /// A job that an earlier process has begun.
    pub fn resume(number: Option<JobId>, goal: Goal, banners: usize) -> Self {
        let job = Self::new(number, goal, banners);
        event!(target: JOB, parent: job.0.id(), Level::INFO, "job resumed");
        job
    }

    /// A job that has its event already and is no more than a download.
    pub fn fetch(event: &NewExport) -> Self {
        let job = Self(open!(Self::given_up, target: JOB, Level::INFO, "job",
            job = Empty, goal = "archive", banners = Empty, export_id = Empty));
        job.0.name_once("export_id", &event.export_id);
        event!(target: JOB, parent: job.0.id(), Level::INFO, "job begun");
        job
    }

    /// Its span.
    pub fn span(&self) -> &Span {
        &self.0.span
    }

    /// What its machine has to say.
    pub fn notice(&self, notice: &Notice) {
        match notice {
            Notice::Accepted { export_id } => {
                self.0.name_once("export_id", export_id);
                event!(target: JOB, parent: self.0.id(), Level::INFO, %export_id, "accepted");
            }
            Notice::EventReceived(NewExport { export_id, .. }) => {
                self.0.name_once("export_id", export_id);
                event!(target: JOB, parent: self.0.id(), Level::INFO, %export_id, "event received");
            }
            Notice::Retrying { after, retry, reason, .. } => {
                event!(target: JOB, parent: self.0.id(), Level::WARN,
                    retry, after_ms = open::millis(*after), %reason, "retrying");
            }
            Notice::OutcomeUnknown { cause, .. } => {
                event!(target: JOB, parent: self.0.id(), Level::WARN, reason = %cause, "outcome unknown");
            }
            Notice::ConflictingEvent(NewExport { export_id, .. }) => {
                event!(target: JOB, parent: self.0.id(), Level::WARN,
                    %export_id, "conflicting event ignored");
            }
            _ => {}
        }
    }

    /// It is over.
    pub fn end(self, result: &Result<Finished, Error>) {
        let over = self.0.over();
        match result {
            Ok(finished) => {
                let bytes = match finished {
                    Finished::Archive { bytes, .. } => Some(*bytes),
                    _ => None,
                };
                event!(target: JOB, parent: over.id(), Level::INFO,
                    bytes, duration_ms = over.millis(), "job done");
            }
            Err(failure) => {
                event!(target: JOB, parent: over.id(), Level::INFO,
                    %failure, duration_ms = over.millis(), "job failed");
            }
        }
    }

    fn new(number: Option<JobId>, goal: Goal, banners: usize) -> Self {
        Self(open!(Self::given_up, target: JOB, Level::INFO, "job",
            job = number.map(JobId::as_u64), goal = name(goal), banners, export_id = Empty))
    }

    #[cfg(feature = "tracing")]
    fn given_up(open: &Open) {
        event!(target: JOB, parent: open.id(), Level::INFO, duration_ms = open.millis(), "job given up");
    }
}

/// A call to the service.
#[derive(Debug)]
pub struct Call(Open);

impl Call {
    /// A call that is about to be made, and which attempt of its job it is if it is one's.
    pub fn begin(request: &Request, attempt: Option<CallId>) -> Self {
        Self(open!(Self::given_up, target: CALL, Level::DEBUG, "call",
            endpoint = endpoint(request), host = request.url().host(), attempt = attempt.map(display)))
    }

    /// Its span.
    pub fn span(&self) -> &Span {
        &self.0.span
    }

    /// There is an answer, with a body of so many bytes.
    pub fn answered(self, status: u16, bytes: usize) {
        let over = self.0.over();
        event!(target: CALL, parent: over.id(), Level::DEBUG,
            status, bytes, duration_ms = over.millis(), "answered");
    }

    /// There is none.
    pub fn not_answered(self, sent: Sent, reason: &str) {
        let over = self.0.over();
        event!(target: CALL, parent: over.id(), Level::DEBUG,
            ?sent, reason, duration_ms = over.millis(), "not answered");
    }

    #[cfg(feature = "tracing")]
    fn given_up(open: &Open) {
        event!(target: CALL, parent: open.id(), Level::DEBUG, duration_ms = open.millis(), "call given up");
    }
}

/// A download.
#[derive(Debug)]
pub struct Download(Open);

impl Download {
    /// A download that is about to begin, and which attempt of its job it is.
    pub fn begin(url: &Url, attempt: CallId) -> Self {
        Self(open!(Self::given_up, target: DOWNLOAD, Level::DEBUG, "download",
            host = url.host(), attempt = %attempt))
    }

    /// Its span.
    pub fn span(&self) -> &Span {
        &self.0.span
    }

    /// The archive is here, with so many bytes.
    pub fn done(self, bytes: u64) {
        let over = self.0.over();
        event!(target: DOWNLOAD, parent: over.id(), Level::DEBUG,
            bytes, duration_ms = over.millis(), "downloaded");
    }

    /// The answer was none of the archive.
    pub fn refused(self, status: u16) {
        let over = self.0.over();
        event!(target: DOWNLOAD, parent: over.id(), Level::DEBUG,
            status, duration_ms = over.millis(), "download refused");
    }

    /// It did not begin, broke off, or cannot be stored.
    pub fn failed(self, reason: &DownloadError) {
        let over = self.0.over();
        event!(target: DOWNLOAD, parent: over.id(), Level::DEBUG,
            %reason, duration_ms = over.millis(), "download failed");
    }

    #[cfg(feature = "tracing")]
    fn given_up(open: &Open) {
        event!(target: DOWNLOAD, parent: open.id(), Level::DEBUG,
            duration_ms = open.millis(), "download given up");
    }
}

/// Within a [`Download`]: the body begins.
pub fn receiving(receive: &Receive) {
    event!(target: DOWNLOAD, Level::DEBUG, resumed_from = receive.from, total = receive.total, "receiving");
}

/// Within a [`Download`]: so many bytes are here.
pub fn received(bytes: u64) {
    event!(target: DOWNLOAD, Level::TRACE, bytes, "received");
}

/// A request to a callback address. What is refused before it is looked at for what it delivers has none.
#[derive(Debug)]
pub struct Delivery(Open);

impl Delivery {
    /// A request with these headers. Its delivery id is what it claims.
    pub fn begin(headers: &dyn Headers) -> Self {
        let open = open!(|_| {}, target: DELIVERY, Level::INFO, "delivery",
            delivery_id = Empty, export_id = Empty, event_type = Empty);
        open.name("delivery_id", || headers.only(DELIVERY_ID_HEADER).and_then(DeliveryId::from_header));
        Self(open)
    }

    /// Its span.
    pub fn span(&self) -> &Span {
        &self.0.span
    }

    /// It is genuine.
    pub fn genuine(&self, delivery: &webhook::Delivery) {
        match &delivery.event {
            Event::NewExport(event) => self.0.name("export_id", || Some(&event.export_id)),
            Event::Other(other) => self.0.name("event_type", || other.event_type.as_deref()),
            _ => {}
        }
    }

    /// It was answered. That it was refused is said where it is counted.
    pub fn end(self, reply: &Reply) {
        let over = self.0.over();
        if *reply == Reply::Acknowledged {
            event!(target: DELIVERY, parent: over.id(), Level::DEBUG,
                duration_ms = over.millis(), "delivery acknowledged");
        }
    }
}

/// Something was answered to a request to a callback address.
pub(crate) fn answered(reply: &Reply, pace: &Pace) {
    if *reply == Reply::Acknowledged {
        return;
    }
    if pace.allows(reply) {
        event!(target: DELIVERY, Level::WARN,
            status = reply.status(), refusal = %reply, "delivery refused");
    } else {
        event!(target: DELIVERY, Level::DEBUG,
            status = reply.status(), refusal = %reply, "request refused");
    }
}

/// A request was refused that could be read in two ways, or not at all.
pub(crate) fn malformed(status: u16) {
    event!(target: DELIVERY, Level::DEBUG,
        status, refusal = "not an HTTP request", "request refused");
}

/// There was no place for a connection.
pub(crate) fn turned_away(pace: &Pace) {
    if pace.allows_connection() {
        event!(target: LISTENER, Level::WARN, "connection turned away");
    }
}

/// A connection could not be accepted.
pub(crate) fn not_accepted(reason: &io::Error, pace: &Pace) {
    if pace.allows_accepting() {
        event!(target: LISTENER, Level::WARN, %reason, "connection not accepted");
    }
}

/// A connection was cut off for another one.
pub(crate) fn made_room() {
    event!(target: LISTENER, Level::DEBUG, "connection made room");
}

/// A batch of jobs that is being saved.
#[derive(Debug)]
pub(crate) struct Saving(Open);

impl Saving {
    pub(crate) fn begin() -> Self {
        Self(Open::default())
    }

    pub(crate) fn end(self, jobs: usize, result: &Result<(), StoreError>) {
        let over = self.0.over();
        match result {
            Ok(()) => {
                event!(target: STORE, Level::TRACE, jobs, duration_ms = over.millis(), "jobs saved");
            }
            Err(reason) => event!(target: STORE, Level::WARN, jobs, %reason, "jobs not saved"),
        }
    }
}

/// Which of the endpoints this is. The path says it, behind whatever the base address begins with.
#[cfg(feature = "tracing")]
fn endpoint(request: &Request) -> &'static str {
    let path = request.url().path();
    let known = [
        ("/async/banners/export", "create_export"),
        ("/signing-secret", "signing_secret"),
        ("/signing-secret/rotate", "rotate_signing_secret"),
        ("/signing-secret/revoke", "revoke_signing_secret"),
    ];
    known.into_iter().find(|(tail, _)| path.ends_with(tail)).map_or("another", |(_, name)| name)
}

#[cfg(feature = "tracing")]
fn name(goal: Goal) -> &'static str {
    match goal {
        Goal::Acceptance => "acceptance",
        Goal::Event => "event",
        _ => "archive",
    }
}

const JOB: &str = "abyssale::job";
const CALL: &str = "abyssale::call";
const DOWNLOAD: &str = "abyssale::download";
const DELIVERY: &str = "abyssale::delivery";
const LISTENER: &str = "abyssale::listener";
const STORE: &str = "abyssale::store";
