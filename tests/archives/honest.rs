//! Archives that are unusual and honest: all of them unpack in full, but for entries that nobody could unpack.

use crate::zip::{Archive, archive, crc, deflated, descriptor, field, packed, stored, unicode_path};

/// An archive, and what has to come of it.
pub(crate) struct Honest {
    pub(crate) what: &'static str,
    pub(crate) archive: Vec<u8>,
    /// The names that are written and what is in them.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    /// The reasons why entries are missing.
    pub(crate) skipped: Vec<&'static str>,
}

/// What is packed wherever a test does not depend on it.
pub(crate) const CONTENT: &[u8] = b"hello, hello, hello banner\n";

pub(crate) const BZIP2: &str = "425a68393141592653596f00d6620000075180001040043245900020003100d34d032041fa816a1733cc95dfb1d9\
    2eb45dc914e14241bc035988";
pub(crate) const LZMA: &str = "090405005d0000800000341949ee8def8c873201aad162a6a937b95d7fc80bfffe15f000";
pub(crate) const ZSTD: &str = "28b52ffd0458ad00007868656c6c6f2c202062616e6e65720a0100e28a113e84fd10";

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

pub(crate) fn all() -> Vec<Honest> {
    [names(), twins(), structure(), content(), unreadable()].into_iter().flatten().collect()
}

fn honest(what: &'static str, archive: &Archive, files: &[(&str, &[u8])]) -> Honest {
    let files = files.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())).collect();
    Honest { what, archive: archive.bytes(), files, skipped: Vec::new() }
}

/// One entry of an odd name, and a plain one behind it.
fn names() -> Vec<Honest> {
    let deep = vec!["a"; 17].join("/");
    let long = "x".repeat(252) + ".png";
    let shortened = "x".repeat(251) + ".png";
    let (longest, levels) = ("é".repeat(32_767), vec!["level"; 5_000].join("/"));
    let kept = "é".repeat(127);
    let joined = vec!["level"; 63].join("/") + "/" + &"level_".repeat(6)[..31];
    let cases: Vec<(&'static str, &[u8], &str)> = vec![
        ("a colon", b"10:30 banner.png", "10_30 banner.png"),
        ("a dot at the end of a level", b"Inc./b.png", "Inc_/b.png"),
        ("a blank at the end of a level", b"a /b.png", "a_/b.png"),
        ("a dot as the first level", b"./a.png", "a.png"),
        ("an empty level", b"a//b.png", "a/b.png"),
        ("an absolute name", b"/a.png", "a.png"),
        ("a backslash as separator", b"a\\b.png", "a/b.png"),
        ("a tab", b"a\tb.png", "a_b.png"),
        ("a line feed", b"a\nb.png", "a_b.png"),
        ("17 levels", deep.as_bytes(), &deep),
        ("256 bytes", long.as_bytes(), &shortened),
        ("65,534 bytes", longest.as_bytes(), &kept),
        ("5,000 levels", levels.as_bytes(), &joined),
        ("code page 437", b"\x82t\x82.png", "été.png"),
        ("Latin-1", b"\xe9t\xe9.png", "ΘtΘ.png"),
        ("Shift-JIS", b"\x83o\x83i\x81[.png", "âoâiü[.png"),
        ("Shift-JIS with a backslash byte", b"\x95\x5c.png", "ò/.png"),
        ("UTF-8 without the flag", "été.png".as_bytes(), "été.png"),
        ("an emoji of several code points", "👩‍👩‍👧.png".as_bytes(), "👩‍👩‍👧.png"),
        ("decomposed letters", "e\u{301}.png".as_bytes(), "e\u{301}.png"),
        ("a drive letter", b"C:\\Users\\me\\a.png", "C_/Users/me/a.png"),
        ("a network path", b"\\\\server\\share\\a.png", "server/share/a.png"),
        ("a question mark", b"what?.png", "what_.png"),
        ("quotes and brackets", b"\"<a>|*\".png", "__a____.png"),
        ("a device name of Windows", b"con.png", "_con.png"),
        ("a hidden file", b".htaccess", ".htaccess"),
        ("only dots", b"...", "___"),
        ("a dash and a blank first", b"- rf.png", "- rf.png"),
        ("no name", b"", "_"),
        ("a mark of the direction of text", "\u{200f}שלום.png".as_bytes(), "_שלום.png"),
    ];
    let one = |(what, name, written): (&'static str, &[u8], &str)| {
        let archive = archive([stored(name, CONTENT), stored("plain.txt", "plain")]);
        honest(what, &archive, &[(written, CONTENT), ("plain.txt", b"plain")])
    };
    let mut all: Vec<_> = cases.into_iter().map(one).collect();
    let flagged = |name: &[u8]| archive([stored(name, CONTENT).with(|item| item.flags = 1 << 11)]);
    all.push(honest("UTF-8 with the flag", &flagged("é.png".as_bytes()), &[("é.png", CONTENT)]));
    all.push(honest("the flag for UTF-8 on what is none", &flagged(b"\x82.png"), &[("é.png", CONTENT)]));
    let unicode =
        |of: &[u8]| archive([stored("?.png", CONTENT).with(|item| item.extra = unicode_path(of, "é.png"))]);
    all.push(honest("a Unicode name beside the other", &unicode(b"?.png"), &[("é.png", CONTENT)]));
    all.push(honest("a Unicode name of another entry", &unicode(b"!.png"), &[("_.png", CONTENT)]));
    all
}

