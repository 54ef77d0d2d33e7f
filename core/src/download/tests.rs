//! Tables of answers, and what each means for the stored bytes.

use alloc::{format, string::ToString, vec, vec::Vec};

use proptest::prelude::*;

use super::*;

type Head<'a> = &'a [(&'a str, &'a str)];

const ADDRESS: &str = "https://store.example.com/a.zip?sig=hunter2";

fn new() -> Transfer {
    let base = "https://api.abyssale.com".parse().unwrap();
    Transfer::new(ADDRESS.parse().unwrap(), ArchivePolicy::default(), base)
}

/// A download of which 400 of 1,000 bytes, with the tag "a", are there.
fn begun() -> Transfer {
    new().resume(resume_state(&[("etag", "\"a\""), ("content-length", "1000")]), 400)
}

fn resume_state(head: Head<'_>) -> ResumeState {
    receive(new().handle_head(200, &head)).resume_state.unwrap()
}

fn receive(step: Step) -> Receive {
    match step {
        Step::Receive(receive) => receive,
        other => panic!("{other:?}"),
    }
}

fn field(transfer: &Transfer, name: &str) -> Option<String> {
    transfer.request().headers().find(|(field, _)| *field == name).map(|(_, value)| value.to_string())
}

#[test]
fn a_whole_answer_begins_at_the_beginning() {
    for (status, head, total, resumable) in [
        (200, &[("etag", "\"b\""), ("content-length", "7")][..], Some(7), true),
        (200, &[("etag", "W/\"b\""), ("content-length", "7")], Some(7), false),
        (200, &[("content-length", "7"), ("content-encoding", "Identity")], Some(7), false),
        (200, &[("etag", "\"b\"")], None, true),
        (200, &[("content-length", "7"), ("content-length", "8")], None, false),
        (200, &[("content-length", "+7")], None, false),
        (200, &[("content-length", "7"), ("transfer-encoding", "chunked")], None, false),
        (203, &[], None, false),
    ] {
        for mut transfer in [new(), begun()] {
            let receive = receive(transfer.handle_head(status, &head));
            assert_eq!(
                (receive.from, receive.total, receive.resume_state.is_some()),
                (0, total, resumable),
                "{head:?}"
            );
            assert_eq!((transfer.resumes_from(), receive.until), (0, total));
        }
    }
}

#[test]
fn the_rest_is_asked_for_by_range_and_validator() {
    let transfer = begun();
    assert_eq!(field(&transfer, "range").as_deref(), Some("bytes=400-"));
    assert_eq!(field(&transfer, "if-range").as_deref(), Some("\"a\""));
    assert_eq!(field(&new(), "range"), None);
    assert!(!transfer.request().carries_key());
}

#[test]
fn a_fitting_rest_is_appended() {
    for (head, until) in [
        (&[("content-range", "bytes 400-999/1000"), ("etag", "\"a\"")][..], 1000),
        (&[("content-range", "bytes 400-999/1000")], 1000),
        (&[("Content-Range", "Bytes 400-999/*"), ("content-length", "600")], 1000),
        (&[("content-range", "bytes 400-499/1000")], 500),
    ] {
        let receive = receive(begun().handle_head(206, &head));
        assert_eq!((receive.from, receive.total, receive.until), (400, Some(1000), Some(until)), "{head:?}");
        assert_eq!(receive.resume_state.unwrap().total(), Some(1000));
    }
}

#[test]
fn a_range_that_does_not_fit_starts_over_once() {
    for (status, head) in [
        (206, &[("content-range", "bytes 400-999/1000"), ("etag", "\"b\"")][..]),
        (206, &[("content-range", "bytes 400-999/1000"), ("etag", "W/\"a\"")]),
        (206, &[("content-range", "bytes 399-999/1000")]),
        (206, &[("content-range", "bytes 400-1000/1001")]),
        (206, &[("content-range", "bytes 400-1000/1000")]),
        (206, &[("content-range", "bytes 400-1000/*")]),
        (206, &[("content-range", "bytes 400-399/1000")]),
        (206, &[("content-range", "bytes=400-999/1000")]),
        (206, &[("content-range", "bytes 400-999/1000"), ("content-range", "bytes 0-999/1000")]),
        (206, &[("content-type", "multipart/byteranges")]),
        (206, &[]),
        (412, &[]),
        (416, &[("content-range", "bytes */1000")]),
    ] {
        let mut transfer = begun();
        assert_eq!(transfer.handle_head(status, &head), Step::Again, "{status} {head:?}");
        assert_eq!((transfer.resumes_from(), field(&transfer, "range")), (0, None));
        assert_ne!(transfer.handle_head(status, &head), Step::Again, "once");
    }
}

