//! A store that survives an exporter, but not the process: for tests, and for programs that have a place of their own.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use abyssale_core::{JobId, Store, StoreError, Write};

/// Keeps jobs in memory. Clones are the same store.
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<BTreeMap<JobId, Vec<u8>>>>);

impl MemoryStore {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many jobs are in it.
    pub fn len(&self) -> usize {
        self.with(|records| records.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<JobId, Vec<u8>>) -> T) -> T {
        // Inserting and removing leave the map whole, whatever panics elsewhere.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Vec<(JobId, Vec<u8>)>, StoreError> {
        Ok(self.with(|records| records.iter().map(|(job, record)| (*job, record.clone())).collect()))
    }

    fn write(&mut self, batch: &[(JobId, Write)]) -> Result<(), StoreError> {
        self.with(|records| {
            for (job, write) in batch {
                match write {
                    Write::Save(record) => records.insert(*job, record.clone()),
                    Write::Remove => records.remove(job),
                };
            }
        });
        Ok(())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("jobs", &self.len()).finish()
    }
}
