//! The text form of a [`Trouble`]: what `--trouble` takes and what logs show. Written and read here, side by side, so
//! that the two cannot drift apart.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::mint::hex;

use super::{
    Answer, AnswerBody, ArchiveTrouble, CreateTrouble, EventShape, EventTrouble, Gateway, NotYet, RetryAfter,
    Trouble,
};

/// The text form, for people.
pub const GRAMMAR: &str = "\
A trouble is ENDPOINT:WHAT. Each befalls one request, in the order given; then all is well.
TIME is a number with ms or s, such as 250ms or 2s, and is not scaled. BYTES counts bytes of the body. HEX is bytes.

  create:WHAT  the next request for an export
    ok                      nothing: holds a place in the script
    status=CODE[:OPTION]... another answer, without accepting the export. Options:
        retry-after=SECONDS     a Retry-After header in seconds ...
        retry-after-date=SECS   ... or as the HTTP date so far from now
        id=WORD                 the id in the envelope, such as feature_not_in_plan
        as=envelope|bare|falcon|store|html|empty  the shape of the body (default: as the dialect has it)
        bom                     a byte order mark stands before the body
        accepted                the export is accepted all the same, and its event comes
    lost-before, reset-before  no answer, and the export is not accepted
    lost-after, reset-after    no answer, though the export was accepted
    slow=TIME               the answer comes later
    drip=TIME               the answer comes byte by byte, with this pause
    truncated               the answer lacks its last byte
    garbage                 the answer is not HTTP
    not-json                the answer is 200 without JSON
    no-export-id            the answer is 200 and JSON, without an export id
    bom                     a byte order mark stands before the true answer
    capital-id              the answer has the export's id in capitals

  event:WHAT   the event of the next export that is accepted
    ok
    before-answer           delivered before the request is answered
    never                   does not come
    late=TIME               comes later
    twice                   comes as two deliveries
    every-attempt           comes on every step of the ladder, acknowledged or not
    stranger-first          after an event for an export nobody asked for
    other-type-first        after an event of another type
    forged-first            after itself with a forged signature
    conflict-after          and then again with another archive address
    archive-url=TEXT        names this archive address
    archive-name=TEXT       the archive address ends in &name=TEXT, spelled as it is
    padded-archive-url      blanks and a line feed stand around the archive address
    as=data|payload         its fields stand one level deeper, beside NEW_EXPORT
    as=bom                  a byte order mark stands before its body
    as=capital-id           it has the export's id in capitals
    as=no-ids               it calls itself NEW_EXPORT and has no ids
    signs-late              signed with the secret before the last rotation alone
    clock-skew=SECONDS      signed by a clock that is so far ahead, or behind (-SECONDS)
    gateway=adds-stage|drops-stage|doubles-slashes|adds-query|repeats-headers
                            changed on its way by what stands before the receiver

  archive:WHAT the next request for an archive
    ok
    status=CODE[:OPTION]... as above
    lost, reset             no answer
    cut=BYTES               the connection ends after so much
    stall=BYTES             nothing more comes after so much
    slow=TIME, drip=TIME    as above
    wrong-length=+N|-N      the announced length is off by N
    new-etag                another strong ETag, as if the archive were another
    weak-etag, no-validator
    ignore-range            200 and everything, whatever was asked for
    refuse-range            416, whatever was asked for
    error-page              HTML with status 200
    redirect[=URL]          302, to the archive itself if no URL is given; {own} in a URL is its last segment and query
    choices[=URL]           the same with 300
    encoding=TEXT           the true answer with this Content-Encoding
    not-yet=TIME[:AS]       as long as the export is younger, AS is answered instead: missing (404, the default), denied
                            (403), accepted (202), or with 200: empty, page, xml
    unasked-206             206 and everything
    before=HEX, behind=HEX  these bytes stand before, or behind, the archive
    garbage                 the answer is not HTTP
";