fn twins() -> Vec<Honest> {
    let folder = |attributes| stored("a", "").with(|item| item.attributes = attributes);
    let two = |first: &str, second: &str| archive([stored(first, "1"), stored(second, "2")]);
    vec![
        honest(
            "two names that differ in case",
            &two("a.png", "A.png"),
            &[("a.png", b"1"), ("A (2).png", b"2")],
        ),
        honest("one name twice", &two("a.png", "a.png"), &[("a.png", b"1"), ("a (2).png", b"2")]),
        honest("one name once safe", &two("a:.png", "a?.png"), &[("a_.png", b"1"), ("a_ (2).png", b"2")]),
        honest("a file and a folder of one name", &two("a", "a/b"), &[("a (2)", b"1"), ("a/b", b"2")]),
        honest("folders that differ in case", &two("a/b", "A/c"), &[("a/b", b"1"), ("a/c", b"2")]),
        honest(
            "a folder listed twice",
            &archive([stored("a/", ""), stored("a/", ""), stored("a/b", "2")]),
            &[("a/b", b"2")],
        ),
        honest(
            "a folder by its DOS attribute",
            &archive([folder(0x10), stored("a/b", "2")]),
            &[("a/b", b"2")],
        ),
        honest(
            "a folder by its Unix mode",
            &archive([folder(0o040_755 << 16), stored("a/b", "2")]),
            &[("a/b", b"2")],
        ),
        honest(
            "the root as a folder",
            &archive([stored("/", ""), stored("./", ""), stored("a", "2")]),
            &[("a", b"2")],
        ),
    ]
}

fn structure() -> Vec<Honest> {
    let a = || stored("a.txt", CONTENT);
    let with = |change: fn(&mut Archive)| archive([a(), stored("b.txt", "b")]).with(change);
    let both: &[(&str, &[u8])] = &[("a.txt", CONTENT), ("b.txt", b"b")];
    let one: &[(&str, &[u8])] = &[("a.txt", CONTENT)];
    let wide = a().with(|item| {
        let sizes = [u64::from(item.size), u64::from(item.packed_size)].map(u64::to_le_bytes).concat();
        (item.size, item.packed_size, item.extra) = (u32::MAX, u32::MAX, field(1, &sizes));
    });
    let extra = |extra: Vec<u8>| archive([a().with(|item| item.extra = extra)]);
    let described = |has_signature| {
        let behind = Some(descriptor(CONTENT, CONTENT, has_signature));
        archive([a().with(|item| item.behind = behind), stored("b.txt", "b")])
    };
    vec![
        honest("nothing in it", &archive([]), &[]),
        honest("a comment", &with(|all| all.comment = b"packed by hand".to_vec()), both),
        honest(
            "a comment with an end record in it",
            &with(|all| all.comment = b"PK\x05\x06".repeat(9)),
            both,
        ),
        honest("bytes after the end", &with(|all| all.trailing = b"\r\n".to_vec()), both),
        honest("a byte order mark before it", &with(|all| all.prefix = b"\xef\xbb\xbf".to_vec()), both),
        honest("a line feed before it", &with(|all| all.prefix = b"\n".to_vec()), both),
        honest("a program before it", &with(|all| all.prefix = b"#!/bin/sh\n".to_vec()), both),
        honest(
            "a program before it that offsets count",
            &with(|all| (all.prefix, all.adjusted) = (b"#!/bin/sh\n".to_vec(), true)),
            both,
        ),
        honest("a gap before the end record", &with(|all| all.gap = vec![0; 100]), both),
        honest("a digital signature", &with(|all| all.signature = b"PK\x05\x05\x02\0ok".to_vec()), both),
        honest("the end record in 64 bits", &with(|all| all.wide = true), both),
        honest("sizes in 64 bits", &archive([wide]), one),
        honest("a data descriptor", &described(true), both),
        honest("a data descriptor without its signature", &described(false), both),
        honest("an extra field that is longer than all of them", &extra(b"UT\xff\0x".to_vec()), one),
        honest("half an extra field", &extra(b"UT".to_vec()), one),
        honest("an extra field that nobody knows", &extra(field(0xbeef, b"who knows")), one),
        honest("a 64-bit field that is empty", &extra(field(1, b"")), one),
        honest("a comment that is no text", &archive([a().with(|item| item.comment = vec![0xff; 9])]), one),
        honest(
            "another name in its own header",
            &archive([a().with(|item| item.local_name = Some(b"A.TXT".to_vec()))]),
            one,
        ),
        honest(
            "an entry deleted from the directory only",
            &archive([a(), stored("x", "deleted").with(|item| item.is_hidden = true), stored("b.txt", "b")]),
            both,
        ),
        honest(
            "a directory in another order",
            &archive([
                a().with(|item| item.is_hidden = true),
                stored("b.txt", "b"),
                a().with(|item| (item.at, item.packed) = (Some(0), Vec::new())),
            ]),
            &[("b.txt", b"b"), ("a.txt", CONTENT)],
        ),
        honest(
            "a Unix mode without a type",
            &archive([a().with(|item| item.attributes = 0o4_777 << 16)]),
            one,
        ),
        honest("no attributes", &archive([a().with(|item| (item.made_by, item.attributes) = (0, 0))]), one),
    ]
}

