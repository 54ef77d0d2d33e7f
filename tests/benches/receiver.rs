//! How many deliveries a second the receivers take, beside two bare hyper servers that answer the same signed requests
//! with 200: one reads the body and ignores it, the other also computes its HMAC, which every receiver has to. The load is
//! `wrk`'s; ratios of medians are printed, and nothing is asserted. `README.md` has the last results.
//!
//! Each server is a process of its own, this program again, so that what it takes of the processors is its own too.
#![allow(clippy::print_stdout, reason = "it is what a benchmark is for")]
#![allow(clippy::unwrap_used, reason = "a benchmark that panics has failed")]
#![allow(clippy::cast_precision_loss, reason = "counts of a benchmark")]

use std::{
    convert::Infallible,
    env, fs,
    hint::black_box,
    io::{self, BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::LazyLock,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use abyssale_core::{
    SigningSecret, Timestamp,
    webhook::{CallbackEndpoint, Reply, SIGNATURE_HEADER, Verifier, sign},
};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Collected, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use sha2::Sha256;
use tokio::net::TcpListener;

/// The servers, as they are called on the command line and in the table.
const SERVERS: [&str; 5] = [
    "a bare hyper server",
    "bare hyper and the HMAC",
    "hyper with our service",
    "the async listener",
    "the blocking listener",
];
const SECRET: &str = "whsec_3f1c0d8e9b7a65544332211000ffeedd";
const BODY: &str = r#"{"event_type":"NewExport","export_id":"54e62358-2656-455c-afd7-66d5ed3dd581","archive_url":"https://storage.example.com/exports/54e62358-2656-455c-afd7-66d5ed3dd581.zip?expires=1755647634&key-pair-id=K2JCJMDEHXQW5F&signature=dGhpcyBpcyBhIHNpZ25hdHVyZSB0aGF0IGlzIGFzIGxvbmcgYXMgb25lIG9mIGFuIG9iamVjdCBzdG9yZQ__","requested_at":1755561200,"generated_at":1755561234}"#;

fn main() {
    let mut arguments = env::args().skip(1).filter(|argument| argument != "--bench");
    match arguments.next() {
        Some(name) => serve(&name),
        None => compare(),
    }
}

/// What a server did in all rounds: requests per second, and microseconds of the processors for each.
#[derive(Default)]
struct Figures {
    rate: Vec<f64>,
    micros: Vec<f64>,
}

fn compare() {
    let number = |name, default| env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (rounds, seconds, connections) =
        (number("ROUNDS", 5), number("SECONDS", 4), number("CONNECTIONS", 32));
    let folder = tempfile::tempdir().unwrap();
    let mut all: [Figures; 5] = Default::default();
    for round in 0..=rounds {
        let mut order: Vec<_> = SERVERS.into_iter().zip(&mut all).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for (name, figures) in order {
            // Signed anew, so that none is stale however long it all takes.
            let script = folder.path().join("delivery.lua");
            fs::write(&script, lua()).unwrap();
            let server = Server::start(name);
            let before = server.cpu();
            let (rate, requests) = load(&script, &server.address, connections, seconds);
            // The first round warms everything up.
            if round > 0 {
                figures.rate.push(rate);
                figures.micros.push((server.cpu() - before) * 1e6 / requests);
            }
        }
    }
    println!(
        "\n| {connections} connections, median of {rounds} | requests/s | × bare hyper | CPU µs a request | × bare hyper |"
    );
    println!("|---|--:|--:|--:|--:|");
    for (name, figures) in SERVERS.iter().zip(&all) {
        println!(
            "| {name} | {:.0} | {:.2} | {:.1} | {:.2} |",
            median(figures.rate.clone()),
            times(&figures.rate, &all[0].rate),
            median(figures.micros.clone()),
            times(&figures.micros, &all[0].micros),
        );
    }
}

/// The median of what the rounds say, since what disturbs a round disturbs all that is in it.
fn times(ours: &[f64], theirs: &[f64]) -> f64 {
    median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect())
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One genuine delivery, to be sent again and again.
fn lua() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let signature = sign(&SigningSecret::new(SECRET).unwrap(), Timestamp::from_secs(now), BODY.as_bytes());
    let id = "0a".repeat(32);
    format!(
        "wrk.method = 'POST'\nwrk.body = '{BODY}'\nwrk.headers['Content-Type'] = 'application/json'\n\
         wrk.headers['X-Abyssale-Delivery-Id'] = '{id}'\nwrk.headers['{SIGNATURE_HEADER}'] = '{signature}'\n\
         function done(summary, latency, requests)\n\
         io.write('FIGURES ', summary.requests, ' ', summary.duration, ' ', summary.errors.status, ' ', \
         summary.errors.timeout, '\\n')\nend\n"
    )
}

/// Requests per second, and requests.
fn load(script: &Path, address: &str, connections: u64, seconds: u64) -> (f64, f64) {
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "-s"])
        .arg(script)
        .arg(format!("{address}/abyssale/{}", "0123456789abcdef".repeat(2)))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let figures = text.lines().find_map(|line| line.strip_prefix("FIGURES ")).unwrap();
    let figures: Vec<f64> = figures.split(' ').map(|figure| figure.parse().unwrap()).collect();
    let &[requests, micros, refused, late] = &figures[..] else { panic!("{text}") };
    assert!(refused == 0.0 && late == 0.0, "{text}");
    (requests * 1e6 / micros, requests)
}

