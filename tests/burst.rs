//! A thousand exports at once, whose deliveries all come within moments: each is acknowledged at its first attempt, also
//! while strangers hold connections. In the world a second attempt comes minutes to hours later.
//!
//! Where the process may open too few sockets every trial is reported as ignored, with the reason.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of tests fails as a test does, though clippy cannot tell that it is one"
)]

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::ExitCode,
    thread,
    time::Duration,
};

use abyssale_simulator::{Config, Contents, Simulator};
use abyssale_tests::outside::{look_for, trial};
use libtest_mimic::Arguments;
use tokio::{runtime, task::JoinSet};

const EXPORTS: usize = 1000;
const STRANGERS: usize = 400;
/// Both ends of each connection are in this process.
const DESCRIPTORS: usize = 8000;
const PATIENCE: Duration = Duration::from_secs(120);

type Run = fn(&Simulator, TcpListener, &Path);

fn main() -> ExitCode {
    let room = look_for("burst", || {
        let limits = fs::read_to_string("/proc/self/limits").map_err(|error| error.to_string())?;
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
        let most = line.split_ascii_whitespace().nth(3).and_then(|digits| digits.parse::<usize>().ok());
        let is_enough = line.contains("unlimited") || most.is_some_and(|most| most >= DESCRIPTORS);
        is_enough.then_some(()).ok_or_else(|| format!("{DESCRIPTORS} open files are needed: {line}"))
    });
    let mut trials = Vec::new();
    for (transport, run) in [("blocking", blocking as Run), ("async", asynchronous)] {
        for (what, strangers) in [("at_once", 0), ("at_once_beside_strangers", STRANGERS)] {
            let name = format!("a_thousand_exports_{what}_need_no_second_attempt_{transport}");
            trials.push(trial(&room, name, move |()| burst(run, strangers)));
        }
    }
    // Each takes all of the machine.
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn burst(run: Run, strangers: usize) {
    let simulator = Simulator::start(Config {
        requests_per_second: None,
        render_delay: Duration::from_millis(50),
        archive: Contents::Synthetic(1000),
        ..Config::default()
    })
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    abyssale_host::connections::lengthen_backlog(&socket).unwrap();
    let address = socket.local_addr().unwrap();
    let held: Vec<_> = (0..strangers).map(|number| dawdle(address, number)).collect();
    run(&simulator, socket, folder.path());
    drop(held);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), EXPORTS);
    let deliveries = simulator.deliveries();
    let acknowledged = deliveries.iter().filter(|delivery| delivery.outcome.is_acknowledged()).count();
    let again: Vec<_> = deliveries.iter().filter(|delivery| delivery.attempt > 1).collect();
    assert!(again.is_empty(), "{} of {} came again: {:?}", again.len(), deliveries.len(), again.first());
    assert_eq!((acknowledged, simulator.exports().len()), (EXPORTS, EXPORTS));
}

/// A connection that says nothing, or begins a request and does not go on.
fn dawdle(address: SocketAddr, number: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let begun: &[u8] = if number.is_multiple_of(2) { b"" } else { b"POST /abyssale HT" };
    stream.write_all(begun).unwrap();
    stream
}

fn banner(number: usize) -> String {
    format!("64238d01-d402-474b-8c2d-{number:012x}")
}

/// Both builders have the same methods.
macro_rules! builder {
    ($builder:expr, $simulator:expr, $socket:expr) => {
        $builder
            .api_key(abyssale_core::ApiKey::new($simulator.api_key()).unwrap())
            .base_url($simulator.base_url())
            .callback(format!("http://{}/abyssale", $socket.local_addr().unwrap()))
            .listen_on($socket)
            .limits(|limits| limits.requests_per_second = u32::MAX)
    };
}

fn blocking(simulator: &Simulator, socket: TcpListener, folder: &Path) {
    let exporter = builder!(abyssale_blocking::Exporter::builder(), simulator, socket).build().unwrap();
    thread::scope(|scope| {
        for number in 0..EXPORTS {
            let thread = thread::Builder::new().stack_size(512 << 10);
            let target = folder.join(format!("{number}.zip"));
            let exporter = &exporter;
            let work = move || exporter.export([banner(number)]).unwrap().save_to(target).map(drop).unwrap();
            thread.spawn_scoped(scope, work).unwrap();
        }
    });
}

fn asynchronous(simulator: &Simulator, socket: TcpListener, folder: &Path) {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let exporter =
            builder!(abyssale_async::Exporter::builder(), simulator, socket).build().await.unwrap();
        let mut tasks = JoinSet::new();
        for number in 0..EXPORTS {
            let (exporter, target) = (exporter.clone(), folder.join(format!("{number}.zip")));
            tasks.spawn(async move { exporter.export([banner(number)])?.save_to(target).await });
        }
        let all = async {
            while let Some(ended) = tasks.join_next().await {
                ended.unwrap().unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("all of them end in time");
    });
}
