//! A server that behaves, and misbehaves, like Abyssale's export service.
//!
//! It is a real HTTP server on a loopback address: it checks the API key, validates the body in either of the service's
//! two dialects, draws the banners, packs them, delivers the signed `NewExport` event with retries, and serves the
//! archive with ranges and validators. A script of [`Trouble`] says which request is to go wrong, and how.
//!
//! It shares no code with `abyssale-core`, on purpose: a simulator that parsed and signed with the library's own code
//! would agree with its mistakes. Signing, validation and ranges are therefore written here a second time, from the
//! protocol.
//!
//! ```
//! use abyssale_simulator::{Config, DEMO_BANNERS, Simulator};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let simulator = Simulator::start(Config {
//!     time_scale: 0.001, // the hours between deliveries become seconds
//!     troubles: vec!["create:status=503:accepted".parse()?, "event:twice".parse()?],
//!     ..Config::default()
//! })?;
//! let (address, key, banner) = (simulator.base_url(), simulator.api_key(), &DEMO_BANNERS[0].id);
//! # let _ = (address, key, banner);
//! // ... ask for an export of the banner with the client under test, then see what it did:
//! # let patience = Duration::ZERO;
//! let answered = simulator.wait_until(patience, |seen| seen.requests.first()?.answered);
//! # assert_eq!(answered, None);
//! # Ok(())
//! # }
//! ```
//!
//! A request is logged when it has been read and an export when it is accepted, each before anything is answered; a
//! delivery is logged when its attempt has ended.
//!
//! # Safety of the machine it runs on
//! It listens on loopback only and delivers to loopback only: anything else is refused, and recorded as refused.
//! Everything is bounded: bodies, connections, records kept, the life of a connection. Dropping the [`Simulator`] ends
//! its thread.

mod api;
mod archive;
mod banner;
mod canvas;
mod clock;
mod config;
mod delivery;
mod draw;
mod encode;
mod envelope;
mod event;
mod exchange;
mod journal;
mod legacy;
mod lettering;
mod mint;
mod pack;
mod program;
mod range;
mod rate;
mod refusal;
mod reply;
mod secrets;
mod server;
mod shared;
mod shelf;
mod simulator;
mod storage;
mod synthetic;
mod trouble;
mod validate;
mod wire;

pub use archive::Contents;
pub use banner::{Banner, DEMO_BANNERS, PictureFormat};
pub use config::{Config, DEFAULT_API_KEY, Dialect, UnknownBanners};
pub use journal::{DeliveryRecord, ExportRecord, Notice, Outcome, RequestRecord, Seen};
pub use program::run;
pub use simulator::{Simulator, StartError};
pub use trouble::{
    Answer, AnswerBody, ArchiveTrouble, CreateTrouble, EventShape, EventTrouble, GRAMMAR, Gateway, NotYet,
    RetryAfter, Trouble, TroubleError,
};