fn content() -> Vec<Honest> {
    let whole = |what, method, bytes: Vec<u8>| {
        let archive = archive([packed("a.txt", method, CONTENT, &bytes).with(|item| {
            item.flags = if method == 14 { 2 } else { 0 };
        })]);
        honest(what, &archive, &[("a.txt", CONTENT)])
    };
    let bmp = [&b"BM"[..], &vec![0xff; 30 << 20]].concat();
    let json = b"{\"banner\":null},".repeat(6 << 16);
    let deflate = deflated("a", CONTENT).packed;
    vec![
        whole("bzip2", 12, hex(BZIP2)),
        whole("LZMA", 14, hex(LZMA)),
        whole("Zstandard", 93, hex(ZSTD)),
        whole("Zstandard by its first number", 20, hex(ZSTD)),
        // Short matches are packed alike.
        whole("Deflate64", 9, deflate.clone()),
        whole("Deflate", 8, deflate),
        honest("a picture of one colour", &archive([deflated("a.bmp", &bmp)]), &[("a.bmp", &bmp)]),
        honest("a text that repeats", &archive([deflated("a.json", &json)]), &[("a.json", &json)]),
        honest("an empty file, deflated", &archive([deflated("a.txt", b"")]), &[("a.txt", b"")]),
        honest(
            "a folder with two packed bytes of nothing",
            &archive([packed("a/", 8, b"", &[3, 0]), stored("a/b", "2")]),
            &[("a/b", b"2")],
        ),
    ]
}

/// Archives in which one entry cannot be unpacked, but the others are.
fn unreadable() -> Vec<Honest> {
    let item = || stored("bad.txt", CONTENT);
    [
        ("an encrypted entry", "is encrypted", item().with(|item| item.flags = 1)),
        ("an entry encrypted by AES", "is encrypted", item().with(|item| item.method = 99)),
        ("PPMd", "is packed with PPMd, which is not supported", item().with(|item| item.method = 98)),
        ("xz", "is packed with xz, which is not supported", item().with(|item| item.method = 95)),
        (
            "a wrong checksum",
            "does not have the checksum that the archive says",
            item().with(|item| item.crc ^= 1),
        ),
        ("a link", "is a link", item().with(|item| item.attributes = 0o120_777 << 16)),
        (
            "a damaged entry",
            "is damaged: corrupt deflate stream",
            packed("bad.txt", 8, CONTENT, &[0xff; 20]).with(|item| item.crc = crc(CONTENT)),
        ),
    ]
    .map(|(what, reason, bad)| {
        let archive = archive([stored("first.txt", "1"), bad, stored("last.txt", "2")]);
        let files: &[(&str, &[u8])] = &[("first.txt", b"1"), ("last.txt", b"2")];
        Honest { skipped: vec![reason], ..honest(what, &archive, files) }
    })
    .into()
}
