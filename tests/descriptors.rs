//! A listener whose process has run out of descriptors, long before its places are taken: strangers hold all of them,
//! and genuine deliveries arrive. In a process of its own, which a shell allows few.
//!
//! Where there is no such shell every trial is reported as ignored, and why.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a helper of tests fails as a test does, though clippy cannot tell that it is one"
)]

#[allow(dead_code, reason = "the attack suite uses the rest")]
#[path = "attack/standing.rs"]
mod standing;

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _, stdin},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
    time::Duration,
};

use abyssale_tests::outside::{look_for, trial};
use libtest_mimic::Arguments;

use crate::standing::{Standing, deliver};

/// The argument that makes this program the child.
const CHILD: &str = "child";
/// What the child may have open, and how many strangers there are: more, and far fewer than there are places.
const DESCRIPTORS: usize = 40;
const STRANGERS: usize = 60;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if let [CHILD, transport] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        stand(transport);
        return ExitCode::SUCCESS;
    }
    let shell = look_for("descriptors", || {
        let limited = Command::new("sh").args(["-c", &limit("ulimit -n")]).output();
        let limited = limited.map_err(|error| format!("there is no sh: {error}"))?;
        let told = String::from_utf8_lossy(&limited.stdout).trim().to_owned();
        (told == DESCRIPTORS.to_string()).then_some(()).ok_or_else(|| format!("ulimit says {told:?}"))
    });
    let trials = ["blocking", "async"].map(|transport| {
        let name = format!("deliveries_arrive_where_no_descriptor_is_left_{transport}");
        trial(&shell, name, move |()| exhaust(transport))
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}

fn limit(command: &str) -> String {
    format!("ulimit -n {DESCRIPTORS} && {command}")
}

/// The child: tells where it listens, and once there is nothing more to come what has come of it all.
fn stand(transport: &str) {
    // Nobody is ever too slow, so nothing but the need for descriptors cuts a stranger off.
    let standing = Standing::both(|settings| {
        settings.delivery_timeout = Duration::from_secs(3600);
    });
    let standing = standing.into_iter().find(|standing| standing.name == transport).unwrap();
    println!("{}", standing.address);
    stdin().read_to_end(&mut Vec::new()).unwrap();
    let counts = standing.counts();
    println!("{} {} {}", standing.handled().len(), counts.not_accepted, counts.made_room);
}

fn exhaust(transport: &str) {
    let mut child = Limited::start(transport);
    let address: SocketAddr = child.line().parse().unwrap();
    let strangers: Vec<_> = (0..STRANGERS)
        .map(|_| {
            let mut stranger = TcpStream::connect(address).unwrap();
            // One may have been cut off already.
            let _gone = stranger.write_all(b"POST /abyssale HT");
            stranger
        })
        .collect();
    for number in 0..20 {
        deliver(address, &format!("genuine-{number}"));
    }
    drop(strangers);
    drop(child.process.stdin.take());
    let figures: Vec<u64> = child.line().split(' ').map(|figure| figure.parse().unwrap()).collect();
    println!("{transport}: {} handled, {} not accepted, {} made room", figures[0], figures[1], figures[2]);
    assert_eq!(figures[0], 20);
    assert!(figures[1] > 0 && figures[2] > 0, "there were enough descriptors");
    assert!(child.process.wait().unwrap().success());
}

/// This program with few descriptors; ended with this value.
struct Limited {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Limited {
    fn start(transport: &str) -> Self {
        let mut process = Command::new("sh")
            .args(["-c", &limit("exec \"$0\" \"$@\"")])
            .arg(env::current_exe().unwrap())
            .args([CHILD, transport])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        // It has ended already unless a check has failed.
        let _ended = self.process.kill();
        let _waited = self.process.wait();
    }
}