/// Why a text is not a [`Trouble`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TroubleError {
    /// It does not begin with `create:`, `event:` or `archive:`.
    #[error("`{0}` does not begin with create:, event: or archive:")]
    Endpoint(String),
    /// The endpoint knows no such trouble.
    #[error("there is no trouble `{0}`")]
    Unknown(String),
    /// The trouble is known, its value or option is not what it takes.
    #[error("`{0}` does not take `{1}`")]
    Value(&'static str, String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(trouble) => write!(f, "create:{trouble}"),
            Self::Event(trouble) => write!(f, "event:{trouble}"),
            Self::Archive(trouble) => write!(f, "archive:{trouble}"),
        }
    }
}

impl FromStr for Trouble {
    type Err = TroubleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("create", what)) => what.parse().map(Self::Create),
            Some(("event", what)) => what.parse().map(Self::Event),
            Some(("archive", what)) => what.parse().map(Self::Archive),
            _ => Err(TroubleError::Endpoint(text.to_owned())),
        }
    }
}

impl fmt::Display for CreateTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("ok"),
            Self::Answer(answer) => answer.fmt(f),
            Self::LostBefore { reset } => f.write_str(if *reset { "reset-before" } else { "lost-before" }),
            Self::LostAfter { reset } => f.write_str(if *reset { "reset-after" } else { "lost-after" }),
            Self::Slow(time) => write!(f, "slow={}", Time(*time)),
            Self::Drip(time) => write!(f, "drip={}", Time(*time)),
            Self::Truncated => f.write_str("truncated"),
            Self::Garbage => f.write_str("garbage"),
            Self::NotJson => f.write_str("not-json"),
            Self::NoExportId => f.write_str("no-export-id"),
            Self::ByteOrderMark => f.write_str("bom"),
            Self::CapitalId => f.write_str("capital-id"),
        }
    }
}

impl FromStr for CreateTrouble {
    type Err = TroubleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match split(text) {
            ("ok", None) => Self::Nothing,
            ("status", Some(value)) => Self::Answer(answer(value)?),
            ("lost-before", None) => Self::LostBefore { reset: false },
            ("reset-before", None) => Self::LostBefore { reset: true },
            ("lost-after", None) => Self::LostAfter { reset: false },
            ("reset-after", None) => Self::LostAfter { reset: true },
            ("slow", Some(value)) => Self::Slow(time("slow", value)?),
            ("drip", Some(value)) => Self::Drip(time("drip", value)?),
            ("truncated", None) => Self::Truncated,
            ("garbage", None) => Self::Garbage,
            ("not-json", None) => Self::NotJson,
            ("no-export-id", None) => Self::NoExportId,
            ("bom", None) => Self::ByteOrderMark,
            ("capital-id", None) => Self::CapitalId,
            _ => return Err(TroubleError::Unknown(format!("create:{text}"))),
        })
    }
}

impl fmt::Display for EventTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("ok"),
            Self::BeforeAnswer => f.write_str("before-answer"),
            Self::Never => f.write_str("never"),
            Self::Late(time) => write!(f, "late={}", Time(*time)),
            Self::Twice => f.write_str("twice"),
            Self::EveryAttempt => f.write_str("every-attempt"),
            Self::StrangerFirst => f.write_str("stranger-first"),
            Self::OtherTypeFirst => f.write_str("other-type-first"),
            Self::ForgedFirst => f.write_str("forged-first"),
            Self::ConflictAfter => f.write_str("conflict-after"),
            Self::ArchiveUrl(url) => write!(f, "archive-url={url}"),
            Self::ArchiveName(name) => write!(f, "archive-name={name}"),
            Self::PaddedArchiveUrl => f.write_str("padded-archive-url"),
            Self::Shape(shape) => write!(f, "as={}", named(&SHAPES, *shape)),
            Self::SignsLate => f.write_str("signs-late"),
            Self::ClockSkew(seconds) => write!(f, "clock-skew={seconds}"),
            Self::Gateway(gateway) => write!(f, "gateway={}", named(&GATEWAYS, *gateway)),
        }
    }
}

