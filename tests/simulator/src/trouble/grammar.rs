//! The text form of a [`Trouble`]: what `--trouble` takes and what logs show. Written and read here, side by side, so
//! that the two cannot drift apart.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Answer, AnswerBody, ArchiveTrouble, CreateTrouble, EventTrouble, RetryAfter, Trouble};

/// The text form, for people.
pub const GRAMMAR: &str = "\
A trouble is ENDPOINT:WHAT. Each befalls one request, in the order given; then all is well.
TIME is a number with ms or s, such as 250ms or 2s, and is not scaled. BYTES counts bytes of the body.

  create:WHAT  the next request for an export
    ok                      nothing: holds a place in the script
    status=CODE[:OPTION]... another answer, without accepting the export. Options:
        retry-after=SECONDS     a Retry-After header in seconds ...
        retry-after-date=SECS   ... or as the HTTP date so far from now
        id=WORD                 the id in the envelope, such as feature_not_in_plan
        as=envelope|bare|html|empty  the shape of the body (default: as the dialect has it)
        accepted                the export is accepted all the same, and its event comes
    lost-before, reset-before  no answer, and the export is not accepted
    lost-after, reset-after    no answer, though the export was accepted
    slow=TIME               the answer comes later
    drip=TIME               the answer comes byte by byte, with this pause
    truncated               the answer lacks its last byte
    garbage                 the answer is not HTTP
    not-json                the answer is 200 without JSON
    no-export-id            the answer is 200 and JSON, without an export id

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
    redirect[=URL]          302, to the archive itself if no URL is given
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
            Self::Redirect(url) if url.is_empty() => f.write_str("redirect"),
            Self::Redirect(url) => write!(f, "redirect={url}"),
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
            ("redirect", url) => Self::Redirect(url.unwrap_or_default().to_owned()),
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
        if let Some((name, _)) = BODIES.iter().find(|(_, body)| Some(*body) == self.body) {
            write!(f, ":as={name}")?;
        }
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
            ("as", Some(value)) => {
                let found = BODIES.iter().find(|(name, _)| *name == value);
                let (_, body) = found.ok_or_else(|| TroubleError::Value("as", value.to_owned()))?;
                answer.body = Some(*body);
            }
            ("accepted", None) => answer.accepted = true,
            _ => return Err(TroubleError::Value("status", part.to_owned())),
        }
    }
    Ok(answer)
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

const BODIES: [(&str, AnswerBody); 4] = [
    ("envelope", AnswerBody::Envelope),
    ("bare", AnswerBody::Bare),
    ("html", AnswerBody::Html),
    ("empty", AnswerBody::Empty),
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
