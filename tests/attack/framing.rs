//! Requests that two servers could read in two ways, and what hides behind a request.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::Shutdown,
    thread,
    time::Instant,
};

use crate::{
    alone,
    standing::{PATH, PATIENCE, SECRET, Standing, event, genuine, signature, statuses},
};

const REFUSED: &[u16] = &[400];
const BROKEN: &[u16] = &[408];
const LAST: &[u16] = &[200];
const FOLLOWED: &[u16] = &[200, 200];

/// A request that servers read in different ways is refused, or read once and followed by nothing, or read as all of them
/// read it. What is read is signed, so the worst reading of a genuine delivery is a refusal.
#[test]
fn a_request_with_odd_framing_hides_no_other_request() {
    let _alone = alone();
    let body = event("smuggled");
    let length = body.len();
    let signature = signature(SECRET, &body, 0);
    let head = format!("POST {PATH} HTTP/1.1\r\nHost: h\r\nX-Abyssale-Signature: {signature}\r\n");
    let chunk = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    let plain = format!("{head}Content-Length: {length}\r\n\r\n{body}");
    // Each with the statuses of the blocking transport, and of the asynchronous one.
    let shapes = [
        (format!("{head}Content-Length: {length}\r\nContent-Length: {length}\r\n\r\n{body}"), [FOLLOWED; 2]),
        (format!("{head}Content-Length: 0\r\nContent-Length: {length}\r\n\r\n{body}"), [REFUSED; 2]),
        (format!("{head}Content-Length: {length}, {length}\r\n\r\n{body}"), [FOLLOWED, REFUSED]),
        (format!("{head}Content-Length: +{length}\r\n\r\n{body}"), [REFUSED; 2]),
        (format!("{head}Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"), [LAST; 2]),
        (format!("{head}Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n\r\n{chunk}"), [LAST; 2]),
        (
            format!("{head}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n{chunk}"),
            [LAST, REFUSED],
        ),
        (format!("{head}Transfer-Encoding: xchunked\r\n\r\n{chunk}"), [LAST, REFUSED]),
        (format!("{head}Transfer-Encoding: chunked, identity\r\n\r\n{chunk}"), [LAST, REFUSED]),
        (format!("{head}Transfer-Encoding : chunked\r\n\r\n{chunk}"), [REFUSED; 2]),
        (format!("{head}Transfer-Encoding:\x0bchunked\r\n\r\n{chunk}"), [REFUSED; 2]),
        (format!("{head}X: a\r\n Content-Length: {length}\r\n\r\n{body}"), [REFUSED; 2]),
        (format!("{head}X: a\nContent-Length: {length}\r\n\r\n{body}"), [FOLLOWED; 2]),
        (format!("{head}X: a\rContent-Length: {length}\r\n\r\n{body}"), [REFUSED; 2]),
        (format!("{head}Content-Length: {length}\n\n{body}"), [FOLLOWED; 2]),
        (format!("{chunked}{length:x};a=\"\n\"\r\n{body}\r\n0\r\n\r\n"), [LAST, BROKEN]),
        (format!("{chunked}{length:x}\n{body}\n0\n\n"), [REFUSED, BROKEN]),
        (format!("{chunked}0x{length:x}\r\n{body}\r\n0\r\n\r\n"), [REFUSED, BROKEN]),
        (format!("{chunked}{length:x}\r\n{body}\r\n0\r\nHost: i\r\n\r\n"), [LAST; 2]),
        (format!("{chunked}fffffffffffffffff\r\n{body}\r\n0\r\n\r\n"), [REFUSED, BROKEN]),
        (format!("\r\n{plain}"), [FOLLOWED; 2]),
        (plain.replace("Host: h", "Host: h\r\nHost: i"), [FOLLOWED; 2]),
        (plain.replace("Host: h\r\n", ""), [FOLLOWED; 2]),
        (plain.replace("POST /", "POST http://i/"), [FOLLOWED; 2]),
        (plain.replace("POST ", "POST\t"), [REFUSED; 2]),
    ];
    for (transport, standing) in Standing::both(|_| {}).into_iter().enumerate() {
        let mut expected = BTreeMap::new();
        for (shape, statuses) in &shapes {
            // A server that reads the first request in another way would see this one in it.
            let bytes = [shape.as_bytes(), &genuine("hidden", true)].concat();
            let statuses = statuses[transport];
            assert_eq!(standing.talk(&bytes).unwrap(), statuses, "{}: {shape:?}", standing.name);
            for (id, status) in ["smuggled", "hidden"].into_iter().zip(statuses) {
                *expected.entry(id.to_owned()).or_default() += usize::from(*status == 200);
            }
        }
        assert_eq!(standing.handled(), expected, "{}", standing.name);
        let malformed = shapes.iter().filter(|(_, statuses)| statuses[transport] == REFUSED).count();
        // Counted once the connection has ended, which the peer may see a little earlier.
        let started = Instant::now();
        while standing.counts().bad_request != malformed as u64 {
            assert!(started.elapsed() < PATIENCE, "{}: {:?}", standing.name, standing.counts());
            thread::yield_now();
        }
    }
}