impl FromStr for EventTrouble {
    type Err = TroubleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match split(text) {
            ("ok", None) => Self::Nothing,
            ("before-answer", None) => Self::BeforeAnswer,
            ("never", None) => Self::Never,
            ("late", Some(value)) => Self::Late(time("late", value)?),
            ("twice", None) => Self::Twice,
            ("every-attempt", None) => Self::EveryAttempt,
            ("stranger-first", None) => Self::StrangerFirst,
            ("other-type-first", None) => Self::OtherTypeFirst,
            ("forged-first", None) => Self::ForgedFirst,
            ("conflict-after", None) => Self::ConflictAfter,
            ("archive-url", Some(url)) => Self::ArchiveUrl(url.to_owned()),
            ("archive-name", Some(name)) => Self::ArchiveName(name.to_owned()),
            ("padded-archive-url", None) => Self::PaddedArchiveUrl,
            ("as", Some(shape)) => Self::Shape(find("as", &SHAPES, shape)?),
            ("signs-late", None) => Self::SignsLate,
            ("clock-skew", Some(value)) => Self::ClockSkew(number("clock-skew", value)?),
            ("gateway", Some(value)) => Self::Gateway(find("gateway", &GATEWAYS, value)?),
            _ => return Err(TroubleError::Unknown(format!("event:{text}"))),
        })
    }
}

impl fmt::Display for ArchiveTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("ok"),
            Self::Answer(answer) => answer.fmt(f),
            Self::Lost { reset } => f.write_str(if *reset { "reset" } else { "lost" }),
            Self::Cut(bytes) => write!(f, "cut={bytes}"),
            Self::Stall(bytes) => write!(f, "stall={bytes}"),
            Self::Slow(time) => write!(f, "slow={}", Time(*time)),
            Self::Drip(time) => write!(f, "drip={}", Time(*time)),
            Self::WrongLength(by) => write!(f, "wrong-length={by:+}"),
            Self::NewEtag => f.write_str("new-etag"),
            Self::WeakEtag => f.write_str("weak-etag"),
            Self::NoValidator => f.write_str("no-validator"),
            Self::IgnoreRange => f.write_str("ignore-range"),
            Self::RefuseRange => f.write_str("refuse-range"),
            Self::ErrorPage => f.write_str("error-page"),
            Self::Redirect { status, to } => {
                f.write_str(if *status == 300 { "choices" } else { "redirect" })?;
                if to.is_empty() { Ok(()) } else { write!(f, "={to}") }
            }
            Self::Encoding(label) => write!(f, "encoding={label}"),
            Self::NotYet(time, NotYet::Missing) => write!(f, "not-yet={}", Time(*time)),
            Self::NotYet(time, answer) => write!(f, "not-yet={}:{}", Time(*time), named(&NOT_YET, *answer)),
            Self::Unasked206 => f.write_str("unasked-206"),
            Self::Before(bytes) => write!(f, "before={}", hex(bytes)),
            Self::Behind(bytes) => write!(f, "behind={}", hex(bytes)),
            Self::Garbage => f.write_str("garbage"),
        }
    }
}

impl FromStr for ArchiveTrouble {
    type Err = TroubleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match split(text) {
            ("ok", None) => Self::Nothing,
            ("status", Some(value)) => Self::Answer(answer(value)?),
            ("lost", None) => Self::Lost { reset: false },
            ("reset", None) => Self::Lost { reset: true },
            ("cut", Some(value)) => Self::Cut(number("cut", value)?),
            ("stall", Some(value)) => Self::Stall(number("stall", value)?),
            ("slow", Some(value)) => Self::Slow(time("slow", value)?),
            ("drip", Some(value)) => Self::Drip(time("drip", value)?),
            ("wrong-length", Some(value)) => Self::WrongLength(number("wrong-length", value)?),
            ("new-etag", None) => Self::NewEtag,
            ("weak-etag", None) => Self::WeakEtag,
            ("no-validator", None) => Self::NoValidator,
            ("ignore-range", None) => Self::IgnoreRange,
            ("refuse-range", None) => Self::RefuseRange,
            ("error-page", None) => Self::ErrorPage,
            ("redirect", to) => redirect(302, to),
            ("choices", to) => redirect(300, to),
            ("encoding", Some(label)) => Self::Encoding(label.to_owned()),
            ("not-yet", Some(value)) => {
                let (until, answer) = value.split_once(':').unwrap_or((value, "missing"));
                Self::NotYet(time("not-yet", until)?, find("not-yet", &NOT_YET, answer)?)
            }
            ("unasked-206", None) => Self::Unasked206,
            ("before", Some(value)) => Self::Before(bytes("before", value)?),
            ("behind", Some(value)) => Self::Behind(bytes("behind", value)?),
            ("garbage", None) => Self::Garbage,
            _ => return Err(TroubleError::Unknown(format!("archive:{text}"))),
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status={}", self.status)?;
        match self.retry_after {
            Some(RetryAfter::Seconds(seconds)) => write!(f, ":retry-after={seconds}")?,
            Some(RetryAfter::Date(seconds)) => write!(f, ":retry-after-date={seconds}")?,
            None => {}
        }
        if let Some(id) = &self.id {
            write!(f, ":id={id}")?;
        }
        if let Some(body) = self.body {
            write!(f, ":as={}", named(&BODIES, body))?;
        }
        f.write_str(if self.byte_order_mark { ":bom" } else { "" })?;
        f.write_str(if self.accepted { ":accepted" } else { "" })
    }
}

