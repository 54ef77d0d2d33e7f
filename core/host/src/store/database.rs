//! The SQLite file of a store: its schema, how it is opened, what is checked in it, and how records are written.
//!
//! Three tables' worth of pages, so that damage to one of them is told by another: `jobs` holds the records, each with a
//! checksum; the index `numbers` repeats ids and checksums; `totals` holds how many jobs there are, the sum of their
//! checksums, and counts the writes. The sum is what tells a mixture of old and new pages, as half a checkpoint leaves it.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    path::Path,
};

use abyssale_core::{JobId, StoreError, Write};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension as _, TransactionBehavior, config::DbConfig, ffi,
    limits::Limit, params,
};
use sha2::{Digest as _, Sha256};

use super::lock::{beside, private, refuse_others};

/// An open database. Dropped, it moves what is in its log into the main file, and removes the log.
pub(super) struct Database {
    connection: Connection,
    totals: Totals,
}

/// What the table `totals` says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    /// How many writes there were.
    pub(super) writes: u64,
    /// How many jobs there are.
    pub(super) jobs: u64,
    /// The wrapping sum of their checksums, which every write keeps up to date.
    pub(super) sums: i64,
}

/// Why a database is not used.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite says so.
    Sqlite(rusqlite::Error),
    /// Its content contradicts itself.
    Damaged(String),
    /// It is of another version.
    Format(String),
    /// A file beside it cannot be used.
    Refused(io::Error),
}

impl Database {
    /// Makes a new one, whole, under another name first: a name that is there always has a whole database.
    pub(super) fn create(path: &Path) -> Result<(), StoreError> {
        let new = beside(path, ".new");
        create_as(&new)?;
        fs::rename(&new, path).and_then(|()| sync_folder(path)).map_err(StoreError::refused)
    }

    /// Opens it and checks everything in it. Nothing is changed in one that does not pass.
    pub(super) fn open(path: &Path, last_write: Option<u64>) -> Result<Self, Fault> {
        let connection = connect(path)?;
        let totals = check(&connection)?;
        if let Some(lost) = last_write.and_then(|last| last.checked_sub(totals.writes)).filter(|n| *n > 0) {
            return Err(Fault::lost(lost));
        }
        // From here on it is ours, and closing it may tidy up.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        Ok(Self { connection, totals })
    }

    /// Everything in it, checked once more.
    pub(super) fn load(&self) -> Result<Vec<(JobId, Vec<u8>)>, Fault> {
        let mut records = Vec::new();
        read(&self.connection, self.totals, |job, record| records.push((job, record)))?;
        Ok(records)
    }

    /// Carries out all of it or nothing, and waits for the disk. Returns the number of the write.
    pub(super) fn write(&mut self, batch: &[(JobId, Write)]) -> Result<u64, Fault> {
        let Totals { writes, mut jobs, mut sums } = self.totals;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut former = transaction.prepare("SELECT sum FROM jobs WHERE id = ?1")?;
            let mut update = transaction.prepare("UPDATE jobs SET record = ?2, sum = ?3 WHERE id = ?1")?;
            let mut insert = transaction.prepare("INSERT INTO jobs (id, record, sum) VALUES (?1, ?2, ?3)")?;
            let mut delete = transaction.prepare("DELETE FROM jobs WHERE id = ?1")?;
            for (job, write) in batch {
                let id = job.as_u64();
                let before: Option<i64> =
                    former.query_row([id.cast_signed()], |row| row.get(0)).optional()?;
                sums = sums.wrapping_sub(before.unwrap_or_default());
                match write {
                    Write::Save(record) => {
                        let sum = checksum(id, record);
                        sums = sums.wrapping_add(sum);
                        let row = params![id.cast_signed(), record, sum];
                        if update.execute(row)? == 0 {
                            insert.execute(row)?;
                            jobs += 1;
                        }
                    }
                    Write::Remove => jobs = jobs.saturating_sub(delete.execute([id.cast_signed()])? as u64),
                }
            }
        }
        let totals = Totals { writes: writes + 1, jobs, sums };
        transaction.execute("UPDATE totals SET writes = ?1, jobs = ?2, sums = ?3, sum = ?4", totals.row())?;
        transaction.commit()?;
        self.totals = totals;
        Ok(totals.writes)
    }
}

