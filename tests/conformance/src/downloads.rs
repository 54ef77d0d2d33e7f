//! Downloads: without the key, within the policy, whole or not at all.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Instant,
};

use abyssale_core::{Failure, webhook::NewExport};

use crate::{
    Adapter, PATIENCE, SHORT, Service,
    peer::{Peer, answer, silence},
};

type Check = (&'static str, fn(&dyn Adapter));

pub(crate) const CHECKS: &[Check] = &[
    ("an_archive_arrives_as_it_is_and_without_the_key", arrives),
    ("an_archive_in_chunks_arrives", arrives_in_chunks),
    ("an_archive_that_ends_with_the_connection_arrives", arrives_until_the_end),
    ("a_redirect_of_an_archive_is_followed", follows_a_redirect),
    ("a_redirect_into_a_private_network_is_refused", refuses_a_private_redirect),
    ("redirects_without_end_are_given_up", gives_up_redirects),
    ("an_archive_that_is_cut_off_is_none", cut_off_is_none),
    ("an_archive_that_stalls_is_none", stalled_is_none),
    ("an_archive_that_does_not_begin_is_none", silent_is_none),
    ("a_page_with_status_200_is_no_archive", page_is_none),
    ("an_encoded_archive_is_refused", encoded_is_refused),
    ("an_archive_that_is_gone_is_said_to_be_gone", gone_is_gone),
    ("a_folder_that_is_not_there_is_a_storage_failure", no_folder),
];

/// The smallest archive with something in it that no text has.
fn archive() -> Vec<u8> {
    let noise: Vec<u8> =
        (0..100_000_u32).map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).unwrap()).collect();
    [b"PK\x03\x04", &noise[..], b"PK\x05\x06", &[0; 18]].concat()
}

/// A target in a folder of its own, with something there already.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::write(folder.target(), b"before").unwrap();
        folder
    }

    fn target(&self) -> PathBuf {
        self.0.path().join("banners.zip")
    }

    /// Nothing that is no archive takes an archive's name.
    #[track_caller]
    fn assert_untouched(&self) {
        assert_eq!(fs::read(self.target()).unwrap(), b"before");
    }
}

fn event(url: &str) -> NewExport {
    let event =
        serde_json::json!({ "export_id": "54e62358-2656-455c-afd7-66d5ed3dd581", "archive_url": url });
    serde_json::from_value(event).unwrap()
}

fn fetch(adapter: &dyn Adapter, peer: &Peer, target: &Path) -> Result<u64, Failure> {
    fetch_from(adapter, &Service::at(peer.url()), target)
}

fn fetch_from(adapter: &dyn Adapter, service: &Service, target: &Path) -> Result<u64, Failure> {
    let event = event(&format!("{}/archives/a.zip?signature=hunter2", service.base_url));
    adapter.client(service).download(&event, target).map_err(|failure| *failure)
}

#[track_caller]
fn assert_arrives(adapter: &dyn Adapter, peer: &Peer) {
    let folder = Folder::new();
    assert_eq!(fetch(adapter, peer, &folder.target()).unwrap(), archive().len() as u64);
    assert!(fs::read(folder.target()).unwrap() == archive(), "byte by byte");
    let left: Vec<_> =
        fs::read_dir(folder.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["banners.zip"], "and nothing beside it");
}

fn arrives(adapter: &dyn Adapter) {
    let peer = Peer::saying(answer("200 OK", "", &archive()));
    assert_arrives(adapter, &peer);
    let heard = &peer.heard()[0];
    assert_eq!(heard.head.lines().next().unwrap(), "GET /archives/a.zip?signature=hunter2 HTTP/1.1");
    assert!(heard.values("x-api-key").is_empty(), "the key is the service's");
    assert!(heard.values("accept-encoding").iter().all(|coding| *coding == "identity"), "{}", heard.head);
}

