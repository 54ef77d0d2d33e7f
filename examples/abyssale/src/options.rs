//! The options of an export.

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
    /// Whether to check what an export needs, and export nothing.
    pub check: bool,
    /// What cannot be understood, for [`Stage::set`](crate::Stage::set) to tell together with what is missing.
    pub problems: Vec<String>,
}

/// Reads the command line. `None` if all it asked for was help or the version, which is then printed.
pub fn parse(name: &str, args: impl IntoIterator<Item = OsString>) -> Option<Options> {
    let mut options = parse_from(name, args)?;
    if options.ids == ["-"] {
        match ids_from_stdin(true) {
            Ok(ids) => options.ids = ids,
            Err(error) => options.problems.push(error),
        }
    }
    Some(options)
}

/// The ids on standard input: read only if it is asked for, or if there are no other ids. A terminal is read only if
/// `may_ask`.
pub(crate) fn ids_from_stdin(may_ask: bool) -> Result<Vec<String>, String> {
    if io::stdin().is_terminal() {
        if !may_ask {
            return Ok(Vec::new());
        }
        complain("type the banner ids, and end with Ctrl-D");
    }
    read_ids(io::stdin().lock())
}

fn parse_from(name: &str, args: impl IntoIterator<Item = OsString>) -> Option<Options> {
    let mut options = Options::default();
    let mut parser = Parser::from_args(args);
    loop {
        let arg = match parser.next() {
            Ok(None) => return Some(options),
            Ok(Some(Arg::Short('h') | Arg::Long("help"))) => {
                print_help(name);
                return None;
            }
            Ok(Some(Arg::Short('V') | Arg::Long("version"))) => {
                print(&format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
                return None;
            }
            Ok(Some(Arg::Value(ids))) => ids.string().map(|ids| options.ids.extend(ids_in(&ids))),
            Ok(Some(Arg::Long(option))) => {
                let option = option.to_owned();
                options.take(&option, &mut parser)
            }
            Ok(Some(Arg::Short('o'))) => options.take("output", &mut parser),
            Ok(Some(other)) => Err(other.unexpected()),
            Err(error) => Err(error),
        };
        if let Err(error) = arg {
            options.problems.push(error.to_string());
        }
    }
}

impl Options {
    /// Takes an option by its long name, with its value if it has one.
    fn take(&mut self, option: &str, parser: &mut Parser) -> Result<(), lexopt::Error> {
        match option {
            "callback-url" => self.callback_url = Some(parser.value()?.string()?),
            "listen" => self.listen = Some(parser.value()?.string()?),
            "output" => self.output = Some(parser.value()?.into()),
            "check" => self.check = true,
            "wait" => {
                let text = parser.value()?.string()?;
                let wait = text.parse().ok().and_then(|secs| Duration::try_from_secs_f64(secs).ok());
                if wait.is_none() {
                    let problem =
                        format!("--wait {text}: give a number of seconds, 0 or more, such as --wait 600");
                    self.problems.push(problem);
                }
                self.wait = wait;
            }
            other => return Err(Arg::Long(other).unexpected()),
        }
        Ok(())
    }
}

/// Reads ids from a stream: a list, a column of a spreadsheet, a JSON array. What stands behind a `#` is a comment.
fn read_ids(mut stream: impl io::Read) -> Result<Vec<String>, String> {
    let unread = |error| format!("the ids on standard input cannot be read: {error}");
    let mut bytes = Vec::new();
    // A UUID and a line end take 37 bytes, so this is room for 400,000.
    stream.by_ref().take(MAX_STDIN).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.len() as u64 == MAX_STDIN {
        return Err(format!("there are more than {MAX_STDIN} bytes of ids on standard input"));
    }
    let text = text_of(bytes).map_err(unread)?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    Ok(lines.flat_map(ids_in).collect())
}

/// The words between blanks, commas, semicolons, quotes, brackets, braces and marks that cannot be seen. None of these
/// is part of an id.
fn ids_in(text: &str) -> impl Iterator<Item = String> {
    let separates = |c: char| c.is_whitespace() || SEPARATORS.contains(c);
    text.split(separates).filter(|word| !word.is_empty()).map(str::to_owned)
}

/// UTF-8, or UTF-16 that says so, as spreadsheets and shells write it.
fn text_of(bytes: Vec<u8>) -> io::Result<String> {
    let read: fn([u8; 2]) -> u16 = match bytes.as_slice() {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => {
            return String::from_utf8(bytes)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
        }
    };
    let units = bytes.chunks(2).filter_map(|pair| pair.try_into().ok()).map(read);
    let text = char::decode_utf16(units).collect::<Result<_, _>>();
    text.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn print_help(name: &str) {
    print(&format!(
        "\
Exports Abyssale banners: requests one ZIP of them, downloads it and unpacks it.

Usage: {name} [OPTIONS] [ID]...

  ID...                  banner ids (UUIDs). `-` reads them from standard input. Without ids, they
                         are read from there too, or are the simulator's if there is no key

Options:
      --callback-url URL the address that Abyssale calls when the archive is ready
      --listen ADDR      where this program answers that call, such as 0.0.0.0:8080
  -o, --output DIR       the folder for archive and images: must be absent or empty
                         [default: a new folder in ./abyssale-export]
      --wait SECONDS     how long to wait for that call [default: 1800]
      --check            export nothing; check the key, the clock, the callback URL and the folder
  -h, --help             this text
  -V, --version          the version

Environment:
  ABYSSALE_API_KEY            your key; without one, a simulator inside this program is the service
  ABYSSALE_SIGNING_SECRET     your signing secret (whsec_…): deliveries must then be signed
  ABYSSALE_BASE_URL           another service [default: https://api.abyssale.com]
  ABYSSALE_TIMEOUT_MS         time-out of one call [default: 30000]
  ABYSSALE_MAX_RETRIES        retries of one call [default: 3]
  ABYSSALE_MAX_RETRY_WAIT_MS  longest Retry-After that is waited out, or inf [default: 30000]

Exit status:
  0    all banners are unpacked
  1    the export failed, or --check found something
  2    an option or a setting cannot be used; nothing was requested
  3    banners are missing in the archive, or could not be unpacked
  130  interrupted by Ctrl-C

Examples:
  {name}
  {name} --callback-url https://hooks.example.com/abyssale --listen 0.0.0.0:8080 64238d01-d402-474b-8c2d-fbc957e9d290
  {name} --callback-url https://hooks.example.com/abyssale --listen 0.0.0.0:8080 < ids.txt
"
    ));
}

fn print(text: &str) {
    use io::Write as _;
    // A reader that closes the pipe has read enough.
    let _closed = io::stdout().write_all(text.as_bytes());
}

/// Options, the environment or standard input cannot be used: each problem, so that one run tells all of them.
#[derive(Debug, Error)]
#[error("{}{}", .0.join("\n"), if .0.len() == 1 { " (see --help)" } else { "\n(see --help)" })]
pub struct UsageError(pub Vec<String>);

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> Self {
        Self(vec![error.to_string()])
    }
}

const MAX_STDIN: u64 = 16 << 20;

/// Besides white space. The last three are a byte order mark, a zero-width space and a word joiner.
const SEPARATORS: &str = ",;|\"'`´‘’“”„«»[](){}<>\u{feff}\u{200b}\u{2060}";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Options {
        parse_from("export", args.iter().map(OsString::from)).unwrap()
    }

    #[test]
    fn options_and_ids_may_be_mixed() {
        let options = parse(&["a", "--listen", "h:1", "b", "--wait=0.5", "-o", "dir"]);
        assert_eq!(options.ids, ["a", "b"]);
        assert_eq!(options.listen.as_deref(), Some("h:1"));
        assert_eq!(options.wait, Some(Duration::from_millis(500)));
        assert_eq!(options.output, Some("dir".into()));
        assert!(!options.check && parse(&["--check"]).check);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (args, named) in [
            (&["--nonsense"][..], &["--nonsense"][..]),
            (&["--listen"], &["--listen"]),
            (&["--wait", "soon", "-x"], &["--wait soon", "-x"]),
            (&["--wait", "-1", "--nonsense", "-o"], &["--wait -1", "--nonsense", "-o"]),
        ] {
            let problems = parse(args).problems;
            assert_eq!(problems.len(), named.len(), "{problems:?}");
            assert!(
                named.iter().zip(&problems).all(|(name, problem)| problem.contains(name)),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn ids_are_read_from_a_stream_in_any_layout() {
        let ids = read_ids("a b,c\n\n# a comment\nd # another\n".as_bytes()).unwrap();
        assert_eq!(ids, ["a", "b", "c", "d"]);
    }

    #[test]
    fn ids_are_pasted_from_wherever_they_stand() {
        for text in [
            "\u{feff}a\r\nb\r\n",
            "a;b;\r\n",
            "\"a\";\"b\"",
            "'a'\t'b'",
            "[\"a\", \"b\"]",
            "“a” “b”",
            "{a}\u{a0}{b}\u{200b}",
            "| a | b |",
        ] {
            assert_eq!(read_ids(text.as_bytes()).unwrap(), ["a", "b"], "{text:?}");
        }
        for read in [u16::to_le_bytes, u16::to_be_bytes] {
            let bytes: Vec<u8> = "\u{feff}a\r\nb".encode_utf16().flat_map(read).collect();
            assert_eq!(read_ids(bytes.as_slice()).unwrap(), ["a", "b"]);
        }
        assert!(read_ids(&b"a\xff"[..]).is_err());
        assert_eq!(parse(&["a;b", "c,"]).ids, ["a", "b", "c"]);
    }

    #[test]
    fn what_is_left_and_is_no_id_is_named() {
        let ids = read_ids("id;name\n\"64238d01-d402-474b-8c2d-fbc957e9d290\";Summer\n".as_bytes()).unwrap();
        let error = abyssale_core::Order::new(&ids, "https://h/c").unwrap_err();
        assert!(error.to_string().starts_with("ids[0]: \"id\" is not a banner id"), "{error}");
    }
}
