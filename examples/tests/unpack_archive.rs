//! What `unpack-archive` prints, and the status that it exits with.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a helper of tests fails as a test does, though clippy cannot tell that it is one"
)]

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::Command,
};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// Packs entries that have their name as content, and alters the content of those that are to be damaged.
fn pack(archive: &Path, names: &[&str], damaged: &[&str]) {
    let mut zip = ZipWriter::new(File::create(archive).unwrap());
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for name in names {
        zip.start_file(*name, stored).unwrap();
        zip.write_all(format!("content of {name}").as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    let mut bytes = fs::read(archive).unwrap();
    for name in damaged {
        let content = format!("content of {name}");
        let at = bytes.windows(content.len()).position(|piece| piece == content.as_bytes()).unwrap();
        bytes[at] ^= 1;
    }
    fs::write(archive, bytes).unwrap();
}

/// The exit status, standard output and standard error.
fn run(arguments: &[&Path]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_unpack-archive")).args(arguments).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code().unwrap(), out, err)
}

#[test]
fn the_exit_status_tells_whether_all_some_or_nothing_is_unpacked() {
    let room = tempfile::tempdir().unwrap();
    let archive = room.path().join("a.zip");
    for (damaged, expected) in [(&[][..], 0), (&["b"], 3), (&["a", "b"], 1)] {
        pack(&archive, &["a", "b"], damaged);
        let folder = room.path().join(expected.to_string());
        let (status, out, err) = run(&[&archive, &folder]);
        assert_eq!(status, expected, "{out}{err}");
        assert_eq!(out.matches("skipped: entry ").count(), damaged.len());
        assert_eq!(folder.exists(), expected != 1);
    }
    let nowhere = room.path().join("nowhere");
    assert_eq!(run(&[&archive.with_extension("none"), &nowhere]).0, 1);
    assert_eq!(run(&[&archive]).0, 2);
    assert_eq!(run(&[Path::new("--help")]).0, 0);
}

#[test]
fn both_names_are_printed_and_none_reaches_the_terminal() {
    let room = tempfile::tempdir().unwrap();
    let archive = room.path().join("a.zip");
    let hostile = "\u{1b}[2J\u{202e}gnp.exe";
    pack(&archive, &["plain", hostile, "\u{1b}[31m"], &["\u{1b}[31m"]);
    let (status, out, err) = run(&[&archive, &room.path().join("out")]);
    assert_eq!(status, 3);
    let expected = "\
plain (other, 16 bytes)
_[2J_gnp.exe (other, 25 bytes, in the archive \"\\u{1b}[2J\\u{202e}gnp.exe\")
skipped: entry \"\\u{1b}[31m\" does not have the checksum that the archive says
";
    assert_eq!(
        (out.as_str(), err.as_str()),
        (expected, "unpack-archive: 2 entries are unpacked, 1 could not be\n")
    );
}
