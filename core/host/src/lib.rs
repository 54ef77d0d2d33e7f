//! What both transports need of an operating system, so that neither repeats the other and core
//! stays free of it: settings from the environment, a clock, randomness, files, and the
//! jobs of an exporter and how they are saved.
//!
//! There is no network in here. Most programs use `abyssale-blocking` or `abyssale-async`, which
//! show everything of it that a user needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod callback;
mod clock;
pub mod connections;
mod counters;
mod download_file;
mod download_only;
mod error;
mod jobs;
mod listener_settings;
mod progress;
mod receiver;
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
    download_file::DownloadFile,
    download_only::download_only,
    error::Error,
    jobs::{Jobs, RunningJob, StoredJob},
    listener_settings::{DELIVERY_TIMEOUT, ListenerSettings},
    progress::{Observer, Progress},
    receiver::{Answer, Deliveries, Handler, Taken},
    settings::{InvalidSetting, Settings},
    store::MemoryStore,
    token::{NoRandomness, random_token},
};
