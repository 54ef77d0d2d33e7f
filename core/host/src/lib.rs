//! The part of the transports that needs an operating system but no network: settings from the environment, a clock,
//! randomness, files, the jobs of an exporter, and how they are saved.
//!
//! Programs use `abyssale-blocking` or `abyssale-async`, which re-export what a user needs of it.
//!
//! # Spans and events
//!
//! The transports emit these through [`tracing`](https://docs.rs/tracing). Without a subscriber they cost next to nothing.
//!
//! | what | level | target | fields |
//! |---|---|---|---|
//! | span `job` | INFO | `abyssale::job` | `job` `goal` `banners` `export_id` |
//! | job begun | INFO | `abyssale::job` | |
//! | job resumed | INFO | `abyssale::job` | |
//! | accepted | INFO | `abyssale::job` | `export_id` |
//! | event received | INFO | `abyssale::job` | `export_id` |
//! | retrying | WARN | `abyssale::job` | `retry` `after_ms` `reason` |
//! | outcome unknown | WARN | `abyssale::job` | `reason` |
//! | delivery not taken | WARN | `abyssale::job` | `reason` |
//! | conflicting event ignored | WARN | `abyssale::job` | `export_id` |
//! | job done | INFO | `abyssale::job` | `bytes` `duration_ms` |
//! | job failed | INFO | `abyssale::job` | `failure` `duration_ms` |
//! | job given up | INFO | `abyssale::job` | `duration_ms` |
//! | span `call` | DEBUG | `abyssale::call` | `endpoint` `host` `attempt` |
//! | answered | DEBUG | `abyssale::call` | `status` `bytes` `duration_ms` |
//! | not answered | DEBUG | `abyssale::call` | `sent` `reason` `duration_ms` |
//! | call given up | DEBUG | `abyssale::call` | `duration_ms` |
//! | span `download` | DEBUG | `abyssale::download` | `host` `attempt` |
//! | receiving | DEBUG | `abyssale::download` | `resumed_from` `total` |
//! | received | TRACE | `abyssale::download` | `bytes` |
//! | downloaded | DEBUG | `abyssale::download` | `bytes` `duration_ms` |
//! | download refused | DEBUG | `abyssale::download` | `status` `duration_ms` |
//! | download failed | DEBUG | `abyssale::download` | `reason` `duration_ms` |
//! | download given up | DEBUG | `abyssale::download` | `duration_ms` |
//! | span `delivery` | INFO | `abyssale::delivery` | `delivery_id` `export_id` `event_type` |
//! | delivery acknowledged | DEBUG | `abyssale::delivery` | `duration_ms` |
//! | delivery refused | WARN | `abyssale::delivery` | `status` `refusal` |
//! | request refused | DEBUG | `abyssale::delivery` | `status` `refusal` |
//! | connection turned away | WARN | `abyssale::listener` | |
//! | connection not accepted | WARN | `abyssale::listener` | `reason` |
//! | connection made room | DEBUG | `abyssale::listener` | |
//! | callback without TLS | WARN | `abyssale::exporter` | `host` |
//! | jobs saved | TRACE | `abyssale::store` | `jobs` `duration_ms` |
//! | jobs not saved | WARN | `abyssale::store` | `jobs` `reason` |
//!
//! `job` is the id of the job in the store; a job of a `Client` has none. `attempt` counts the requests of a job from 0,
//! downloads included. `duration_ms` is the time since the job, call, download or delivery began, or that a write took.
//! The spans of calls and downloads are inside the span of their job. The span of a delivery is not, because the
//! delivery tells which job it is for.
//!
//! A failed job is `INFO`: its error is returned to the caller, who knows how serious it is. A refused delivery is `WARN`
//! where an operator can do something about it, such as a wrong secret or clock. Because a stranger can cause it too, it is
//! `WARN` at most once a second for each kind of refusal and `DEBUG` otherwise. A request that cannot be a delivery is
//! `DEBUG`.
//!
//! No field holds a secret. Of a callback URL and of an archive's URL there is the host at most. Text from a peer is
//! shortened and printable, as in the errors.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod attempt;
mod callback;
mod check;
mod clock;
pub mod connections;
mod counters;
mod download_file;
mod download_only;
mod error;
mod jobs;
mod listener_settings;
mod missing;
mod pace;
mod progress;
mod receiver;
mod resolved;
mod settings;
mod store;
mod token;
#[cfg(feature = "unpack")]
pub mod unpack;

#[cfg(feature = "store")]
pub use self::store::{FileStore, Salvage};
pub use self::{
    attempt::{Attempt, no_answer},
    callback::{Callback, CallbackSettings},
    check::{CallbackCheck, Finding, check_folder, check_service},
    clock::Clock,
    counters::{Counters, Counts},
    download_file::DownloadFile,
    download_only::download_only,
    error::Error,
    jobs::{Jobs, RunningJob, StoredJob},
    listener_settings::{DELIVERY_TIMEOUT, ListenerSettings},
    missing::{BannerLookups, LookUp, MissingBanners, count_files},
    progress::{Observer, Progress},
    receiver::{Answer, Deliveries, Handler, Taken},
    resolved::{address_refusal, allowed_addresses},
    settings::{InvalidSetting, Settings},
    store::MemoryStore,
    token::{NoRandomness, random_token},
};
