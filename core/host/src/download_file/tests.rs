//! What is on the disk after a download: whole, to be resumed, or not there.

use abyssale_core::{archive::ArchivePolicy, download::Step, http::Url};

use super::*;

const EMPTY_ARCHIVE: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

struct Room {
    folder: tempfile::TempDir,
    target: PathBuf,
}

impl Room {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("banners.zip");
        Self { folder, target }
    }

    /// Begins a download of 22 bytes under a strong validator, or without one.
    fn begin(&self, resumable: bool) -> (DownloadFile, Receive) {
        let mut file = DownloadFile::open(&self.target).unwrap();
        let head = [(if resumable { "etag" } else { "x" }, "\"a\""), ("content-length", "22")];
        let Step::Receive(receive) = transfer().handle_head(200, &head) else { panic!() };
        file.begin(&receive).unwrap();
        (file, receive)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn transfer() -> Transfer {
    let url: Url = "https://h/a.zip?sig=x".parse().unwrap();
    Transfer::new(url.clone(), ArchivePolicy::default(), url)
}

#[test]
fn a_whole_archive_gets_its_name() {
    for resumable in [true, false] {
        let room = Room::new();
        fs::write(&room.target, "older").unwrap();
        let (mut file, receive) = room.begin(resumable);
        file.write(EMPTY_ARCHIVE).unwrap();
        assert_eq!(fs::read(&room.target).unwrap(), b"older");
        assert_eq!(file.finish(&receive).unwrap(), 22);
        assert_eq!(fs::read(&room.target).unwrap(), EMPTY_ARCHIVE);
        assert_eq!(room.names(), ["banners.zip"]);
    }
}

#[test]
fn what_is_no_archive_leaves_everything_as_it_was() {
    for content in [b"<html>sorry</html>....", b"PK\x03\x04 cut off.........."] {
        let room = Room::new();
        fs::write(&room.target, "older").unwrap();
        let (mut file, receive) = room.begin(true);
        file.write(content).unwrap();
        let error = file.finish(&receive).unwrap_err();
        assert!(matches!(error, DownloadError::NotAnArchive(_)), "{error:?}");
        assert_eq!(fs::read(&room.target).unwrap(), b"older");
        assert_eq!(room.names(), ["banners.zip"]);
    }
}

#[test]
fn what_can_be_resumed_is_kept_and_found() {
    let room = Room::new();
    let (mut file, receive) = room.begin(true);
    file.write(EMPTY_ARCHIVE.get(..9).unwrap()).unwrap();
    assert!(matches!(file.finish(&receive), Err(DownloadError::Interrupted(_))));
    assert_eq!(room.names(), ["banners.zip.part", "banners.zip.part.json"]);

    let mut file = DownloadFile::open(&room.target).unwrap();
    let mut transfer = file.resumed(transfer());
    assert_eq!(transfer.resumes_from(), 9);
    let Step::Receive(receive) = transfer.handle_head(206, &[("content-range", "bytes 9-21/22")]) else {
        panic!()
    };
    file.begin(&receive).unwrap();
    file.write(EMPTY_ARCHIVE.get(9..).unwrap()).unwrap();
    assert_eq!(file.finish(&receive).unwrap(), 22);
    assert_eq!(fs::read(&room.target).unwrap(), EMPTY_ARCHIVE);
    assert_eq!(room.names(), ["banners.zip"]);
}

#[test]
fn what_cannot_be_resumed_is_removed() {
    let room = Room::new();
    drop(DownloadFile::open(&room.target).unwrap());
    assert!(room.names().is_empty(), "nothing had come");
    let (mut file, _) = room.begin(false);
    file.write(b"PK").unwrap();
    drop(file);
    assert!(room.names().is_empty(), "there is no validator");
    let (mut file, _) = room.begin(true);
    file.write(b"PK").unwrap();
    file.discard();
    assert!(room.names().is_empty(), "it was thrown away");
}

#[test]
fn starting_over_forgets_what_was_there() {
    let room = Room::new();
    let (mut file, _) = room.begin(true);
    file.write(EMPTY_ARCHIVE.get(..9).unwrap()).unwrap();
    drop(file);
    let (file, _) = room.begin(false);
    assert!(file.is_empty());
    assert_eq!(room.names(), ["banners.zip.part"], "no state that says otherwise");
}

#[test]
fn bytes_without_a_readable_state_are_not_resumed() {
    for state in [&b""[..], b"{", b"{\"version\":2}", &[b' '; 5000]] {
        let room = Room::new();
        fs::write(room.folder.path().join("banners.zip.part"), "PK").unwrap();
        fs::write(room.folder.path().join("banners.zip.part.json"), state).unwrap();
        assert_eq!(DownloadFile::open(&room.target).unwrap().resumed(transfer()).resumes_from(), 0);
    }
}

#[test]
fn two_downloads_to_one_target_do_not_mix() {
    let room = Room::new();
    let (mut file, receive) = room.begin(true);
    let busy = DownloadFile::open(&room.target).unwrap_err();
    assert!(
        matches!(&busy, DownloadError::Storage(why) if why.ends_with("another download to this file is under way"))
    );
    file.write(EMPTY_ARCHIVE).unwrap();
    file.finish(&receive).unwrap();
    assert!(DownloadFile::open(&room.target).is_ok());
}

#[test]
fn the_lock_ends_with_the_download_and_not_with_the_last_copy_of_its_handle() {
    let room = Room::new();
    let (file, _) = room.begin(true);
    // What a child process holds between fork and exec.
    let copy = file.file.try_clone().unwrap();
    drop(file);
    assert!(DownloadFile::open(&room.target).is_ok());
    drop(copy);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let room = Room::new();
    let error = DownloadFile::open(&room.folder.path().join("missing/banners.zip")).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
    assert!(DownloadFile::open(room.folder.path()).is_err());
}

#[test]
fn more_than_was_announced_is_not_written_and_nothing_of_it_kept() {
    let room = Room::new();
    let (mut file, _) = room.begin(true);
    file.write(EMPTY_ARCHIVE.get(..9).unwrap()).unwrap();
    let error = file.write(EMPTY_ARCHIVE).unwrap_err();
    assert!(matches!(&error, DownloadError::Interrupted(_)), "{error:?}");
    assert_eq!(file.len(), 9);
    drop(file);
    assert!(room.names().is_empty(), "{:?}", room.names());
}

#[cfg(unix)]
#[test]
fn a_pipe_that_lies_in_wait_is_not_waited_for() {
    let room = Room::new();
    let pipe = room.folder.path().join("banners.zip.part.json");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if !made.is_ok_and(|status| status.success()) {
        return eprintln!("SKIPPED: a pipe in the way (there is no mkfifo)");
    }
    fs::write(room.folder.path().join("banners.zip.part"), "PK").unwrap();
    assert_eq!(DownloadFile::open(&room.target).unwrap().resumed(transfer()).resumes_from(), 0);
}

#[cfg(unix)]
#[test]
fn a_link_that_lies_in_wait_is_not_written_through() {
    use std::os::unix::fs::symlink;
    let room = Room::new();
    let victim = room.folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let part = room.folder.path().join("banners.zip.part");
    symlink(&victim, &part).unwrap();
    assert!(matches!(DownloadFile::open(&room.target), Err(DownloadError::Storage(_))));
    fs::remove_file(&part).unwrap();
    fs::hard_link(&victim, &part).unwrap();
    assert!(DownloadFile::open(&room.target).is_err());
    fs::remove_file(&part).unwrap();
    symlink(&victim, room.folder.path().join("banners.zip.part.json")).unwrap();
    drop(room.begin(true));
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}
