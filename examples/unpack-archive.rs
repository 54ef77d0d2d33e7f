//! Unpacks any archive as an export is unpacked, and says what became of each entry.
//!
//! `cargo run --bin unpack-archive -- FILE FOLDER`. The exit status is 0 if all of the archive is in the folder, 3 if
//! entries are missing, 1 if there is nothing, 2 if the command line cannot be understood.

use std::{
    env,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use abyssale_host::{
    Progress,
    unpack::{Entry, Options, UnpackError, unpack},
};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [option] if option == "-h" || option == "--help" => {
            // A reader that closes the pipe has read enough.
            let _closed = io::stdout().write_all(HELP.as_bytes());
            ExitCode::SUCCESS
        }
        [archive, folder] => ExitCode::from(run(archive.as_ref(), folder.as_ref())),
        _ => {
            complain("unpack-archive: FILE and FOLDER are needed (see --help)");
            ExitCode::from(2)
        }
    }
}

/// Returns the exit status.
fn run(archive: &Path, folder: &Path) -> u8 {
    let mut out = io::stdout();
    // Unpacking goes on though nobody may read what is printed.
    let mut show = |progress: Progress<'_>| match progress {
        Progress::Unpacked { entry, .. } => _ = writeln!(out, "{}", line(entry)),
        Progress::Skipped(skipped) => _ = writeln!(out, "skipped: {skipped}"),
        _ => {}
    };
    match unpack(archive, folder, Options::default(), 0, &mut show) {
        Ok(unpacked) if unpacked.is_partial() => {
            let [whole, skipped] = [unpacked.entries.len(), unpacked.skipped.len()];
            complain(&format!("unpack-archive: {whole} entries are unpacked, {skipped} could not be"));
            3
        }
        Ok(_) => 0,
        Err(UnpackError::Nothing { skipped }) => {
            complain(&format!("unpack-archive: none of the {} entries can be unpacked", skipped.len()));
            1
        }
        Err(error) => {
            complain(&format!("unpack-archive: {error}"));
            1
        }
    }
}

/// The name that was written; where the archive has another, that too, escaped, and its bytes where they are no text.
fn line(entry: &Entry) -> String {
    let Entry { written, name, raw_name, bytes, kind, .. } = entry;
    let is = if name == written { String::new() } else { format!(", in the archive {name:?}") };
    let raw = if raw_name == name.as_bytes() {
        String::new()
    } else {
        format!(", as bytes {}", raw_name.escape_ascii())
    };
    format!("{written} ({kind}, {bytes} bytes{is}{raw})")
}

/// One line on standard error. If that is closed, there is nobody to tell.
fn complain(text: &str) {
    let _closed = writeln!(io::stderr(), "{}", text.trim_end());
}

const HELP: &str = "\
Unpacks a ZIP archive, hostile or odd as it may be.

Usage: unpack-archive FILE FOLDER

  FILE    the archive
  FOLDER  where its entries go: must be absent or empty

Exit status: 0 all is unpacked, 3 entries are missing, 1 nothing is unpacked, 2 wrong usage
";
