//! What an answer of the service says is wrong: reads the body of a refusal, prints a table, or with `--jsonl` a line of
//! JSON for each line of JSON, of which there may be any number.

mod jsonl;
mod table;

use std::{
    error::Error,
    ffi::OsString,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use abyssale_core::{
    ApiError,
    validation::{self, Problems, ReadLimits, Source},
};
use lexopt::{Arg, Parser, ValueExt as _};

use crate::{AnyError, UsageError, exit};

/// Explains the body of a refusal. `name` is what the program is called.
pub fn explain(name: &str, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let result = match run(name, args) {
        // A reader that closes the pipe has read enough.
        Err(error) if is_closed_pipe(&*error) => Ok(()),
        result => result,
    };
    exit(name, result.map(|()| ExitCode::SUCCESS))
}

fn run(name: &str, args: impl IntoIterator<Item = OsString>) -> Result<(), AnyError> {
    let mut out = BufWriter::new(io::stdout().lock());
    let Some(options) = Options::parse(Parser::from_args(args)).map_err(UsageError::from)? else {
        return Ok(out.write_all(HELP.replace("NAME", name).as_bytes()).and_then(|()| out.flush())?);
    };
    let mut input = options.open()?;
    if options.jsonl {
        let bad_lines =
            jsonl::explain(BufReader::with_capacity(1 << 16, input), &mut out, |body| options.read(body))?;
        out.flush()?;
        return bad_lines.map_or(Ok(()), |bad| Err(bad.into()));
    }
    let mut body = Vec::new();
    let unread = |error| format!("{}: {error}", options.name());
    if input.by_ref().take(MAX_BODY).read_to_end(&mut body).map_err(unread)? as u64 == MAX_BODY {
        return Err(format!("the body is longer than {MAX_BODY} bytes").into());
    }
    writeln!(out, "{}", table::printable(&ApiError::parse(options.status, &(), &body).to_string()))?;
    table::write(&mut out, &options.read(&body))?;
    Ok(out.flush()?)
}

/// What the command line says.
#[derive(Debug)]
struct Options {
    /// Standard input if absent.
    file: Option<PathBuf>,
    status: u16,
    jsonl: bool,
    from: Option<Source>,
}

impl Options {
    /// `None` if all that was asked for is help.
    fn parse(mut parser: Parser) -> Result<Option<Self>, lexopt::Error> {
        let mut options = Self { file: None, status: 400, jsonl: false, from: None };
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long("status") => options.status = parser.value()?.parse()?,
                Arg::Long("jsonl") => options.jsonl = true,
                Arg::Long("from") => {
                    options.from = Some(parser.value()?.parse_with(|part| match part {
                        "tree" => Ok(Source::Tree),
                        "repr" => Ok(Source::Repr),
                        "flat" => Ok(Source::Flat),
                        _ => Err("it is tree, repr or flat"),
                    })?);
                }
                Arg::Value(file) if options.file.is_none() => {
                    options.file = Some(file.into()).filter(|file: &PathBuf| file.as_os_str() != "-");
                }
                other => return Err(other.unexpected()),
            }
        }
        Ok(Some(options))
    }

    fn open(&self) -> Result<Box<dyn Read>, String> {
        Ok(match &self.file {
            None => Box::new(io::stdin().lock()),
            Some(path) => Box::new(File::open(path).map_err(|error| format!("{}: {error}", self.name()))?),
        })
    }

    fn name(&self) -> String {
        self.file.as_ref().map_or("standard input".to_owned(), |path| path.display().to_string())
    }

    fn read(&self, body: &[u8]) -> Problems {
        match self.from {
            Some(source) => validation::read_only(source, body, &ReadLimits::default()),
            None => validation::read(body).problems,
        }
    }
}

fn is_closed_pipe(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// No answer of the service comes near it.
const MAX_BODY: u64 = 256 << 20;

const HELP: &str = "\
Explains the body of an answer that refuses an export.

Usage: NAME [OPTIONS] [FILE]

  FILE               the body; without one, or with `-`, standard input

Options:
      --status CODE  the status of the answer [default: 400]
      --jsonl        read lines such as {\"status\": 400, \"body\": \"…\"}, and write for each of them
                     {\"problems\": [{\"location\": …, \"path\": […], \"code\": …, \"message\": …}],
                     \"source\": \"tree\"|\"repr\"|\"flat\"|\"none\", \"complete\": true|false}
      --from PART    read one part of the body and nothing else, as it stands: `tree` and `flat`
                     are `errors`, `repr` is what `message` holds
  -h, --help         this text

Exit status: 0, 1 if something cannot be read or written, 2 for a wrong option.

Example:
  echo '{\"errors\": {\"media\": {\"ids\": {\"0\": [\"Length must be 36.\"]}}}}' | NAME
";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Option<Options>, lexopt::Error> {
        Options::parse(Parser::from_args(args))
    }

    #[test]
    fn options_are_read_in_any_order() {
        let options = parse(&["body.json", "--from=repr", "--status", "422"]).unwrap().unwrap();
        assert_eq!((options.status, options.from, options.jsonl), (422, Some(Source::Repr), false));
        assert_eq!(options.file, Some("body.json".into()));
        assert_eq!(parse(&["-", "--jsonl"]).unwrap().unwrap().file, None);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (args, named) in [
            (&["--from", "xml"][..], "tree, repr or flat"),
            (&["--status", "soon"], "soon"),
            (&["--nonsense"], "--nonsense"),
            (&["a", "b"], "b"),
        ] {
            let error = parse(args).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
