//! What other programs read in the honest archives. They refuse some; in what they read, they must agree.

use std::{process::Command, time::Duration};

use abyssale_tests::process;

use crate::{Room, honest};

/// Another program that reads archives.
pub(crate) struct Other {
    program: &'static str,
    /// What comes before the archive's name.
    arguments: &'static [&'static str],
}

/// Python's `zipfile`.
pub(crate) const PYTHON: Other = Other {
    program: "python3",
    arguments: &[
        "-c",
        "import sys, zipfile\n\
        for entry in zipfile.ZipFile(sys.argv[1]).infolist():\n    \
            sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(entry))",
    ],
};

/// Info-ZIP's.
pub(crate) const UNZIP: Other = Other { program: "unzip", arguments: &["-p"] };

impl Other {
    pub(crate) fn find(self) -> Result<Self, String> {
        match process::run(Command::new(self.program).arg("-h"), b"", Duration::from_secs(60)) {
            Ok(_) => Ok(self),
            Err(error) => Err(format!("{}: {error}", self.program)),
        }
    }

    /// Compares all archives that the program reads without a complaint. Those are most.
    pub(crate) fn compare(&self) {
        let mut read_by_both = 0;
        for honest in honest::all().iter().filter(|honest| honest.skipped.is_empty()) {
            let room = Room::new(&honest.archive);
            let archive = room.0.path().join("a.zip");
            let Some(contents) = output(Command::new(self.program).args(self.arguments).arg(archive)) else {
                continue;
            };
            let ours = honest.files.iter().flat_map(|(_, content)| content.iter().copied());
            assert!(ours.eq(contents), "{} reads {} otherwise", self.program, honest.what);
            read_by_both += 1;
        }
        assert!(read_by_both >= 40, "{} reads only {read_by_both}", self.program);
    }
}

/// The content of all files, in their order. `None` if the program does not read all of it.
fn output(command: &mut Command) -> Option<Vec<u8>> {
    let output = process::run(command, b"", Duration::from_secs(60)).ok()?;
    output.status.success().then_some(output.stdout)
}
