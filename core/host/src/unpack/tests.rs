//! Archives as they should not be, and what is left behind: nothing.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::*;

struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn archive(&self, entries: &[(&str, &[u8])]) -> PathBuf {
        self.pack(|zip| {
            for (name, content) in entries {
                zip.start_file(*name, options()).unwrap();
                zip.write_all(content).unwrap();
            }
        })
    }

    fn pack(&self, entries: impl FnOnce(&mut ZipWriter<File>)) -> PathBuf {
        let path = self.0.path().join("a.zip");
        let mut zip = ZipWriter::new(File::create(&path).unwrap());
        entries(&mut zip);
        zip.finish().unwrap();
        path
    }

    /// The archive, altered: every place where `from` stands.
    fn alter(archive: &Path, from: &[u8], to: &[u8]) {
        let mut bytes = fs::read(archive).unwrap();
        let windows = bytes.windows(from.len()).enumerate();
        let places: Vec<_> = windows.filter(|(_, piece)| *piece == from).map(|(at, _)| at).collect();
        assert!(!places.is_empty());
        for at in places {
            bytes.get_mut(at..at + to.len()).unwrap().copy_from_slice(to);
        }
        fs::write(archive, bytes).unwrap();
    }

    fn unpack(&self, archive: &Path, options: Options) -> Result<Unpacked, UnpackError> {
        unpack(archive, &self.0.path().join("out"), options, 0, &mut |_: Progress<'_>| {})
    }

    /// What is in the room besides the archive.
    fn left_behind(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "a.zip")
            .collect()
    }
}

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)
}

#[test]
fn what_was_packed_is_unpacked_and_reported() {
    let room = Room::new();
    let gif = b"GIF89a\x02\0\x03\0\x80\0\0";
    let archive = room.archive(&[("a.png", b"not a picture"), ("b/c.gif", gif)]);
    let entries = room.unpack(&archive, Options::default()).unwrap().entries;
    let told: Vec<_> = entries.iter().map(|e| (e.name.as_str(), e.bytes, e.kind, e.dimensions)).collect();
    assert_eq!(told, [("a.png", 13, Kind::Other, None), ("b/c.gif", 13, Kind::Gif, Some((2, 3)))]);
    assert_eq!(fs::read(&entries.last().unwrap().path).unwrap(), gif);
    assert_eq!(room.left_behind(), ["out"]);
}

#[cfg(unix)]
#[test]
fn the_folder_is_for_whom_the_users_folders_are_for() {
    use std::os::unix::fs::PermissionsExt as _;
    let room = Room::new();
    assert!(room.unpack(&room.archive(&[("b/c.txt", b"c")]), Options::default()).is_ok());
    let mode = |path: &str| fs::metadata(room.0.path().join(path)).unwrap().permissions().mode();
    fs::create_dir(room.0.path().join("own")).unwrap();
    assert_eq!([mode("out"), mode("out/b")], [mode("own"); 2]);
}

#[test]
fn a_folder_with_files_in_it_is_left_alone() {
    let room = Room::new();
    let archive = room.archive(&[("a", b"new")]);
    fs::create_dir(room.0.path().join("out")).unwrap();
    assert!(room.unpack(&archive, Options::default()).is_ok(), "an empty folder is as good as none");
    let again = room.unpack(&archive, Options::default());
    assert!(matches!(again, Err(UnpackError::NotEmpty { .. })), "{again:?}");
}

#[test]
fn an_entry_tells_the_name_in_the_archive_and_the_one_that_was_written() {
    let room = Room::new();
    let archive = room.archive(&[("../evil?.png", b"1"), ("a", b"2"), ("A", b"3")]);
    let unpacked = room.unpack(&archive, Options::default()).unwrap();
    assert!(!unpacked.is_partial());
    let told: Vec<_> = unpacked.into_iter().map(|entry| (entry.name, entry.written, entry.path)).collect();
    let expected = [("../evil?.png", "__/evil_.png"), ("a", "a"), ("A", "A (2)")];
    for ((name, written, path), expected) in told.iter().zip(expected) {
        assert_eq!((name.as_str(), written.as_str()), expected);
        assert_eq!(*path, room.0.path().join("out").join(written));
        assert!(path.is_file());
    }
    assert_eq!(room.left_behind(), ["out"]);
}

