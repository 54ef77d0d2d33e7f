//! Events that are accepted, and bodies that are refused.

use alloc::vec::Vec;

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
    let time = |text: &str| export(&format!(r#"{{"export_id":"e","archive_url":"u"{text}}}"#)).requested_at;
    assert_eq!(time(r#","requested_at":1649838051.25"#), Some(Timestamp::from_millis(1_649_838_051_250)));
    for nothing in [
        "",
        // Python's json prints these.
        r#","requested_at":NaN"#,
        r#","requested_at":Infinity"#,
        r#","requested_at":-Infinity"#,
        r#","requested_at":NaN,"generated_at":-Infinity"#,
        r#","text":"a NaN in \\\"text, and \\\\","requested_at":NaN"#,
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
fn another_event_is_reported_as_such() {
    for body in [
        "{}",
        r#"{"event_type":"NEW_BANNER","id":"x"}"#,
        r#"{"event_type":"NEW_BANNER","export_id":"e","archive_url":"u"}"#,
        r#"{"event_type":"NEW_BANNER","data":{"export_id":"e","archive_url":"u"}}"#,
        r#"{"data":{"event_type":"NEW_BANNER","export_id":"e","archive_url":"u"}}"#,
        r#"{"data":{"data":{"export_id":"e","archive_url":"u"}}}"#,
        r#"{"data":[{"export_id":"e"}],"payload":"{\"export_id\":\"e\"}"}"#,
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
fn the_fields_may_stand_one_level_deeper() {
    let flat = export(r#"{"export_id":"e","archive_url":"u","requested_at":1,"generated_at":2}"#);
    for body in [
        r#"{"event_type":"NEW_EXPORT","data":FIELDS}"#,
        r#"{"event_type":"new-export","payload":FIELDS}"#,
        r#"{"payload":FIELDS,"event_type":"NewExport"}"#,
        r#"{"data":FIELDS}"#,
        r#"{"data":null,"payload":FIELDS}"#,
        r#"{"data":{"x":1},"payload":FIELDS}"#,
        "\u{feff}FIELDS",
        "\u{feff}\u{feff}FIELDS",
    ] {
        let fields = r#"{"export_id":"e","archive_url":"u","requested_at":1,"generated_at":2}"#;
        assert_eq!(export(&body.replace("FIELDS", fields)), flat, "{body}");
    }
    let beside = export(r#"{"export_id":"e","archive_url":"u","data":{"export_id":"f","archive_url":"v"}}"#);
    assert_eq!(beside.export_id.as_str(), "e", "what stands at the top is meant");
}

#[test]
fn a_number_that_is_none_changes_nothing_else_and_excuses_nothing_else() {
    let event =
        export(r#"{"export_id":"NaN","archive_url":"https://h/Infinity?a=-Infinity","requested_at":NaN}"#);
    assert_eq!((event.export_id.as_str(), &*event.archive_url), ("NaN", "https://h/Infinity?a=-Infinity"));
    let deeper = export(r#"{"data":{"export_id":"e","archive_url":"u","x":[NaN,-Infinity]}}"#);
    assert_eq!(deeper.export_id.as_str(), "e");
    for body in [
        r#"{"export_id":"e","archive_url":"u","requested_at":NaN"#,
        r#"{"export_id":"e","archive_url":"u","requested_at":nan}"#,
        r#"{"export_id":"e","archive_url":"u","requested_at":NaNs}"#,
        r#"{"export_id":"e","archive_url":"u","requested_at":--Infinity}"#,
        r#"{"export_id":"e","archive_url":"u"NaN}"#,
        "NaN",
    ] {
        assert!(matches!(parse(body.as_bytes()), Err(EventError::NotAnEvent { .. })), "{body}");
    }
    assert!(matches!(
        parse(br#"{"export_id":NaN,"archive_url":"u"}"#),
        Err(EventError::Unusable { field: "export_id" })
    ));
}

#[test]
fn an_event_that_calls_itself_an_export_and_has_no_usable_ids_is_an_error() {
    for body in [
        r#"{"event_type":"NEW_EXPORT"}"#,
        r#"{"event_type":"NEW_EXPORT","data":{}}"#,
        r#"{"event_type":"NEW_EXPORT","data":{"export_id":"a b","archive_url":"u"}}"#,
        r#"{"event_type":"NEW_EXPORT","data":{"export_id":"e"}}"#,
        r#"{"event_type":"NEW_EXPORT","export_id":null}"#,
    ] {
        assert!(matches!(parse(body.as_bytes()), Err(EventError::Unusable { .. })), "{body}");
    }
}

#[test]
fn a_body_that_is_no_event_is_an_error() {
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
        br#"{"data":{"export_id":"e","archive_url":"u","archive_url":"v"}}"#,
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
    assert!(parse(deep("surprise").as_bytes()).is_ok());
    assert!(parse(deep("requested_at").as_bytes()).is_ok());
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
fn an_error_names_the_reason_and_the_position() {
    let reason = |body: &[u8]| match parse(body) {
        Err(EventError::NotAnEvent { reason }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(&*reason(b"[]"), "a JSON object is expected");
    assert_eq!(&*reason(b"{\"a\": 1,}"), "trailing comma at line 1 column 9");
    assert_eq!(&*reason(b"{\"a\": 1"), "EOF while parsing an object at line 1 column 7");
    assert_eq!(&*reason(b"{} {"), "trailing characters at line 1 column 4");
    assert_eq!(&*reason(b"{\"a\": \"\xff\"}"), "byte 7 is not UTF-8");
    let twice = reason(br#"{"export_id":"e","export\u005fid":"f"}"#);
    assert_eq!(&*twice, "duplicate field `export_id` at line 1 column 33");
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
    for beyond in ["253402300800", "253402300800.0", "18446744073709551616", "1e400"] {
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
