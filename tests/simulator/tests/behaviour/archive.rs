//! The archive: what it holds, how it is served, and every way a download goes wrong.

use std::io::{Cursor, Read};
use std::net::TcpStream;

use abyssale_simulator::{Banner, Config, Contents, DEMO_BANNERS, Simulator};
use zip::ZipArchive;

use crate::common::{ID, ask, connect, download, quick, start, start_with};

const NOWHERE: &str = "http://127.0.0.1:9/nobody";

/// A simulator with one export, and the address of its archive.
fn exported(config: Config) -> (Simulator, String) {
    let simulator = start_with(config);
    ask(&simulator, &[ID], NOWHERE);
    let url = simulator.exports().remove(0).archive_url;
    (simulator, url)
}

fn troubled(troubles: &[&str]) -> (Simulator, String) {
    exported(Config { troubles: troubles.iter().map(|text| text.parse().unwrap()).collect(), ..quick() })
}

fn given(bytes: &'static [u8], troubles: &[&str]) -> (Simulator, String) {
    exported(Config {
        archive: Contents::Given(bytes.into()),
        troubles: troubles.iter().map(|text| text.parse().unwrap()).collect(),
        ..quick()
    })
}

#[test]
fn an_archive_holds_a_picture_for_each_known_banner() {
    let simulator = start(&[]);
    let ids = DEMO_BANNERS.map(|banner| banner.id);
    ask(&simulator, &ids.each_ref().map(AsRef::as_ref), NOWHERE);
    let answer = download(&simulator.exports()[0].archive_url, &[]);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/zip")));
    let mut archive = ZipArchive::new(Cursor::new(answer.body)).unwrap();
    assert_eq!(archive.len(), DEMO_BANNERS.len());
    for banner in DEMO_BANNERS {
        let mut picture = Vec::new();
        archive.by_name(&banner.file_name()).unwrap().read_to_end(&mut picture).unwrap();
        assert_eq!(picture, banner.render());
    }
}

#[test]
fn banners_whose_ids_begin_alike_do_not_share_a_name() {
    let simulator = start(&[]);
    let kin = Banner::of("64238d01-0000-4000-8000-000000000000");
    let ids: Vec<_> = (0..20).map(|n| format!("64238d01-0000-4000-8000-{n:012}")).collect();
    assert!(ids.iter().filter(|id| Banner::of(id).file_name() == kin.file_name()).count() > 1);
    ask(&simulator, &ids.iter().map(String::as_str).collect::<Vec<_>>(), NOWHERE);
    let answer = download(&simulator.exports()[0].archive_url, &[]);
    assert_eq!(ZipArchive::new(Cursor::new(answer.body)).unwrap().len(), ids.len());
}

#[test]
fn only_its_own_address_opens_an_archive() {
    let (_simulator, url) = troubled(&[]);
    assert_eq!(download(&url.replace("sig=", "sig=0"), &[]).status, 403);
    assert_eq!(download(&url.replace(".zip", ".zap"), &[]).status, 404);
}

#[test]
fn a_key_sent_to_the_store_is_seen() {
    let (simulator, url) = troubled(&[]);
    download(&url, &[("x-api-key", "leaked")]);
    assert_eq!(simulator.requests()[1].header("x-api-key"), Some("leaked"));
}

#[test]
fn ranges_are_served_and_those_beyond_the_end_refused() {
    let (_simulator, url) = given(b"0123456789", &[]);
    let part = download(&url, &[("range", "bytes=3-5")]);
    assert_eq!((part.status, part.text(), part.header("content-range")), (206, "345", Some("bytes 3-5/10")));
    let beyond = download(&url, &[("range", "bytes=10-")]);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */10")));
}

#[test]
fn a_range_counts_only_while_the_archive_is_the_same() {
    let (_simulator, url) =
        given(b"0123456789", &["archive:ok", "archive:ok", "archive:ok", "archive:weak-etag"]);
    let whole = download(&url, &[]);
    let (etag, modified) = (whole.header("etag").unwrap(), whole.header("last-modified").unwrap());
    assert_eq!(download(&url, &[("range", "bytes=1-"), ("if-range", etag)]).status, 206);
    assert_eq!(download(&url, &[("range", "bytes=1-"), ("if-range", modified)]).status, 206);
    assert_eq!(download(&url, &[("range", "bytes=1-"), ("if-range", etag)]).status, 200);
    assert_eq!(download(&url, &[("range", "bytes=1-"), ("if-range", "\"other\"")]).status, 200);
}

#[test]
fn a_download_is_cut_at_exactly_the_byte_asked_for() {
    let texts: Vec<_> = (0..10).map(|at| format!("archive:cut={at}")).collect();
    let (_simulator, url) = given(b"0123456789", &texts.iter().map(String::as_str).collect::<Vec<_>>());
    for at in 0..10 {
        let answer = download(&url, &[]);
        assert_eq!((answer.status, answer.header("content-length")), (200, Some("10")));
        assert_eq!(answer.text(), &"0123456789"[..at]);
    }
    assert_eq!(download(&url, &[]).text(), "0123456789");
}