#[test]
fn how_well_an_entry_is_compressed_refuses_nothing() {
    let room = Room::new();
    let archive = room.archive(&[("a.bmp", &vec![0; 30 << 20])]);
    assert!(fs::metadata(&archive).unwrap().len() < 100 << 10);
    assert_eq!(room.unpack(&archive, Options::default()).unwrap().entries.len(), 1);
}

#[test]
fn each_limit_stops_what_would_exceed_it() {
    let room = Room::new();
    let zeros = vec![0; 3 << 20];
    let archive = room.archive(&[("a", &zeros), ("b", &zeros), ("c", b"small")]);
    let result = room.unpack(&archive, Options { entries: 2, ..Options::default() });
    assert!(matches!(result, Err(UnpackError::TooLarge { .. })), "{result:?}");
    assert!(room.left_behind().is_empty());
    for (options, skipped) in [
        (Options { total: 5 << 20, ..Options::default() }, vec!["b"]),
        (Options { entry: 2 << 20, ..Options::default() }, vec!["a", "b"]),
    ] {
        let unpacked = room.unpack(&archive, options).unwrap();
        let names: Vec<_> = unpacked.skipped.iter().map(|skipped| skipped.name.as_str()).collect();
        assert_eq!(names, skipped);
        assert!(matches!(unpacked.skipped[0].reason, SkipReason::TooLarge { .. }), "{unpacked:?}");
        assert_eq!(unpacked.entries.last().unwrap().name, "c");
        fs::remove_dir_all(room.0.path().join("out")).unwrap();
    }
}

#[test]
fn folders_are_bounded_as_entries_are() {
    let room = Room::new();
    let archive = room.archive(&[("a/b/c/d", b"1"), ("e/f", b"2"), ("a/g", b"3")]);
    let unpacked = room.unpack(&archive, Options { entries: 3, ..Options::default() }).unwrap();
    assert_eq!(unpacked.skipped[0].reason, SkipReason::TooManyFolders);
    assert_eq!(unpacked.entries.len(), 2);
}

