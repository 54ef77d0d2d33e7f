//! What both transports need of an operating system, so that neither repeats the other and core
//! stays free of it: settings from the environment, a clock, randomness, files, and the
//! switchboard that brings deliveries to the jobs that wait for them.
//!
//! There is no network in here. Most programs use `abyssale-blocking` or `abyssale-async`, which
//! show everything of it that a user needs.

mod callback;
mod clock;
mod error;
mod fetch_only;
mod file;
mod progress;
mod settings;
mod switchboard;
mod token;
#[cfg(feature = "unpack")]
pub mod unpack;

pub use self::{
    callback::{Callback, CallbackSettings},
    clock::Clock,
    error::Error,
    fetch_only::fetch_only,
    file::{FileError, PartFile},
    progress::{Observer, Progress},
    settings::{InvalidSetting, Settings},
    switchboard::{Handler, Mailbox, Registration, Switchboard},
    token::{NoRandomness, random_token},
};
