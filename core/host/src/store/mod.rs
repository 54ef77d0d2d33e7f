//! Stores, and what is in their records.

#[cfg(feature = "store")]
mod file;
mod memory;
mod record;

#[cfg(feature = "store")]
pub use file::FileStore;
pub use memory::MemoryStore;
pub(crate) use record::Record;
