//! What both transports need of an operating system, so that neither repeats the other and core
//! stays free of it: settings from the environment, a clock, randomness, files, and the
//! office where the jobs of an exporter are administered and saved.
//!
//! There is no network in here. Most programs use `abyssale-blocking` or `abyssale-async`, which
//! show everything of it that a user needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod callback;
mod clock;
mod counters;
mod error;
mod fetch_only;
mod file;
mod handler;
pub mod office;
mod progress;
pub mod server;
mod settings;
mod store;
mod token;
pub mod trace;
#[cfg(feature = "unpack")]
pub mod unpack;

#[cfg(feature = "store")]
pub use self::store::FileStore;
pub use self::{
    callback::{Callback, CallbackSettings},
    clock::Clock,
    counters::{Counters, Counts},
    error::Error,
    fetch_only::fetch_only,
    file::{FileError, PartFile},
    handler::{Answer, Handler},
    office::Office,
    progress::{Observer, Progress},
    settings::{InvalidSetting, Settings},
    store::MemoryStore,
    token::{NoRandomness, random_token},
};
