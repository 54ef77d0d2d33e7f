//! Archives as they should not be, and what is left behind: nothing.

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

    fn unpack(&self, archive: &Path, limits: Limits) -> Result<Vec<Entry>, UnpackError> {
        unpack(archive, &self.0.path().join("out"), limits, 0, &mut |_: Progress<'_>| {})
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
    let entries = room.unpack(&archive, Limits::default()).unwrap();
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
    room.unpack(&room.archive(&[("b/c.txt", b"c")]), Limits::default()).unwrap();
    let mode = |path: &str| fs::metadata(room.0.path().join(path)).unwrap().permissions().mode();
    fs::create_dir(room.0.path().join("own")).unwrap();
    assert_eq!([mode("out"), mode("out/b")], [mode("own"); 2]);
}

#[test]
fn a_folder_with_files_in_it_is_left_alone() {
    let room = Room::new();
    let archive = room.archive(&[("a", b"new")]);
    fs::create_dir(room.0.path().join("out")).unwrap();
    assert!(room.unpack(&archive, Limits::default()).is_ok(), "an empty folder is as good as none");
    let again = room.unpack(&archive, Limits::default());
    assert!(matches!(again, Err(UnpackError::NotEmpty { .. })), "{again:?}");
}

#[test]
fn a_hostile_name_leaves_nothing_behind() {
    for name in [
        "../evil",
        "/evil",
        "a/../../evil",
        "a//evil",
        "./evil",
        "..\\evil",
        "\\evil",
        "\\\\server\\share\\evil",
        "C:/evil",
        "C:evil",
        "c:\\evil",
        "evil:stream",
        "CON",
        "nul.png",
        "a/COM1.txt",
        "LPT9",
        "evil.",
        "evil ",
        "e\0vil",
        "e\nvil",
        "Good",
    ] {
        let room = Room::new();
        let archive = room.archive(&[("good", b"1"), (name, b"2")]);
        let result = room.unpack(&archive, Limits::default());
        assert!(matches!(result, Err(UnpackError::Name { .. })), "{name}: {result:?}");
        assert!(room.left_behind().is_empty(), "{name}");
    }
}

#[test]
fn a_bomb_is_stopped_by_each_limit() {
    let room = Room::new();
    let zeros = vec![0; 3 << 20];
    let archive = room.archive(&[("a", &zeros), ("b", &zeros)]);
    let generous = Limits { ratio: 5000, ..Limits::default() };
    for limits in [
        Limits::default(),
        Limits { entries: 1, ..generous },
        Limits { total: 5 << 20, ..generous },
        Limits { entry: 2 << 20, ..generous },
    ] {
        let result = room.unpack(&archive, limits);
        assert!(matches!(result, Err(UnpackError::TooLarge { .. })), "{limits:?}: {result:?}");
        assert!(room.left_behind().is_empty());
    }
    assert!(room.unpack(&archive, generous).is_ok());
}

#[test]
fn what_an_entry_claims_of_its_size_is_not_believed() {
    let room = Room::new();
    let zeros = vec![0; 3 << 20];
    let archive = room.archive(&[("a", &zeros), ("b", &zeros)]);
    Room::alter(&archive, &(3u32 << 20).to_le_bytes(), &1u32.to_le_bytes());
    let limits = Limits { ratio: 5000, total: 5 << 20, ..Limits::default() };
    assert!(room.unpack(&archive, limits).is_err());
    assert!(room.left_behind().is_empty());
}

#[test]
fn two_entries_of_one_name_overwrite_nothing() {
    let room = Room::new();
    let archive = room.archive(&[("a.txt", b"first"), ("b.txt", b"second")]);
    Room::alter(&archive, b"b.txt", b"a.txt");
    let result = room.unpack(&archive, Limits::default());
    assert!(matches!(result, Err(UnpackError::Duplicate)), "{result:?}");
    for names in [["a", "A"], ["a/b", "A/B"]] {
        let archive = room.archive(&[(names[0], b"first"), (names[1], b"second")]);
        let result = room.unpack(&archive, Limits::default());
        assert!(matches!(result, Err(UnpackError::Name { source: NameError::Repeated, .. })), "{result:?}");
    }
    let archive = room.archive(&[("a/b", b"1"), ("A", b"2")]);
    let result = room.unpack(&archive, Limits::default());
    assert!(matches!(result, Err(UnpackError::Name { source: NameError::Both, .. })), "{result:?}");
    assert!(room.left_behind().is_empty());
}

#[test]
fn a_checksum_that_does_not_fit_is_an_error() {
    let room = Room::new();
    let stored = options().compression_method(CompressionMethod::Stored);
    let archive = room.pack(|zip| {
        for (name, content) in [("a", b"untouched"), ("b", b"unchanged")] {
            zip.start_file(name, stored).unwrap();
            zip.write_all(content).unwrap();
        }
    });
    Room::alter(&archive, b"unchanged", b"unchancey");
    let error = room.unpack(&archive, Limits::default()).unwrap_err();
    assert!(matches!(error, UnpackError::Archive { .. }), "{error:?}");
    assert!(error.to_string().contains("checksum"), "{error}");
    assert!(room.left_behind().is_empty(), "not even the entry that was well");
}

#[test]
fn a_damaged_archive_is_an_error_wherever_it_is_cut_or_altered() {
    let room = Room::new();
    let archive = room.archive(&[("a.txt", b"some content that deflates a little, a little")]);
    let whole = fs::read(&archive).unwrap();
    for len in 0..whole.len() {
        fs::write(&archive, whole.get(..len).unwrap()).unwrap();
        assert!(room.unpack(&archive, Limits::default()).is_err(), "{len}");
    }
    let content = whole.windows(5).position(|w| w == b"a.txt").unwrap() + 5;
    let mut altered = whole.clone();
    *altered.get_mut(content + 3).unwrap() ^= 0x20;
    fs::write(&archive, &altered).unwrap();
    assert!(room.unpack(&archive, Limits::default()).is_err(), "its checksum does not fit");
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
    unpack(&archive, &out, Limits::default(), 3, &mut observer).unwrap();
    assert_eq!(told, ["a 1/3", "b/c 3/3", "PartialArchive { asked_for: 3, found: 2 }"]);
}

#[test]
fn an_archive_inside_is_left_packed() {
    let room = Room::new();
    let inner = fs::read(room.archive(&[("../evil", b"1")])).unwrap();
    let archive = room.archive(&[("bundle.zip", &inner)]);
    let entries = room.unpack(&archive, Limits::default()).unwrap();
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
    let entries = room.unpack(&archive, Limits::default()).unwrap();
    assert_eq!(entries.len(), 10_000);
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
    assert_eq!(room.unpack(&archive, Limits::default()).unwrap().len(), 2);
    // More entries than the old form can count.
    let names: Vec<_> = (0..70_000).map(|number| number.to_string()).collect();
    fs::write(&archive, by_hand(&names, 0)).unwrap();
    assert_eq!(Survey::of(&archive, Limits::default()).unwrap().entries.len(), 70_000);
    let few = Limits { entries: 69_999, ..Limits::default() };
    assert!(matches!(Survey::of(&archive, few), Err(UnpackError::TooLarge { .. })));
}

#[test]
fn a_directory_that_would_fill_the_memory_is_not_read() {
    let room = Room::new();
    let archive = room.0.path().join("a.zip");
    let names: Vec<_> = (0..40).map(|number| number.to_string()).collect();
    fs::write(&archive, by_hand(&names, 60_000)).unwrap();
    let limits = Limits { entries: 40, ..Limits::default() };
    let result = room.unpack(&archive, limits);
    assert!(
        matches!(&result, Err(UnpackError::TooLarge { what }) if what.contains("directory")),
        "{result:?}"
    );
    assert!(
        room.unpack(&archive, Limits::default()).is_ok(),
        "there is room for more entries, and so for these"
    );
}

#[test]
fn a_link_is_refused() {
    let room = Room::new();
    let archive = room.pack(|zip| zip.add_symlink("a", "/etc/passwd", options()).unwrap());
    let result = room.unpack(&archive, Limits::default());
    assert!(matches!(result, Err(UnpackError::Name { source: NameError::Link, .. })), "{result:?}");
    assert!(room.left_behind().is_empty());
}

#[test]
fn an_encrypted_entry_is_refused_by_name() {
    let room = Room::new();
    let archive = room.archive(&[("a.txt", b"secret")]);
    // Version, flags: the lowest bit of these says that it is encrypted.
    Room::alter(&archive, b"PK\x03\x04\x14\0\0", b"PK\x03\x04\x14\0\x01");
    let central = fs::read(&archive).unwrap();
    let at = central.windows(4).position(|piece| piece == b"PK\x01\x02").unwrap();
    let (from, mut to) = (central.get(at..at + 9).unwrap(), central.get(at..at + 9).unwrap().to_vec());
    *to.get_mut(8).unwrap() |= 1;
    Room::alter(&archive, from, &to);
    let result = room.unpack(&archive, Limits::default());
    assert!(matches!(&result, Err(UnpackError::Encrypted { name }) if name == "a.txt"), "{result:?}");
    assert!(room.left_behind().is_empty());
}

#[test]
fn entries_that_share_their_bytes_are_refused() {
    let room = Room::new();
    let archive = room.archive(&[("a.txt", b"kernel of a bomb"), ("b.txt", b"kernel of a bomb")]);
    let bytes = fs::read(&archive).unwrap();
    // The last directory header's name is its end; 4 bytes before it are the offset of its local header.
    let name = bytes.windows(5).enumerate().rfind(|(_, piece)| *piece == b"b.txt").unwrap().0;
    let from = bytes.get(name - 4..name + 5).unwrap();
    Room::alter(&archive, from, b"\0\0\0\0b.txt");
    let result = room.unpack(&archive, Limits::default());
    assert!(matches!(result, Err(UnpackError::Overlap)), "{result:?}");
    assert!(room.left_behind().is_empty());
}