#[test]
fn a_date_that_has_settled_serves_as_a_validator() {
    let modified = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    let head = [modified, ("date", "Mon, 07 Nov 1994 08:49:37 GMT"), ("content-length", "1000")];
    let mut transfer = new().resume(resume_state(&head), 400);
    assert_eq!(field(&transfer, "if-range").as_deref(), Some(modified.1));
    let range = ("content-range", "bytes 400-999/1000");
    assert_eq!(receive(transfer.clone().handle_head(206, &[range, modified])).from, 400);
    let newer = [range, ("last-modified", "Sun, 06 Nov 1994 08:49:38 GMT")];
    assert_eq!(transfer.handle_head(206, &newer), Step::Again);
}

#[test]
fn only_what_was_begun_here_is_gone_on_with() {
    let known = || resume_state(&[("etag", "\"a\""), ("content-length", "1000")]);
    assert_eq!(field(&new().resume(known(), 0), "range"), None);
    assert_eq!(new().resume(known(), 1001).resumes_from(), 0);
    assert_eq!(new().resume(known(), 999).resumes_from(), 999);
    assert!(new().resume(known(), 1000).nothing_left().is_some_and(|rest| rest.from == 1000));
    assert!(begun().nothing_left().is_none());
    let other: Url = "https://store.example.com/b.zip?sig=hunter2".parse().unwrap();
    let other = Transfer::new(other, ArchivePolicy::default(), "https://h".parse().unwrap());
    assert_eq!(other.resume(known(), 400).resumes_from(), 0);
}

#[test]
fn redirects_are_followed_five_times_and_keep_the_range() {
    let mut transfer = begun();
    for status in [301, 302, 303, 307, 308] {
        assert_eq!(transfer.handle_head(status, &[("location", "/b.zip?sig=x")]), Step::Again);
        assert_eq!(transfer.request().url().as_str(), "https://store.example.com/b.zip?sig=x");
        assert_eq!(field(&transfer, "range").as_deref(), Some("bytes=400-"));
    }
    let Step::Failed(error) = transfer.handle_head(302, &[("location", "/b.zip?sig=x")]) else { panic!() };
    assert!(matches!(error, DownloadError::Address(_)), "{error:?}");
    assert!(error.to_string().contains("more than 5 redirects"), "{error}");
    assert!(!error.to_string().contains("sig"), "{error}");
}

#[test]
fn a_location_is_resolved_whatever_its_status_and_its_bytes() {
    for (location, target) in [
        (&b"../b.zip"[..], "https://store.example.com/b.zip"),
        ("é|b.zip".as_bytes(), "https://store.example.com/%C3%A9%7Cb.zip"),
        (b"caf\xe9.zip", "https://store.example.com/caf%E9.zip"),
        (b" https://other.example.com/b.zip#x", "https://other.example.com/b.zip"),
    ] {
        let mut transfer = new();
        assert_eq!(transfer.handle_head(300, &[("location", location)]), Step::Again);
        assert_eq!(transfer.request().url().as_str(), target);
    }
    assert!(matches!(new().handle_head(300, &()), Step::Refused { is_gone: false }));
}

#[test]
fn a_redirect_to_where_archives_are_not_fetched_from_is_final() {
    for location in [
        "http://store.example.com/a.zip",
        "https://10.0.0.1/",
        "https://localhost/",
        "ftp://h/",
        "//10.0.0.1/../a",
    ] {
        let step = new().handle_head(302, &[("location", location)]);
        assert!(matches!(step, Step::Failed(DownloadError::Address(_))), "{location}: {step:?}");
    }
}

