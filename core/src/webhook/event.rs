//! The content of a delivery: an archive is ready, or some other event of the workspace (`PROTOCOL.md` §4).

use alloc::{
    boxed::Box,
    format,
    string::{String, ToString},
};
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::{
    decimal::decimal, id::ExportId, redact::excerpt, response::json_object, time::Timestamp,
    webhook::Verified,
};

/// The content of a genuine delivery.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// An archive is ready.
    NewExport(NewExport),
    /// Another event to which the same callback URL is subscribed. Acknowledge it.
    Other(OtherEvent),
}

impl Event {
    /// Parses the body of a genuine delivery.
    ///
    /// The fields are read where they stand, or one level deeper, in an object `data` or `payload`. Unknown fields are
    /// ignored, however deeply their values are nested. An event that is not an export's is returned as
    /// [`Event::Other`].
    ///
    /// # Errors
    ///
    /// Fails if the body is not a JSON object, or if it is an export's event, by its type or by its fields, without a
    /// usable `export_id` or `archive_url`.
    pub fn parse(verified: &Verified<'_>) -> Result<Self, EventError> {
        let not_an_event = |reason: String| EventError::NotAnEvent { reason: reason.into() };
        let body = str::from_utf8(verified.body())
            .map_err(|error| not_an_event(format!("byte {} is not UTF-8", error.valid_up_to())))?;
        let without_nan;
        let fields: RawFields<'_> = match json_object(body.as_bytes()) {
            Ok(fields) => fields,
            Err(error) => {
                // The position is all that a log needs; nothing of what the body says.
                let error = not_an_event(error.to_string());
                without_nan = without_nan_tokens(body);
                json_object(without_nan.as_bytes()).map_err(|_| error)?
            }
        };
        let fields = fields.unwrapped().map_err(|error| not_an_event(error.to_string()))?;
        let event_type = text(fields.event_type);
        let is_export = match event_type.as_deref() {
            Some(event_type) => is_new_export(event_type),
            None => fields.export_id.is_some(),
        };
        if !is_export {
            let event_type = event_type.map(|text| excerpt(text.as_bytes(), MAX_EVENT_TYPE).into());
            return Ok(Self::Other(OtherEvent { event_type }));
        }
        let export_id = text(fields.export_id).and_then(|text| text.parse().ok());
        let archive_url = text(fields.archive_url).filter(|text| text.len() <= MAX_ARCHIVE_URL);
        Ok(Self::NewExport(NewExport {
            export_id: export_id.ok_or(EventError::Unusable { field: "export_id" })?,
            archive_url: archive_url.ok_or(EventError::Unusable { field: "archive_url" })?.into(),
            requested_at: moment(fields.requested_at),
            generated_at: moment(fields.generated_at),
        }))
    }
}

/// The fields that matter, as they stand in the body: a field of an unexpected type must not make the event unreadable.
#[derive(Deserialize)]
struct RawFields<'b> {
    #[serde(borrow, default, deserialize_with = "present")]
    export_id: Option<&'b RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    archive_url: Option<&'b RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    requested_at: Option<&'b RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    generated_at: Option<&'b RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    event_type: Option<&'b RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'b RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    payload: Option<&'b RawValue>,
}

impl RawFields<'_> {
    /// The fields of the object in `data` or `payload`, if the id of an export is there and not beside it.
    fn unwrapped(self) -> Result<Self, serde_json::Error> {
        if self.export_id.is_some() {
            return Ok(self);
        }
        let values = [self.data, self.payload].into_iter().flatten();
        for object in values.map(RawValue::get).filter(|value| value.starts_with('{')) {
            let within: Self = json_object(object.as_bytes())?;
            if within.export_id.is_some() {
                return Ok(Self { event_type: self.event_type.or(within.event_type), ..within });
            }
        }
        Ok(self)
    }
}

/// Reads a field that is there, `null` included.
fn present<'de: 'b, 'b, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'b RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

fn text(value: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(value?.get()).ok()
}

/// Reads Unix seconds, an integer or a float. Any other value counts as absent.
fn moment(value: Option<&RawValue>) -> Option<Timestamp> {
    let number = value?.get();
    if let Some(secs) = decimal(number.as_bytes()) {
        return (secs < YEAR_10000).then_some(Timestamp::from_secs(secs));
    }
    let millis = number.parse::<f64>().ok()? * 1000.0;
    // Within these bounds the cast is exact.
    #[expect(clippy::cast_precision_loss)]
    let plausible = (0.0..YEAR_10000 as f64 * 1000.0).contains(&millis);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    plausible.then_some(Timestamp::from_millis(millis as u64))
}

/// The `NewExport` event: an archive is ready.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NewExport {
    /// The export's id.
    pub export_id: ExportId,
    /// The archive's URL as it was sent, at most 8 KiB.
    ///
    /// It may contain a signature, so `Debug` omits its query. It may be any text: the documented sample is the
    /// relative `url.zip`.
    pub archive_url: Box<str>,
    /// When the export was requested, if the event contains a valid time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Timestamp>,
    /// When the archive was made, if the event contains a valid time.
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

/// An event of another type.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OtherEvent {
    /// The event's `event_type`, if it has one; at most 64 characters.
    pub event_type: Option<Box<str>>,
}

impl fmt::Display for OtherEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.event_type {
            Some(event_type) => write!(f, "an event of the type {event_type:?} is not an export's"),
            None => f.write_str("an event without an export id is not an export's"),
        }
    }
}

/// A genuine delivery that cannot be parsed.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum EventError {
    /// The body is not a JSON object.
    #[error("the delivery is not an event: {reason}")]
    NotAnEvent {
        /// What is wrong with the body, and where. It quotes nothing of the body but field names.
        reason: Box<str>,
    },
    /// An export's event lacks a required field, or the field's value is not usable.
    #[error("the event of an export has no usable {field}")]
    Unusable {
        /// The field's name.
        field: &'static str,
    },
}

/// Replaces `NaN`, `Infinity` and `-Infinity`, which Python writes for such numbers, by `null`. JSON has no such numbers,
/// and a time that is none must not cost the event.
fn without_nan_tokens(body: &str) -> String {
    let as_null = |text: &str| {
        ["-Infinity", "Infinity", "NaN"]
            .iter()
            .fold(String::from(text), |text, nan| text.replace(nan, "null"))
    };
    let mut replaced = String::with_capacity(body.len());
    // Strings and what is between them take turns. A quote behind an odd number of backslashes is part of its string.
    let (mut in_string, mut is_escaped) = (false, false);
    let mut from = 0;
    for (at, byte) in body.bytes().enumerate() {
        match byte {
            b'\\' if in_string => is_escaped = !is_escaped,
            b'"' if !is_escaped => {
                let piece = body.get(from..at).unwrap_or_default();
                replaced.push_str(&if in_string { String::from(piece) } else { as_null(piece) });
                replaced.push('"');
                (in_string, from) = (!in_string, at + 1);
            }
            _ => is_escaped = false,
        }
    }
    replaced.push_str(&as_null(body.get(from..).unwrap_or_default()));
    replaced
}

/// Accepts `NEW_EXPORT`, `NewExport` and `new-export`.
fn is_new_export(event_type: &str) -> bool {
    let letters = event_type.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase());
    letters.eq("newexport".bytes())
}

const MAX_ARCHIVE_URL: usize = 8 << 10;
const MAX_EVENT_TYPE: usize = 64;

/// In seconds. Later times are taken for errors.
const YEAR_10000: u64 = 253_402_300_800;

#[cfg(test)]
mod tests;
