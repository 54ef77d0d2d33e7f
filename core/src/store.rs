//! Where jobs are kept between the processes that carry them out: what a store has to promise, and no store.

use alloc::{boxed::Box, string::ToString, vec::Vec};
use core::fmt;

use thiserror::Error;

use crate::JobId;

/// Keeps a record for each job, whatever is in it.
///
/// A record holds a correlation token and perhaps the address of an archive: keep it where other people's files are not.
/// It is used by one thread at a time, which may be held up for as long as a disk needs.
pub trait Store: Send + 'static {
    /// Everything that is kept, in any order. A record that cannot be read is given as it is, not left out: whoever
    /// asked finds out, and the others are not lost with it.
    fn load(&mut self) -> Result<Vec<(JobId, Vec<u8>)>, StoreError>;

    /// Carries out all of these, or none, and returns once they survive the end of the process and a power cut. Each job
    /// is in it once at most.
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

/// What to do about a job.
#[derive(Clone, Eq, PartialEq)]
pub enum Write {
    /// Keep this record, instead of what is there.
    Save(Vec<u8>),
    /// Keep nothing. There may be nothing to remove.
    Remove,
}

/// Shows no more of a record than its length.
impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Save(record) => write!(f, "Save({} bytes)", record.len()),
            Self::Remove => f.write_str("Remove"),
        }
    }
}

/// A store does not do what it is asked to.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum StoreError {
    /// Somebody else has it: two that carry out the same jobs would ask for everything twice.
    #[error("the store is in use by another exporter")]
    InUse,
    /// It is not a store, a damaged one, or one that another release wrote.
    #[error("the store cannot be read: {0}")]
    Unreadable(Box<str>),
    /// The disk is full, the folder may not be written, or whatever else it says.
    #[error("the store refuses: {0}")]
    Refused(Box<str>),
}

impl StoreError {
    /// A store that cannot be read, in the words of what was asked.
    pub fn unreadable(reason: impl fmt::Display) -> Self {
        Self::Unreadable(reason.to_string().into())
    }

    /// A refusal, in the words of who refuses.
    pub fn refused(reason: impl fmt::Display) -> Self {
        Self::Refused(reason.to_string().into())
    }
}
