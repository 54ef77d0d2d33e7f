//! What a delivery says: an archive is ready, or something that is not our concern.

use alloc::boxed::Box;
use core::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::fields::{Fields, moment, text};
use crate::{ExportId, Timestamp, excerpt::excerpt, webhook::Verified};

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
    /// fields it knows, and a byte for each level of what it passes over. What is not an export is an [`Event::Other`]; an error means that the body is
    /// no JSON object, or is an export's event that lacks what makes it useful.
    pub fn parse(verified: &Verified<'_>) -> Result<Self, EventError> {
        let fields = Fields::read(verified.body()).map_err(|reason| EventError::NotAnEvent { reason })?;
        let [export_id, archive_url, requested_at, generated_at, event_type] = fields.0;
        let event_type = text(event_type);
        if !event_type.as_deref().is_none_or(is_new_export) || export_id.is_none() {
            let event_type = event_type.map(|text| excerpt(text.as_bytes(), MAX_EVENT_TYPE).into());
            return Ok(Self::Other(OtherEvent { event_type }));
        }
        let export_id = text(export_id).and_then(|text| text.parse().ok());
        let archive_url = text(archive_url).filter(|text| text.len() <= MAX_ARCHIVE_URL);
        Ok(Self::NewExport(NewExport {
            export_id: export_id.ok_or(EventError::Unusable { field: "export_id" })?,
            archive_url: archive_url.ok_or(EventError::Unusable { field: "archive_url" })?.into(),
            requested_at: moment(requested_at),
            generated_at: moment(generated_at),
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
        /// What is wrong with it, and where; nothing of what it says.
        reason: Box<str>,
    },
    /// The event of an export lacks a field that it is useless without, or has it in another type.
    #[error("the event of an export has no usable {field}")]
    Unusable {
        /// The field's name.
        field: &'static str,
    },
}

/// `NEW_EXPORT`, `NewExport` and `new-export` are all taken for an export's event.
fn is_new_export(event_type: &str) -> bool {
    let letters = event_type.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase());
    letters.eq("newexport".bytes())
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

    #[test]
    fn what_is_wrong_is_said_and_where() {
        let reason = |body: &[u8]| match parse(body) {
            Err(EventError::NotAnEvent { reason }) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(&*reason(b"[]"), "a JSON object is expected");
        assert_eq!(&*reason(b"{\"a\": 1,}"), "what stands at byte 8 is no JSON");
        assert_eq!(&*reason(b"{\"a\": 1"), "what stands at byte 6 is no JSON");
        assert_eq!(&*reason(b"{} {"), "what stands at byte 3 is no JSON");
        assert_eq!(&*reason(b"{\"a\": \"\xff\"}"), "what stands at byte 7 is no UTF-8");
        assert_eq!(&*reason(br#"{"export_id":"e","export\u005fid":"f"}"#), r#"it has "export_id" twice"#);
    }

    #[test]
    fn how_a_field_is_spelled_and_where_it_stands_makes_no_difference() {
        let event = export(
            "\t{\"generated_at\" :\n2 , \"x\":{\"export_id\":[\"no\"]},\"archive\\u005furl\":\"\\u0075\\/\",\r\n\"expor\\u0074_id\":\"e\" } ",
        );
        assert_eq!((event.export_id.as_str(), &*event.archive_url), ("e", "u/"));
        assert_eq!((event.requested_at, event.generated_at), (None, Some(Timestamp::from_secs(2))));
    }

    #[test]
    fn a_moment_ends_with_the_year_9999() {
        let time = |text: &str| {
            export(&format!(r#"{{"export_id":"e","archive_url":"u","requested_at":{text}}}"#)).requested_at
        };
        assert_eq!(time("253402300799"), Some(Timestamp::from_secs(253_402_300_799)));
        assert_eq!(time("253402300799.5"), Some(Timestamp::from_millis(253_402_300_799_500)));
        for beyond in ["253402300800", "253402300800.0", "18446744073709551616", "1e400", "NaN", "Infinity"] {
            assert_eq!(time(beyond), None, "{beyond}");
        }
        assert_eq!(time("0"), Some(Timestamp::default()));
    }

    proptest! {
        #[test]
        fn nothing_panics(body: Vec<u8>) {
            let _ = parse(&body);
        }
    }
}
