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
    let padding = format!(r#","banners":"{}"}}"#, "x".repeat(16 << 10));
    let mut deliveries = [
        Delivery::new("documented", DOCUMENTED.to_owned()),
        Delivery::new("signed address", DOCUMENTED.replace("url.zip", &signed_address())),
        Delivery::new("with 16 KiB more", DOCUMENTED.replace('}', &padding)),
    ];
    // All in turn, so that whatever else runs on the machine for a while does not fall on one of them alone.
    for _ in 0..ROUNDS {
        deliveries.iter_mut().for_each(Delivery::round);
    }
    println!(
        "| delivery | bytes | bare HMAC, ns | verify, ns | verify and parse, ns | verify / HMAC | both / HMAC |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    deliveries.iter().for_each(Delivery::print);
}

struct Delivery {
    name: &'static str,
    body: String,
    headers: [(&'static str, String); 4],
    verifier: Verifier,
    /// The shortest run of each: what else runs on a machine only ever makes them slower.
    bare: Duration,
    verify: Duration,
    both: Duration,
}

impl Delivery {
    fn new(name: &'static str, body: String) -> Self {
        let secret = SigningSecret::new(SECRET).expect("it is one");
        let headers = [
            ("host", "hooks.example.com".to_owned()),
            ("content-type", "application/json".to_owned()),
            ("x-abyssale-delivery-id", "0a".repeat(32)),
            (SIGNATURE_HEADER, sign(&secret, NOW, body.as_bytes())),
        ];
        let [bare, verify, both] = [Duration::MAX; 3];
        Self { name, body, headers, verifier: Verifier::new([secret]), bare, verify, both }
    }

    fn round(&mut self) {
        let (verifier, headers, body) = (&self.verifier, &self.headers, self.body.as_bytes());
        let bare = timed(|| {
            // The key is set up anew, as a program does that calls the library for each delivery.
            let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length");
            mac.update(b"v1:webhook:1755561234.");
            mac.update(black_box(body));
            black_box(mac.finalize());
        });
        let verify = timed(|| {
            let _ = black_box(verifier.verify(NOW, headers, black_box(body)));
        });
        let both = timed(|| {
            let genuine = verifier.verify(NOW, headers, black_box(body)).expect("it is genuine");
            drop(black_box(Event::parse(&genuine)));
        });
        self.bare = self.bare.min(bare);
        self.verify = self.verify.min(verify);
        self.both = self.both.min(both);
    }

    fn print(&self) {
        let [bare, verify, both] = [self.bare, self.verify, self.both].map(|time| time.as_secs_f64() * 1e9);
        println!(
            "| {} | {} | {bare:.0} | {verify:.0} | {both:.0} | {:.2} | **{:.2}** |",
            self.name,
            self.body.len(),
            verify / bare,
            both / bare,
        );
    }
}

fn timed(run: impl Fn()) -> Duration {
    let started = Instant::now();
    for _ in 0..REPEATS {
        run();
    }
    started.elapsed() / REPEATS
}

/// An address as an object store signs it.
fn signed_address() -> String {
    format!("https://store.example.com/exports/a.zip?X-Amz-Signature={}", "0f".repeat(200))
}

const DOCUMENTED: &str = r#"{"export_id": "54e62358-2656-455c-afd7-66d5ed3dd581", "archive_url": "url.zip", "requested_at": 1649838051, "generated_at": 1649838135}"#;
const ROUNDS: usize = 4000;
const REPEATS: u32 = 50;
