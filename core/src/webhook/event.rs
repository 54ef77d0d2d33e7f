//! What a delivery says: an archive is ready, or something that is not our concern.

use alloc::{borrow::Cow, boxed::Box};
use core::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use thiserror::Error;

use crate::{ExportId, Timestamp, excerpt::excerpt, json, webhook::Verified};

/// The content of a genuine delivery.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// An archive is ready.
    NewExport(NewExport),
    /// Anything else that the same address is subscribed to: acknowledge it and go on.
    Other(OtherEvent),
}

impl Event {
    /// Reads the body of a genuine delivery.
    ///
    /// Reads without recursion, so no nesting can exhaust the stack; takes memory only for the
    /// fields it knows. What is not an export is an [`Event::Other`]; an error means that the body is
    /// no JSON object, or is an export's event that lacks what makes it useful.
    pub fn parse(verified: &Verified<'_>) -> Result<Self, EventError> {
        let fields: Fields<'_> = json::object(verified.body()).map_err(|error| EventError::NotAnEvent {
            reason: shown(&alloc::string::ToString::to_string(&error)),
        })?;
        let is_export =
            fields.event_type.text().is_none_or(is_new_export) && fields.export_id != Field::Absent;
        if !is_export {
            let event_type =
                fields.event_type.text().map(|text| excerpt(text.as_bytes(), MAX_EVENT_TYPE).into());
            return Ok(Self::Other(OtherEvent { event_type }));
        }
        let export_id = fields.export_id.text().and_then(|text| text.parse().ok());
        let archive_url = fields.archive_url.text().filter(|text| text.len() <= MAX_ARCHIVE_URL);
        Ok(Self::NewExport(NewExport {
            export_id: export_id.ok_or(EventError::Unusable { field: "export_id" })?,
            archive_url: archive_url.ok_or(EventError::Unusable { field: "archive_url" })?.into(),
            requested_at: fields.requested_at.0,
            generated_at: fields.generated_at.0,
        }))
    }
}

/// The `NewExport` event: an archive is ready at an address.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NewExport {
    /// The export that was accepted under this id.
    pub export_id: ExportId,
    /// The archive's address as it was sent, at most 8 KiB. It may hold a signature, so `Debug` leaves
    /// its query out, and it may be anything: the documented sample is the relative `url.zip`.
    pub archive_url: Box<str>,
    /// When the export was asked for, if the event says so in a readable way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Timestamp>,
    /// When the archive was made, if the event says so in a readable way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated_at: Option<Timestamp>,
}

impl fmt::Debug for NewExport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, query) = match self.archive_url.split_once('?') {
            Some((address, _)) => (address, "?…"),
            None => (&*self.archive_url, ""),
        };
        f.debug_struct("NewExport")
            .field("export_id", &self.export_id)
            .field("archive_url", &format_args!("{}{query}", excerpt(address.as_bytes(), 200)))
            .field("requested_at", &self.requested_at)
            .field("generated_at", &self.generated_at)
            .finish()
    }
}

/// An event of another kind.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OtherEvent {
    /// What it calls itself, if it does; at most 64 characters.
    pub event_type: Option<Box<str>>,
}

/// A genuine delivery holds nothing that can be read as an event.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum EventError {
    /// The body is not a JSON object.
    #[error("the delivery is not an event: {reason}")]
    NotAnEvent {
        /// What the JSON reader says.
        reason: Box<str>,
    },
    /// The event of an export lacks a field that it is useless without, or has it in another type.
    #[error("the event of an export has no usable {field}")]
    Unusable {
        /// The field's name.
        field: &'static str,
    },
}

/// Exactly the fields that matter; `serde_json` skips all others iteratively.
#[derive(Deserialize)]
struct Fields<'b> {
    #[serde(borrow, default)]
    event_type: Field<'b>,
    #[serde(borrow, default)]
    export_id: Field<'b>,
    #[serde(borrow, default)]
    archive_url: Field<'b>,
    #[serde(default)]
    requested_at: Moment,
    #[serde(default)]
    generated_at: Moment,
}

/// A text, or the knowledge that there is something else in its place.
#[derive(Default, Eq, PartialEq)]
enum Field<'b> {
    #[default]
    Absent,
    Text(Cow<'b, str>),
    SomethingElse,
}

impl Field<'_> {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::SomethingElse => None,
        }
    }
}

/// Unix seconds as an integer or a float; anything else is as good as absent.
#[derive(Default)]
struct Moment(Option<Timestamp>);

impl<'b, 'de: 'b> Deserialize<'de> for Field<'b> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match deserializer.deserialize_any(Lenient)? {
            Scalar::Text(text) => Self::Text(text),
            Scalar::Number(_) | Scalar::SomethingElse => Self::SomethingElse,
        })
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match deserializer.deserialize_any(Lenient)? {
            Scalar::Number(secs) => timestamp(secs),
            Scalar::Text(_) | Scalar::SomethingElse => None,
        }))
    }
}

enum Scalar<'b> {
    /// Borrowed unless it holds an escape.
    Text(Cow<'b, str>),
    Number(f64),
    SomethingElse,
}

/// Takes any JSON value without an error and without recursion.
struct Lenient;

