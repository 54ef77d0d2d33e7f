//! Receiving deliveries: from the bytes of a request to a verified event (`PROTOCOL.md` §4, §5).
//!
//! ```text
//!  method, target ──► CallbackEndpoint::receive ──► token (of which job?)
//!  headers, body  ──►      │
//!                          ├─► Verifier::verify ──► Verified ──► Event::parse ──► Event
//!                          └─► Reply: the status to answer, and the reason for the log
//! ```
//!
//! | call | from | to |
//! |---|---|---|
//! | [`Verifier::verify`] | time, headers, raw body | [`Verified`], or a [`Refusal`] |
//! | [`Event::parse`] | [`Verified`] | [`Event`], or an [`EventError`] |
//! | [`sign`] | secret, time, body | the header's value, for tests and simulators |
//!
//! [`CallbackEndpoint`] does all of this. [`Verifier`] alone checks whether a delivery is genuine; it needs no API key. An
//! [`Event`] can only be parsed from a [`Verified`] body, so the check cannot be forgotten. A program without a signing
//! secret has to call [`Verifier::accept_unsigned`].

mod endpoint;
mod event;
mod signature;

pub use endpoint::{Admitted, CallbackEndpoint, Delivery, MAX_DELIVERY, Reply};
pub use event::{Event, EventError, NewExport, OtherEvent};
pub use signature::{DELIVERY_ID_HEADER, Refusal, SIGNATURE_HEADER, Verified, Verifier, sign};
