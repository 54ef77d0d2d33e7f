//! `kill -9` at random moments: every export ends in exactly one archive, none is asked for twice, and no delivery that was
//! acknowledged is lost.
//!
//! `ABYSSALE_KILLS=1000 cargo test -p abyssale-examples --test kill` kills more often; `ABYSSALE_KILL_SEED` chooses the same
//! moments again, as far as a machine does the same twice.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that panics has failed, and may say how"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    net::TcpListener,
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

use abyssale_simulator::{Config, Contents, Outcome, Simulator};

/// Far longer than the last life takes; only a failing test meets it.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the program waits for the event of a request that it may not have sent. An event that was not taken comes again
/// every 100 ms, so one that has not come by then never will.
const GRACE: Duration = Duration::from_secs(5);

#[test]
fn an_export_survives_kill_9() {
    let seed = setting("ABYSSALE_KILL_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        u64::from(now.subsec_nanos()) | 1
    });
    let kills = setting("ABYSSALE_KILLS").unwrap_or(50);
    println!("ABYSSALE_KILL_SEED={seed}");
    let mut dice = Dice(seed);
    let world = World::new();
    // A few new ones in every life, so that there is something to interrupt at every step.
    let ids: Vec<_> = (0..3 * kills).map(|n| format!("64238d01-d402-474b-8c2d-{n:012x}")).collect();

    let mut ended = 0;
    for life in 1..=kills {
        let end = usize::try_from(3 * life).unwrap();
        let mut child = world.start(&ids[..end]);
        thread::sleep(Duration::from_micros(dice.roll(200_000)));
        if child.0.try_wait().unwrap().is_some() {
            ended += 1;
        }
        child.kill();
    }
    println!("{kills} lives, of which {ended} ended before they were killed; {} orders", ids.len());

    // What may have been sent and was not is unknown, and fails once its grace is over. Then it is safe to ask again, and
    // starting the program again says so.
    let first = world.start(&ids).wait();
    let exports = world.exports();
    for id in &ids {
        let there = world.target(id).exists();
        let asked = exports.get(id).copied().unwrap_or_default();
        assert_eq!(there, asked == 1, "{id} was accepted {asked} times: seed {seed}");
    }
    if !first.success() {
        assert!(world.start(&ids).wait().success(), "seed {seed}");
    }

    let exports = world.exports();
    assert_eq!(exports.len(), ids.len());
    assert!(exports.values().all(|count| *count == 1), "asked for twice: {exports:?}, seed {seed}");
    let found: BTreeSet<_> = fs::read_dir(world.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut expected: BTreeSet<_> = ids.iter().map(|id| format!("{id}.zip")).collect();
    expected.extend(["jobs", "jobs.lock"].map(String::from));
    assert_eq!(found, expected, "seed {seed}");
    for id in &ids {
        assert_eq!(fs::metadata(world.target(id)).unwrap().len(), ARCHIVE, "seed {seed}");
    }
    // Every export is here, so every acknowledged delivery has come to something. One that was saved and not answered is
    // not known any more when it comes again: that takes a kill in between, which cost an attempt its answer.
    let deliveries = world.simulator.deliveries();
    let of = |export_id: &str| {
        let of_export = deliveries.iter().filter(move |delivery| delivery.export_id == export_id);
        of_export.map(|delivery| &delivery.outcome).collect::<Vec<_>>()
    };
    let (mut taken, mut robbed) = (0, 0);
    for export in world.simulator.exports() {
        let outcomes = of(&export.export_id);
        if outcomes.iter().any(|outcome| outcome.is_acknowledged()) {
            taken += 1;
        } else {
            let lost = |outcome: &&Outcome| matches!(outcome, Outcome::Failed(_));
            assert!(outcomes.iter().any(lost), "nobody took it: {outcomes:?}, seed {seed}");
            robbed += 1;
        }
    }
    println!(
        "{} deliveries, {taken} exports acknowledged, {robbed} killed before they were",
        deliveries.len()
    );
    assert!(taken > robbed, "seed {seed}");
}

struct World {
    simulator: Simulator,
    /// Stays open while nobody is there, so its port cannot be taken by anybody else.
    socket: TcpListener,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let config = Config {
            requests_per_second: None,
            render_delay: Duration::from_millis(20),
            delivery_timeout: Duration::from_millis(500),
            ladder: vec![Duration::from_millis(100); 10_000],
            archive: Contents::Synthetic(ARCHIVE),
            ..Config::default()
        };
        Self {
            simulator: Simulator::start(config).unwrap(),
            socket: TcpListener::bind("127.0.0.1:0").unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn start(&self, ids: &[String]) -> Life {
        let callback = format!("http://{}/abyssale", self.socket.local_addr().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_durable"))
            .env("ABYSSALE_API_KEY", self.simulator.api_key())
            .env("ABYSSALE_BASE_URL", self.simulator.base_url())
            .args(["--callback-url", &callback, "--listen", "-"])
            .args(["--grace", &GRACE.as_secs().to_string()])
            .arg("--output")
            .arg(self.folder.path())
            .args(ids)
            .stdin(Stdio::from(OwnedFd::from(self.socket.try_clone().unwrap())))
            .stderr(Stdio::null())
            .spawn();
        Life(child.unwrap())
    }

    fn target(&self, id: &str) -> std::path::PathBuf {
        Path::new(self.folder.path()).join(id).with_extension("zip")
    }

    /// How often each was accepted.
    fn exports(&self) -> BTreeMap<String, usize> {
        let mut count = BTreeMap::new();
        for export in self.simulator.exports() {
            *count.entry(export.ids.concat()).or_default() += 1;
        }
        count
    }
}

/// A process that does not outlive a failing test.
struct Life(Child);

impl Life {
    fn kill(&mut self) {
        // It may have ended by itself.
        let _ended = self.0.kill();
        self.0.wait().unwrap();
    }

    fn wait(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.kill();
    }
}

/// xorshift: a seed must not be 0.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

fn setting(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap())
}

/// The size of an archive, in bytes.
const ARCHIVE: u64 = 64 << 10;
