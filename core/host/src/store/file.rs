//! A store of jobs in one SQLite file, which a crash at any moment leaves whole and which tells when it is damaged.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use abyssale_core::{Damage, JobId, Store, StoreError, Write};

use super::{
    database::{self, Database, Fault, JOURNAL, LOG},
    lock::{Lock, beside},
    salvage::{self, Salvage},
};

/// Keeps jobs in a file that only its owner may read.
///
/// A write is on the disk when it returns. While the store is open, SQLite's log lies beside the file (`NAME-wal`); a file
/// `NAME.lock` stays beside it for good. A second store on the same file, in this process or another, is
/// [`StoreError::InUse`].
///
/// A damaged file is [`StoreError::Damaged`]: it is never changed, and never taken for an empty one.
/// [`salvage`](Self::salvage) takes the intact jobs out of it:
///
/// ```no_run
/// # use abyssale_host::FileStore;
/// # use abyssale_core::Store as _;
/// let salvage = FileStore::salvage("jobs")?;
/// println!("{} jobs are intact, damaged are {:?}", salvage.intact.len(), salvage.damaged);
/// FileStore::open("jobs.new-store")?.write(&salvage.intact)?;
/// # Ok::<(), abyssale_core::StoreError>(())
/// ```
pub struct FileStore {
    path: PathBuf,
    /// `None` after an error: it is opened, and checked, anew.
    database: Option<Database>,
    /// What was found damaged stays so, and is not written to any more.
    damaged: Option<StoreError>,
    /// Last, so that the file is closed before another store may open it.
    lock: Lock,
}

impl FileStore {
    /// Opens the file and checks everything in it, or creates it. Its folder must exist.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let (path, exists) = locate(path.as_ref())?;
        let mut lock = Lock::take(&path)?;
        // Another store may have created it before the lock was ours.
        if !exists && !path.try_exists().map_err(StoreError::refused)? {
            create(&path)?;
        }
        let database = Some(open(&path, &mut lock)?);
        Ok(Self { path, database, damaged: None, lock })
    }

    /// Takes the intact jobs out of a damaged file, and names the others. The file stays as it is.
    ///
    /// It needs as much room as the file takes, in the same folder. On an intact file it finds all jobs intact.
    pub fn salvage(path: impl AsRef<Path>) -> Result<Salvage, StoreError> {
        let (path, exists) = locate(path.as_ref())?;
        if !exists {
            return Err(StoreError::refused(format_args!("there is no file {}", path.display())));
        }
        let mut lock = Lock::take(&path)?;
        let salvaged = salvage::salvage(&path, lock.last_write())?;
        salvaged.ok_or_else(|| StoreError::unreadable("nothing in it is of a store"))
    }

    fn with<T>(
        &mut self,
        act: impl FnOnce(&mut Database, &mut Lock) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        if let Some(damaged) = &self.damaged {
            return Err(damaged.clone());
        }
        let opened = match self.database.take() {
            Some(database) => Ok(database),
            None => open(&self.path, &mut self.lock),
        };
        let done = opened.and_then(|mut database| match act(&mut database, &mut self.lock) {
            Ok(done) => {
                self.database = Some(database);
                Ok(done)
            }
            Err(fault) => {
                drop(database);
                Err(describe(fault, &self.path, &mut self.lock))
            }
        });
        if let Err(error @ (StoreError::Damaged(_) | StoreError::Unreadable(_))) = &done {
            self.damaged = Some(error.clone());
        }
        done
    }
}

impl Store for FileStore {
    fn load(&mut self) -> Result<Vec<(JobId, Vec<u8>)>, StoreError> {
        self.with(|database, _| database.load())
    }

