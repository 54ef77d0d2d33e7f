//! The interface of a store, which keeps jobs between processes. Core has no implementation.

use alloc::{boxed::Box, string::ToString, vec::Vec};
use core::fmt;

use thiserror::Error;

use crate::exports::JobId;

/// Keeps one record for each job.
///
/// A record contains a correlation token and perhaps the URL of an archive: other users must not be able to read it. A
/// store is used by one thread at a time, and may block it.
pub trait Store: Send + 'static {
    /// Returns all records, in any order. A damaged record is returned as it is and not omitted: the caller detects it,
    /// and loses no other record.
    fn load(&mut self) -> Result<Vec<(JobId, Vec<u8>)>, StoreError>;

    /// Applies all of the changes, or none. Returns when they survive the end of the process and a power cut. A batch
    /// has at most one change for a job.
    fn write(&mut self, batch: &[(JobId, Write)]) -> Result<(), StoreError>;
}

impl<S: Store + ?Sized> Store for Box<S> {
    fn load(&mut self) -> Result<Vec<(JobId, Vec<u8>)>, StoreError> {
        (**self).load()
    }

    fn write(&mut self, batch: &[(JobId, Write)]) -> Result<(), StoreError> {
        (**self).write(batch)
    }
}

/// A change of a job's record.
#[derive(Clone, Eq, PartialEq)]
pub enum Write {
    /// Replace the record.
    Save(Vec<u8>),
    /// Remove the record, if there is one.
    Remove,
}

/// Shows only the length of a record.
impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Save(record) => write!(f, "Save({} bytes)", record.len()),
            Self::Remove => f.write_str("Remove"),
        }
    }
}

/// A store failed.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process or exporter uses the store. Two exporters with the same jobs would request each export twice.
    #[error("the store is in use by another exporter")]
    InUse,
    /// The store is damaged. Nothing in it was changed, and nothing is written to it any more.
    #[error("the store is damaged: {0}")]
    Damaged(Box<Damage>),
    /// The store is in a format that this release does not read.
    #[error("the store is in a format that this release does not read: {0}")]
    Format(Box<str>),
    /// There is no store in this place, but something else.
    #[error("the store cannot be read: {0}")]
    Unreadable(Box<str>),
    /// The store cannot be written: the disk is full, or the folder is not writable.
    #[error("the store refuses: {0}")]
    Refused(Box<str>),
}

impl StoreError {
    /// A store whose records are incomplete or wrong.
    pub fn damaged(damage: Damage) -> Self {
        Self::Damaged(Box::new(damage))
    }

    /// Creates an [`Unreadable`](Self::Unreadable) error from the error of a library.
    pub fn unreadable(reason: impl fmt::Display) -> Self {
        Self::Unreadable(reason.to_string().into())
    }

    /// Creates a [`Refused`](Self::Refused) error from the error of a library.
    pub fn refused(reason: impl fmt::Display) -> Self {
        Self::Refused(reason.to_string().into())
    }
}

/// What is wrong with a damaged store, and which jobs are left.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Damage {
    /// What was found first.
    pub reason: Box<str>,
    /// How many jobs are intact: they are as they were last saved.
    pub intact: usize,
    /// How many jobs can be read, but may be older than what was last saved, because writes are missing.
    pub outdated: usize,
    /// The jobs whose record is damaged or missing, in ascending order.
    pub damaged: Vec<JobId>,
    /// How many more jobs are missing, whose ids are lost with them. `None` if the store no longer tells.
    pub missing: Option<u64>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {} jobs are intact", self.reason, self.intact)?;
        if self.outdated > 0 {
            write!(f, ", {} may be older than last saved", self.outdated)?;
        }
        for (n, job) in self.damaged.iter().take(MOST_NAMED).enumerate() {
            write!(f, "{}{job}", if n == 0 { ", damaged or missing are the jobs " } else { ", " })?;
        }
        if let Some(more) = self.damaged.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
            write!(f, " and {more} more")?;
        }
        match self.missing {
            Some(0) => Ok(()),
            Some(missing) => write!(f, ", {missing} are missing whose ids are lost"),
            None => f.write_str(", and how many there were is lost"),
        }
    }
}

/// A message stays readable.
const MOST_NAMED: usize = 20;
