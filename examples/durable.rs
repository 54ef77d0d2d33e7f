//! Exports that outlive the process: stop this program at any moment, in any way, and start it again with the same words.
//!
//! Each id becomes an archive of its own, `DIR/ID.zip`. What an earlier run has left is in the store and is gone on with;
//! what is there already is not asked for again. `examples/tests/kill.rs` kills it at random moments.

use std::{
    error::Error,
    fs,
    io::{self, Write as _},
    net::TcpListener,
    path::PathBuf,
    process::ExitCode,
    thread,
    time::Duration,
};

use abyssale::exit;
use abyssale_blocking::{Exporter, FileStore, protocol::UnknownOutcome};
use lexopt::{Arg, Parser, ValueExt as _};

type AnyError = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    exit("durable", run().map(|()| ExitCode::SUCCESS))
}

fn run() -> Result<(), AnyError> {
    let Some(options) = Options::parse()? else { return Ok(()) };
    fs::create_dir_all(&options.output)?;
    let mut builder = Exporter::builder()
        .callback(&options.callback_url)
        .store(FileStore::open(options.output.join("jobs"))?)
        .settings(|settings| settings.unknown_outcome = UnknownOutcome::AwaitEvent { grace: options.grace });
    builder = match options.listen.as_str() {
        "-" => builder.listen_on(inherited_socket()?),
        address => builder.listen(address),
    };
    let exporter = builder.build()?;

    // First what an earlier run has left, then what nobody has begun.
    let (mut resumed, mut unreadable) = (Vec::new(), 0);
    for job in exporter.resumed() {
        match job {
            Ok(job) => resumed.push(job),
            Err(error) => {
                say(&error);
                unreadable += 1;
            }
        }
    }
    let target = |id: &String| options.output.join(id).with_extension("zip");
    let is_new = |target: &PathBuf| {
        let is_resumed = resumed.iter().any(|job| job.target() == Some(target));
        // A job that cannot be read may be the one for this id.
        unreadable == 0 && !is_resumed && !target.exists()
    };
    let new: Vec<_> = options.ids.iter().filter(|id| is_new(&target(id))).collect();
    say(&format_args!("{} resumed, {} new", resumed.len(), new.len()));

    let failed = thread::scope(|scope| {
        let exporter = &exporter;
        let resumed = resumed.into_iter().map(|job| scope.spawn(|| job.carry_out().map(drop)));
        let mut threads: Vec<_> = resumed.collect();
        threads.extend(new.into_iter().map(|id| {
            let target = target(id);
            scope.spawn(move || exporter.export([id.as_str()])?.save_to(target).map(drop))
        }));
        let results = threads.into_iter().map(thread::ScopedJoinHandle::join);
        // A thread that panicked has said so.
        let failures = results.filter_map(|result| match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("it panicked".into()),
        });
        failures.inspect(|failure| say(failure)).count()
    });
    match failed {
        0 if unreadable == 0 => Ok(()),
        0 => {
            Err(format!("{unreadable} jobs in the store cannot be read, so no new export was requested")
                .into())
        }
        // To ask again is the user's decision: the program does not take it by itself.
        failed => Err(format!("{failed} exports failed; to ask for them again, start this again").into()),
    }
}

struct Options {
    ids: Vec<String>,
    output: PathBuf,
    callback_url: String,
    listen: String,
    grace: Duration,
}

impl Options {
    fn parse() -> Result<Option<Self>, AnyError> {
        let (mut ids, mut output, mut callback_url, mut listen) = (Vec::new(), None, None, None);
        let mut grace = Duration::from_secs(120);
        let mut parser = Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => {
                    io::stdout().write_all(HELP.as_bytes())?;
                    return Ok(None);
                }
                Arg::Short('o') | Arg::Long("output") => output = Some(PathBuf::from(parser.value()?)),
                Arg::Long("callback-url") => callback_url = Some(parser.value()?.string()?),
                Arg::Long("listen") => listen = Some(parser.value()?.string()?),
                Arg::Long("grace") => grace = Duration::try_from_secs_f64(parser.value()?.parse()?)?,
                Arg::Value(id) => ids.push(id.string()?),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Some(Self {
            ids,
            output: std::path::absolute(output.ok_or("--output is missing; see --help")?)?,
            callback_url: callback_url.ok_or("--callback-url is missing; see --help")?,
            listen: listen.ok_or("--listen is missing; see --help")?,
            grace,
        }))
    }
}

/// The listening socket in the place of the standard input, where the parent process has put it, as inetd does: it
/// stays open while the program is not there, so nobody who calls is turned away.
#[cfg(unix)]
fn inherited_socket() -> io::Result<TcpListener> {
    use std::os::fd::AsFd as _;
    Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
}

#[cfg(not(unix))]
fn inherited_socket() -> io::Result<TcpListener> {
    Err(io::ErrorKind::Unsupported.into())
}

/// One line on standard error. If that is closed, there is nobody to tell.
fn say(text: &dyn std::fmt::Display) {
    let _closed = writeln!(io::stderr(), "{text}");
}

const HELP: &str = "\
Exports each banner into an archive of its own. However it ends, the same command continues.

Usage: durable --output DIR --callback-url URL --listen ADDR ID...

  ID...                  banner ids (UUIDs)
  -o, --output DIR       where the archives go, and the store (DIR/jobs)
      --callback-url URL the address that Abyssale calls when an archive is ready
      --listen ADDR      where this program answers that call, such as 0.0.0.0:8080;
                         - for a listening socket in the place of standard input
      --grace SECONDS    how long to wait for the event when the answer to a request was lost [default: 120]

The key is in ABYSSALE_API_KEY. To try it, start `simulator --listen 127.0.0.1:4000` elsewhere, and this with
ABYSSALE_API_KEY=simulator-key ABYSSALE_BASE_URL=http://127.0.0.1:4000.
";
