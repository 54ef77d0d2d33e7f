//! Calls to the service: sent as they are, once, on a connection of their own, and told as they ended.

use std::{
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use abyssale_core::{ErrorId, ExportId, Failure, Order, UnknownCause};

use crate::{
    Adapter, KEY, PATIENCE, SHORT, Service,
    peer::{Heard, Peer, answer, silence},
};

type Check = (&'static str, fn(&dyn Adapter));

pub(crate) const CHECKS: &[Check] = &[
    ("a_call_is_sent_as_it_is", is_sent_as_it_is),
    ("every_call_has_a_connection_of_its_own", has_a_connection_of_its_own),
    ("a_chunked_answer_is_read", reads_chunks),
    ("an_interim_answer_is_not_the_answer", skips_interim_answers),
    ("a_redirect_is_not_followed_with_the_key", follows_no_redirect),
    ("the_body_of_a_refusal_is_kept", keeps_the_body_of_a_refusal),
    ("the_body_of_a_5xx_is_kept", keeps_the_body_of_a_fault),
    ("a_refusal_whose_body_breaks_off_is_a_refusal", keeps_the_status_of_a_broken_body),
    ("an_endless_body_is_cut_off", cuts_off_an_endless_body),
    ("a_refused_connection_is_never", refused_is_never),
    ("a_name_that_does_not_resolve_is_never", unresolved_is_never),
    ("a_tls_handshake_that_fails_is_never", failed_tls_is_never),
    ("an_answer_that_is_lost_is_maybe", lost_is_maybe),
    ("a_connection_that_is_reset_is_maybe", reset_is_maybe),
    ("an_answer_that_is_not_http_is_maybe", garbage_is_maybe),
    ("a_silent_service_is_maybe_after_the_time_out", silent_is_maybe),
    ("a_head_that_drips_does_not_prolong_the_time_out", dripping_is_maybe),
    ("nothing_that_fails_shows_the_key", shows_no_key),
];

const ID: &str = "54e62358-2656-455c-afd7-66d5ed3dd581";

fn accepted() -> Vec<u8> {
    answer("200 OK", "content-type: application/json\r\n", format!(r#"{{"export_id":"{ID}"}}"#).as_bytes())
}

fn order() -> Order {
    Order::new(["64238d01-d402-474b-8c2d-fbc957e9d290"], "https://hooks.example.com/abyssale").unwrap()
}

fn ask(adapter: &dyn Adapter, service: &Service) -> Result<ExportId, Failure> {
    adapter.client(service).create_export(&order()).map_err(|failure| *failure)
}

fn ask_peer(adapter: &dyn Adapter, peer: &Peer) -> Result<ExportId, Failure> {
    ask(adapter, &Service::at(peer.url()))
}

#[track_caller]
fn assert_never(result: &Result<ExportId, Failure>) {
    assert!(matches!(result, Err(Failure::Unreachable { .. })), "must be Sent::Never: {result:?}");
}

#[track_caller]
fn assert_maybe(result: &Result<ExportId, Failure>) {
    let is_lost = matches!(result, Err(Failure::Unknown(UnknownCause::Lost(_) | UnknownCause::TimedOut)));
    assert!(is_lost, "must be Sent::Maybe: {result:?}");
}

fn is_sent_as_it_is(adapter: &dyn Adapter) {
    let peer = Peer::saying(accepted());
    assert_eq!(ask(adapter, &Service::at(peer.url() + "/v1")).unwrap().as_str(), ID);
    let [heard]: [Heard; 1] = peer.heard().try_into().unwrap();
    let line = heard.head.lines().next().unwrap();
    assert_eq!(line, "POST /v1/async/banners/export HTTP/1.1");
    assert_eq!(heard.values("x-api-key"), [KEY]);
    assert_eq!(heard.values("content-type"), ["application/json"]);
    assert_eq!(heard.values("accept"), ["application/json"]);
    assert_eq!(heard.values("content-length"), [heard.body.len().to_string()]);
    assert_eq!(heard.values("host"), [peer.url().trim_start_matches("http://")]);
    assert_eq!(heard.values("user-agent").len(), 1, "core's, and no other");
    assert!(heard.values("transfer-encoding").is_empty());
    let body: serde_json::Value = serde_json::from_slice(&heard.body).unwrap();
    assert_eq!(body["ids"], serde_json::json!(["64238d01-d402-474b-8c2d-fbc957e9d290"]));
}

fn has_a_connection_of_its_own(adapter: &dyn Adapter) {
    // This peer would keep the connection: a pooled one may die under a request that must not be repeated.
    let peer = Peer::start(|_, stream| stream.write_all(&accepted()));
    let client = adapter.client(&Service::at(peer.url()));
    for _ in 0..3 {
        assert_eq!(client.create_export(&order()).unwrap().as_str(), ID);
    }
    let mut connections: Vec<_> = peer.heard().iter().map(|heard| heard.connection).collect();
    connections.dedup();
    assert_eq!(connections.len(), 3, "one each");
}

fn reads_chunks(adapter: &dyn Adapter) {
    let peer = Peer::start(|_, stream| {
        let body = format!(r#"{{"export_id":"{ID}"}}"#);
        let (one, other) = body.split_at(7);
        write!(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\n{one}\r\n")?;
        stream.flush()?;
        write!(stream, "{:x}\r\n{other}\r\n0\r\n\r\n", other.len())
    });
    assert_eq!(ask_peer(adapter, &peer).unwrap().as_str(), ID);
}

fn skips_interim_answers(adapter: &dyn Adapter) {
    let peer = Peer::saying([&b"HTTP/1.1 100 Continue\r\n\r\n"[..], &accepted()].concat());
    assert_eq!(ask_peer(adapter, &peer).unwrap().as_str(), ID);
}

fn follows_no_redirect(adapter: &dyn Adapter) {
    let elsewhere = Peer::saying(accepted());
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let location = format!("location: {}/async/banners/export\r\n", elsewhere.url());
        let peer = Peer::saying(answer(status, &location, b""));
        let result = ask_peer(adapter, &peer);
        assert!(matches!(&result, Err(Failure::Refused(_))), "{status}: {result:?}");
        assert_eq!(peer.heard().len(), 1, "{status}");
    }
    assert_eq!(elsewhere.connections(), 0, "the key went nowhere");
}

fn keeps_the_body_of_a_refusal(adapter: &dyn Adapter) {
    let body = br#"{"id":"visual_not_found","message":"no such banner","errors":[{"path":"ids[0]","code":"unknown","message":"no"}]}"#;
    let peer = Peer::saying(answer("404 Not Found", "content-type: application/json\r\n", body));
    let Err(Failure::Refused(error)) = ask_peer(adapter, &peer) else { panic!("it was refused") };
    assert_eq!((error.status(), error.id()), (404, Some(&ErrorId::VisualNotFound)));
    assert_eq!(error.message(), Some("no such banner"));
    assert_eq!(error.body().as_bytes(), body);
}

fn keeps_the_body_of_a_fault(adapter: &dyn Adapter) {
    let peer =
        Peer::saying(answer("502 Bad Gateway", "content-type: text/html\r\n", b"<h1>the gateway</h1>"));
    let result = ask_peer(adapter, &peer);
    let Err(Failure::Unknown(UnknownCause::Answer(error))) = result else { panic!("{result:?}") };
    assert_eq!((error.status(), error.body().as_bytes()), (502, &b"<h1>the gateway</h1>"[..]));
    assert_eq!(peer.heard().len(), 1, "a POST is not repeated after a 5xx");
}

fn keeps_the_status_of_a_broken_body(adapter: &dyn Adapter) {
    let peer = Peer::saying("HTTP/1.1 401 Unauthorized\r\ncontent-length: 1000\r\n\r\n{\"id\":\"unauth");
    let result = ask_peer(adapter, &peer);
    assert!(matches!(&result, Err(Failure::Refused(error)) if error.status() == 401), "{result:?}");
}

fn cuts_off_an_endless_body(adapter: &dyn Adapter) {
    for status in ["200 OK", "503 Unavailable"] {
        let written = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&written);
        let peer = Peer::start(move |_, stream| {
            write!(stream, "HTTP/1.1 {status}\r\n\r\n")?;
            while counter.load(Ordering::Acquire) < ENDLESS {
                stream.write_all(&[b'x'; 8 << 10])?;
                counter.fetch_add(8 << 10, Ordering::AcqRel);
            }
            Err(io::ErrorKind::Other.into())
        });
        let result = ask_peer(adapter, &peer);
        assert!(matches!(&result, Err(Failure::Unknown(_))), "{status}: {result:?}");
        assert!(written.load(Ordering::Acquire) < ENDLESS, "{status}: it took all that there was");
    }
}

fn refused_is_never(adapter: &dyn Adapter) {
    // A port that was somebody's a moment ago. If it is somebody else's by now, that one speaks no HTTP to us, so it is
    // tried again.
    for _ in 0..5 {
        let address = Peer::hanging_up().url();
        match ask(adapter, &Service::at(address)) {
            Err(Failure::Unreachable { .. }) => return,
            Err(Failure::Unknown(_)) if !adapter.watches() => return,
            _ => {}
        }
    }
    panic!("a refused connection must be Sent::Never");
}

fn unresolved_is_never(adapter: &dyn Adapter) {
    if adapter.speaks_tls() {
        assert_never(&ask(adapter, &Service::at("https://abyssale.invalid")));
    }
}

fn failed_tls_is_never(adapter: &dyn Adapter) {
    if adapter.speaks_tls() {
        for peer in [Peer::saying("HTTP/1.1 400 No TLS\r\n\r\n"), Peer::hanging_up()] {
            assert_never(&ask(adapter, &Service::at(peer.url().replace("http:", "https:"))));
        }
    }
}

fn lost_is_maybe(adapter: &dyn Adapter) {
    for bytes in ["", "HTTP/1.1 20", "HTTP/1.1 200 OK\r\ncontent-le"] {
        let peer = Peer::saying(bytes);
        assert_maybe(&ask_peer(adapter, &peer));
        assert_eq!(peer.heard().len(), 1, "{bytes:?}: it was sent once");
    }
}

fn reset_is_maybe(adapter: &dyn Adapter) {
    assert_maybe(&ask_peer(adapter, &Peer::resetting()));
}

fn garbage_is_maybe(adapter: &dyn Adapter) {
    let peer = Peer::saying("220 mail.example.com ESMTP\r\n\r\n");
    assert_maybe(&ask_peer(adapter, &peer));
}

fn silent_is_maybe(adapter: &dyn Adapter) {
    let peer = Peer::start(|_, stream| silence(stream));
    let began = Instant::now();
    assert_maybe(&ask(adapter, &Service { call_timeout: SHORT, ..Service::at(peer.url()) }));
    assert!(began.elapsed() >= SHORT, "not before its time");
    assert!(began.elapsed() < PATIENCE / 2, "and not long after it: {:?}", began.elapsed());
}

fn dripping_is_maybe(adapter: &dyn Adapter) {
    let peer = Peer::start(|_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nx: ")?;
        loop {
            stream.write_all(b"x")?;
            thread::sleep(Duration::from_millis(50));
        }
    });
    let began = Instant::now();
    assert_maybe(&ask(adapter, &Service { call_timeout: SHORT, ..Service::at(peer.url()) }));
    assert!(began.elapsed() < PATIENCE / 2, "signs of life prolong nothing: {:?}", began.elapsed());
}

fn shows_no_key(adapter: &dyn Adapter) {
    for peer in [Peer::saying(""), Peer::saying("garbage\r\n\r\n"), Peer::saying(answer("500 No", "", b"no"))]
    {
        let failure = ask_peer(adapter, &peer).unwrap_err();
        assert!(!format!("{failure} {failure:?}").contains(KEY), "{failure}");
    }
}

/// So much that nobody takes it all who has a bound.
const ENDLESS: usize = 64 << 20;