/// The part of an answer after `status=`.
fn answer(text: &str) -> Result<Answer, TroubleError> {
    let mut parts = text.split(':');
    let status = number::<u16>("status", parts.next().unwrap_or_default())?;
    if !(200..=599).contains(&status) {
        return Err(TroubleError::Value("status", status.to_string()));
    }
    let mut answer = Answer::status(status);
    for part in parts {
        match split(part) {
            ("retry-after", Some(value)) => {
                answer.retry_after = Some(RetryAfter::Seconds(number("retry-after", value)?));
            }
            ("retry-after-date", Some(value)) => {
                answer.retry_after = Some(RetryAfter::Date(number("retry-after-date", value)?));
            }
            ("id", Some(id)) => answer.id = Some(id.to_owned()),
            ("as", Some(value)) => answer.body = Some(find("as", &BODIES, value)?),
            ("bom", None) => answer.byte_order_mark = true,
            ("accepted", None) => answer.accepted = true,
            _ => return Err(TroubleError::Value("status", part.to_owned())),
        }
    }
    Ok(answer)
}

fn redirect(status: u16, to: Option<&str>) -> ArchiveTrouble {
    ArchiveTrouble::Redirect { status, to: to.unwrap_or_default().to_owned() }
}

/// The word for a value.
fn named<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| word)
}

/// The value of a word.
fn find<T: Copy>(name: &'static str, words: &[(&str, T)], text: &str) -> Result<T, TroubleError> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| TroubleError::Value(name, text.to_owned()))
}

fn bytes(name: &'static str, text: &str) -> Result<Vec<u8>, TroubleError> {
    let byte = |at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes = (0..text.len()).step_by(2).map(byte).collect::<Option<_>>();
    bytes.ok_or_else(|| TroubleError::Value(name, text.to_owned()))
}

fn split(text: &str) -> (&str, Option<&str>) {
    text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)))
}

fn number<T: FromStr>(name: &'static str, text: &str) -> Result<T, TroubleError> {
    text.parse().map_err(|_| TroubleError::Value(name, text.to_owned()))
}

fn time(name: &'static str, text: &str) -> Result<Duration, TroubleError> {
    let wrong = || TroubleError::Value(name, text.to_owned());
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, Duration::from_millis as fn(u64) -> Duration),
        None => (text.strip_suffix('s').ok_or_else(wrong)?, Duration::from_secs as fn(u64) -> Duration),
    };
    number.parse().map(unit).map_err(|_| wrong())
}

/// A duration as this grammar spells it: to the millisecond.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            whole if whole % 1000 == 0 => write!(f, "{}s", whole / 1000),
            millis => write!(f, "{millis}ms"),
        }
    }
}

const BODIES: [(&str, AnswerBody); 6] = [
    ("falcon", AnswerBody::Falcon),
    ("store", AnswerBody::Store),
    ("envelope", AnswerBody::Envelope),
    ("bare", AnswerBody::Bare),
    ("html", AnswerBody::Html),
    ("empty", AnswerBody::Empty),
];

