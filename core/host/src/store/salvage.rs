//! Taking the intact jobs out of a damaged store.
//!
//! The work is done on a copy. Its first page, without which SQLite reads nothing, is that of a new store: it is the same
//! in all of them, but for counters that SQLite can do without.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use abyssale_core::{Damage, JobId, StoreError, Write};
use rusqlite::Connection;

use super::{
    database::{self, BY_NUMBER, BY_ROW, Fault, LOG, PAGE, Totals, checksum, connect, create_as},
    lock::beside,
};

/// The jobs in a damaged store, sorted by what is known of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Salvage {
    /// Jobs as they were last saved. [Write](abyssale_core::Store::write) them to a new store to go on with them.
    pub intact: Vec<(JobId, Write)>,
    /// Jobs that can be read, but may be older than what was last saved, because writes are missing. An exporter that
    /// goes on with one of them may ask for its export once more.
    pub outdated: Vec<(JobId, Write)>,
    /// The jobs whose record is damaged or missing, in ascending order.
    pub damaged: Vec<JobId>,
    /// How many more jobs are missing, whose ids are lost with them. `None` if the file no longer tells.
    pub missing: Option<u64>,
}

impl Salvage {
    /// What is to be told of it.
    pub(super) fn damage(&self, reason: String) -> Damage {
        Damage {
            reason: reason.into(),
            intact: self.intact.len(),
            outdated: self.outdated.len(),
            damaged: self.damaged.clone(),
            missing: self.missing,
        }
    }
}

/// Reads what can be read of the file, whatever is wrong with it. `None` if nothing in it is of a store.
///
/// The store must be locked, and not open.
pub(super) fn salvage(path: &Path, last_write: Option<u64>) -> Result<Option<Salvage>, StoreError> {
    let copy = beside(path, ".salvage");
    let read = || -> Result<Option<Salvage>, StoreError> {
        copy_with_new_head(path, &copy)?;
        let connected = connect(&copy).map_err(Fault::from);
        let checked = connected.and_then(|connection| {
            database::check_schema(&connection)?;
            Ok(sort(&connection, last_write))
        });
        // What cannot be opened under the first page of a store holds nothing.
        checked.or_else(|fault| fault.classify().map(|_| None))
    };
    let salvaged = read();
    database::remove(&copy).map_err(StoreError::refused)?;
    salvaged
}

fn copy_with_new_head(path: &Path, copy: &Path) -> Result<(), StoreError> {
    create_as(copy)?;
    let first_pages = fs::metadata(copy).map_err(StoreError::refused)?.len();
    let copied = || -> io::Result<()> {
        let mut from = File::open(path)?;
        from.seek(SeekFrom::Start(PAGE as u64))?;
        let mut to = OpenOptions::new().write(true).open(copy)?;
        to.set_len(PAGE as u64)?;
        to.seek(SeekFrom::Start(PAGE as u64))?;
        io::copy(&mut from, &mut to)?;
        // SQLite reads no table whose first page is not in the file.
        to.set_len(to.metadata()?.len().max(first_pages))?;
        // No count of pages: SQLite takes the length of the file.
        to.seek(SeekFrom::Start(28))?;
        to.write_all(&[0; 4])?;
        match fs::copy(beside(path, LOG), beside(copy, LOG)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    };
    copied().map_err(|error| StoreError::refused(format_args!("cannot copy {}: {error}", path.display())))
}

fn sort(connection: &Connection, last_write: Option<u64>) -> Option<Salvage> {
    let totals = Totals::read(connection).ok();
    let (numbers, is_whole) = numbers(connection);
    let rows = rows(connection, numbers.keys());
    let mut salvage = Salvage::default();
    let mut all: BTreeSet<i64> = numbers.keys().copied().collect();
    all.extend(rows.keys());
    if totals.is_none() && all.is_empty() {
        return None;
    }
    let is_newest = |totals: &Totals| {
        last_write.is_none_or(|last| totals.writes >= last) && totals.describe(numbers.values())
    };
    // Without the totals, or with part of the index, nothing shows that a page is not older than the others.
    let is_behind = !totals.as_ref().is_some_and(is_newest);
    for id in all {
        let job = JobId::from_u64(id.cast_unsigned());
        let record = rows.get(&id).cloned().flatten();
        let is_listed = |record: &Vec<u8>| match numbers.get(&id) {
            Some(sum) => *sum == checksum(job.as_u64(), record),
            // A job that a whole list leaves out was removed, or its page was.
            None => !is_whole,
        };
        // Only the list shows that a record is the newest of its job.
        let is_behind = is_behind || !numbers.contains_key(&id);
        match record.filter(is_listed) {
            Some(record) if is_behind => salvage.outdated.push((job, Write::Save(record))),
            Some(record) => salvage.intact.push((job, Write::Save(record))),
            None => salvage.damaged.push(job),
        }
    }
    // In ascending order of the ids as they are shown, which are unsigned.
    salvage.damaged.sort_unstable();
    let found = salvage.intact.len() + salvage.outdated.len() + salvage.damaged.len();
    let totals = totals.filter(|_| !is_behind);
    salvage.missing = totals.map(|totals| totals.jobs.saturating_sub(found as u64));
    Some(salvage)
}

/// The ids and checksums in the index, and whether all of it could be read.
fn numbers(connection: &Connection) -> (BTreeMap<i64, i64>, bool) {
    let mut numbers = BTreeMap::new();
    let mut each = |row: &rusqlite::Row<'_>| {
        numbers.insert(row.get(0)?, row.get(1)?);
        Ok(())
    };
    let forward = scan(connection, BY_NUMBER, &mut each);
    let is_whole = forward.is_ok() || scan(connection, &format!("{BY_NUMBER} DESC"), &mut each).is_ok();
    (numbers, is_whole)
}

/// The records that can be reached from either end, or by one of these ids. `None` for one with a wrong checksum.
fn rows<'a>(connection: &Connection, ids: impl Iterator<Item = &'a i64>) -> BTreeMap<i64, Option<Vec<u8>>> {
    let mut rows = BTreeMap::new();
    let mut each = |row: &rusqlite::Row<'_>| {
        let id: i64 = row.get(0)?;
        let record = || -> rusqlite::Result<_> { Ok((row.get::<_, Vec<u8>>(1)?, row.get::<_, i64>(2)?)) };
        let is_right = |(record, sum): &(Vec<u8>, i64)| *sum == checksum(id.cast_unsigned(), record);
        rows.insert(id, record().ok().filter(is_right).map(|(record, _)| record));
        Ok(())
    };
    if scan(connection, BY_ROW, &mut each).is_ok()
        || scan(connection, &format!("{BY_ROW} DESC"), &mut each).is_ok()
    {
        return rows;
    }
    let mut read = |id: i64| -> Result<(), Fault> {
        let mut statement =
            connection.prepare("SELECT id, record, sum FROM jobs NOT INDEXED WHERE id = ?1")?;
        let mut found = statement.query([id])?;
        while let Some(row) = found.next()? {
            each(row)?;
        }
        Ok(())
    };
    for id in ids {
        // One that cannot be read stays out of the rows, and is named because it is listed.
        let _named = read(*id);
    }
    rows
}

fn scan(
    connection: &Connection,
    query: &str,
    each: &mut impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        each(row)?;
    }
    Ok(())
}
