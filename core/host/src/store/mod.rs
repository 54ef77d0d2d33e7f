//! Stores, and what is in their records.

#[cfg(feature = "store")]
mod database;
#[cfg(feature = "store")]
mod file;
#[cfg(feature = "store")]
mod lock;
mod memory;
mod record;
#[cfg(feature = "store")]
mod salvage;

#[cfg(feature = "store")]
pub use file::FileStore;
pub use memory::MemoryStore;
pub(crate) use record::Record;
#[cfg(feature = "store")]
pub use salvage::Salvage;
