//! HTTP dates, compared with the crate `httpdate`.

use std::time::SystemTime;

use proptest::prelude::*;

use super::*;

extern crate std;

fn parse(text: &str) -> Option<u64> {
    parse_http_date(text.as_bytes(), Timestamp::from_secs(1_795_000_000)).map(Timestamp::as_secs)
}

#[test]
fn the_three_forms_of_the_rfc_name_the_same_moment() {
    for text in
        ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
    {
        assert_eq!(parse(text), Some(784_111_777), "{text}");
    }
}

#[test]
fn a_two_digit_year_is_never_more_than_fifty_years_ahead() {
    let year_2076 = parse("Wed, 01 Jan 2076 00:00:00 GMT").unwrap();
    assert_eq!(parse("Wednesday, 01-Jan-76 00:00:00 GMT"), Some(year_2076));
    assert_eq!(parse("Saturday, 01-Jan-77 00:00:00 GMT"), parse("Sat, 01 Jan 1977 00:00:00 GMT"));
}

#[test]
fn a_text_that_is_no_date_is_refused() {
    for text in [
        "",
        "GMT",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1969 08:49:37 GMT",
        "Sun, +6 Nov 1994 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994 GMT",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sün, 06 Nov 1994 08:49:37 GMT",
        "\u{661}",
        "Sun Nov é6 08:49:37 1994",
    ] {
        assert_eq!(parse(text), None, "{text:?}");
    }
}

proptest! {
    #[test]
    fn every_second_reads_as_httpdate_writes_it(secs in 0u64..253_402_300_799) {
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
        prop_assert_eq!(parse(&httpdate::fmt_http_date(moment)), Some(secs));
    }

    #[test]
    fn nothing_panics(value: alloc::vec::Vec<u8>, now: u64) {
        let _ = parse_http_date(&value, Timestamp::from_millis(now));
    }

    #[test]
    fn near_misses_do_not_panic(text in "(Sun|Sunday),? [ 0-9]{2}[ -]Nov[ -][0-9]{2,4} [0-9:]{8} ?(GMT)?", now: u64) {
        let _ = parse_http_date(text.as_bytes(), Timestamp::from_millis(now));
    }
}
