//! The options of `export` and `export-async`.

use std::{
    ffi::OsString,
    io::{self, IsTerminal as _, Read as _},
    path::PathBuf,
    time::Duration,
};

use lexopt::{Arg, Parser, ValueExt as _};
use thiserror::Error;

use crate::display::complain;

/// What the command line says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// Banner ids, from the arguments or from standard input.
    pub ids: Vec<String>,
    /// The address the service is to call.
    pub callback_url: Option<String>,
    /// Where to listen for that call.
    pub listen: Option<String>,
    /// The folder for what comes.
    pub output: Option<PathBuf>,
    /// How long to wait for the event.
    pub wait: Option<Duration>,
}

/// Reads the command line. `None` if all it asked for was help or the version, which is then printed.
pub fn parse(name: &str) -> Result<Option<Options>, UsageError> {
    let Some(mut options) = parse_from(name, std::env::args_os().skip(1))? else { return Ok(None) };
    if options.ids == ["-"] {
        options.ids = ids_from_stdin()?;
    }
    Ok(Some(options))
}

/// The ids on standard input, which ends when it ends: only for who has asked for it, or has nothing else to go by.
pub(crate) fn ids_from_stdin() -> Result<Vec<String>, UsageError> {
    if io::stdin().is_terminal() {
        complain("type the banner ids, and end with Ctrl-D");
    }
    read_ids(io::stdin().lock())
}

fn parse_from(name: &str, args: impl IntoIterator<Item = OsString>) -> Result<Option<Options>, UsageError> {
    let mut options = Options::default();
    let mut parser = Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => {
                print_help(name);
                return Ok(None);
            }
            Arg::Short('V') | Arg::Long("version") => {
                print(&format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
                return Ok(None);
            }
            Arg::Long("callback-url") => options.callback_url = Some(parser.value()?.string()?),
            Arg::Long("listen") => options.listen = Some(parser.value()?.string()?),
            Arg::Short('o') | Arg::Long("output") => options.output = Some(parser.value()?.into()),
            Arg::Long("wait") => {
                let secs: f64 = parser.value()?.parse()?;
                let wait = Duration::try_from_secs_f64(secs).map_err(|_| UsageError::Wait)?;
                options.wait = Some(wait);
            }
            Arg::Value(id) => options.ids.push(id.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(options))
}

/// Ids from a stream: between them blanks, line ends or commas, and nothing behind a `#`.
fn read_ids(mut stream: impl io::Read) -> Result<Vec<String>, UsageError> {
    let mut text = String::new();
    // A UUID and a line end take 37 bytes, so this is room for 400,000.
    stream.by_ref().take(MAX_STDIN).read_to_string(&mut text).map_err(UsageError::Stdin)?;
    if text.len() as u64 == MAX_STDIN {
        return Err(UsageError::TooManyIds);
    }
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let words = lines.flat_map(|line| line.split(|c: char| c.is_whitespace() || c == ','));
    Ok(words.filter(|word| !word.is_empty()).map(str::to_owned).collect())
}

fn print_help(name: &str) {
    print(&format!(
        "\
Packs generated Abyssale banners into one ZIP, fetches it and unpacks it.

Usage: {name} [OPTIONS] [ID]...

  ID...                  banner ids (UUIDs); `-` reads them from standard input, and so does
                         none when there is a key (without one, a few of the simulator's)

Options:
      --callback-url URL the address Abyssale is to call when the archive is ready
      --listen ADDR      where this program answers that call, such as 0.0.0.0:8080
  -o, --output DIR       where everything goes: must be absent or empty
                         [default: a new folder in ./abyssale-export]
      --wait SECONDS     how long to wait for the call [default: 1800]
  -h, --help             this text
  -V, --version          the version

Environment:
  ABYSSALE_API_KEY            your key; without one, the simulator inside plays the service
  ABYSSALE_SIGNING_SECRET     your signing secret (whsec_…): deliveries must then be signed
  ABYSSALE_BASE_URL           another service [default: https://api.abyssale.com]
  ABYSSALE_TIMEOUT_MS         time-out of one call [default: 30000]
  ABYSSALE_MAX_RETRIES        retries of one call [default: 3]
  ABYSSALE_MAX_RETRY_WAIT_MS  longest Retry-After that is waited out, or inf [default: 30000]

Examples:
  {name}
  {name} --callback-url https://hooks.example.com/abyssale --listen 0.0.0.0:8080 64238d01-d402-474b-8c2d-fbc957e9d290
  {name} --callback-url https://hooks.example.com/abyssale --listen 0.0.0.0:8080 < ids.txt
"
    ));
}

fn print(text: &str) {
    use io::Write as _;
    // Whoever closes the pipe has read enough.
    let _closed = io::stdout().write_all(text.as_bytes());
}

/// The command line cannot be understood.
#[derive(Debug, Error)]
pub enum UsageError {
    /// An option is unknown or lacks its value.
    #[error("{0} (see --help)")]
    Option(#[from] lexopt::Error),
    /// A time is not one.
    #[error("--wait takes a number of seconds, 0 or more (see --help)")]
    Wait,
    /// Standard input cannot be read.
    #[error("the ids on standard input cannot be read: {0}")]
    Stdin(io::Error),
    /// Standard input does not end.
    #[error("there are more than {MAX_STDIN} bytes of ids on standard input")]
    TooManyIds,
}

const MAX_STDIN: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Option<Options>, UsageError> {
        parse_from("export", args.iter().map(OsString::from))
    }

    #[test]
    fn options_and_ids_may_be_mixed() {
        let options = parse(&["a", "--listen", "h:1", "b", "--wait=0.5", "-o", "dir"]).unwrap().unwrap();
        assert_eq!(options.ids, ["a", "b"]);
        assert_eq!(options.listen.as_deref(), Some("h:1"));
        assert_eq!(options.wait, Some(Duration::from_millis(500)));
        assert_eq!(options.output, Some("dir".into()));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for args in [&["--nonsense"][..], &["--listen"], &["--wait", "soon"], &["--wait", "-1"]] {
            assert!(parse(args).unwrap_err().to_string().contains("--help"), "{args:?}");
        }
    }

    #[test]
    fn ids_are_read_from_a_stream_in_any_layout() {
        let ids = read_ids("a b,c\n\n# a comment\nd # another\n".as_bytes()).unwrap();
        assert_eq!(ids, ["a", "b", "c", "d"]);
    }
}
