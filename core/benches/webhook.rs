//! How fast a delivery is verified and read, beside the bare HMAC-SHA256 of the same bytes. Prints ratios; asserts
//! nothing. What it printed last, and where, is in `README.md`.
#![allow(clippy::print_stdout, reason = "it is what a benchmark is for")]
#![allow(clippy::disallowed_types, reason = "it measures time")]
#![allow(clippy::expect_used, reason = "a benchmark of what is known to work")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use abyssale_core::{
    SigningSecret, Timestamp,
    webhook::{Event, SIGNATURE_HEADER, Verifier, sign},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const SECRET: &str = "whsec_3f1c0d8e9b7a65544332211000ffeedd";
const NOW: Timestamp = Timestamp::from_secs(1_755_561_234);

fn main() {
    println!(
        "| delivery | bytes | bare HMAC, ns | verify, ns | verify and parse, ns | verify / HMAC | both / HMAC |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    compare("documented", DOCUMENTED);
    compare("signed address", &DOCUMENTED.replace("url.zip", &signed_address()));
    let padding = format!(r#","banners":"{}"}}"#, "x".repeat(16 << 10));
    compare("with 16 KiB more", &DOCUMENTED.replace('}', &padding));
}

fn compare(name: &str, body: &str) {
    let body = body.as_bytes();
    let secret = SigningSecret::new(SECRET).expect("it is one");
    let headers = [
        ("host", "hooks.example.com".to_owned()),
        ("content-type", "application/json".to_owned()),
        ("x-abyssale-delivery-id", "0a".repeat(32)),
        (SIGNATURE_HEADER, sign(&secret, NOW, body)),
    ];
    let verifier = Verifier::new([secret]);
    let bare = || {
        // The key is set up anew, as a program does that calls the library for each delivery.
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length");
        mac.update(b"v1:webhook:1755561234.");
        mac.update(black_box(body));
        black_box(mac.finalize());
    };
    let check = || {
        let _ = black_box(verifier.verify(NOW, &headers, black_box(body)));
    };
    let both = || {
        let genuine = verifier.verify(NOW, &headers, black_box(body)).expect("it is genuine");
        drop(black_box(Event::parse(&genuine)));
    };
    let [bare, check, both] = fastest([&bare, &check, &both]);
    let ns = |time: Duration| time.as_secs_f64() * 1e9;
    println!(
        "| {name} | {} | {:.0} | {:.0} | {:.0} | {:.2} | **{:.2}** |",
        body.len(),
        ns(bare),
        ns(check),
        ns(both),
        ns(check) / ns(bare),
        ns(both) / ns(bare),
    );
}

/// The shortest of many runs of each, in turn: what else runs on a machine only ever makes them slower.
fn fastest(runs: [&dyn Fn(); 3]) -> [Duration; 3] {
    let mut best = [Duration::MAX; 3];
    for _ in 0..ROUNDS {
        for (run, best) in runs.iter().zip(&mut best) {
            let started = Instant::now();
            for _ in 0..REPEATS {
                run();
            }
            *best = (*best).min(started.elapsed() / REPEATS);
        }
    }
    best
}

/// An address as an object store signs it.
fn signed_address() -> String {
    format!("https://store.example.com/exports/a.zip?X-Amz-Signature={}", "0f".repeat(200))
}

const DOCUMENTED: &str = r#"{"export_id": "54e62358-2656-455c-afd7-66d5ed3dd581", "archive_url": "url.zip", "requested_at": 1649838051, "generated_at": 1649838135}"#;
const ROUNDS: usize = 300;
const REPEATS: u32 = 200;