    fn write(&mut self, batch: &[(JobId, Write)]) -> Result<(), StoreError> {
        self.with(|database, lock| {
            let number = database.write(batch)?;
            // A batch that is tried again because of this changes nothing more.
            lock.remember(number).map_err(Fault::Refused)
        })
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The absolute path of the file, links resolved, and whether there is one. A link to nowhere is an error: what it leads
/// to may be on a volume that is not mounted.
fn locate(path: &Path) -> Result<(PathBuf, bool), StoreError> {
    let refused = |error: io::Error| StoreError::refused(format_args!("{}: {error}", path.display()));
    match fs::symlink_metadata(path) {
        Ok(metadata) => match path.canonicalize() {
            Err(error) if metadata.is_symlink() => Err(StoreError::refused(format_args!(
                "{} is a link to a file that cannot be found ({error}); is its volume mounted?",
                path.display()
            ))),
            found => Ok((found.map_err(refused)?, true)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let name = path.file_name().ok_or_else(|| refused(io::ErrorKind::InvalidInput.into()))?;
            // The working directory may be another one when the file is opened again.
            let folder = std::path::absolute(path).map_err(refused)?;
            let folder = folder.parent().unwrap_or(Path::new("/")).canonicalize().map_err(refused)?;
            Ok((folder.join(name), false))
        }
        Err(error) => Err(refused(error)),
    }
}

fn create(path: &Path) -> Result<(), StoreError> {
    for suffix in [LOG, JOURNAL] {
        let left = beside(path, suffix);
        if fs::symlink_metadata(&left).is_ok_and(|log| log.len() > 0) {
            // It belongs to a store that is gone, and would be taken for the log of the new one.
            return Err(StoreError::Unreadable(
                format!(
                    "{} is there, and the file that it belongs to is not; restore both or remove it",
                    left.display()
                )
                .into(),
            ));
        }
    }
    Database::create(path)
}

fn open(path: &Path, lock: &mut Lock) -> Result<Database, StoreError> {
    let last_write = lock.last_write();
    let opened = database::check_head(path)
        .map_err(Fault::Refused)
        .flatten()
        .and_then(|()| Database::open(path, last_write))
        .and_then(|database| {
            keep_private(path).map_err(Fault::Refused)?;
            Ok(database)
        });
    opened.map_err(|fault| describe(fault, path, lock))
}

/// Says what is wrong, and, if the file is damaged, what is left in it.
fn describe(fault: Fault, path: &Path, lock: &mut Lock) -> StoreError {
    let reason = match fault.classify() {
        Ok(reason) => reason,
        Err(error) => return error,
    };
    match salvage::salvage(path, lock.last_write()) {
        Ok(Some(salvage)) => StoreError::damaged(salvage.damage(reason)),
        Ok(None) => StoreError::unreadable(reason),
        Err(error) => StoreError::damaged(Damage {
            reason: format!("{reason}; what is intact cannot be told: {error}").into(),
            ..Damage::default()
        }),
    }
}

/// Takes away what rights others may have been given to it.
fn keep_private(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    for suffix in ["", LOG] {
        use std::os::unix::fs::PermissionsExt as _;
        let path = beside(path, suffix);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 => {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            }
            _ => {}
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> JobId {
        JobId::from_u64(n)
    }

    fn save(n: u64, record: &str) -> (JobId, Write) {
        (id(n), Write::Save(record.into()))
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A closed store with jobs 1 to `jobs`, each of a few hundred bytes.
    fn filled(path: &Path, jobs: u64) {
        let mut store = FileStore::open(path).unwrap();
        let batch: Vec<_> = (1..=jobs).map(|n| save(n, &format!("{n:0300}"))).collect();
        store.write(&batch).unwrap();
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
        assert_eq!(names(folder.path()), ["jobs", "jobs.lock"]);
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
        assert_eq!(names(folder.path()), ["jobs", "jobs.lock"]);
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

    #[test]
    fn an_empty_file_is_not_taken_for_a_new_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs");
        fs::write(&path, "").unwrap();
        let error = FileStore::open(&path).unwrap_err();
        assert!(matches!(&error, StoreError::Unreadable(reason) if reason.contains("empty")), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn a_store_of_the_earlier_format_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs");
        fs::write(&path, [b"redb\x1A\x0A\xA9\x0D\x0A".as_slice(), &[0; 4096]].concat()).unwrap();
        let error = FileStore::open(&path).unwrap_err();
        assert!(matches!(&error, StoreError::Format(found) if found.contains("redb")), "{error}");
    }

    #[test]
    fn another_schema_version_is_an_error_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs");
        filled(&path, 3);
        let mut bytes = fs::read(&path).unwrap();
        bytes[60..64].copy_from_slice(&7u32.to_be_bytes());
        fs::write(&path, bytes).unwrap();
        let error = FileStore::open(&path).unwrap_err();
        assert!(matches!(&error, StoreError::Format(found) if found.contains("version 7")), "{error}");
        assert_eq!(FileStore::salvage(&path).unwrap().intact.len(), 3);
    }

    #[test]
    fn another_program_s_database_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs");
        let other = rusqlite::Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE jobs (id); INSERT INTO jobs VALUES (1)").unwrap();
        drop(other);
        let before = fs::read(&path).unwrap();
        let error = FileStore::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::Unreadable(_)), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_damaged_store_says_what_is_intact_and_gives_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs");
        filled(&path, 100);
        let whole = fs::read(&path).unwrap();
        // Each page in turn: its jobs are named, and the others are intact.
        for page in 0..whole.len() / database::PAGE {
            let mut bytes = whole.clone();
            bytes[page * database::PAGE..][..database::PAGE].fill(0);
            fs::write(&path, &bytes).unwrap();
            let error = FileStore::open(&path).unwrap_err();
            let StoreError::Damaged(damage) = &error else { panic!("page {page}: {error}") };
            let salvage = FileStore::salvage(&path).unwrap();
            assert_eq!((damage.intact, &damage.damaged), (salvage.intact.len(), &salvage.damaged));
            let told = salvage.intact.len() + salvage.outdated.len() + salvage.damaged.len();
            assert_eq!(told, 100, "page {page}: {error}");
            for (job, write) in &salvage.intact {
                assert_eq!((*job, write.clone()), save(job.as_u64(), &format!("{:0300}", job.as_u64())));
            }
            assert_eq!(fs::read(&path).unwrap(), bytes, "it is left as it is");
            let left = names(folder.path());
            assert!(left.iter().all(|name| ["jobs", "jobs-wal", "jobs.lock"].contains(&&**name)), "{left:?}");
        }
        // What is intact makes a new store.
        let salvage = FileStore::salvage(&path).unwrap();
        let next = folder.path().join("next");
        FileStore::open(&next).unwrap().write(&salvage.intact).unwrap();
        assert_eq!(FileStore::open(&next).unwrap().load().unwrap().len(), salvage.intact.len());
    }

    #[test]
    fn a_store_that_lost_its_last_writes_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs");
        filled(&path, 3);
        let earlier = fs::read(&path).unwrap();
        let mut store = FileStore::open(&path).unwrap();
        store.write(&[save(1, "new")]).unwrap();
        store.write(&[save(4, "four")]).unwrap();
        drop(store);
        fs::write(&path, earlier).unwrap();
        let error = FileStore::open(&path).unwrap_err();
        assert!(
            matches!(&error, StoreError::Damaged(damage)
                if damage.reason.contains("last 2 writes") && (damage.intact, damage.outdated) == (0, 3)),
            "{error}"
        );
    }

    #[test]
    fn a_log_without_its_file_is_not_taken_for_a_new_store_s() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs");
        fs::write(folder.path().join("jobs-wal"), "the log").unwrap();
        assert!(matches!(FileStore::open(&path), Err(StoreError::Unreadable(_))));
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nowhere_is_not_taken_for_a_new_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs");
        let volume = folder.path().join("volume");
        std::os::unix::fs::symlink(volume.join("jobs"), &path).unwrap();
        for _ in 0..2 {
            let error = FileStore::open(&path).unwrap_err();
            assert!(matches!(&error, StoreError::Refused(reason) if reason.contains("mounted")), "{error}");
            // As an empty mount point is.
            fs::create_dir_all(&volume).unwrap();
        }
        filled(&volume.join("jobs"), 2);
        assert_eq!(FileStore::open(&path).unwrap().load().unwrap().len(), 2);
        assert!(path.is_symlink());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_under_a_name_beside_the_store_is_refused_and_not_followed() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other");
        fs::write(&other, "somebody's").unwrap();
        fs::set_permissions(&other, fs::Permissions::from_mode(0o644)).unwrap();
        for suffix in [".lock", ".new", ".new-wal"] {
            let path = folder.path().join("jobs");
            let link = beside(&path, suffix);
            std::os::unix::fs::symlink(&other, &link).unwrap();
            let error = FileStore::open(&path).unwrap_err();
            assert!(matches!(error, StoreError::Refused(_)), "{suffix}: {error}");
            assert_eq!(fs::metadata(&other).unwrap().permissions().mode() & 0o777, 0o644);
            assert_eq!(fs::read(&other).unwrap(), b"somebody's");
            assert!(!path.exists());
            fs::remove_file(&link).unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let mut store = FileStore::open(&path).unwrap();
        store.write(&[save(1, "a")]).unwrap();
        for suffix in ["", LOG, ".lock"] {
            let mode = fs::metadata(beside(&path, suffix)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{suffix}");
        }
        drop(store);
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        drop(FileStore::open(&path).unwrap());
        assert_eq!(mode(), 0o600);
    }
}