fn arrives_in_chunks(adapter: &dyn Adapter) {
    assert_arrives(
        adapter,
        &Peer::start(|_, stream| {
            write!(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            for piece in archive().chunks(7777) {
                write!(stream, "{:x}\r\n", piece.len())?;
                stream.write_all(piece)?;
                write!(stream, "\r\n")?;
            }
            write!(stream, "0\r\n\r\n")
        }),
    );
}

fn arrives_until_the_end(adapter: &dyn Adapter) {
    assert_arrives(adapter, &Peer::saying([b"HTTP/1.1 200 OK\r\n\r\n", &archive()[..]].concat()));
}

fn follows_a_redirect(adapter: &dyn Adapter) {
    let store = Peer::saying(answer("200 OK", "", &archive()));
    let peer = Peer::saying(answer("302 Found", &format!("location: {}/b.zip\r\n", store.url()), b""));
    assert_arrives(adapter, &peer);
    assert!(store.heard()[0].head.starts_with("GET /b.zip HTTP/1.1"));
    assert!(store.heard()[0].values("x-api-key").is_empty());
}

fn refuses_a_private_redirect(adapter: &dyn Adapter) {
    let folder = Folder::new();
    let peer = Peer::saying(answer("302 Found", "location: https://10.0.0.1/a.zip\r\n", b""));
    let result = fetch(adapter, &peer, &folder.target());
    assert!(matches!(&result, Err(Failure::ArchiveUrl { .. })), "{result:?}");
    assert!(!format!("{result:?}").contains("hunter2"));
    folder.assert_untouched();
}

fn gives_up_redirects(adapter: &dyn Adapter) {
    let folder = Folder::new();
    let peer = Peer::saying(answer("302 Found", "location: /again\r\n", b""));
    let result = fetch(adapter, &peer, &folder.target());
    assert!(matches!(&result, Err(Failure::ArchiveUrl { .. })), "{result:?}");
    assert!(peer.heard().len() <= 10, "{}", peer.heard().len());
    folder.assert_untouched();
}

fn cut_off_is_none(adapter: &dyn Adapter) {
    let folder = Folder::new();
    let whole = answer("200 OK", "", &archive());
    let peer = Peer::saying(&whole[..whole.len() - 1]);
    let result = fetch(adapter, &peer, &folder.target());
    assert!(matches!(&result, Err(Failure::Download { .. })), "{result:?}");
    folder.assert_untouched();
}

fn stalled_is_none(adapter: &dyn Adapter) {
    is_given_up(
        adapter,
        &Peer::start(|_, stream| {
            let whole = answer("200 OK", "", &archive());
            stream.write_all(&whole[..whole.len() / 2])?;
            silence(stream)
        }),
    );
}

fn silent_is_none(adapter: &dyn Adapter) {
    is_given_up(adapter, &Peer::start(|_, stream| silence(stream)));
}

/// Nothing comes any more, which fails the download in time and leaves nothing behind.
fn is_given_up(adapter: &dyn Adapter, peer: &Peer) {
    let folder = Folder::new();
    let began = Instant::now();
    let service = Service { stall_timeout: SHORT, ..Service::at(peer.url()) };
    let result = fetch_from(adapter, &service, &folder.target());
    assert!(matches!(&result, Err(Failure::Download { .. })), "{result:?}");
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    folder.assert_untouched();
}

fn page_is_none(adapter: &dyn Adapter) {
    let folder = Folder::new();
    let peer = Peer::saying(answer("200 OK", "content-type: text/html\r\n", b"<h1>sorry</h1>"));
    let result = fetch(adapter, &peer, &folder.target());
    assert!(matches!(&result, Err(Failure::NotAnArchive { .. })), "{result:?}");
    folder.assert_untouched();
}

fn encoded_is_refused(adapter: &dyn Adapter) {
    let folder = Folder::new();
    let peer = Peer::saying(answer("200 OK", "content-encoding: gzip\r\n", b"\x1f\x8b\x08 compressed"));
    let result = fetch(adapter, &peer, &folder.target());
    assert!(matches!(&result, Err(Failure::NotAnArchive { .. })), "{result:?}");
    folder.assert_untouched();
}

fn gone_is_gone(adapter: &dyn Adapter) {
    for status in [403, 404, 410] {
        let folder = Folder::new();
        let peer = Peer::start(move |_, stream| {
            stream.write_all(&answer(&format!("{status} No"), "", b"<Error>ExpiredToken</Error>"))?;
            Err(io::ErrorKind::ConnectionAborted.into())
        });
        let result = fetch(adapter, &peer, &folder.target());
        assert!(
            matches!(&result, Err(Failure::ArchiveGone { status: told, .. }) if *told == status),
            "{result:?}"
        );
        folder.assert_untouched();
    }
}

fn no_folder(adapter: &dyn Adapter) {
    let folder = Folder::new();
    let peer = Peer::saying(answer("200 OK", "", &archive()));
    let result = fetch(adapter, &peer, &folder.0.path().join("missing/banners.zip"));
    assert!(matches!(&result, Err(Failure::Storage { .. })), "{result:?}");
}
