//! The directory of an archive: what each entry is called, where it lies and what it claims to be.
//!
//! Read without the `zip` crate, which loses all but the last of several entries of one name, refuses the whole archive for
//! one malformed extra field, and tells neither an entry's disk nor its name's bytes. Nothing in here is believed later
//! on: content is checked against it as it is unpacked.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use abyssale_core::archive::TAIL_LEN;

use super::{Options, UnpackError, name};

/// An entry, as the directory lists it.
pub(super) struct Listed {
    pub(super) raw_name: Vec<u8>,
    pub(super) name: String,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) packed: u64,
    pub(super) size: u64,
    /// Where its own header begins.
    pub(super) at: u64,
    /// Where the next entry begins, or the directory.
    pub(super) until: u64,
    /// Whether it is in this file, and not in another part of an archive in several.
    pub(super) is_here: bool,
    pub(super) is_folder: bool,
    /// The file type of a Unix mode. Read whatever system is named: readers apply it regardless.
    pub(super) unix_type: u32,
}

/// Reads the directory of an archive.
pub(super) fn read(file: &File, path: &Path, options: &Options) -> Result<Vec<Listed>, UnpackError> {
    let storage = |source| UnpackError::storage(path, source);
    let damaged = |reason: &str| UnpackError::Archive { reason: reason.to_owned() };
    let Some(end) = End::find(file).map_err(storage)? else {
        return Err(damaged("it has no directory, or is cut off"));
    };
    let starts_with_entry = read_at(file, 0, 4).map_err(storage)?.starts_with(ENTRY_HEADER);
    if end.shift > 0 && starts_with_entry {
        return Err(damaged("another archive lies before it"));
    }
    let max_size = (options.entries as u64).saturating_mul(DIRECTORY_ENTRY).saturating_add(DIRECTORY_SPARE);
    if end.size > max_size {
        return Err(UnpackError::TooLarge { what: "the archive's directory is too large" });
    }
    let bytes = read_at(file, end.start, end.size).map_err(storage)?;
    let (mut rest, mut entries) = (bytes.as_slice(), Vec::new());
    while rest.starts_with(LISTED) {
        let (entry, after) = Listed::read(rest, &end).ok_or_else(|| damaged("its directory is cut off"))?;
        if entries.len() == options.entries {
            return Err(UnpackError::TooLarge { what: "the archive has too many entries" });
        }
        entries.push(entry);
        rest = after;
    }
    if !rest.is_empty() && !rest.starts_with(SIGNATURE) {
        return Err(damaged("its directory is damaged"));
    }
    let mut by_place: Vec<_> = entries.iter_mut().collect();
    by_place.sort_by_key(|entry| entry.at);
    let mut until = end.start;
    for entry in by_place.into_iter().rev() {
        entry.until = until;
        until = until.min(entry.at);
    }
    Ok(entries)
}

impl Listed {
    /// Reads the first entry of what is left of the directory. Also returns what is left then.
    fn read<'b>(bytes: &'b [u8], end: &End) -> Option<(Self, &'b [u8])> {
        let (head, rest) = bytes.split_at_checked(46)?;
        let (raw_name, rest) = rest.split_at_checked(u16_at(head, 28)?.into())?;
        let (extra, rest) = rest.split_at_checked(u16_at(head, 30)?.into())?;
        let (_, rest) = rest.split_at_checked(u16_at(head, 32)?.into())?;
        let mut packed = u64::from(u32_at(head, 20)?);
        let mut size = u64::from(u32_at(head, 24)?);
        let mut disk = u32::from(u16_at(head, 34)?);
        let attributes = u32_at(head, 38)?;
        let mut at = u64::from(u32_at(head, 42)?);
        let mut name = name::decode(raw_name);
        for (id, field) in extra_fields(extra) {
            match id {
                ZIP64 => {
                    let mut wide = field.chunks(8).map(|value| u64_at(value, 0));
                    for value in [&mut size, &mut packed, &mut at] {
                        if *value == u64::from(u32::MAX) {
                            *value = wide.next().flatten().unwrap_or(*value);
                        }
                    }
                    if disk == u32::from(u16::MAX) {
                        disk = field.len().checked_sub(4).and_then(|at| u32_at(field, at)).unwrap_or(disk);
                    }
                }
                UNICODE_PATH => name = unicode_path(field, raw_name).unwrap_or(name),
                _ => {}
            }
        }
        let unix_type = attributes >> 16 & 0o170_000;
        let is_marked = attributes & DOS_FOLDER != 0 && size == 0 || unix_type == UNIX_FOLDER;
        let entry = Self {
            is_folder: name::is_folder(&name) || is_marked,
            name,
            raw_name: raw_name.to_owned(),
            flags: u16_at(head, 8)?,
            method: u16_at(head, 10)?,
            crc: u32_at(head, 16)?,
            packed,
            size,
            at: at.saturating_add(end.shift),
            until: 0,
            is_here: disk == end.disk,
            unix_type,
        };
        Some((entry, rest))
    }

    /// Moves to the content of this entry. Returns `None` if there is no entry, `false` if it reaches into the next one.
    pub(super) fn open(&self, archive: &mut (impl io::Read + io::Seek)) -> io::Result<Option<bool>> {
        if self.at > self.until {
            return Ok(None);
        }
        // Relative, so that what is buffered stays of use: entries mostly stand one behind the other.
        let here = archive.stream_position()?;
        archive.seek_relative(self.at.cast_signed().wrapping_sub(here.cast_signed()))?;
        let mut head = [0; 30];
        archive.read_exact(&mut head)?;
        let [name, extra] = [26, 28].map(|at| u16_at(&head, at).unwrap_or_default());
        let variable = i64::from(name) + i64::from(extra);
        archive.seek_relative(variable)?;
        let ends = self.packed.checked_add(self.at).and_then(|end| end.checked_add_signed(variable + 30));
        Ok(head.starts_with(ENTRY_HEADER).then_some(ends.is_some_and(|end| end <= self.until)))
    }
}