/// A server in a process of its own, which ends with it.
struct Server {
    address: String,
    child: Child,
}

impl Server {
    fn start(name: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .arg(name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { address: address.trim().to_owned(), child }
    }

    /// Seconds of the processors so far, user and system, as Linux tells them: in hundredths.
    fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
        let ticks = fields.split_ascii_whitespace().skip(11).take(2);
        ticks.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(name: &str) {
    // The parent holds the other end of the standard input, whatever becomes of it.
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
    let endpoint = CallbackEndpoint::new(Verifier::new([SigningSecret::new(SECRET).unwrap()]));
    let acknowledge = |_, _| Reply::Acknowledged;
    if name == SERVERS[4] {
        let receiver = abyssale_blocking::Receiver::new(endpoint, acknowledge);
        let listener = receiver.listen("127.0.0.1:0").unwrap();
        println!("http://{}", listener.local_addr());
        loop {
            thread::park();
        }
    }
    let receiver = abyssale_async::Receiver::new(endpoint, acknowledge);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        if name == SERVERS[3] {
            let listener = receiver.listen("127.0.0.1:0").await.unwrap();
            println!("http://{}", listener.local_addr());
            return std::future::pending().await;
        }
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("http://{}", socket.local_addr().unwrap());
        loop {
            let (stream, _) = socket.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (stream, service) = (TokioIo::new(stream), receiver.service());
            let name = name.to_owned();
            tokio::spawn(async move {
                // A client that hangs up is no failure of the benchmark.
                if name == SERVERS[0] {
                    let _ = http1::Builder::new().serve_connection(stream, service_fn(bare)).await;
                } else if name == SERVERS[1] {
                    let _ = http1::Builder::new().serve_connection(stream, service_fn(bare_hmac)).await;
                } else {
                    let service = TowerToHyperService::new(service);
                    let _ = http1::Builder::new().serve_connection(stream, service).await;
                }
            });
        }
    });
}

/// Reads the body, as every server has to, and answers.
async fn bare(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let _body = request.into_body().collect().await;
    Ok(Response::new(Full::default()))
}

/// Computes the HMAC of the body too, with the key set up beforehand, and compares nothing.
async fn bare_hmac(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    static KEYED: LazyLock<Hmac<Sha256>> = LazyLock::new(|| Hmac::new_from_slice(SECRET.as_bytes()).unwrap());
    let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
    let mac = KEYED.clone().chain_update("v1:webhook:1755561234.").chain_update(&body);
    black_box(mac.finalize());
    Ok(Response::new(Full::default()))
}