#[test]
fn garbage_behind_a_genuine_delivery_ends_the_connection_and_nothing_else() {
    let _alone = alone();
    for standing in Standing::both(|_| {}) {
        for garbage in [&b"\r\n\r\n"[..], b"\0", b"GET", b"\x16\x03\x01\x02\x00\x01\x00", b"{}\r\n\r\n"] {
            let bytes = [&genuine("genuine", true), garbage].concat();
            let statuses = standing.talk(&bytes).unwrap();
            assert_eq!(statuses[0], 200, "{}: {garbage:?}", standing.name);
            assert!(statuses.len() == 1 || statuses[1..] == [400], "{}: {statuses:?}", standing.name);
        }
        assert_eq!(standing.handled()["genuine"], 5);
    }
}

#[test]
fn several_deliveries_on_a_connection_are_answered_in_their_order() {
    let _alone = alone();
    for standing in Standing::both(|_| {}) {
        let bytes: Vec<u8> = (0..5).flat_map(|n| genuine(&format!("e{n}"), true)).collect();
        assert_eq!(standing.talk(&bytes).unwrap(), [200; 5], "{}", standing.name);
        assert_eq!(standing.handled().into_keys().collect::<Vec<_>>(), ["e0", "e1", "e2", "e3", "e4"]);
    }
}

#[test]
fn a_request_that_is_too_large_is_refused_in_every_form() {
    let _alone = alone();
    for standing in Standing::both(|_| {}) {
        let head = format!("POST {PATH} HTTP/1.1\r\nHost: h\r\nX-Abyssale-Signature: t=1,v1=0\r\n");
        let endless_chunks =
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{}", "8\r\n        \r\n".repeat(140_000));
        for (bytes, status) in [
            (format!("{head}X: {}\r\n\r\n", "x".repeat(1 << 20)), 431),
            (format!("{head}{}\r\n", "X: y\r\n".repeat(200)), 431),
            (format!("POST /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(1 << 15)), 431),
            (format!("{head}Content-Length: 65537\r\n\r\n"), 413),
            (format!("{head}Content-Length: 9007199254740993\r\n\r\n"), 413),
            (format!("{head}Content-Length: 18446744073709551616\r\n\r\n"), 400),
            (endless_chunks, 413),
            // HTTP reads this as a request without a body.
            (head.clone() + "\r\n", 401),
        ] {
            assert_eq!(standing.talk(bytes.as_bytes()).unwrap(), [status], "{}", standing.name);
        }
        assert_eq!(standing.deliver("genuine"), 1);
    }
}

#[test]
fn a_shutdown_finishes_what_has_begun_and_takes_nothing_new() {
    let _alone = alone();
    for mut standing in Standing::both(|_| {}) {
        let request = String::from_utf8(genuine("begun", true)).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let mut begun = standing.connect().unwrap();
        begun.write_all(format!("{head}\r\nExpect: 100-continue\r\n\r\n").as_bytes()).unwrap();
        let mut go_on = [0; 25];
        begun.read_exact(&mut go_on).unwrap();
        assert!(go_on.starts_with(b"HTTP/1.1 100 "), "it has begun");
        let mut idle = standing.connect().unwrap();
        idle.write_all(&genuine("before", true)).unwrap();
        let mut answer = [0; 38];
        idle.read_exact(&mut answer).unwrap();
        let shutdown = standing.take_shutdown();
        let shutting_down = thread::spawn(shutdown);
        let mut nothing = Vec::new();
        idle.read_to_end(&mut nothing).unwrap();
        assert!(nothing.is_empty(), "{}: an idle connection is closed without a word", standing.name);
        begun.write_all(body.as_bytes()).unwrap();
        begun.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        begun.read_to_string(&mut answer).unwrap();
        assert_eq!(statuses(&answer), [200], "{}: {answer}", standing.name);
        assert!(answer.contains("connection: close"), "{answer}");
        shutting_down.join().unwrap();
        assert!(standing.connect().is_err(), "{}", standing.name);
        assert_eq!(standing.handled().into_keys().collect::<Vec<_>>(), ["before", "begun"]);
    }
}

#[test]
fn an_address_of_either_family_is_listened_on() {
    let _alone = alone();
    let Some(both) = Standing::both_at("[::1]:0", |_| {}) else {
        println!("there is no IPv6 on this machine");
        return;
    };
    for standing in both {
        assert!(standing.address.is_ipv6());
        assert_eq!(standing.deliver("genuine"), 1, "{}", standing.name);
    }
}
