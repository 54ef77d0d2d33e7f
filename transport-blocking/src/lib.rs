//! Abyssale exports from synchronous programs: banner ids in, a ZIP archive on disk out.
//!
//! Threads and ureq; no runtime. The same interface, asynchronous, is `abyssale-async`.
//!
//! ```no_run
//! use abyssale_blocking::Exporter;
//!
//! let exporter = Exporter::builder()                       // key from ABYSSALE_API_KEY unless given
//!     .callback("https://hooks.example.com/abyssale")      // what the service calls
//!     .listen("0.0.0.0:8080")                              // where we answer it
//!     .build()?;
//! let archive = exporter.export(["64238d01-d402-474b-8c2d-fbc957e9d290"])?.save_to("banners.zip")?;
//! println!("{} bytes in {}", archive.bytes(), archive.path().display());
//! # Ok::<(), abyssale_blocking::Error>(())
//! ```
//!
//! | to | use |
//! |---|---|
//! | get archives | [`Exporter`] |
//! | make one call at a time | [`Client`] |
//! | receive deliveries, without exports of your own | [`Receiver`] |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod client;
mod connection;
mod download;
mod drive;
mod exporter;
mod in_turns;
mod job;
mod listener;
mod receiver;
mod resolver;
mod send;
mod sent_probe;
mod timed;
mod tls;

// The public interface.
pub use self::{
    client::{Client, ClientBuilder},
    exporter::{Exporter, ExporterBuilder},
    job::{Archive, Job, Outcome, Resumed},
    listener::Listener,
    receiver::Receiver,
};
pub use abyssale_core as protocol;
pub use abyssale_core::{Limits, Store, StoreError};
#[cfg(feature = "unpack")]
pub use abyssale_host::unpack;
pub use abyssale_host::{
    Counts, Error, Finding, Handler, InvalidSetting, ListenerSettings, MemoryStore, MissingBanners, Observer,
    Progress, Settings,
};
#[cfg(feature = "store")]
pub use abyssale_host::{FileStore, Salvage};

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
