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
}

/// Reads the command line. `None` if all it asked for was help or the version, which is then printed.
pub fn parse(name: &str, args: impl IntoIterator<Item = OsString>) -> Result<Option<Options>, UsageError> {
    let Some(mut options) = parse_from(name, args)? else { return Ok(None) };
    if options.ids == ["-"] {
        options.ids = ids_from_stdin()?;
    }
    Ok(Some(options))
}

/// The ids on standard input, which ends when it ends: read only if it is asked for, or if there are no other ids.
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
            Arg::Value(ids) => options.ids.extend(ids_in(&ids.string()?)),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(options))
}

/// Reads ids from a stream: a list, a column of a spreadsheet, a JSON array. What stands behind a `#` is a comment.
fn read_ids(mut stream: impl io::Read) -> Result<Vec<String>, UsageError> {
    let mut bytes = Vec::new();
    // A UUID and a line end take 37 bytes, so this is room for 400,000.
    stream.by_ref().take(MAX_STDIN).read_to_end(&mut bytes).map_err(UsageError::Stdin)?;
    if bytes.len() as u64 == MAX_STDIN {
        return Err(UsageError::TooManyIds);
    }
    let text = text_of(bytes).map_err(UsageError::Stdin)?;
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

/// Besides white space. The last three are a byte order mark, a zero-width space and a word joiner.
const SEPARATORS: &str = ",;|\"'`´‘’“”„«»[](){}<>\u{feff}\u{200b}\u{2060}";

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
        assert_eq!(parse(&["a;b", "c,"]).unwrap().unwrap().ids, ["a", "b", "c"]);
    }

    #[test]
    fn what_is_left_and_is_no_id_is_named() {
        let ids = read_ids("id;name\n\"64238d01-d402-474b-8c2d-fbc957e9d290\";Summer\n".as_bytes()).unwrap();
        let error = abyssale_core::Order::new(&ids, "https://h/c").unwrap_err();
        assert!(error.to_string().starts_with("ids[0]: \"id\" is not a banner id"), "{error}");
    }
}
