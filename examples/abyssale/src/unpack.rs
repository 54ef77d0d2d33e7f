//! Unpacks any archive as an export is unpacked, and says what became of each entry.
//!
//! The exit status is 0 if all of the archive is in the folder, 3 if
//! entries are missing, 1 if there is nothing, 2 if the command line cannot be understood.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use abyssale_host::{
    Progress,
    unpack::{self, Entry, Options, UnpackError},
};

use crate::display::complain;

/// Unpacks an archive. `name` is what the program is called.
pub fn unpack(name: &str, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = args.into_iter().collect();
    match arguments.as_slice() {
        [option] if option == "-h" || option == "--help" => {
            // A reader that closes the pipe has read enough.
            let _closed = io::stdout().write_all(HELP.replace("NAME", name).as_bytes());
            ExitCode::SUCCESS
        }
        [archive, folder] => ExitCode::from(run(name, archive.as_ref(), folder.as_ref())),
        _ => {
            complain(&format!("{name}: FILE and FOLDER are needed (see --help)"));
            ExitCode::from(2)
        }
    }
}

/// Returns the exit status.
fn run(name: &str, archive: &Path, folder: &Path) -> u8 {
    let mut out = io::stdout();
    // Unpacking goes on though nobody may read what is printed.
    let mut show = |progress: Progress<'_>| match progress {
        Progress::Unpacked { entry, .. } => _ = writeln!(out, "{}", line(entry)),
        Progress::Skipped(skipped) => _ = writeln!(out, "skipped: {skipped}"),
        _ => {}
    };
    match unpack::unpack(archive, folder, Options::default(), 0, &mut show) {
        Ok(unpacked) if unpacked.is_partial() => {
            let [whole, skipped] = [unpacked.entries.len(), unpacked.skipped.len()];
            complain(&format!("{name}: {whole} entries are unpacked, {skipped} could not be"));
            3
        }
        Ok(_) => 0,
        Err(UnpackError::Nothing { skipped }) => {
            complain(&format!("{name}: none of the {} entries can be unpacked", skipped.len()));
            1
        }
        Err(error) => {
            complain(&format!("{name}: {error}"));
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

const HELP: &str = "\
Unpacks a ZIP archive from any source. Nothing is written outside of FOLDER.

Usage: NAME FILE FOLDER

  FILE    the archive
  FOLDER  where its entries go: must be absent or empty

Options:
  -h, --help  this text

Exit status: 0 all is unpacked, 3 entries are missing, 1 nothing is unpacked, 2 wrong usage
";
