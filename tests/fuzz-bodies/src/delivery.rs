//! Whatever a genuine delivery says: no panic, and it is read as another JSON reader reads it, or refused for a reason that
//! this other reader gives as well.

use abyssale_core::{
    Timestamp,
    webhook::{Event, EventError, Verifier},
};
use serde::de::IgnoredAny;
use serde_json::Value;

/// The body of a delivery.
///
/// # Panics
/// If what has to hold does not.
pub fn delivery(data: &[u8]) {
    let genuine = match Verifier::new([]).accept_unsigned().verify(Timestamp::default(), &(), data) {
        Ok(genuine) => genuine,
        Err(refusal) => panic!("unsigned deliveries are accepted here: {refusal}"),
    };
    let read = Event::parse(&genuine);
    let read = read.as_ref();
    if let Err(error) = read {
        assert!(error.to_string().len() < 200, "{error}");
    }
    // What has a field twice is not read further.
    let is_twice =
        matches!(read, Err(EventError::NotAnEvent { reason }) if reason.starts_with("duplicate field"));
    let is_read = !matches!(read, Err(EventError::NotAnEvent { .. }));
    // Python's NaN and infinities are read as null, which the other reader does not.
    let has_nan = ["NaN", "Infinity"].iter().any(|nan| String::from_utf8_lossy(data).contains(nan));
    if !is_twice && !has_nan {
        assert_eq!(is_read, is_object(data));
    }
    // The other reader gives up on nesting, on numbers beyond its own and on half surrogates.
    if let Ok(known) = serde_json::from_slice::<Value>(without_mark(data))
        && !is_twice
    {
        agrees(&unwrapped(known), read);
    }
}

/// Whether it is a JSON object by the letter, however deep, and all of it UTF-8.
fn is_object(data: &[u8]) -> bool {
    let data = without_mark(data);
    data.trim_ascii_start().starts_with(b"{")
        && str::from_utf8(data).is_ok()
        && serde_json::from_slice::<IgnoredAny>(data).is_ok()
}

fn without_mark(mut data: &[u8]) -> &[u8] {
    while let Some(rest) = data.strip_prefix(b"\xef\xbb\xbf") {
        data = rest;
    }
    data
}

/// The fields of `data` or `payload`, if the id of an export is there and not beside it.
fn unwrapped(known: Value) -> Value {
    if known.get("export_id").is_some() {
        return known;
    }
    let mut within = ["data", "payload"].into_iter().filter_map(|name| known.get(name));
    let Some(within) = within.find(|within| within.get("export_id").is_some()) else { return known };
    let mut fields = within.clone();
    if let (Some(event_type), Some(fields)) = (known.get("event_type"), fields.as_object_mut()) {
        fields.insert("event_type".into(), event_type.clone());
    }
    fields
}

fn agrees(known: &Value, read: Result<&Event, &EventError>) {
    let kind = known["event_type"].as_str();
    let is_new_export = |kind: &str| {
        let letters = kind.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
        letters.eq_ignore_ascii_case("NewExport")
    };
    let is_export = kind.map_or(known.get("export_id").is_some(), is_new_export);
    let is_id = |id: &str| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    let export_id = known["export_id"].as_str().filter(|id| is_id(id));
    let archive_url = known["archive_url"].as_str().filter(|url| url.len() <= 8 << 10);
    match read {
        Ok(Event::NewExport(event)) => {
            assert!(is_export);
            assert_eq!((export_id, archive_url), (Some(event.export_id.as_str()), Some(&*event.archive_url)));
            assert_eq!(event.requested_at, moment(&known["requested_at"]));
            assert_eq!(event.generated_at, moment(&known["generated_at"]));
        }
        Ok(Event::Other(event)) => {
            assert!(!is_export);
            assert_eq!(event.event_type.is_some(), kind.is_some());
            assert!(event.event_type.as_deref().is_none_or(|kind| kind.chars().count() <= 65));
        }
        Ok(other) => panic!("{other:?}"),
        Err(EventError::Unusable { field: "export_id" }) => assert!(is_export && export_id.is_none()),
        Err(EventError::Unusable { .. }) => assert!(is_export && archive_url.is_none()),
        Err(other) => assert!(!known.is_object(), "{other}"),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the bounds it is exact")]
fn moment(known: &Value) -> Option<Timestamp> {
    let millis = known.as_f64()? * 1000.0;
    (0.0..253_402_300_800_000.0).contains(&millis).then_some(Timestamp::from_millis(millis as u64))
}
