//! What the simulator has seen and done, for tests to read and to wait on. Records are appended in order of arrival
//! and never change, but for a request's status, which is known later than the request.

use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::HeaderMap;

/// Everything seen so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Every request that arrived, in order of arrival.
    pub requests: Vec<RequestRecord>,
    /// Every delivery attempt that has ended, in order of its end.
    pub deliveries: Vec<DeliveryRecord>,
    /// Every export that was accepted.
    pub exports: Vec<ExportRecord>,
}

/// One request that arrived.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    /// Counts requests from 0.
    pub number: u64,
    /// Counts connections from 0: two requests with the same number shared one.
    pub connection: u64,
    /// The method, in capitals.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query, if there was one.
    pub query: Option<String>,
    /// The headers as they came.
    pub headers: HeaderMap,
    /// The body; of a longer one its first 64 KiB.
    pub body: Bytes,
    /// The status that was answered; `None` while there is none, or when the answer was to be lost.
    pub answered: Option<u16>,
    /// The trouble this request met, as the script spells it.
    pub trouble: Option<String>,
}

/// One attempt to deliver one event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeliveryRecord {
    /// The export the event names.
    pub export_id: String,
    /// The `X-Abyssale-Delivery-Id`: the same for every attempt of one delivery.
    pub delivery_id: String,
    /// Counts the attempts of one delivery from 1.
    pub attempt: u32,
    /// Where it was sent.
    pub callback_url: String,
    /// The body that was sent.
    pub body: String,
    /// The signature header, if it was signed.
    pub signature: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of one delivery attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The receiver answered with this status.
    Answered(u16),
    /// It never got as far as an answer, for this reason.
    Failed(String),
}

/// One export that was accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExportRecord {
    /// The id in the answer and in the event.
    pub export_id: String,
    /// The banners asked for, unknown ones included.
    pub ids: Vec<String>,
    /// The banners the archive holds.
    pub known_ids: Vec<String>,
    /// Where the event goes.
    pub callback_url: Option<String>,
    /// Unix seconds.
    pub requested_at: u64,
    /// The true address of the archive, whatever the event was told to say.
    pub archive_url: String,
}

/// Something worth a line in a log.
#[derive(Clone, Copy, Debug)]
pub enum Notice<'a> {
    /// A request was answered, or deliberately not.
    Request(&'a RequestRecord),
    /// A delivery attempt ended.
    Delivery(&'a DeliveryRecord),
}

impl RequestRecord {
    /// The value of a header, if it came and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Outcome {
    /// Whether the receiver has taken the event: any 2xx.
    pub fn is_acknowledged(&self) -> bool {
        matches!(self, Self::Answered(200..=299))
    }
}

impl fmt::Display for Notice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(request) => {
                write!(f, "{} {} -> ", request.method, request.path)?;
                match request.answered {
                    Some(status) => write!(f, "{status}")?,
                    None => write!(f, "no answer")?,
                }
                match &request.trouble {
                    Some(trouble) => write!(f, " ({trouble})"),
                    None => Ok(()),
                }
            }
            Self::Delivery(delivery) => {
                write!(f, "delivery {} of export {} -> ", delivery.attempt, delivery.export_id)?;
                match &delivery.outcome {
                    Outcome::Answered(status) => write!(f, "{status}"),
                    Outcome::Failed(reason) => write!(f, "{reason}"),
                }
            }
        }
    }
}

/// The records behind a lock, and a bell that rings when one is added.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    seen: Mutex<Seen>,
    changed: Condvar,
}

impl Journal {
    /// Adds a request; its `number` is what [`Journal::answered`] is called with later.
    pub(crate) fn request(&self, mut record: RequestRecord) -> u64 {
        let mut seen = self.lock();
        record.number = seen.requests.last().map_or(0, |last| last.number + 1);
        record.body.truncate(BODY_KEPT);
        let number = record.number;
        push(&mut seen.requests, record);
        self.changed.notify_all();
        number
    }

    /// Notes how a request was answered, and gives back the finished record.
    pub(crate) fn answered(
        &self,
        number: u64,
        status: Option<u16>,
        trouble: Option<String>,
    ) -> Option<RequestRecord> {
        let mut seen = self.lock();
        let at = seen.requests.binary_search_by_key(&number, |record| record.number).ok()?;
        let record = seen.requests.get_mut(at)?;
        record.answered = status;
        record.trouble = trouble;
        self.changed.notify_all();
        Some(record.clone())
    }

    /// Adds a delivery attempt that has ended.
    pub(crate) fn delivery(&self, record: DeliveryRecord) {
        push(&mut self.lock().deliveries, record);
        self.changed.notify_all();
    }

    /// Adds an export that was accepted.
    pub(crate) fn export(&self, record: ExportRecord) {
        push(&mut self.lock().exports, record);
        self.changed.notify_all();
    }

    /// Looks at everything seen so far.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.lock())
    }

    /// Waits until `look` finds what it is looking for, or the time is over.
    pub(crate) fn wait_until<T>(
        &self,
        timeout: Duration,
        mut look: impl FnMut(&Seen) -> Option<T>,
    ) -> Option<T> {
        let started = Instant::now();
        let mut seen = self.lock();
        loop {
            if let Some(found) = look(&seen) {
                return Some(found);
            }
            let left = timeout.checked_sub(started.elapsed()).filter(|left| !left.is_zero())?;
            seen = self.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A panic in a test's closure must not take the simulator with it: the records are whole at every moment.
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A simulator that runs for hours forgets its oldest half rather than grow without end.
fn push<T>(records: &mut Vec<T>, record: T) {
    if records.len() >= RECORDS_KEPT {
        records.drain(..RECORDS_KEPT / 2);
    }
    records.push(record);
}

const BODY_KEPT: usize = 64 * 1024;
const RECORDS_KEPT: usize = 200_000;
