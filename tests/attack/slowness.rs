//! Slow-loris, on the head and on the body.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use abyssale_core::{
    Timestamp,
    webhook::{Delivery, Reply},
};
use abyssale_host::{Answer, Handler, ListenerSettings};
use tokio::runtime;

use crate::{
    alone,
    standing::{Standing, endpoint, genuine, statuses, talk},
};

const HEAD: &[u8] = b"POST /abyssale HTTP/1.1\r\nHost: h\r\nX: ";
const BODY: &[u8] =
    b"POST /abyssale HTTP/1.1\r\nHost: h\r\nX-Abyssale-Signature: t=1,v1=0\r\nContent-Length: 9999\r\n\r\n";

#[test]
fn a_peer_that_sends_byte_by_byte_is_cut_off_at_the_deadline() {
    let _alone = alone();
    for standing in Standing::both(|settings| {
        settings.delivery_timeout = Duration::from_millis(400);
    }) {
        for (begun, answered) in [(HEAD, &[][..]), (BODY, &[408])] {
            let mut stream = standing.connect().unwrap();
            let started = Instant::now();
            stream.write_all(begun).unwrap();
            // A byte now and then: each comes in time, and all of them do not.
            let mut dribbling = stream.try_clone().unwrap();
            let dribble = thread::spawn(move || {
                for _ in 0..200 {
                    thread::park_timeout(Duration::from_millis(20));
                    if dribbling.write_all(b"x").is_err() {
                        break;
                    }
                }
            });
            let mut answer = String::new();
            // The end may be a reset, since bytes are still coming; the answer is there before it.
            let _ended = stream.read_to_string(&mut answer);
            assert_eq!(statuses(&answer), answered, "{}", standing.name);
            assert!(started.elapsed() >= Duration::from_millis(300));
            drop(stream);
            dribble.join().unwrap();
        }
        let mut silent = standing.connect().unwrap();
        let mut answer = String::new();
        silent.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "", "{}: who says nothing is told nothing", standing.name);
        assert_eq!(standing.counts().too_slow, 2);
    }
}

#[test]
fn a_slow_peer_makes_room_for_a_delivery() {
    let _alone = alone();
    for begun in [&b""[..], b"P", HEAD, BODY] {
        for standing in Standing::both(|settings| {
            settings.connections = 32;
        }) {
            let held: Vec<TcpStream> = (0..32)
                .map(|_| {
                    let mut stream = standing.connect().unwrap();
                    stream.write_all(begun).unwrap();
                    stream
                })
                .collect();
            for number in 0..20 {
                assert_eq!(standing.deliver(&number.to_string()), 1, "{} {begun:?}", standing.name);
            }
            drop(held);
        }
    }
}

#[test]
fn an_idle_connection_is_closed_in_its_time() {
    let _alone = alone();
    for standing in Standing::both(|settings| settings.idle_timeout = Duration::from_millis(200)) {
        let mut stream = standing.connect().unwrap();
        stream.write_all(&genuine("genuine", true)).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(statuses(&answer), [200], "{}", standing.name);
    }
}

/// Takes deliveries, and never answers them.
struct Late(Mutex<Vec<Answer>>);

impl Handler for Late {
    fn handle(&self, _: Timestamp, _: Delivery) -> Reply {
        Reply::Unavailable
    }

    fn handle_later(&self, _: Timestamp, _: Delivery, answer: Answer) {
        self.0.lock().unwrap().push(answer);
    }
}

#[test]
fn a_delivery_that_is_not_saved_in_time_is_answered_503() {
    let _alone = alone();
    let late = || Late(Mutex::default());
    let mut settings = ListenerSettings::default();
    settings.delivery_timeout = Duration::from_millis(300);
    let status = |address| {
        let started = Instant::now();
        let statuses = talk(address, &genuine("late", true)).unwrap();
        assert!(started.elapsed() >= Duration::from_millis(250));
        statuses
    };
    let receiver = abyssale_blocking::Receiver::new(endpoint(), late());
    let listener = receiver.listen_with("127.0.0.1:0", &settings).unwrap();
    assert_eq!(status(listener.local_addr()), [503]);
    assert_eq!(receiver.counts().unavailable, 1);

    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let receiver = abyssale_async::Receiver::new(endpoint(), late());
    let listener = runtime.block_on(receiver.listen_with("127.0.0.1:0", &settings)).unwrap();
    assert_eq!(status(listener.local_addr()), [503]);
    assert_eq!(receiver.counts().unavailable, 1);
}