#[test]
fn what_does_not_fit_on_the_disk_is_not_begun() {
    let room = Room::new();
    let error = check_space(room.0.path(), 1 << 60).unwrap_err();
    assert!(
        matches!(&error, UnpackError::Storage { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    );
    assert!(error.to_string().contains("1152921504606846976 bytes are needed"), "{error}");
    check_space(room.0.path(), 1).unwrap();
}

#[test]
fn what_an_entry_claims_of_its_size_is_not_believed() {
    let room = Room::new();
    let zeros = vec![0; 3 << 20];
    for claimed in [1, 4 << 20] {
        let archive = room.archive(&[("a", &zeros), ("b", &zeros)]);
        Room::alter(&archive, &(3u32 << 20).to_le_bytes(), &u32::to_le_bytes(claimed));
        match room.unpack(&archive, Options::default()) {
            Err(UnpackError::Nothing { skipped }) => {
                let wrong = SkipReason::WrongSize { size: claimed.into() };
                assert!(skipped.len() == 2 && skipped.iter().all(|skipped| skipped.reason == wrong));
            }
            other => panic!("{other:?}"),
        }
        assert!(room.left_behind().is_empty());
    }
}

#[test]
fn an_entry_that_cannot_be_unpacked_costs_the_others_nothing_unless_told_to() {
    let room = Room::new();
    let stored = options().compression_method(CompressionMethod::Stored);
    let archive = room.pack(|zip| {
        for (name, content) in [("a", b"untouched"), ("b/c", b"unchanged")] {
            zip.start_file(name, stored).unwrap();
            zip.write_all(content).unwrap();
        }
    });
    Room::alter(&archive, b"unchanged", b"unchancey");
    let error = room.unpack(&archive, Options { all_or_nothing: true, ..Options::default() }).unwrap_err();
    assert!(matches!(&error, UnpackError::Entry(Skipped { reason: SkipReason::Checksum, .. })), "{error:?}");
    assert_eq!(error.to_string(), "entry \"b/c\" does not have the checksum that the archive says");
    assert!(room.left_behind().is_empty(), "not even the entry that is whole");
    let unpacked = room.unpack(&archive, Options::default()).unwrap();
    assert!(unpacked.is_partial());
    assert_eq!(unpacked.skipped[0].reason, SkipReason::Checksum);
    assert_eq!(fs::read(room.0.path().join("out/a")).unwrap(), b"untouched");
    assert!(!room.0.path().join("out/b/c").exists(), "no half file");
}

#[test]
fn a_damaged_archive_is_an_error_wherever_it_is_cut_or_altered() {
    let room = Room::new();
    let archive = room.archive(&[("a.txt", b"some content that deflates a little, a little")]);
    let whole = fs::read(&archive).unwrap();
    for len in 0..whole.len() {
        fs::write(&archive, whole.get(..len).unwrap()).unwrap();
        assert!(room.unpack(&archive, Options::default()).is_err(), "{len}");
    }
    let content = whole.windows(5).position(|w| w == b"a.txt").unwrap() + 5;
    let mut altered = whole.clone();
    *altered.get_mut(content + 3).unwrap() ^= 0x20;
    fs::write(&archive, &altered).unwrap();
    assert!(room.unpack(&archive, Options::default()).is_err(), "its checksum does not fit");
    assert!(room.left_behind().is_empty());
}

#[test]
fn each_entry_is_told_and_so_is_an_archive_with_too_few() {
    let room = Room::new();
    let archive = room.archive(&[("a", b"1"), ("b/", b""), ("b/c", b"2")]);
    let mut told = Vec::new();
    let mut observer = |progress: Progress<'_>| match progress {
        Progress::Unpacked { entry, number, of } => told.push(format!("{} {number}/{of}", entry.name)),
        other => told.push(format!("{other:?}")),
    };
    let out = room.0.path().join("out");
    assert!(unpack(&archive, &out, Options::default(), 3, &mut observer).is_ok());
    assert_eq!(told, ["a 1/3", "b/c 3/3", "PartialArchive { asked_for: 3, found: 2 }"]);
}

#[test]
fn an_archive_inside_is_left_packed() {
    let room = Room::new();
    let inner = fs::read(room.archive(&[("../evil", b"1")])).unwrap();
    let archive = room.archive(&[("bundle.zip", &inner)]);
    let entries = room.unpack(&archive, Options::default()).unwrap().entries;
    let told: Vec<_> = entries.iter().map(|entry| (entry.kind, entry.bytes)).collect();
    assert_eq!(told, [(Kind::Zip, inner.len() as u64)]);
}

#[test]
fn a_large_archive_and_the_64_bit_form_are_read() {
    let room = Room::new();
    let archive = room.pack(|zip| {
        for number in 0..10_000 {
            zip.start_file(format!("{}/{number}.txt", number % 10), options().large_file(number % 100 == 0))
                .unwrap();
            zip.write_all(number.to_string().as_bytes()).unwrap();
        }
    });
    let unpacked = room.unpack(&archive, Options::default()).unwrap();
    assert_eq!((unpacked.entries.len(), unpacked.skipped.len()), (10_000, 0));
    assert_eq!(fs::read(room.0.path().join("out/9/9999.txt")).unwrap(), b"9999");
}

/// Empty entries by hand, each with a comment of so many bytes, and the ends of the directory in the 64-bit form.
fn by_hand(names: &[String], comment: usize) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for name in names {
        let len = u16::try_from(name.len()).unwrap().to_le_bytes();
        let about = [&b"\x14\0\0\0\0\0\0\0\x21\0"[..], &[0; 12], &len, &[0; 2]].concat();
        let at = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let comment_len = u16::try_from(comment).unwrap().to_le_bytes();
        let entry = [&b"PK\x01\x02\x14\0"[..], &about, &comment_len, &[0; 8], &at, name.as_bytes()].concat();
        directory.extend(entry);
        directory.resize(directory.len() + comment, b'c');
        bytes.extend([&b"PK\x03\x04"[..], &about, name.as_bytes()].concat());
    }
    let [at, size, count] = [bytes.len(), directory.len(), names.len()].map(|n| (n as u64).to_le_bytes());
    let end = (bytes.len() as u64 + directory.len() as u64).to_le_bytes();
    let versions = b"\x2d\0\x2d\0\0\0\0\0\0\0\0\0";
    bytes.extend(directory);
    bytes.extend([&b"PK\x06\x06"[..], &44u64.to_le_bytes(), versions, &count, &count, &size, &at].concat());
    bytes.extend([&b"PK\x06\x07\0\0\0\0"[..], &end, b"\x01\0\0\0"].concat());
    bytes.extend([&b"PK\x05\x06\0\0\0\0"[..], &[0xff; 12], b"\0\0"].concat());
    bytes
}