#[test]
fn an_answer_other_than_2xx_is_passed_to_the_job() {
    for (status, head) in [
        (302, &[][..]),
        (302, &[("location", "/a"), ("location", "/b")]),
        (304, &[]),
        (403, &[]),
        (404, &[("location", "/a")]),
        (410, &[]),
        (429, &[("retry-after", "1")]),
        (503, &[]),
        (100, &[]),
        (999, &[]),
    ] {
        let is_gone = matches!(status, 403 | 404 | 410);
        assert_eq!(begun().handle_head(status, &head), Step::Refused { is_gone }, "{status}");
    }
    for status in [412, 416] {
        assert_eq!(new().handle_head(status, &()), Step::Refused { is_gone: false });
    }
}

#[test]
fn the_bytes_decide_what_a_content_encoding_means() {
    let page = || NotAnArchive::NoMagic { begins_with: "?".into() };
    for label in ["", "identity", "IDENTITY", " identity "] {
        let receive = receive(new().handle_head(200, &[("content-encoding", label), ("etag", "\"a\"")]));
        assert!(receive.resume_state.is_some(), "{label:?} says nothing");
        assert_eq!(receive.not_an_archive(page()), page().into());
    }
    for label in ["gzip", "aws-chunked", "UTF-8", "binary", "none", "zip", "br, gzip"] {
        let head = [("content-encoding", label), ("etag", "\"a\""), ("content-length", "1000")];
        let receive = receive(new().handle_head(200, &head));
        assert_eq!((receive.from, receive.total), (0, Some(1000)), "{label}");
        assert_eq!(receive.resume_state, None, "what may be encoded is not gone on with");
        let encoded = NotAnArchive::Encoded { coding: label.into() };
        assert_eq!(receive.not_an_archive(page()), encoded.into(), "its first bytes are no archive's");
        assert_eq!(receive.not_an_archive(NotAnArchive::NoEnd), NotAnArchive::NoEnd.into());
        let head = [("content-range", "bytes 400-999/1000"), ("content-encoding", label)];
        assert_eq!(begun().handle_head(206, &head), Step::Again, "{label}");
    }
}

#[test]
fn a_part_that_was_not_asked_for_is_taken_from_its_first_byte_on() {
    for (head, total, until) in [
        (&[("content-range", "bytes 0-999/1000")][..], Some(1000), Some(1000)),
        (&[("content-range", "bytes 0-499/1000"), ("content-length", "500")], Some(1000), Some(500)),
        (&[("content-range", "bytes 0-999/*")], None, Some(1000)),
        (&[("content-length", "1000")], Some(1000), Some(1000)),
        (&[("content-range", "bytes */1000")], None, None),
        (&[], None, None),
    ] {
        let receive = receive(new().handle_head(206, &head));
        assert_eq!((receive.from, receive.total, receive.until), (0, total, until), "{head:?}");
    }
    let step = new().handle_head(206, &[("content-range", "bytes 1-9/10")]);
    assert!(matches!(step, Step::Failed(DownloadError::Interrupted(_))), "{step:?}");
}

#[test]
fn the_end_is_where_the_head_said() {
    let announced = receive(new().handle_head(200, &[("content-length", "1000")]));
    assert_eq!(announced.check_end(1000), Ok(()));
    assert_eq!(announced.check_end(999).unwrap_err().to_string(), "only 999 of 1000 bytes arrived");
    assert_eq!(announced.not_an_archive(NotAnArchive::NoEnd), NotAnArchive::NoEnd.into());
    let open = receive(new().handle_head(200, &()));
    assert_eq!(open.check_end(5), Ok(()));
    assert!(matches!(open.not_an_archive(NotAnArchive::NoEnd), DownloadError::Interrupted(_)));
}

#[test]
fn more_than_was_announced_has_no_room() {
    for (status, head, until) in [
        (200, ("content-length", "1000"), 1000),
        (206, ("content-range", "bytes 400-999/1000"), 1000),
        (206, ("content-range", "bytes 400-499/1000"), 500),
    ] {
        let receive = receive(begun().handle_head(status, &[head]));
        assert_eq!(receive.check_room(until), Ok(()));
        let error = receive.check_room(until + 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the server sent more than the {until} bytes that it announced")
        );
        assert!(error.is_interruption());
    }
    assert_eq!(receive(new().handle_head(200, &())).check_room(u64::MAX), Ok(()));
}

