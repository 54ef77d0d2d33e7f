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
    /// The file is not a store, is damaged, or was written by a newer release.
    #[error("the store cannot be read: {0}")]
    Unreadable(Box<str>),
    /// The store cannot be written: the disk is full, or the folder is not writable.
    #[error("the store refuses: {0}")]
    Refused(Box<str>),
}

impl StoreError {
    /// Creates an [`Unreadable`](Self::Unreadable) error from the error of a library.
    pub fn unreadable(reason: impl fmt::Display) -> Self {
        Self::Unreadable(reason.to_string().into())
    }

    /// Creates a [`Refused`](Self::Refused) error from the error of a library.
    pub fn refused(reason: impl fmt::Display) -> Self {
        Self::Refused(reason.to_string().into())
    }
}
