//! Archives that mean harm: whatever comes of them stays in the folder, is no link, and is bounded.

use crate::{
    honest::{BZIP2, CONTENT, LZMA, ZSTD, hex},
    zip::{Archive, Item, archive, deflated, field, packed, stored, unicode_path},
};

/// An archive by what it tries.
pub(crate) type Hostile = (&'static str, Vec<u8>);

pub(crate) fn all() -> Vec<Hostile> {
    [slips(), links(), sizes(), places(), archives(), decoders(), names()].into_iter().flatten().collect()
}

/// With an honest entry on both sides.
fn between(item: Item) -> Vec<u8> {
    archive([stored("first", "1"), item, stored("last", "2")]).bytes()
}

fn slips() -> Vec<Hostile> {
    let cases: [(&str, &[u8]); _] = [
        ("one folder up", b"../evil"),
        ("many folders up", b"../../../../../../../../tmp/evil"),
        ("up from the middle", b"a/../../evil"),
        ("up with backslashes", b"..\\evil"),
        ("up with both", b"..\\../evil"),
        ("absolute", b"/tmp/evil"),
        ("absolute twice", b"//tmp/evil"),
        ("a drive", b"C:\\evil"),
        ("relative to a drive", b"C:..\\evil"),
        ("a verbatim path", b"\\\\?\\C:\\evil"),
        ("dots with a blank", b".. /evil"),
        ("three dots", b".../evil"),
        ("dots behind a zero", b"a\0/../../evil"),
        ("dots in overlong UTF-8", b"\xc0\xae\xc0\xae/evil"),
        ("dots with a stream", b"..::$DATA/evil"),
        ("dots alone", b".."),
        ("a home folder", b"~/evil"),
        ("doubled dots", b"....//evil"),
    ];
    let mut all: Vec<_> = cases.map(|(what, name)| (what, between(stored(name, "evil")))).into();
    let extra = unicode_path(b"good", "../../evil");
    all.push(("up in the Unicode name", between(stored("good", "evil").with(|item| item.extra = extra))));
    all.push(("a folder up", between(stored("../evil/", ""))));
    all
}

fn links() -> Vec<Hostile> {
    let of = |made_by: u8, mode: u32| {
        let target = stored("link", "/etc/passwd");
        target.with(|item| (item.made_by, item.attributes) = (made_by, mode << 16))
    };
    let through = archive([
        stored("link", "..").with(|item| item.attributes = 0o120_777 << 16),
        stored("link/evil", "evil"),
    ]);
    vec![
        ("a link", between(of(3, 0o120_777))),
        ("a link made by DOS", between(of(0, 0o120_777))),
        ("a link made by macOS", between(of(19, 0o120_777))),
        ("a link that is a folder by its name", between(of(3, 0o120_777).with(|item| item.name.push(b'/')))),
        ("a file through a link", through.bytes()),
        ("a pipe", between(of(3, 0o010_644))),
        ("a pipe made by DOS", between(of(0, 0o010_644))),
        ("a character device", between(of(3, 0o020_666))),
        ("a block device", between(of(3, 0o060_666))),
        ("a socket", between(of(3, 0o140_666))),
    ]
}

fn sizes() -> Vec<Hostile> {
    let zeros = vec![0; 3 << 20];
    let claims = |size: u32| between(deflated("bomb", &zeros).with(|item| item.size = size));
    let wide = |size: u64, packed: u64| {
        let extra = field(1, &[size, packed].map(u64::to_le_bytes).concat());
        between(stored("a", CONTENT).with(|item| {
            (item.size, item.packed_size, item.extra) = (u32::MAX, u32::MAX, extra);
        }))
    };
    let stored_as = |size, packed_size| {
        between(stored("a", CONTENT).with(|item| (item.size, item.packed_size) = (size, packed_size)))
    };
    vec![
        ("more than the directory says", claims(10)),
        ("content where the directory says none", claims(0)),
        ("less than the directory says", claims(4 << 20)),
        ("4 GiB, it says", claims(u32::MAX)),
        ("all that a number can say", wide(u64::MAX, u64::MAX)),
        ("packed to all that a number can say", wide(27, u64::MAX)),
        ("stored in fewer bytes", stored_as(27, 5)),
        ("stored in more bytes", stored_as(5, 27)),
        ("a folder with content", between(stored("a/", CONTENT))),
        (
            "a folder with content that the directory denies",
            between(stored("a/", CONTENT).with(|item| item.size = 0)),
        ),
    ]
}

fn places() -> Vec<Hostile> {
    let big = deflated("b", &vec![0; 1 << 20]);
    let at = |at| between(stored("a", CONTENT).with(|item| item.at = Some(at)));
    // Each header is stored content of the entry before it, as in the best bombs.
    let mut quoted = vec![deflated("kernel", &vec![0; 1 << 20])];
    for number in 0..50 {
        let rest = archive(quoted.clone()).bytes();
        let rest = &rest[..rest.windows(4).position(|piece| piece == b"PK\x01\x02").unwrap()];
        let quote = stored(format!("{number}"), rest);
        quoted.insert(0, quote.with(|item| item.packed.clear()));
    }
    let same = [big.clone(), big.clone().with(|item| (item.packed, item.at) = (Vec::new(), Some(0)))];
    vec![
        ("one content for two entries", archive(same).bytes()),
        ("entries that quote the next", archive(quoted).bytes()),
        (
            "content that reaches into the directory",
            between(stored("a", "1").with(|item| item.packed_size = 90)),
        ),
        ("an entry behind the end", at(u32::MAX - 1)),
        ("an entry in the middle of another", at(3)),
        ("an entry in the directory", at(120)),
        ("an entry on another disk", between(stored("a", CONTENT).with(|item| item.disk = 1))),
        ("a part of a split archive", archive([stored("a", CONTENT)]).with(|all| all.disk = 3).bytes()),
    ]
}

fn archives() -> Vec<Hostile> {
    let one = archive([stored("seen", "1")]);
    let other = archive([stored("unseen by some", "2"), stored("b", "2")]);
    let behind =
        |first: &Archive, second: &Archive| second.clone().with(|all| all.prefix = first.bytes()).bytes();
    let adjusted = other.clone().with(|all| (all.prefix, all.adjusted) = (one.bytes(), true));
    let in_comment = one.clone().with(|all| all.comment = other.bytes());
    let alter = |change: fn(&mut Vec<u8>, usize)| {
        let mut bytes = one.bytes();
        let end = bytes.len() - 22;
        change(&mut bytes, end);
        bytes
    };
    let itself = archive([stored("a", "1")]).with(|all| all.wide = true).bytes();
    let itself = [&itself[..itself.len() - 34], &[0xff; 8], &itself[itself.len() - 26..]].concat();
    vec![
        ("two archives one behind the other", behind(&one, &other)),
        ("the same archive twice", behind(&one, &one)),
        ("two archives, offsets adjusted", adjusted.bytes()),
        ("an archive in the comment", in_comment.bytes()),
        ("a directory of 4 GiB", alter(|bytes, end| bytes[end + 12..end + 16].fill(0xff))),
        ("a directory beyond the end", alter(|bytes, end| bytes[end + 16..end + 20].fill(0xfe))),
        ("65,535 entries, it says", alter(|bytes, end| bytes[end + 8..end + 12].fill(0xff))),
        ("64-bit ends that are not there", alter(|bytes, end| bytes[end + 4..].fill(0xff))),
        ("64-bit ends nowhere", itself),
        ("20,000 end records", b"PK\x05\x06".repeat(20_000)),
        ("no archive", b"<html>not found</html>".to_vec()),
        ("nothing at all", Vec::new()),
    ]
}

fn decoders() -> Vec<Hostile> {
    let of = |method, bytes: &[u8]| {
        let flags = if method == 14 { 2 } else { 0 };
        between(packed("a", method, CONTENT, bytes).with(|item| item.flags = flags))
    };
    let mut window = hex(LZMA);
    window[5..9].fill(0xff);
    let mut properties = hex(LZMA);
    properties[4] = 0xff;
    let mut zstd_window = hex(ZSTD);
    zstd_window[5] = 0xf8;
    let deflate = deflated("a", CONTENT).packed;
    vec![
        ("an LZMA window of 4 GiB", of(14, &window)),
        ("LZMA properties that are none", of(14, &properties)),
        ("a Zstandard window of 2 TiB", of(93, &zstd_window)),
        ("half a bzip2 stream", of(12, &hex(BZIP2)[..20])),
        ("half a Deflate64 stream", of(9, &deflate[..deflate.len() / 2])),
        ("garbage as Deflate64", of(9, &[0xa5; 300])),
        ("half a Deflate stream", of(8, &deflate[..deflate.len() / 2])),
        ("a method that is none", of(0xffff, CONTENT)),
        ("an entry that says it is encrypted", between(stored("a", "1").with(|item| item.flags = 0xffff))),
    ]
}

fn names() -> Vec<Hostile> {
    let twins: Vec<_> = (0..5_000).map(|_| stored("twin", "1")).collect();
    let folders: Vec<_> = (0..40).map(|number| stored(format!("{number}/").repeat(10_000), "")).collect();
    let comments: Vec<_> =
        (0..500).map(|_| stored("a", "").with(|item| item.comment = vec![b'c'; 65_535])).collect();
    vec![
        ("a name that reads backwards", between(stored("\u{202e}gnp.exe", "1"))),
        ("a name that commands the terminal", between(stored("\x1b]0;evil\x07\x1b[2J", "1"))),
        ("a name that forges a line", between(stored("a\r\nskipped: nothing", "1"))),
        ("a device", between(stored("NUL", "1"))),
        ("a stream", between(stored("a:$DATA", "1"))),
        ("5,000 twins", archive(twins).bytes()),
        ("400,000 folders", archive(folders).bytes()),
        ("a file in a file", archive([stored("a", "1"), stored("a/b", "2"), stored("a/b/c", "3")]).bytes()),
        ("32 MB of comments", archive(comments).bytes()),
    ]
}