fn any_head() -> impl Strategy<Value = Vec<(&'static str, Vec<u8>)>> {
    let names = prop::sample::select(vec![
        "content-range",
        "content-length",
        "content-encoding",
        "etag",
        "last-modified",
        "date",
        "location",
    ]);
    let values = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20),
        "(bytes )?[0-9]{1,20}(-[0-9]{1,20}/([0-9]{1,20}|\\*))?".prop_map(String::into_bytes),
        "(W/)?\"[a-c]?\"".prop_map(String::into_bytes),
        "(https://[a-c]|http://h)?/?[a-c./?]{0,4}".prop_map(String::into_bytes),
    ];
    prop::collection::vec((names, values), 0..5)
}

proptest! {
    #[test]
    fn no_head_panics_loops_or_leaves_a_hole(
        heads in prop::collection::vec((prop_oneof![Just(206u16), Just(200), Just(302), Just(416), any::<u16>()], any_head()), 1..12),
        len: u64,
    ) {
        let mut transfer = new().resume(resume_state(&[("etag", "\"a\"")]), len);
        let mut again = 0;
        for (status, head) in &heads {
            match transfer.handle_head(*status, head) {
                Step::Again => again += 1,
                Step::Receive(receive) => {
                    prop_assert!(receive.from == 0 || receive.from == len);
                    prop_assert_eq!(receive.from, transfer.resumes_from());
                    break;
                }
                _ => break,
            }
            prop_assert!(transfer.request().url().as_str().starts_with("https://"));
        }
        prop_assert!(again <= 6);
    }
}

#[test]
fn another_attempt_begins_where_the_event_says_and_may_be_led_elsewhere_as_often() {
    let mut transfer = new();
    for attempt in 0..3 {
        assert_eq!(transfer.request().url().as_str(), ADDRESS);
        for _ in 0..5 {
            assert_eq!(transfer.handle_head(307, &[("location", "/b.zip")]), Step::Again, "{attempt}");
        }
        transfer = transfer.resume(resume_state(&[("etag", "\"a\"")]), 400);
    }
}

#[test]
fn a_refusal_may_repeat_where_a_redirect_led_and_the_job_does_not_hear_of_it() {
    let mut transfer = new();
    let location = [("location", "https://store.h/a.zip?expires=12345678&sig=hunter2hunter2hunter2")];
    assert_eq!(transfer.handle_head(307, &location), Step::Again);
    assert_eq!(transfer.handle_head(400, &()), Step::Refused { is_gone: false });
    let answer = |body: &str| Response { status: 400, headers: Vec::new(), body: body.as_bytes().to_vec() };
    let repeated = answer("<Error>expires=12345678&amp;sig=hunter2hunter2hunter2 is no signature</Error>");
    let concealed = answer("<Error>expires=…&amp;sig=… is no signature</Error>");
    assert!(transfer.redact(repeated) == concealed);
    assert!(transfer.redact(answer("no")) == answer("no"));
}

#[test]
fn a_page_instead_of_an_archive_may_repeat_its_address_and_the_error_does_not() {
    let url: Url = "https://h/a.zip?expires=12345678&sig=hunter2hunter2hunter2".parse().unwrap();
    let mut transfer = Transfer::new(url, ArchivePolicy::default(), "https://api.h".parse().unwrap());
    let receive = receive(transfer.handle_head(200, &()));
    let repeated = "<p>/a.zip?expires=12345678&amp;sig=hunter2hunter2hunter2</p>".to_string();
    let cut_off = format!("{}hunter2hunter2hunter2", "x".repeat(185));
    for page in [repeated, cut_off] {
        let found = archive::check_ends(page.as_bytes(), page.as_bytes(), page.len() as u64).unwrap_err();
        let error = receive.not_an_archive(found);
        assert!(matches!(error, DownloadError::NotAnArchive(NotAnArchive::NoMagic { .. })), "{error:?}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("12345678"), "{shown}");
    }
}
