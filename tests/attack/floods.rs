//! Many: connections, forgeries, replays, bytes.

use std::{
    collections::VecDeque,
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
    time::Duration,
};

use crate::{
    alone, resident_bytes,
    standing::{Standing, event, genuine, request, signature, statuses},
};

/// In all, half of them to each transport.
const DELIVERIES: usize = 100_000;
const CONNECTIONS: usize = 10_000;

#[test]
fn forged_stale_and_replayed_deliveries_change_nothing_for_genuine_ones() {
    let _alone = alone();
    for standing in Standing::both(|_| {}) {
        let before = resident_bytes();
        let each = DELIVERIES / 2 / ATTACKERS;
        let genuine_ones = thread::scope(|scope| {
            let attackers: Vec<_> = (0..ATTACKERS).map(|_| scope.spawn(|| attack(&standing, each))).collect();
            let mut genuine_ones = 0;
            while !attackers.iter().all(thread::ScopedJoinHandle::is_finished) || genuine_ones < 50 {
                assert_eq!(standing.deliver(&format!("genuine-{genuine_ones}")), 1, "{}", standing.name);
                genuine_ones += 1;
                thread::park_timeout(PACE);
            }
            genuine_ones
        });
        let (counts, handled) = (standing.counts(), standing.handled());
        let (refused, replayed) = (each / 5 * ATTACKERS, each / 5 * 3 * ATTACKERS);
        assert_eq!((counts.mismatch, counts.stale), (refused as u64, refused as u64), "{}", standing.name);
        assert_eq!(counts.acknowledged, (replayed + genuine_ones) as u64, "the replays are repetitions");
        assert_eq!(handled["replayed"], replayed, "{}", standing.name);
        assert_eq!(handled.len(), genuine_ones + 1, "nothing else was handled");
        let grown = before.zip(resident_bytes()).map(|(before, after)| after.saturating_sub(before) >> 20);
        println!(
            "{}: {} hostile, {genuine_ones} genuine, {grown:?} MiB more",
            standing.name,
            2 * refused + replayed
        );
        assert!(grown.is_none_or(|grown| grown < 32), "{grown:?} MiB");
    }
}

const ATTACKERS: usize = 4;
/// Between two genuine deliveries.
const PACE: Duration = Duration::from_millis(5);

/// A fifth is forged and a fifth is stale, and each refusal costs a connection; the rest is replayed.
fn attack(standing: &Standing, each: usize) {
    let body = event("forged");
    let forged = request(&body, &signature("whsec_guessed", &body, 0), true);
    let stale = request(&body, &signature(crate::standing::SECRET, &body, -301), true);
    for bytes in [forged, stale] {
        for _ in 0..each / 5 {
            let mut stream = standing.connect().unwrap();
            stream.write_all(&bytes).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert_eq!(statuses(&answer), [401]);
        }
    }
    // What somebody has overheard is genuine, and comes again and again; many together on a connection.
    let replay = genuine("replayed", true);
    let mut left = each / 5 * 3;
    while left > 0 {
        let count = left.min(500);
        let mut stream = standing.connect().unwrap();
        for _ in 0..count {
            stream.write_all(&replay).unwrap();
            let mut answer = [0; 38];
            stream.read_exact(&mut answer).unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
        }
        left -= count;
    }
}

#[test]
fn ten_thousand_connections_do_not_keep_a_delivery_out() {
    let _alone = alone();
    for standing in Standing::both(|settings| {
        settings.connections = 64;
    }) {
        let before = resident_bytes();
        let attempts = thread::scope(|scope| {
            let strangers = scope.spawn(|| connect_again_and_again(&standing, CONNECTIONS / 2));
            let mut attempts = Vec::new();
            while !strangers.is_finished() {
                attempts.push(standing.deliver(&format!("genuine-{}", attempts.len())));
                thread::park_timeout(PACE);
            }
            // More of them are left than there may be connections.
            let held = strangers.join().unwrap();
            for _ in 0..20 {
                attempts.push(standing.deliver(&format!("genuine-{}", attempts.len())));
            }
            drop(held);
            attempts
        });
        let counts = standing.counts();
        let most = attempts.iter().max();
        println!("{}: {} delivered, {most:?} attempts at most, {counts:?}", standing.name, attempts.len());
        assert_eq!(standing.handled().len(), attempts.len(), "{}", standing.name);
        assert_eq!(most, Some(&1), "{}: each is acknowledged at its first attempt", standing.name);
        // Those that are held at the end are twice as many as there may be.
        assert!(counts.made_room >= 64, "{counts:?}");
        let grown = before.zip(resident_bytes()).map(|(before, after)| after.saturating_sub(before) >> 20);
        assert!(grown.is_none_or(|grown| grown < 64), "{grown:?} MiB");
    }
}

/// Holds twice as many connections as there may be, and no more descriptors than a process has. Returns the last ones.
fn connect_again_and_again(standing: &Standing, count: usize) -> VecDeque<TcpStream> {
    let mut held: VecDeque<TcpStream> = VecDeque::new();
    for number in 0..count {
        let mut stream = standing.connect().unwrap();
        // Some say nothing, some begin a head, and some a body.
        let begun: &[u8] = match number % 3 {
            0 => b"",
            1 => b"POST /abyssale HT",
            _ => b"POST /abyssale HTTP/1.1\r\nHost: h\r\nX-Abyssale-Signature: t=1,v1=0\r\nContent-Length: 9\r\n\r\n{",
        };
        // It may have made room for another already.
        let _gone = stream.write_all(begun);
        held.push_back(stream);
        if held.len() > 128 {
            held.pop_front();
        }
    }
    held
}

#[test]
fn bodies_that_never_end_take_no_more_memory_than_the_settings_say() {
    let _alone = alone();
    for standing in Standing::both(|settings| settings.connections = 64) {
        let before = resident_bytes();
        let begin = |announced: usize, sent: usize| {
            let head = format!(
                "POST /abyssale HTTP/1.1\r\nHost: h\r\nX-Abyssale-Signature: t=1,v1=0\r\nContent-Length: {announced}\r\n\r\n"
            );
            let mut stream = standing.connect().unwrap();
            // It may have been refused already.
            let _gone = stream.write_all(&[head.as_bytes(), &vec![b' '; sent]].concat());
            stream
        };
        let too_large: Vec<_> = (0..200).map(|_| begin(1_000_000, 900_000)).collect();
        drop(too_large);
        let held: Vec<_> = (0..200).map(|_| begin(65_536, 65_000)).collect();
        assert_eq!(standing.deliver("genuine"), 1, "{}", standing.name);
        let grown = before.zip(resident_bytes()).map(|(before, after)| after.saturating_sub(before) >> 20);
        let refused = standing.counts().too_large;
        println!("{}: {grown:?} MiB more, of 180 and 12 that were sent; {refused} refused", standing.name);
        assert!(refused > 50, "{}: {refused}", standing.name);
        assert!(grown.is_none_or(|grown| grown < 32), "{}: {grown:?} MiB", standing.name);
        drop(held);
    }
}
