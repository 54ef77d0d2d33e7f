//! The simulator as a program: its options, and what it prints.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

use crate::{Config, Contents, DEFAULT_API_KEY, DEMO_BANNERS, Dialect, GRAMMAR, Simulator};

/// Runs a simulator as these arguments say, until its time is over. `name` is what the program is called.
pub fn run(name: &str, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match serve(name, args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing more can be done if the standard error is gone as well.
            let _ = writeln!(io::stderr(), "{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for.
struct Arguments {
    config: Config,
    lifetime: Duration,
}

fn serve(name: &str, args: impl IntoIterator<Item = OsString>) -> Result<(), Box<dyn std::error::Error>> {
    let Some(Arguments { config, lifetime }) = arguments(Parser::from_args(args))? else {
        return Ok(write!(io::stdout(), "{}", help(name))?);
    };
    let simulator = Simulator::start_observed(config, |notice| {
        let _ = writeln!(io::stderr(), "{notice}");
    })?;
    let mut out = io::stdout();
    writeln!(out, "{}", simulator.base_url())?;
    out.flush()?;
    std::thread::sleep(lifetime);
    Ok(())
}

/// `None` when help is wanted.
fn arguments(mut parser: Parser) -> Result<Option<Arguments>, Box<dyn std::error::Error>> {
    let mut lifetime = LIFETIME;
    let mut config = Config { render_delay: Duration::from_millis(500), ..Config::default() };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            Arg::Long("listen") => config.listen = parser.value()?.parse()?,
            Arg::Long("api-key") => config.api_key = parser.value()?.string()?,
            Arg::Long("dialect") => config.dialect = parser.value()?.parse_with(dialect)?,
            Arg::Long("signing-secret") => config.signing_secret = Some(parser.value()?.string()?),
            Arg::Long("trouble") => config.troubles.push(parser.value()?.parse()?),
            Arg::Long("time-scale") => config.time_scale = parser.value()?.parse()?,
            Arg::Long("render-delay") => config.render_delay = parser.value()?.parse_with(seconds)?,
            Arg::Long("synthetic") => config.archive = Contents::Synthetic(parser.value()?.parse()?),
            Arg::Long("rate") => config.requests_per_second = parser.value()?.parse_with(rate)?,
            Arg::Long("seconds") => lifetime = parser.value()?.parse_with(seconds)?,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(Arguments { config, lifetime }))
}

fn dialect(text: &str) -> Result<Dialect, &'static str> {
    match text {
        "legacy" => Ok(Dialect::Legacy),
        "current" => Ok(Dialect::Current),
        _ => Err("the dialects are legacy and current"),
    }
}

fn rate(text: &str) -> Result<Option<u32>, &'static str> {
    match text.parse() {
        Ok(0) => Ok(None),
        Ok(rate) => Ok(Some(rate)),
        Err(_) => Err("expected a number of requests a second, or 0 for no ceiling"),
    }
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().map_err(|_| "expected a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "expected a number of seconds")
}

fn help(name: &str) -> String {
    let banners = DEMO_BANNERS.map(|banner| format!("  {}  {}\n", banner.id, banner.name)).concat();
    format!(
        "\
A server that behaves, and misbehaves, like Abyssale's export service. The first line of its output
is its base URL; then every request and every delivery is a line on standard error.

Usage: {name} [OPTION]...

  --listen ADDRESS         a loopback address and port (default 127.0.0.1:0, any free port)
  --api-key KEY            the key it accepts (default {DEFAULT_API_KEY})
  --dialect legacy|current which error bodies it speaks (default current)
  --signing-secret SECRET  sign deliveries with this secret (default: unsigned until asked for one)
  --trouble TROUBLE        something to go wrong; may be given often
  --time-scale FACTOR      multiplies the waits between deliveries and a secret's overlap (default 1)
  --render-delay SECONDS   from request to event (default 0.5)
  --rate NUMBER            requests allowed a second, 0 for no ceiling (default 10)
  --synthetic BYTES        archives of so many bytes of noise instead of pictures
  --seconds NUMBER         stop after so long (default {})
  --help

Banners made to be looked at; any other UUID has a smaller one:
{banners}
{GRAMMAR}",
        LIFETIME.as_secs()
    )
}

/// One that was forgotten does not run for ever.
const LIFETIME: Duration = Duration::from_secs(60 * 60);