impl Totals {
    pub(super) fn read(connection: &Connection) -> Result<Self, Fault> {
        let row = connection.query_row("SELECT writes, jobs, sums, sum FROM totals", [], |row| {
            Ok([row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
        })?;
        let totals = Self { writes: row[0].cast_unsigned(), jobs: row[1].cast_unsigned(), sums: row[2] };
        if totals.row() != row {
            return Err(Fault::Damaged("its totals have a wrong checksum".into()));
        }
        Ok(totals)
    }

    fn row(self) -> [i64; 4] {
        let Self { writes, jobs, sums } = self;
        let content = [jobs.to_be_bytes(), sums.to_be_bytes()].concat();
        [writes.cast_signed(), jobs.cast_signed(), sums, checksum(writes, &content)]
    }

    /// Whether an index with these checksums is the one that was written last.
    pub(super) fn describe<'a>(self, index: impl Iterator<Item = &'a i64>) -> bool {
        self.sums == index.fold(0, |sums: i64, sum| sums.wrapping_add(*sum))
    }
}

impl Fault {
    /// Writes that the store had promised to keep are not there.
    pub(super) fn lost(writes: u64) -> Self {
        Self::Damaged(format!(
            "its last {writes} writes are missing (if an older copy was put back on purpose, remove the .lock file)"
        ))
    }

    /// What SQLite reports, in the store's terms: an error of the place, or else damage, with its reason.
    pub(super) fn classify(self) -> Result<String, StoreError> {
        let error = match self {
            Self::Damaged(reason) => return Ok(reason),
            Self::Format(found) => return Err(StoreError::Format(found.into())),
            Self::Refused(error) => return Err(StoreError::refused(error)),
            Self::Sqlite(error) => error,
        };
        let code = error.sqlite_error().map(|error| (error.code, error.extended_code));
        match code {
            Some((ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _)) => Err(StoreError::InUse),
            Some((_, ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_CORRUPTFS)) => Ok(error.to_string()),
            Some((
                ErrorCode::CannotOpen
                | ErrorCode::DiskFull
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::NoLargeFileSupport
                | ErrorCode::OperationInterrupted
                | ErrorCode::OutOfMemory
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure
                | ErrorCode::TooBig,
                _,
            )) => Err(StoreError::refused(error)),
            // What is left are answers that a whole file cannot give.
            _ => Ok(error.to_string()),
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Makes a whole, empty database, in the place of what an interrupted attempt has left.
pub(super) fn create_as(path: &Path) -> Result<(), StoreError> {
    let failed =
        |error: io::Error| StoreError::refused(format_args!("cannot create {}: {error}", path.display()));
    remove(path).map_err(failed)?;
    let mut options = OpenOptions::new();
    private(options.write(true).create_new(true)).open(path).map_err(failed)?;
    let make = || -> rusqlite::Result<()> {
        let connection = connect(path)?;
        connection.execute_batch(&format!(
            "PRAGMA page_size = {PAGE}; PRAGMA journal_mode = WAL; PRAGMA application_id = {APPLICATION};
             BEGIN; {TOTALS}; {JOBS}; {NUMBERS}; PRAGMA user_version = {VERSION};"
        ))?;
        connection.execute("INSERT INTO totals VALUES (1, ?1, ?2, ?3, ?4)", Totals::default().row())?;
        connection.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)")?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        connection.close().map_err(|(_, error)| error)
    };
    make().map_err(|error| failed(io::Error::other(error)))
}

/// Removes a database that is in use by nobody, with its log. What is not a plain file is refused.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    for suffix in ["", LOG, JOURNAL] {
        let path = beside(path, suffix);
        refuse_others(&path)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Looks at the first bytes, before SQLite does: `Err` says what is wrong with them.
pub(super) fn check_head(path: &Path) -> io::Result<Result<(), Fault>> {
    let mut head = Vec::new();
    File::open(path)?.take(72).read_to_end(&mut head)?;
    let damaged = |reason: &str| Ok(Err(Fault::Damaged(reason.into())));
    if head.is_empty() {
        return damaged("the file is empty: what was in it is lost; remove it to begin with no jobs");
    }
    if head.starts_with(REDB) {
        return Ok(Err(Fault::Format("a redb file, which earlier releases wrote".into())));
    }
    if !head.starts_with(b"SQLite format 3\0") {
        return damaged("it does not begin as a SQLite file does");
    }
    if head.get(68..) != Some(&APPLICATION.to_be_bytes()) {
        return damaged("it is not marked as a store of jobs");
    }
    Ok(Ok(()))
}

/// Opens the file in a way that a damaged or hostile one can do no harm. Closing it changes nothing yet.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::ZERO)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST_RECORD)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    // An exclusive lock also keeps the index of the log in our own memory, where a file that is cut short cannot end
    // the process. The other settings are for damaged files, and for the disks of macOS.
    connection.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON;
         PRAGMA trusted_schema = OFF; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;
         PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;",
    )?;
    Ok(connection)
}

/// Checks the file and all records.
fn check(connection: &Connection) -> Result<Totals, Fault> {
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Fault::Damaged(format!("its log is of the kind {mode:?}, which was never set")));
    }
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version != VERSION {
        return Err(Fault::Format(format!("schema version {version}; this release knows {VERSION}")));
    }
    check_schema(connection)?;
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(Fault::Damaged(verdict));
    }
    let totals = Totals::read(connection)?;
    read(connection, totals, |_, _| {})?;
    Ok(totals)
}