#[test]
fn the_64_bit_form_of_the_ends_is_read() {
    let room = Room::new();
    let archive = room.0.path().join("a.zip");
    let bytes = by_hand(&["a".into(), "b/c".into()], 0);
    assert_eq!(abyssale_core::archive::check_ends(&bytes, &bytes, bytes.len() as u64), Ok(()));
    fs::write(&archive, &bytes).unwrap();
    assert_eq!(room.unpack(&archive, Options::default()).unwrap().entries.len(), 2);
    // More entries than the old form can count.
    let names: Vec<_> = (0..70_000).map(|number| number.to_string()).collect();
    fs::write(&archive, by_hand(&names, 0)).unwrap();
    let listed = |options| directory::read(&File::open(&archive).unwrap(), &archive, &options);
    assert_eq!(listed(Options::default()).unwrap().len(), 70_000);
    let few = Options { entries: 69_999, ..Options::default() };
    assert!(matches!(listed(few), Err(UnpackError::TooLarge { .. })));
}

#[test]
fn a_directory_that_would_fill_the_memory_is_not_read() {
    let room = Room::new();
    let archive = room.0.path().join("a.zip");
    let names: Vec<_> = (0..40).map(|number| number.to_string()).collect();
    fs::write(&archive, by_hand(&names, 60_000)).unwrap();
    let options = Options { entries: 40, ..Options::default() };
    let result = room.unpack(&archive, options);
    assert!(
        matches!(&result, Err(UnpackError::TooLarge { what }) if what.contains("directory")),
        "{result:?}"
    );
    assert!(
        room.unpack(&archive, Options::default()).is_ok(),
        "there is room for more entries, and so for these"
    );
}

#[test]
fn what_killed_processes_have_left_is_removed_and_what_is_in_use_is_not() {
    let room = Room::new();
    let archive = room.pack(|zip| {
        for number in 0..300 {
            zip.start_file(format!("{}/{number}.txt", number % 50), options()).unwrap();
            zip.write_all(&[7; 4000]).unwrap();
        }
    });
    let hidden = || room.left_behind().into_iter().filter(|name| name.starts_with(".unpacking-")).count();
    let mut left = 0;
    for round in 0..12u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "unpack::tests::unpack_again_and_again", "--ignored"])
            .env("ABYSSALE_TEST_ROOM", room.0.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while hidden() == 0 {
            thread::yield_now();
        }
        // Somewhere in the middle: the child goes on until it is killed.
        thread::sleep(Duration::from_millis(1 + 7 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        left += hidden();
        let used = Staging::new(room.0.path()).unwrap();
        assert_eq!(hidden(), 1, "only the one in use");
        assert!(room.unpack(&archive, Options::default()).is_ok());
        assert!(used.path().is_dir(), "in use, so it stays");
        drop(used);
        assert_eq!(hidden(), 0);
        fs::remove_dir_all(room.0.path().join("out")).unwrap();
    }
    assert!(left > 3, "the kills hit: {left}");
}

#[test]
#[ignore = "the child of another test"]
fn unpack_again_and_again() {
    let Some(room) = std::env::var_os("ABYSSALE_TEST_ROOM").map(PathBuf::from) else { return };
    loop {
        let folder = room.join("child");
        let _ = fs::remove_dir_all(&folder);
        let mut ignore = |_: Progress<'_>| {};
        let _ = unpack(&room.join("a.zip"), &folder, Options::default(), 0, &mut ignore);
    }
}

#[test]
fn what_is_not_a_folder_of_ours_is_left_alone() {
    let room = Room::new();
    fs::write(room.0.path().join(".unpacking-file"), b"1").unwrap();
    fs::create_dir_all(room.0.path().join(".unpacking-nolock/unpacked")).unwrap();
    fs::create_dir_all(room.0.path().join("other/unpacked")).unwrap();
    fs::write(room.0.path().join("other/lock"), b"").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("other", room.0.path().join(".unpacking-link")).unwrap();
    drop(Staging::new(room.0.path()).unwrap());
    assert!(room.0.path().join("other/unpacked").exists());
    assert_eq!(room.left_behind().len(), if cfg!(unix) { 4 } else { 3 });
}

#[cfg(unix)]
#[test]
fn nobody_else_may_look_into_the_folder_until_it_has_its_name() {
    use std::os::unix::fs::PermissionsExt as _;
    let room = Room::new();
    let staging = Staging::new(room.0.path()).unwrap();
    let mode = fs::metadata(staging.path().parent().unwrap()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