impl<'de> Visitor<'de> for Lenient {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(text.into())))
    }

    // Seconds of any plausible year are exact in an f64.
    #[expect(clippy::cast_precision_loss)]
    fn visit_u64<E>(self, number: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Number(number as f64))
    }

    #[expect(clippy::cast_precision_loss)]
    fn visit_i64<E>(self, number: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Number(number))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::SomethingElse)
    }

    fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::SomethingElse)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Scalar<'de>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::SomethingElse)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Scalar<'de>, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::SomethingElse)
    }
}

fn timestamp(secs: f64) -> Option<Timestamp> {
    let millis = secs * 1000.0;
    // The year 10000 in milliseconds: beyond it a figure is no moment, and below it the cast is exact.
    let plausible = (0.0..2.534e14).contains(&millis);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    plausible.then_some(Timestamp::from_millis(millis as u64))
}

/// `NEW_EXPORT`, `NewExport` and `new-export` are all taken for an export's event.
fn is_new_export(event_type: &str) -> bool {
    let letters = event_type.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase());
    letters.eq("newexport".bytes())
}

fn shown(text: &str) -> Box<str> {
    excerpt(text.as_bytes(), 120).into()
}

const MAX_ARCHIVE_URL: usize = 8 << 10;
const MAX_EVENT_TYPE: usize = 64;

#[cfg(test)]
mod tests {
    use alloc::{format, string::String, vec::Vec};

    use proptest::prelude::*;

    use super::*;
    use crate::webhook::Verifier;

    fn parse(body: &[u8]) -> Result<Event, EventError> {
        Event::parse(&Verifier::new([]).accept_unsigned().verify(Timestamp::default(), &(), body).unwrap())
    }

    fn export(body: &str) -> NewExport {
        match parse(body.as_bytes()) {
            Ok(Event::NewExport(event)) => event,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_documented_sample_is_read() {
        let event = export(
            r#"{"export_id": "54e62358-2656-455c-afd7-66d5ed3dd581", "archive_url": "url.zip",
                "requested_at": 1649838051, "generated_at": 1649838135}"#,
        );
        assert_eq!(event.export_id.as_str(), "54e62358-2656-455c-afd7-66d5ed3dd581");
        assert_eq!(&*event.archive_url, "url.zip");
        assert_eq!(event.requested_at, Some(Timestamp::from_secs(1_649_838_051)));
        assert_eq!(event.generated_at, Some(Timestamp::from_secs(1_649_838_135)));
    }

    #[test]
    fn times_may_be_floats_absent_or_nonsense() {
        let time =
            |text: &str| export(&format!(r#"{{"export_id":"e","archive_url":"u"{text}}}"#)).requested_at;
        assert_eq!(time(r#","requested_at":1649838051.25"#), Some(Timestamp::from_millis(1_649_838_051_250)));
        for nothing in [
            "",
            r#","requested_at":null"#,
            r#","requested_at":"soon""#,
            r#","requested_at":-1"#,
            r#","requested_at":1e300"#,
            r#","requested_at":[[{}]]"#,
            r#","requested_at":{"a":[1]}"#,
        ] {
            assert_eq!(time(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn what_is_not_an_export_is_reported_as_such() {
        for body in [
            "{}",
            r#"{"event_type":"NEW_BANNER","id":"x"}"#,
            r#"{"event_type":"NEW_BANNER","export_id":"e","archive_url":"u"}"#,
            r#"{"id":"x","archive_url":"u"}"#,
        ] {
            assert!(matches!(parse(body.as_bytes()), Ok(Event::Other(_))), "{body}");
        }
        let Ok(Event::Other(other)) = parse(br#"{"event_type":"TEMPLATE_STATUS"}"#) else { panic!() };
        assert_eq!(other.event_type.as_deref(), Some("TEMPLATE_STATUS"));
        assert!(matches!(
            parse(br#"{"event_type":"NEW_EXPORT","export_id":"e","archive_url":"u"}"#),
            Ok(Event::NewExport(_))
        ));
    }

    #[test]
    fn what_cannot_be_an_event_is_an_error() {
        for body in [
            &b""[..],
            b"[]",
            b"null",
            b"\xff",
            b"{",
            br#"{"export_id":"e"}"#,
            br#"{"export_id":"e","archive_url":3}"#,
            br#"{"export_id":null,"archive_url":"u"}"#,
            br#"{"export_id":"a b","archive_url":"u"}"#,
            br#"{"export_id":"e","archive_url":"u","archive_url":"v"}"#,
        ] {
            assert!(parse(body).is_err(), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn nesting_costs_no_stack() {
        let deep = |field: &str| {
            let brackets = "[".repeat(400_000) + &"]".repeat(400_000);
            format!(r#"{{"export_id":"e","archive_url":"u","{field}":{brackets}}}"#)
        };
        let _ = parse(deep("surprise").as_bytes());
        let _ = parse(deep("requested_at").as_bytes());
        let _ = parse("[".repeat(1 << 20).as_bytes());
    }

    #[test]
    fn debug_leaves_the_query_of_the_address_out() {
        let event = export(r#"{"export_id":"e","archive_url":"https://h/a.zip?sig=hunter2"}"#);
        assert_eq!(
            format!("{event:?}"),
            "NewExport { export_id: ExportId(e), archive_url: https://h/a.zip?…, requested_at: None, generated_at: None }"
        );
    }

    proptest! {
        #[test]
        fn nothing_panics(body: Vec<u8>) {
            let _ = parse(&body);
        }
    }
}