/// What the end of an archive says of its directory.
struct End {
    start: u64,
    size: u64,
    /// By how many bytes all offsets are too small, because something else lies before the archive.
    shift: u64,
    disk: u32,
}

impl End {
    /// Finds the last end record that has a directory. What follows it is none of the archive's.
    fn find(file: &File) -> io::Result<Option<Self>> {
        let len = file.metadata()?.len();
        let from = len.saturating_sub(TAIL_LEN as u64);
        let tail = read_at(file, from, len - from)?;
        for (place, record) in (0..tail.len()).rev().filter_map(|at| Some((at, tail.get(at..)?))) {
            if record.starts_with(END)
                && let Some(end) = Self::read(file, record, from + place as u64)?
            {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    fn read(file: &File, record: &[u8], place: u64) -> io::Result<Option<Self>> {
        let fields = || {
            let disks = [u16_at(record, 4)?.into(), u16_at(record, 6)?.into()];
            let comment = record.len().checked_sub(22 + usize::from(u16_at(record, 20)?))?;
            Some((disks, u32_at(record, 12)?.into(), u32_at(record, 16)?.into(), comment))
        };
        let Some((disks, size, offset, after)) = fields() else { return Ok(None) };
        let (disks, size, offset, end) = wide_end(file, place)?.unwrap_or((disks, size, offset, place));
        let [disk, directory_disk]: [u32; 2] = disks;
        if size == 0 {
            let empty = Self { start: end, size, shift: 0, disk };
            return Ok(Some(empty).filter(|_| after == 0));
        }
        // It stands right before its end, unless there is a gap: then where it is said to be.
        for start in [end.checked_sub(size), Some(offset)].into_iter().flatten() {
            let fits = start.checked_add(size).is_some_and(|after| after <= end);
            if fits && disk == directory_disk && read_at(file, start, 4)? == LISTED {
                return Ok(start.checked_sub(offset).map(|shift| Self { start, size, shift, disk }));
            }
        }
        Ok(None)
    }
}

/// The end record in the 64-bit form, if there is one before the other: disks, size, offset, and where the directory ends.
#[expect(clippy::type_complexity, reason = "taken apart by its only caller")]
fn wide_end(file: &File, place: u64) -> io::Result<Option<([u32; 2], u64, u64, u64)>> {
    let Some(at) = place.checked_sub(20) else { return Ok(None) };
    let locator = read_at(file, at, 20)?;
    if !locator.starts_with(WIDE_LOCATOR) {
        return Ok(None);
    }
    for end in [at.checked_sub(56), u64_at(&locator, 8)].into_iter().flatten() {
        let record = read_at(file, end, 56)?;
        let fields = || {
            let disks = [u32_at(&record, 16)?, u32_at(&record, 20)?];
            Some((disks, u64_at(&record, 40)?, u64_at(&record, 48)?, end))
        };
        if record.starts_with(WIDE_END) {
            return Ok(fields());
        }
    }
    Ok(None)
}

/// The extra fields of an entry, up to the first malformed one.
fn extra_fields(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (id, len) = (u16_at(rest, 0)?, u16_at(rest, 2)?);
        let (field, after) = rest.get(4..)?.split_at_checked(len.into())?;
        rest = after;
        Some((id, field))
    })
}

/// The name in UTF-8 that Info-ZIP adds to one that is not, if it belongs to that name.
fn unicode_path(field: &[u8], raw_name: &[u8]) -> Option<String> {
    let mut crc = flate2::Crc::new();
    crc.update(raw_name);
    let fits = field.first() == Some(&1) && u32_at(field, 1)? == crc.sum();
    String::from_utf8(field.get(5..)?.to_owned()).ok().filter(|_| fits)
}

/// What is there of so many bytes.
fn read_at(mut file: &File, at: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    file.take(len).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}

const ENTRY_HEADER: &[u8] = b"PK\x03\x04";
const LISTED: &[u8] = b"PK\x01\x02";
const SIGNATURE: &[u8] = b"PK\x05\x05";
const END: &[u8] = b"PK\x05\x06";
const WIDE_END: &[u8] = b"PK\x06\x06";
const WIDE_LOCATOR: &[u8] = b"PK\x06\x07";

const ZIP64: u16 = 1;
const UNICODE_PATH: u16 = 0x7075;

const DOS_FOLDER: u32 = 0x10;
const UNIX_FOLDER: u32 = 0o040_000;

/// An entry takes 46 bytes, its name, and perhaps a few fields.
const DIRECTORY_ENTRY: u64 = 256;

/// For longer names in small archives.
const DIRECTORY_SPARE: u64 = 1 << 20;
