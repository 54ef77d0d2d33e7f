//! The listeners of both transports behind real proxies: nginx, `HAProxy` and Apache. Each ends TLS, changes the path,
//! keeps connections to us alive, and is reloaded while deliveries arrive.
//!
//! A proxy that is not installed is reported as ignored, with the reason.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a helper of tests fails as a test does, though clippy cannot tell that it is one"
)]

mod proxy;
#[allow(dead_code, reason = "the attack suite uses the rest")]
#[path = "../attack/standing.rs"]
mod standing;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Command, ExitCode},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use abyssale_tests::{
    outside::{look_for, trial},
    process::run,
};
use libtest_mimic::Arguments;

use crate::{
    proxy::{Kind, Proxy},
    standing::{PATH, PATIENCE, SECRET, Standing, event, genuine, request, signature, statuses, talk},
};

const DELIVERIES: usize = 200;
const SENDERS: usize = 4;

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for kind in Kind::ALL {
        let found = look_for("proxies", || kind.find());
        for transport in ["blocking", "async"] {
            let name = |what: &str| format!("{what}_{kind:?}_{transport}").to_lowercase();
            trials.push(trial(&found, name("tls_ends_and_the_path_changes_at"), move |()| {
                tls_and_prefix(kind, transport);
            }));
            trials.push(trial(&found, name("no_delivery_is_lost_when_a_reload_happens_to"), move |()| {
                reloads(kind, transport);
            }));
            trials.push(trial(&found, name("two_megabytes_of_fields_harm_nothing_behind"), move |()| {
                garbage(kind, transport);
            }));
            trials.push(trial(&found, name("the_end_of_a_listener_is_noticed_by"), move |()| {
                health(kind, transport);
            }));
        }
    }
    // One at a time, because each takes ports that were free a moment ago.
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn standing(transport: &str) -> Standing {
    Standing::both(|_| {}).into_iter().find(|standing| standing.name == transport).unwrap()
}

/// A delivery to the path that the proxy shows to the world.
fn through_prefix(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    text.replacen(&format!("POST {PATH}"), &format!("POST /prod{PATH}"), 1).into_bytes()
}

/// Sends the connection's only request, and returns the statuses of the answers. It closes no half of the connection,
/// which nginx would take for a peer that has gone.
fn ask(address: SocketAddr, bytes: &[u8]) -> Vec<u16> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    statuses(&answer)
}

fn tls_and_prefix(kind: Kind, transport: &str) {
    let standing = standing(transport);
    let proxy = Proxy::start(kind, standing.address);
    let body = event("over-tls");
    let signature = format!("X-Abyssale-Signature: {}", signature(SECRET, &body, 0));
    for target in ["/prod/abyssale", "//prod//abyssale", "/prod/abyss%61le?from=edge", "/stage/abyssale"] {
        let url = format!("https://{}{target}", proxy.tls);
        let options = ["-sk", "-o", "/dev/null", "-w", "%{http_code}", "-H", &signature, "-d", &body, &url];
        let output = run(Command::new("curl").args(options), b"", PATIENCE).unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "200", "{target}: {}", proxy.log());
    }
    assert_eq!(standing.handled()["over-tls"], 4);
}

fn reloads(kind: Kind, transport: &str) {
    let standing = standing(transport);
    let proxy = Proxy::start(kind, standing.address);
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= DELIVERIES {
                        return;
                    }
                    let bytes = through_prefix(&genuine(&format!("e{number}"), false));
                    assert_eq!(ask(proxy.plain, &bytes), [200], "delivery {number}: {}", proxy.log());
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Five reloads, spread over the deliveries.
        for reload in 1..=5 {
            let started = Instant::now();
            while done.load(Ordering::Relaxed) < reload * DELIVERIES / 6 {
                assert!(started.elapsed() < PATIENCE, "the deliveries do not go on");
                thread::park_timeout(Duration::from_millis(1));
            }
            proxy.reload();
        }
    });
    let counts = standing.counts();
    assert_eq!(standing.handled().len(), DELIVERIES);
    assert_eq!(counts.acknowledged, DELIVERIES as u64, "each at its first attempt: {counts:?}");
    assert!(counts.connections < DELIVERIES as u64, "connections are kept alive: {counts:?}");
}

fn garbage(kind: Kind, transport: &str) {
    let standing = standing(transport);
    let proxy = Proxy::start(kind, standing.address);
    let fields = format!("X-Garbage: {}\r\n", "x".repeat(1000)).repeat(2000);
    let begin = String::from_utf8(through_prefix(&request("", "t=1,v1=0", false))).unwrap();
    let bytes = begin.replacen("Host: h\r\n", &format!("Host: h\r\n{fields}"), 1);
    // The proxy may answer, or close before it has read all of it.
    if let Ok(statuses) = talk(proxy.plain, bytes.as_bytes()) {
        assert!(statuses.iter().all(|status| (400..500).contains(status)), "{statuses:?}");
    }
    assert_eq!(ask(proxy.plain, &through_prefix(&genuine("genuine", false))), [200]);
    assert_eq!(standing.handled().into_keys().collect::<Vec<_>>(), ["genuine"]);
}

fn health(kind: Kind, transport: &str) {
    let mut standing = standing(transport);
    let proxy = Proxy::start(kind, standing.address);
    let probe = b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    assert_eq!(ask(proxy.plain, probe), [200], "{}", proxy.log());
    standing.take_shutdown()();
    let statuses = ask(proxy.plain, probe);
    assert!(matches!(statuses[..], [502 | 503]), "{statuses:?}");
}
