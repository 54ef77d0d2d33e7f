//! Runs every runtime of this folder as the program that it is: against the simulator on a good day and on bad ones, and
//! through what every adapter must do.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

mod conformance;

use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, ExitCode},
    time::Duration,
};

use abyssale_conformance::checks;
use abyssale_simulator::{Config, Contents, DEMO_BANNERS, Simulator};
use abyssale_tests::{
    outside::{Need, look_for, trial},
    process::{last_words, run},
};
use libtest_mimic::{Arguments, Trial};

use crate::conformance::Program;

/// Far longer than anything here takes; only a failing test meets it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What goes wrong, how often an export is asked for all the same, and how often the archive.
type Case = (&'static str, &'static [&'static str], usize, usize);

const CASES: [Case; 9] = [
    ("an_archive_arrives", &[], 1, 1),
    ("a_throttled_request_is_repeated", &["create:status=429:retry-after=1:id=request_rate_limited"], 2, 1),
    ("a_lost_answer_is_settled_by_the_event", &["create:lost-after"], 1, 1),
    ("a_server_error_is_settled_by_the_event", &["create:status=503:accepted:as=html"], 1, 1),
    ("an_event_before_the_answer_is_enough", &["event:before-answer"], 1, 1),
    ("a_forged_delivery_is_refused", &["event:forged-first"], 1, 1),
    ("a_repeated_event_changes_nothing", &["event:twice"], 1, 1),
    ("a_download_that_breaks_off_is_resumed", &["archive:cut=1000"], 1, 2),
    ("a_redirect_of_the_archive_is_followed", &["archive:redirect"], 1, 2),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for (name, program) in programs() {
        for case in CASES {
            // Node's part follows no redirects: what is left out there is I/O, and would be the same again.
            if name != "wasm-in-node" || case.1 != ["archive:redirect"] {
                let run = move |program: &Vec<String>| carry_out(program, case);
                trials.push(trial(&program, format!("{name}::{}", case.0), run));
            }
        }
        // Node's part has neither of the two jobs that this takes.
        for check in checks().filter(|_| name != "wasm-in-node") {
            let run = move |program: &Vec<String>| (check.run)(&Program(program.clone()));
            trials.push(trial(&program, format!("{name}::conforms::{}", check.name), run));
        }
    }
    let short = |name: &str, check: fn()| {
        Trial::test(name, move || {
            check();
            Ok(())
        })
    };
    trials.push(short("each_runtime_has_at_most_80_lines_of_code", runtimes_are_short));
    trials.push(short("the_loop_of_the_guide_has_at_most_15_lines", loop_is_short));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A runtime that needs more shows that something is missing in core, which is to be mended there.
fn runtimes_are_short() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let bins = manifest.split("[[bin]]").skip(1).map(|bin| bin.split('"').nth(3).unwrap());
    let files: Vec<_> = bins.chain(["wasm/module.rs", "wasm/host.mjs"]).collect();
    assert!(files.len() >= 7, "{files:?}");
    for file in files {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
        let count = lines.count();
        assert!((20..=80).contains(&count), "{file} has {count} lines of code");
    }
}

fn loop_is_short() {
    let guide = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../core/README.md")).unwrap();
    let lines = guide.lines().skip_while(|line| !line.starts_with("fn run(")).take_while(|line| *line != "}");
    let count = lines.count() + 1;
    assert!((10..=15).contains(&count), "the loop has {count} lines");
}

/// The runtimes, each with its program or with the reason why there is none.
fn programs() -> Vec<(&'static str, Need<Vec<String>>)> {
    let built = |name, path: Option<&str>, why: &str| {
        let found = path.filter(|path| Path::new(path).exists());
        (name, look_for(name, || found.map(|path| vec![path.to_owned()]).ok_or_else(|| why.to_owned())))
    };
    let module = env::var("ABYSSALE_WASM_MODULE").map_err(|_| "is built and run by .ci/wasm".to_owned());
    let host = concat!(env!("CARGO_MANIFEST_DIR"), "/wasm/host.mjs");
    let in_node = || module.map(|module| vec!["node".into(), host.into(), module]);
    vec![
        ("wasm-in-node", look_for("wasm-in-node", in_node)),
        built("std-threads", option_env!("CARGO_BIN_EXE_std-threads"), "it was not built"),
        built("game-loop", option_env!("CARGO_BIN_EXE_game-loop"), "it was not built"),
        built("on-smol", option_env!("CARGO_BIN_EXE_on-smol"), "it was not built"),
        built("on-compio", option_env!("CARGO_BIN_EXE_on-compio"), "it was not built"),
        built(
            "curl-multi",
            option_env!("CARGO_BIN_EXE_curl-multi").filter(|_| cfg!(feature = "curl")),
            "needs --features curl",
        ),
    ]
}

fn carry_out(program: &[String], (_, troubles, calls, downloads): Case) {
    let simulator = Simulator::start(Config {
        signing_secret: Some("whsec_hunter2".into()),
        render_delay: Duration::from_millis(20),
        time_scale: 0.0001,
        requests_per_second: None,
        // Drawing pictures is what takes the time of a busy machine.
        archive: Contents::Synthetic(50_000),
        troubles: troubles.iter().map(|trouble| trouble.parse().unwrap()).collect(),
        ..Config::default()
    })
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("banners.zip");
    let mut command = Command::new(&program[0]);
    command.args(&program[1..]).arg(&target).args(DEMO_BANNERS.iter().map(|banner| &*banner.id));
    command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default()).envs([
        ("ABYSSALE_API_KEY", simulator.api_key()),
        ("ABYSSALE_BASE_URL", simulator.base_url()),
        ("ABYSSALE_SIGNING_SECRET", "whsec_hunter2"),
    ]);
    let output = run(&mut command, b"", PATIENCE).unwrap();
    assert!(output.status.success(), "{}\n{:#?}", last_words(&output), simulator.requests());

    let asked = |prefix: &str| simulator.requests().iter().filter(|r| r.path.starts_with(prefix)).count();
    assert_eq!(asked("/async/"), calls, "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(asked("/archives/"), downloads, "{}", String::from_utf8_lossy(&output.stderr));
    let exports = simulator.exports();
    assert_eq!(exports.len(), 1, "one export, whatever happened");
    assert!(fs::read(&target).unwrap() == fetch(&exports[0].archive_url), "the archive is the simulator's");
    let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["banners.zip"]);
}

/// What the simulator has at this address.
fn fetch(address: &str) -> Vec<u8> {
    let (host, path) = address.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
    bytes.split_off(head + 4)
}
