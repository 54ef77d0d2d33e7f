//! What can be told to go wrong. One [`Trouble`] befalls one request (or, for events, one export): the script keeps a
//! queue for each of the three endpoints, takes one from it each time, and when a queue is empty all is well.
//!
//! The text form, used on the command line and in logs, is described in [`GRAMMAR`]; it round-trips.

mod answer;
mod grammar;
mod script;

use std::time::Duration;

pub use answer::{Answer, AnswerBody, RetryAfter};
pub(crate) use answer::{page, store_error, with_byte_order_mark};
pub use grammar::{GRAMMAR, TroubleError};
pub(crate) use script::Script;

/// One thing that goes wrong, once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// With the next request for an export.
    Create(CreateTrouble),
    /// With the event of the next export that is accepted.
    Event(EventTrouble),
    /// With the next request for an archive.
    Archive(ArchiveTrouble),
}

/// What can go wrong with the request for an export, or with its answer.
///
/// Unless said otherwise the export is accepted first, and its event comes: only the answer suffers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CreateTrouble {
    /// Nothing: holds a place in the script.
    Nothing,
    /// Another answer than the true one; the export is accepted only if the answer says so.
    Answer(Answer),
    /// The connection ends without an answer, and the export is not accepted.
    LostBefore {
        /// With a TCP reset instead of an orderly end.
        reset: bool,
    },
    /// The connection ends without an answer after the export was accepted.
    LostAfter {
        /// With a TCP reset instead of an orderly end.
        reset: bool,
    },
    /// The true answer, this much later.
    Slow(Duration),
    /// The true answer byte by byte, with this pause after each.
    Drip(Duration),
    /// The true answer without its last byte, then the end of the connection.
    Truncated,
    /// Bytes that are not HTTP.
    Garbage,
    /// A 200 whose body is not JSON.
    NotJson,
    /// A 200 whose JSON names no export.
    NoExportId,
    /// The true answer with a byte order mark before it.
    ByteOrderMark,
    /// The true answer with the export's id in capitals.
    CapitalId,
}

/// What can go wrong with the event of an export.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EventTrouble {
    /// Nothing: holds a place in the script.
    Nothing,
    /// It is delivered, and acknowledged or given up once, before the request for the export is answered.
    BeforeAnswer,
    /// It never comes.
    Never,
    /// It comes this much later than it should.
    Late(Duration),
    /// It comes twice, as two deliveries.
    Twice,
    /// One delivery comes on every step of the ladder, acknowledged or not.
    EveryAttempt,
    /// An event for an export nobody asked for comes first.
    StrangerFirst,
    /// An event of another type comes first, correctly signed.
    OtherTypeFirst,
    /// The same event comes first with a signature by a secret that is not the workspace's.
    ForgedFirst,
    /// A second event for the same export follows, with another archive address.
    ConflictAfter,
    /// It names this archive address instead of the true one.
    ArchiveUrl(String),
    /// The archive address ends in `&name=` and this text, spelled as it is.
    ArchiveName(String),
    /// Blanks and a line feed stand around the archive address.
    PaddedArchiveUrl,
    /// Its body has another shape.
    Shape(EventShape),
    /// It is signed with the secret before the last rotation, and with no other.
    SignsLate,
    /// The clock of the signing side is off by so many seconds.
    ClockSkew(i64),
    /// What stands between the service and the receiver changes the request.
    Gateway(Gateway),
}

/// The shapes of an event's body besides the documented one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventShape {
    /// The four fields stand in `data`, beside an `event_type`.
    Data,
    /// The four fields stand in `payload`, beside an `event_type`.
    Payload,
    /// A byte order mark stands before the body.
    ByteOrderMark,
    /// The export's id is in capitals.
    CapitalId,
    /// An `event_type` of `NEW_EXPORT`, and no ids.
    NoIds,
}

/// What a gateway makes of a delivery.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Gateway {
    /// It puts a stage before the path: `/prod/…`.
    AddsStage,
    /// It takes the first segment of the path off.
    DropsStage,
    /// It doubles the slashes of the path.
    DoublesSlashes,
    /// It adds a query.
    AddsQuery,
    /// It repeats the header fields of the delivery.
    RepeatsHeaders,
}

/// How a store says that an archive is not there yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotYet {
    /// 404 `NoSuchKey`.
    Missing,
    /// 403 `AccessDenied`.
    Denied,
    /// 202 without a body.
    Accepted,
    /// 200 without a body.
    Empty,
    /// 200 with an error page.
    Page,
    /// 200 with the store's error.
    Xml,
}

/// What can go wrong with a download.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ArchiveTrouble {
    /// Nothing: holds a place in the script.
    Nothing,
    /// Another answer than the archive.
    Answer(Answer),
    /// The connection ends without an answer.
    Lost {
        /// With a TCP reset instead of an orderly end.
        reset: bool,
    },
    /// The connection ends after this many bytes of the body.
    Cut(u64),
    /// After this many bytes of the body nothing more comes; the connection stays open.
    Stall(u64),
    /// The answer begins this much later.
    Slow(Duration),
    /// Byte by byte, with this pause after each.
    Drip(Duration),
    /// The announced length is off by this much. Too long: the connection ends where the body does. Too short: the body
    /// ends early and looks whole.
    WrongLength(i64),
    /// The archive has another strong `ETag` this time, as if it had been made anew.
    NewEtag,
    /// The `ETag` is a weak one.
    WeakEtag,
    /// Neither `ETag` nor `Last-Modified`.
    NoValidator,
    /// 200 and the whole archive, whatever range was asked for.
    IgnoreRange,
    /// 416, whatever range was asked for.
    RefuseRange,
    /// A page in HTML with status 200.
    ErrorPage,
    /// To this address; empty means the archive's own, and `{own}` stands for its last segment and its query.
    Redirect {
        /// 302 as a rule.
        status: u16,
        /// The address.
        to: String,
    },
    /// The true answer with this `Content-Encoding`, which says nothing about the bytes.
    Encoding(String),
    /// Until the export is this old, the store answers as if there were no archive. Holds for every request until then.
    NotYet(Duration, NotYet),
    /// 206 with all of the archive, though no range was asked for.
    Unasked206,
    /// These bytes stand before the archive.
    Before(Vec<u8>),
    /// These bytes stand behind the archive.
    Behind(Vec<u8>),
    /// Bytes that are not HTTP.
    Garbage,
}
