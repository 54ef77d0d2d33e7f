//! Archives put together byte by byte, so that each field can be what no writer would write.

/// An entry. Its fields are what both of its headers say, whatever is true.
#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) name: Vec<u8>,
    /// The name in its own header, if that is another.
    pub(crate) local_name: Option<Vec<u8>>,
    pub(crate) packed: Vec<u8>,
    pub(crate) method: u16,
    pub(crate) flags: u16,
    pub(crate) crc: u32,
    pub(crate) packed_size: u32,
    pub(crate) size: u32,
    pub(crate) extra: Vec<u8>,
    pub(crate) comment: Vec<u8>,
    pub(crate) made_by: u8,
    pub(crate) attributes: u32,
    pub(crate) disk: u16,
    /// Where the directory says that it is, if that is wrong.
    pub(crate) at: Option<u32>,
    /// What lies behind it: a data descriptor. Its own header then has no sizes.
    pub(crate) behind: Option<Vec<u8>>,
    /// Whether the directory leaves it out.
    pub(crate) is_hidden: bool,
}

/// A stored entry as it should be.
pub(crate) fn stored(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Item {
    packed(name, 0, content.as_ref(), content.as_ref())
}

/// An entry packed with `method`.
pub(crate) fn packed(name: impl AsRef<[u8]>, method: u16, content: &[u8], packed: &[u8]) -> Item {
    Item {
        name: name.as_ref().to_vec(),
        local_name: None,
        packed: packed.to_vec(),
        method,
        flags: 0,
        crc: crc(content),
        packed_size: u32::try_from(packed.len()).unwrap(),
        size: u32::try_from(content.len()).unwrap(),
        extra: Vec::new(),
        comment: Vec::new(),
        made_by: 3,
        attributes: 0o100_644 << 16,
        disk: 0,
        at: None,
        behind: None,
        is_hidden: false,
    }
}

pub(crate) fn deflated(name: impl AsRef<[u8]>, content: &[u8]) -> Item {
    use std::io::Write as _;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    packed(name, 8, content, &encoder.finish().unwrap())
}

pub(crate) fn crc(content: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(content);
    crc.sum()
}

impl Item {
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// An archive: entries and what is around them.
#[derive(Clone, Default)]
pub(crate) struct Archive {
    pub(crate) items: Vec<Item>,
    /// Before the first entry; all offsets count it only if they are `adjusted`.
    pub(crate) prefix: Vec<u8>,
    pub(crate) adjusted: bool,
    /// After the directory, counted as part of it.
    pub(crate) signature: Vec<u8>,
    /// Between the directory and the end record.
    pub(crate) gap: Vec<u8>,
    pub(crate) wide: bool,
    pub(crate) disk: u16,
    pub(crate) comment: Vec<u8>,
    pub(crate) trailing: Vec<u8>,
}

pub(crate) fn archive(items: impl Into<Vec<Item>>) -> Archive {
    Archive { items: items.into(), ..Archive::default() }
}

impl Archive {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let shift = if self.adjusted { 0 } else { self.prefix.len() };
        let (mut out, mut directory, mut count) = (self.prefix.clone(), Vec::new(), 0u64);
        for item in &self.items {
            let at = u32::try_from(out.len() - shift).unwrap();
            let local = item.local_name.as_ref().unwrap_or(&item.name);
            let flags = item.flags | if item.behind.is_some() { 8 } else { 0 };
            let numbers = |known: bool| {
                let numbers = [item.crc, item.packed_size, item.size];
                numbers.map(|number| if known { number } else { 0 }.to_le_bytes()).concat()
            };
            let about = |name: &[u8], known: bool| {
                let (flags, method) = (flags.to_le_bytes(), item.method.to_le_bytes());
                let lens =
                    [name.len(), item.extra.len()].map(|len| u16::try_from(len).unwrap().to_le_bytes());
                [&[20, 0][..], &flags, &method, &[0, 0, 0x21, 0], &numbers(known), &lens.concat()].concat()
            };
            out.extend(
                [b"PK\x03\x04", &about(local, item.behind.is_none())[..], local, &item.extra].concat(),
            );
            out.extend(&item.packed);
            out.extend(item.behind.iter().flatten());
            if item.is_hidden {
                continue;
            }
            count += 1;
            let comment = u16::try_from(item.comment.len()).unwrap().to_le_bytes();
            let end =
                [&comment[..], &item.disk.to_le_bytes(), &[0, 0], &item.attributes.to_le_bytes()].concat();
            let at = item.at.unwrap_or(at).to_le_bytes();
            let about = about(&item.name, true);
            let head = [b"PK\x01\x02\x14", &[item.made_by][..], &about, &end, &at].concat();
            directory.extend([&head[..], &item.name, &item.extra, &item.comment].concat());
        }
        let at = (out.len() - shift) as u64;
        directory.extend(&self.signature);
        let size = directory.len() as u64;
        out.extend(directory);
        out.extend(&self.gap);
        if self.wide {
            let end = (out.len() - shift) as u64;
            let disks = [u32::from(self.disk).to_le_bytes(); 2].concat();
            let numbers = [count, count, size, at].map(u64::to_le_bytes).concat();
            out.extend([b"PK\x06\x06", &44u64.to_le_bytes()[..], &[45, 0, 45, 0], &disks, &numbers].concat());
            out.extend([b"PK\x06\x07\0\0\0\0", &end.to_le_bytes()[..], &[1, 0, 0, 0]].concat());
            out.extend([b"PK\x05\x06\0\0\0\0", &[0xff; 12][..]].concat());
        } else {
            let (disk, count) = (self.disk.to_le_bytes(), u16::try_from(count).unwrap().to_le_bytes());
            let [size, at] = [size, at].map(|number| u32::try_from(number).unwrap().to_le_bytes());
            out.extend([b"PK\x05\x06", &disk[..], &disk, &count, &count, &size, &at].concat());
        }
        out.extend(u16::try_from(self.comment.len()).unwrap().to_le_bytes());
        out.extend(&self.comment);
        out.extend(&self.trailing);
        out
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// An extra field.
pub(crate) fn field(id: u16, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).unwrap().to_le_bytes();
    [&id.to_le_bytes()[..], &len, content].concat()
}

/// Info-ZIP's field with the name in UTF-8, which belongs to the other name by its checksum.
pub(crate) fn unicode_path(raw_name: &[u8], name: &str) -> Vec<u8> {
    field(0x7075, &[&[1][..], &crc(raw_name).to_le_bytes(), name.as_bytes()].concat())
}

/// A data descriptor, with or without its signature.
pub(crate) fn descriptor(content: &[u8], packed: &[u8], has_signature: bool) -> Vec<u8> {
    let [packed, size] = [packed, content].map(|bytes| u32::try_from(bytes.len()).unwrap().to_le_bytes());
    let signature = if has_signature { &b"PK\x07\x08"[..] } else { b"" };
    [signature, &crc(content).to_le_bytes(), &packed, &size].concat()
}
