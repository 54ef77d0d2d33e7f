//! What an event is made from: five fields of a JSON object, found in its bytes without anything being copied.
//!
//! Beside its signature, reading a delivery is most of its cost. So this goes over the tokens itself, with the reader that
//! refusals are read with, and takes half the time of a derived one.

use alloc::{borrow::Cow, boxed::Box, format};

use crate::{
    Timestamp,
    digits::decimal,
    json::{Broken, Json, Raw},
};

/// Exactly the fields that matter, as they stand in the body and in the order of [`FIELDS`].
#[derive(Default)]
pub(super) struct Fields<'b>(pub(super) [Option<Value<'b>>; FIELDS.len()]);

/// In the order in which the service sends them (PROTOCOL.md, section 4); in quotes, as they are looked for.
const FIELDS: [&str; 5] =
    ["\"export_id\"", "\"archive_url\"", "\"requested_at\"", "\"generated_at\"", "\"event_type\""];

#[derive(Clone, Copy)]
pub(super) enum Value<'b> {
    Text(Raw<'b>),
    /// A number or a literal.
    Scalar(&'b str),
    /// A list or an object.
    Nested,
}

impl<'b> Fields<'b> {
    /// Reads a body to its end, or says why it is none.
    #[inline]
    pub(super) fn read(body: &'b [u8]) -> Result<Self, Box<str>> {
        let text = str::from_utf8(body)
            .map_err(|error| format!("what stands at byte {} is no UTF-8", error.valid_up_to()))?;
        let mut json = Json::new(text);
        let mut fields = Self::default();
        if json.peek() != Some(b'{') {
            return Err("a JSON object is expected".into());
        }
        fields.members(&mut json).map_err(|flaw| match flaw {
            Flaw::NotJson => format!("what stands at byte {} is no JSON", json.at()),
            Flaw::Twice(field) => format!("it has {} twice", FIELDS.get(field).unwrap_or(&"a field")),
        })?;
        Ok(fields)
    }

    /// Which field the next member is, if it is one.
    #[inline]
    fn key(json: &mut Json<'b>) -> Result<Option<usize>, Broken> {
        // The usual spelling is told without reading it.
        json.peek();
        let mut field = FIELDS.iter().position(|field| json.take_key(field));
        if field.is_none() {
            field = Self::unusual_key(json)?;
        }
        json.expect(b':')?;
        Ok(field)
    }

    #[inline(never)]
    fn unusual_key(json: &mut Json<'b>) -> Result<Option<usize>, Broken> {
        let key = json.string()?.decode();
        Ok(FIELDS.iter().position(|field| field.trim_matches('"') == key))
    }

    #[inline]
    fn members(&mut self, json: &mut Json<'b>) -> Result<(), Flaw> {
        json.expect(b'{')?;
        let mut more = !json.take(b'}');
        while more {
            let field = Self::key(json)?;
            let value = Value::read(json)?;
            if let Some(field) = field
                && let Some(place) = self.0.get_mut(field)
                && place.replace(value).is_some()
            {
                return Err(Flaw::Twice(field));
            }
            more = json.take(b',');
            if !more {
                json.expect(b'}')?;
            }
        }
        if json.peek().is_none() { Ok(()) } else { Err(Flaw::NotJson) }
    }
}

impl<'b> Value<'b> {
    #[inline]
    fn read(json: &mut Json<'b>) -> Result<Self, Broken> {
        Ok(match json.peek() {
            Some(b'"') => Self::Text(json.string()?),
            Some(b'{' | b'[') => {
                json.value()?;
                Self::Nested
            }
            _ => Self::Scalar(json.scalar()?),
        })
    }
}

/// Why a body gives no fields.
enum Flaw {
    NotJson,
    /// Which of the two is meant?
    Twice(usize),
}

impl From<Broken> for Flaw {
    fn from(_: Broken) -> Self {
        Self::NotJson
    }
}

#[inline]
pub(super) fn text(value: Option<Value<'_>>) -> Option<Cow<'_, str>> {
    match value {
        Some(Value::Text(text)) => Some(text.decode()),
        _ => None,
    }
}

/// Unix seconds as an integer or a float; anything else is as good as absent.
#[inline]
pub(super) fn moment(value: Option<Value<'_>>) -> Option<Timestamp> {
    let Some(Value::Scalar(number)) = value else { return None };
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

/// In seconds: what is beyond it is no moment.
const YEAR_10000: u64 = 253_402_300_800;
