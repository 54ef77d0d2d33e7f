//! Whatever a genuine delivery says: no panic, and an export's event says what another JSON reader reads in it.

use abyssale_core::{
    Timestamp,
    webhook::{Event, Verifier},
};
use serde_json::Value;

/// The body of a delivery.
///
/// # Panics
/// If what has to hold does not.
pub fn delivery(data: &[u8]) {
    let read = Verifier::new([]).accept_unsigned().verify_and_parse(Timestamp::default(), &(), data);
    let known = serde_json::from_slice::<Value>(data);
    match (&read, &known) {
        (Ok(Event::NewExport(event)), known) => {
            assert!(event.archive_url.len() <= 8 << 10 && !event.export_id.as_str().is_empty());
            // The other reader gives up on nesting that ours skips.
            if let Ok(known) = known {
                assert_eq!(known["export_id"], event.export_id.as_str());
                assert_eq!(known["archive_url"], &*event.archive_url);
                let millis = |field: &str| known[field].as_f64().map(|secs| secs * 1000.0);
                for (moment, field) in
                    [(event.requested_at, "requested_at"), (event.generated_at, "generated_at")]
                {
                    let Some(moment) = moment else { continue };
                    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
                    let ours = moment.as_millis() as f64;
                    assert!(millis(field).is_some_and(|theirs| (theirs - ours).abs() <= 1.0), "{field}");
                }
            }
        }
        (Ok(Event::Other(event)), Ok(known)) => {
            assert!(known.is_object());
            let kind = event.event_type.as_deref().unwrap_or_default();
            assert!(kind.chars().count() <= 65, "{kind}");
        }
        (Ok(other), _) => drop(format!("{other:?}")),
        (Err(error), _) => assert!(error.to_string().len() < 1000),
    }
    if known.is_ok_and(|known| !known.is_object()) {
        assert!(read.is_err());
    }
}
