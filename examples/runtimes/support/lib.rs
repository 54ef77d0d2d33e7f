//! What the examples of this folder share, so that each of them shows its own I/O and nothing else.
//!
//! A [`Stage`] says who plays the service and what is asked for. An [`Attempt`] is one request under way: it has the bytes
//! to send, takes the bytes that come, and knows what to tell the job. An [`Inbox`] is a callback address for programs
//! that may not wait. None of it opens a connection: that is the runtime's part.

mod attempt;
mod http;
mod inbox;
mod stage;

pub use self::{
    attempt::Attempt,
    http::{DeliveryReader, Incoming, answer},
    inbox::Inbox,
    stage::{Message, Stage},
};

/// How long a delivery may take to arrive, from its connection on.
pub const DELIVERY: std::time::Duration = std::time::Duration::from_secs(12);