#[test]
fn a_stalled_download_sends_what_it_may_and_stays_open() {
    let (_simulator, url) = given(b"0123456789", &["archive:stall=4"]);
    let mut stream = stalled(&url);
    let mut read = Vec::new();
    while !read.ends_with(b"0123") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{read:?}");
        read.push(byte[0]);
    }
    stream.set_read_timeout(Some(std::time::Duration::from_millis(50))).unwrap();
    assert!(stream.read(&mut [0]).is_err(), "neither a byte nor an end may come");
}

fn stalled(url: &str) -> TcpStream {
    let at = url.match_indices('/').nth(2).unwrap().0;
    let mut stream = connect(&url[..at]);
    std::io::Write::write_all(
        &mut stream,
        format!("GET {} HTTP/1.1\r\nhost: x\r\n\r\n", &url[at..]).as_bytes(),
    )
    .unwrap();
    stream
}

#[test]
fn a_wrong_length_is_announced_and_the_body_falls_short_of_it_or_looks_whole() {
    let (_simulator, url) = given(b"0123456789", &["archive:wrong-length=+5", "archive:wrong-length=-3"]);
    let long = download(&url, &[]);
    assert_eq!((long.header("content-length"), long.text()), (Some("15"), "0123456789"));
    let short = download(&url, &[]);
    assert_eq!((short.header("content-length"), short.text()), (Some("7"), "0123456"));
}

#[test]
fn ranges_and_validators_can_be_anything_but_right() {
    let (_simulator, url) = given(
        b"0123456789",
        &[
            "archive:ok",
            "archive:new-etag",
            "archive:no-validator",
            "archive:ignore-range",
            "archive:refuse-range",
        ],
    );
    let etag = download(&url, &[]).header("etag").unwrap().to_owned();
    assert_ne!(download(&url, &[]).header("etag").unwrap(), etag);
    let bare = download(&url, &[]);
    assert_eq!((bare.header("etag"), bare.header("last-modified")), (None, None));
    assert_eq!(download(&url, &[("range", "bytes=1-")]).status, 200);
    assert_eq!(download(&url, &[("range", "bytes=1-")]).status, 416);
}

#[test]
fn something_else_than_the_archive_may_be_there() {
    let (_simulator, url) = given(
        b"0123456789",
        &[
            "archive:error-page",
            "archive:status=410:as=html",
            "archive:redirect=http://10.0.0.1/x",
            "archive:redirect",
            "archive:lost",
            "archive:garbage",
        ],
    );
    let page = download(&url, &[]);
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html")));
    assert_eq!(download(&url, &[]).status, 410);
    assert_eq!(download(&url, &[]).header("location"), Some("http://10.0.0.1/x"));
    assert!(url.ends_with(download(&url, &[]).header("location").unwrap()));
    assert!(download(&url, &[]).raw.is_empty());
    assert!(!download(&url, &[]).raw.starts_with(b"HTTP"));
    assert_eq!(download(&url, &[]).status, 200);
}

#[test]
fn a_large_archive_is_served_without_being_kept() {
    let size = 64 * 1024 * 1024 + 1;
    let (_simulator, url) = exported(Config { archive: Contents::Synthetic(size), ..quick() });
    let range = format!("bytes={}-", size - 22);
    let end = download(&url, &[("range", &range)]);
    assert!(end.status == 206 && end.body.starts_with(b"PK\x05\x06"));
    assert_eq!(end.header("content-range").unwrap(), format!("bytes {}-{}/{size}", size - 22, size - 1));
}

#[test]
fn a_store_can_be_late_in_every_way_a_store_is() {
    for (answer, status, begins) in [
        ("", 404, "<?xml"),
        (":denied", 403, "<?xml"),
        (":accepted", 202, ""),
        (":empty", 200, ""),
        (":page", 200, "<html>"),
        (":xml", 200, "<?xml"),
    ] {
        let (_simulator, url) = given(b"0123456789", &[&format!("archive:not-yet=600s{answer}")]);
        for _ in 0..2 {
            let early = download(&url, &[]);
            assert_eq!((early.status, early.text().starts_with(begins)), (status, true), "{answer}");
        }
    }
    let (_simulator, url) = given(b"0123456789", &["archive:not-yet=0s"]);
    assert_eq!(download(&url, &[]).text(), "0123456789");
}

#[test]
fn bytes_around_an_archive_count_in_its_length() {
    let troubles = [
        "archive:before=efbbbf",
        "archive:behind=0d0a",
        "archive:unasked-206",
        "archive:encoding=aws-chunked",
    ];
    let (_simulator, url) = given(b"0123456789", &troubles);
    assert_eq!(download(&url, &[]).body, b"\xef\xbb\xbf0123456789");
    assert_eq!(download(&url, &[]).body, b"0123456789\r\n");
    let unasked = download(&url, &[]);
    assert_eq!((unasked.status, unasked.header("content-range")), (206, Some("bytes 0-9/10")));
    let encoded = download(&url, &[]);
    assert_eq!((encoded.header("content-encoding"), encoded.text()), (Some("aws-chunked"), "0123456789"));
}

#[test]
fn a_name_at_the_end_of_the_query_opens_the_archive_as_well() {
    let (_simulator, url) = troubled(&["archive:choices=./{own}"]);
    let choices = download(&url, &[]);
    let own = url.rsplit_once('/').unwrap().1;
    assert_eq!((choices.status, choices.header("location")), (300, Some(&*format!("./{own}"))));
    assert_eq!(download(&format!("{url}&name=a%20b.zip"), &[]).status, 200);
}
