//! Many exports through each transport, against the simulator: how fast, how late, in how much memory.
//!
//! `cargo run --release --bin many-exports -- 10000`. The simulator is in this process and each transport in one of its
//! own, so that the memory that is told is the transport's. Beside each runs the least program that does the same with the
//! transport's library alone. A delivery that needs a second attempt is a failure.

mod by_hand;
mod client;
mod load;
mod summary;

use std::{
    error::Error,
    io::{self, Write as _},
    process::{Command, ExitCode},
    time::Duration,
};

use abyssale::exit;
use abyssale_simulator::{Config, Contents, Simulator};
use lexopt::{Arg, Parser, ValueExt as _};

use crate::load::Load;

type AnyError = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    exit("many-exports", run().map(|()| ExitCode::SUCCESS))
}

fn run() -> Result<(), AnyError> {
    let Some(options) = Options::parse()? else { return Ok(()) };
    if let Some(transport) = &options.child {
        return client::run(transport, &options);
    }
    for (transport, by_hand) in [("blocking", "ureq"), ("async", "hyper")] {
        let ours = measure(transport, &options)?;
        let theirs = measure(by_hand, &options)?;
        let times = ours.as_secs_f64() / theirs.as_secs_f64();
        writeln!(io::stdout(), "           {times:.2} times as long as with {by_hand} by hand\n")?;
    }
    Ok(())
}

/// Has a process of its own carry out the exports, and returns how long it took.
fn measure(transport: &str, options: &Options) -> Result<Duration, AnyError> {
    let simulator = Simulator::start(Config {
        // It is not the simulator that is to be measured.
        requests_per_second: None,
        render_delay: Duration::from_millis(50),
        archive: Contents::Synthetic(4096),
        ..Config::default()
    })?;
    let mut child = Command::new(std::env::current_exe()?);
    child.args([options.exports.to_string(), "--child".into(), transport.into()]);
    child.args(["--threads", &options.threads.to_string()]);
    if options.durable {
        child.arg("--durable");
    }
    child.env("ABYSSALE_BASE_URL", simulator.base_url()).env("ABYSSALE_API_KEY", simulator.api_key());
    let before = Load::now();
    let status = child.status()?;
    let after = Load::now();
    if !status.success() {
        return Err(format!("{transport}: {status}").into());
    }
    let seen = simulator.wait_until(Duration::from_secs(30), |seen| {
        let taken = seen.deliveries.iter().filter(|delivery| delivery.outcome.is_acknowledged()).count();
        let again = seen.deliveries.iter().filter(|delivery| delivery.attempt > 1).count();
        (taken >= options.exports).then_some((seen.exports.len(), taken, again))
    });
    let (asked, acknowledged, again) = seen.ok_or("not every event was acknowledged")?;
    if asked != options.exports {
        return Err(format!("{asked} exports were accepted instead of {}", options.exports).into());
    }
    if again > 0 {
        return Err(format!("{transport}: {again} deliveries needed another attempt").into());
    }
    writeln!(io::stdout(), "           {}", after.since(before))?;
    writeln!(
        io::stdout(),
        "           the service accepted {asked}, and {acknowledged} events were acknowledged at the first attempt"
    )?;
    Ok(after.at().duration_since(before.at()))
}

struct Options {
    exports: usize,
    /// How many exports the synchronous program has under way: each takes a thread.
    threads: usize,
    /// Keep the jobs in a store.
    durable: bool,
    /// Be the client, of this transport.
    child: Option<String>,
}

impl Options {
    fn parse() -> Result<Option<Self>, AnyError> {
        let mut options = Self { exports: 10_000, threads: 256, durable: false, child: None };
        let mut parser = Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => {
                    io::stdout().write_all(HELP.as_bytes())?;
                    return Ok(None);
                }
                Arg::Long("threads") => options.threads = parser.value()?.parse::<usize>()?.max(1),
                Arg::Long("durable") => options.durable = true,
                Arg::Long("child") => options.child = Some(parser.value()?.string()?),
                Arg::Value(count) => options.exports = count.parse()?,
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Some(options))
    }
}

const HELP: &str = "\
Carries out many exports against a simulator, through each transport.

Usage: many-exports [OPTION]... [EXPORTS]

  EXPORTS        how many [default: 10000]
  --threads N    how many threads the synchronous program has, each with one export at a time
                 [default: 256]; in the asynchronous one all exports are under way at once
  --durable      keep the jobs in a store, as a program would that must not lose one
";
