//! Receiving: from the bytes of a delivery to an event that can be trusted.
//!
//! ```text
//!  method, target ──► CallbackEndpoint::receive ──► token (whose export?)
//!  headers, body  ──►      │
//!                          ├─► Verifier::verify ──► Verified ──► Event::parse ──► Event
//!                          └─► Reply: the status to answer, with the reason for our own log
//! ```
//!
//! | call | from | to |
//! |---|---|---|
//! | [`Verifier::verify`] | time, headers, raw body | [`Verified`], or a [`Refusal`] |
//! | [`Event::parse`] | [`Verified`] | [`Event`], or an [`EventError`] |
//! | [`sign`] | secret, time, body | the header's value: for tests and simulators |
//!
//! [`CallbackEndpoint`] does all of it. [`Verifier`] alone is for who only wants to know whether a delivery is
//! genuine; it needs no API key. An [`Event`] comes only out of a [`Verified`] body, so skipping the
//! check does not compile; who runs without a signing secret says so with
//! [`Verifier::accept_unsigned`].

mod endpoint;
mod event;
mod signature;

pub use endpoint::{Admitted, CallbackEndpoint, Delivery, MAX_DELIVERY, Reply};
pub use event::{Event, EventError, NewExport, OtherEvent};
pub use signature::{DELIVERY_ID_HEADER, Refusal, SIGNATURE_HEADER, Verified, Verifier, sign};