const SHAPES: [(&str, EventShape); 5] = [
    ("data", EventShape::Data),
    ("payload", EventShape::Payload),
    ("bom", EventShape::ByteOrderMark),
    ("capital-id", EventShape::CapitalId),
    ("no-ids", EventShape::NoIds),
];

const GATEWAYS: [(&str, Gateway); 5] = [
    ("adds-stage", Gateway::AddsStage),
    ("drops-stage", Gateway::DropsStage),
    ("doubles-slashes", Gateway::DoublesSlashes),
    ("adds-query", Gateway::AddsQuery),
    ("repeats-headers", Gateway::RepeatsHeaders),
];

const NOT_YET: [(&str, NotYet); 6] = [
    ("missing", NotYet::Missing),
    ("denied", NotYet::Denied),
    ("accepted", NotYet::Accepted),
    ("empty", NotYet::Empty),
    ("page", NotYet::Page),
    ("xml", NotYet::Xml),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trouble_reads_back_as_it_is_written() {
        let texts = [
            "create:ok",
            "create:status=503",
            "create:status=429:retry-after=2",
            "create:lost-before",
            "create:status=429:retry-after-date=90:id=request_rate_limited:as=envelope:accepted",
            "create:status=502:as=html",
            "create:status=500:as=empty",
            "create:status=429:as=bare",
            "create:reset-before",
            "create:lost-after",
            "create:reset-after",
            "create:slow=2s",
            "create:drip=15ms",
            "create:truncated",
            "create:garbage",
            "create:not-json",
            "create:no-export-id",
            "event:ok",
            "event:before-answer",
            "event:never",
            "event:late=1500ms",
            "event:twice",
            "event:every-attempt",
            "event:stranger-first",
            "event:other-type-first",
            "event:forged-first",
            "event:conflict-after",
            "event:archive-url=url.zip",
            "event:archive-url=http://h:1/a?b=c:d",
            "archive:ok",
            "archive:status=410",
            "archive:lost",
            "archive:reset",
            "archive:cut=0",
            "archive:stall=70000",
            "archive:slow=1s",
            "archive:drip=1ms",
            "archive:wrong-length=-9",
            "archive:wrong-length=+9",
            "archive:new-etag",
            "archive:weak-etag",
            "archive:no-validator",
            "archive:ignore-range",
            "archive:refuse-range",
            "archive:error-page",
            "archive:status=403:id=ExpiredToken:as=store",
            "create:status=400:as=falcon:bom",
            "create:bom",
            "create:capital-id",
            "event:archive-name=a b|é.zip#x",
            "event:padded-archive-url",
            "event:as=data",
            "event:as=payload",
            "event:as=bom",
            "event:as=capital-id",
            "event:as=no-ids",
            "event:signs-late",
            "event:clock-skew=-900",
            "event:gateway=adds-stage",
            "event:gateway=repeats-headers",
            "archive:choices",
            "archive:choices=./{own}",
            "archive:encoding=",
            "archive:encoding=aws-chunked",
            "archive:not-yet=2s",
            "archive:not-yet=1500ms:xml",
            "archive:unasked-206",
            "archive:before=efbbbf",
            "archive:behind=0d0a00",
            "archive:redirect",
            "archive:redirect=http://10.0.0.1/x?y=z",
            "archive:garbage",
        ];
        for text in texts {
            assert_eq!(text.parse::<Trouble>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_wrong_text_is_named_in_the_error() {
        for (text, error) in [
            ("status=503", "`status=503` does not begin with create:, event: or archive:"),
            ("create:stutus=503", "there is no trouble `create:stutus=503`"),
            ("create:status=99", "`status` does not take `99`"),
            ("create:status=503:soon", "`status` does not take `soon`"),
            ("archive:slow=2m", "`slow` does not take `2m`"),
            ("archive:slow=99999999999999999999s", "`slow` does not take `99999999999999999999s`"),
        ] {
            assert_eq!(text.parse::<Trouble>().unwrap_err().to_string(), error);
        }
    }
}
