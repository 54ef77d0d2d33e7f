//! Jobs in one file, which a crash at any moment leaves whole: a table of redb's.

use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use abyssale_core::{JobId, Store, StoreError, Write};
use redb::{Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition};

/// Keeps jobs in a file of their own, which only its owner may read.
///
/// Every write is on the disk when it returns. The file is locked: a second store on it, in this process or another,
/// is [`StoreError::InUse`].
pub struct FileStore {
    path: PathBuf,
    /// `None` after an error, since redb refuses everything from then on; it is opened anew.
    database: Option<Database>,
}

impl FileStore {
    /// Opens the file, or makes it. Its folder must exist.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        // The working directory may be another one when it is opened again.
        let path = std::path::absolute(path).map_err(StoreError::refused)?;
        let database = open(&path)?;
        Ok(Self { path, database: Some(database) })
    }

    /// Does something to the database, and gives it up if that fails.
    fn with<T>(&mut self, act: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => open(&self.path)?,
        };
        let done = act(&database).map_err(|error| describe(&error))?;
        self.database = Some(database);
        Ok(done)
    }
}

impl Store for FileStore {
    fn load(&mut self) -> Result<Vec<(JobId, Vec<u8>)>, StoreError> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(JOBS)?;
            let mut records = Vec::new();
            for entry in table.iter()? {
                let (job, record) = entry?;
                records.push((JobId::from_u64(job.value()), record.value().to_vec()));
            }
            Ok(records)
        })
    }

    fn write(&mut self, batch: &[(JobId, Write)]) -> Result<(), StoreError> {
        self.with(|database| {
            // Committing waits for the disk unless it is told otherwise.
            let transaction = database.begin_write()?;
            {
                let mut table = transaction.open_table(JOBS)?;
                for (job, write) in batch {
                    match write {
                        Write::Save(record) => drop(table.insert(job.as_u64(), record.as_slice())?),
                        Write::Remove => drop(table.remove(job.as_u64())?),
                    }
                }
            }
            Ok(transaction.commit()?)
        })
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").field("path", &self.path).finish_non_exhaustive()
    }
}

fn open(path: &Path) -> Result<Database, StoreError> {
    if !path.try_exists().map_err(StoreError::refused)?
        && let Some(database) = create(path).map_err(|error| describe(&error))?
    {
        return Ok(database);
    }
    let file = private(path).map_err(StoreError::refused)?;
    database(file).map_err(|error| describe(&error.into()))
}

/// Makes the file whole under another name first: redb refuses one that it was killed in the middle of making. `None` if
/// somebody else was faster.
fn create(path: &Path) -> Result<Option<Database>, redb::Error> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let file = private(Path::new(&unfinished))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(redb::Error::DatabaseAlreadyOpen),
        // redb does without locks where there are none, too.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    // From here on nobody else makes it; but somebody may have, and then this may be theirs.
    if path.try_exists()? {
        return Ok(None);
    }
    if !fs::symlink_metadata(&unfinished)?.is_file() {
        return Err(
            io::Error::new(io::ErrorKind::AlreadyExists, "what is at its .new is no plain file").into()
        );
    }
    file.set_len(0)?;
    let database = database(file)?;
    let transaction = database.begin_write()?;
    transaction.open_table(JOBS)?;
    transaction.commit()?;
    fs::rename(&unfinished, path)?;
    #[cfg(unix)]
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(Some(database))
}

/// Opens it, or makes it, for its owner only: what rights others may have been given to it are taken away.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata()?.permissions().mode();
        if mode & 0o077 != 0 {
            file.set_permissions(PermissionsExt::from_mode(0o600))?;
        }
    }
    Ok(file)
}

fn database(file: File) -> Result<Database, DatabaseError> {
    Database::builder().set_cache_size(CACHE).create_file(file)
}

fn describe(error: &redb::Error) -> StoreError {
    use redb::Error as E;
    match error {
        E::DatabaseAlreadyOpen => StoreError::InUse,
        E::Io(error) if error.kind() == io::ErrorKind::InvalidData => StoreError::unreadable(error),
        E::Corrupted(_)
        | E::UpgradeRequired(_)
        | E::RepairAborted
        | E::TableTypeMismatch { .. }
        | E::TableDoesNotExist(_) => StoreError::unreadable(error),
        _ => StoreError::refused(error),
    }
}

const JOBS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("jobs");

/// The most memory for what was read of the file before, in bytes.
const CACHE: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> JobId {
        JobId::from_u64(n)
    }

    fn save(n: u64, record: &str) -> (JobId, Write) {
        (id(n), Write::Save(record.into()))
    }

    #[test]
    fn what_was_written_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs");
        let mut store = FileStore::open(&path).unwrap();
        assert_eq!(store.load().unwrap(), []);
        store.write(&[save(1, "a"), save(2, "b")]).unwrap();
        store.write(&[save(1, "c"), (id(2), Write::Remove), (id(3), Write::Remove)]).unwrap();
        drop(store);
        assert_eq!(FileStore::open(&path).unwrap().load().unwrap(), [(id(1), b"c".to_vec())]);
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn a_file_has_one_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs");
        let store = FileStore::open(&path).unwrap();
        assert_eq!(FileStore::open(&path).unwrap_err(), StoreError::InUse);
        drop(store);
        FileStore::open(&path).unwrap();
    }

    #[test]
    fn one_that_was_killed_while_it_was_made_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs");
        fs::write(folder.path().join("jobs.new"), [7; 8192]).unwrap();
        let mut store = FileStore::open(&path).unwrap();
        store.write(&[save(1, "a")]).unwrap();
        drop(store);
        assert_eq!(FileStore::open(&path).unwrap().load().unwrap().len(), 1);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_store_is_said_so_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs");
        for content in [&[0u8; 8192][..], b"a letter to somebody"] {
            fs::write(&path, content).unwrap();
            assert!(matches!(FileStore::open(&path), Err(StoreError::Unreadable(_))));
            assert_eq!(fs::read(&path).unwrap(), content);
        }
        let nowhere = FileStore::open(folder.path().join("nowhere/jobs"));
        assert!(matches!(nowhere, Err(StoreError::Refused(_))), "{nowhere:?}");
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        drop(FileStore::open(&path).unwrap());
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        drop(FileStore::open(&path).unwrap());
        assert_eq!(mode(), 0o600);
    }
}