/// Fails unless there is exactly what [`create_as`] makes: nothing else in the file is ever run.
pub(super) fn check_schema(connection: &Connection) -> Result<(), Fault> {
    let mut statement = connection.prepare("SELECT sql FROM sqlite_schema ORDER BY rowid LIMIT 4")?;
    let found = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    if found != [TOTALS, JOBS, NUMBERS] {
        return Err(Fault::Damaged("its tables are not those of a store".into()));
    }
    Ok(())
}

/// Reads all records, and compares them with their checksums, the index and the totals.
fn read(connection: &Connection, totals: Totals, mut each: impl FnMut(JobId, Vec<u8>)) -> Result<(), Fault> {
    let mut numbers = connection.prepare(BY_NUMBER)?;
    let numbers = numbers.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut numbers: BTreeMap<i64, i64> = numbers.collect::<Result<_, _>>()?;
    if numbers.len() as u64 != totals.jobs {
        return Err(Fault::Damaged(format!("it lists {} jobs and counts {}", numbers.len(), totals.jobs)));
    }
    if !totals.describe(numbers.values()) {
        return Err(Fault::Damaged("its list of jobs is not the one that was written last".into()));
    }
    let mut statement = connection.prepare(BY_ROW)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, record, sum): (i64, Vec<u8>, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let job = JobId::from_u64(id.cast_unsigned());
        if sum != checksum(job.as_u64(), &record) {
            return Err(Fault::Damaged(format!("the record of job {job} has a wrong checksum")));
        }
        if numbers.remove(&id) != Some(sum) {
            return Err(Fault::Damaged(format!("job {job} is not listed as it was saved")));
        }
        each(job, record);
    }
    match numbers.keys().next() {
        Some(id) => Err(Fault::Damaged(format!("job {} is listed and missing", id.cast_unsigned()))),
        None => Ok(()),
    }
}

/// The first eight bytes of the SHA-256 of a record and its id. It tells a changed bit, and a record in the place of
/// another; core uses SHA-256 already.
pub(super) fn checksum(id: u64, content: &[u8]) -> i64 {
    let digest = Sha256::new().chain_update(id.to_be_bytes()).chain_update(content).finalize();
    let mut first = [0; 8];
    first.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    i64::from_be_bytes(first)
}

/// Makes a new name survive a power cut.
fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// What is appended to the name for SQLite's write-ahead log, and for the journal that it uses before there is one.
pub(super) const LOG: &str = "-wal";
pub(super) const JOURNAL: &str = "-journal";

pub(super) const PAGE: usize = 4096;

pub(super) const BY_ROW: &str = "SELECT id, record, sum FROM jobs NOT INDEXED ORDER BY id";
pub(super) const BY_NUMBER: &str = "SELECT id, sum FROM jobs INDEXED BY numbers ORDER BY id";

// In the order of their first pages: the smallest are the last to be cut off.
const TOTALS: &str = "CREATE TABLE totals (id INTEGER PRIMARY KEY, writes INTEGER NOT NULL, jobs INTEGER NOT NULL, sums INTEGER NOT NULL, sum INTEGER NOT NULL) STRICT";
const JOBS: &str =
    "CREATE TABLE jobs (id INTEGER PRIMARY KEY, record BLOB NOT NULL, sum INTEGER NOT NULL) STRICT";
const NUMBERS: &str = "CREATE INDEX numbers ON jobs (id, sum)";

/// "abys", where the file header says whose it is.
const APPLICATION: u32 = 0x6162_7973;
const VERSION: i64 = 1;
const REDB: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";

/// The most bytes in a record: far more than a job takes, far less than a machine has.
const LONGEST_RECORD: i32 = 64 << 20;
