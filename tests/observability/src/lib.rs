//! A subscriber that keeps all that is said, and a search for a secret in every form that it may have taken.

#![allow(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a test that panics has failed")]

mod needle;
mod recorder;

pub use self::{
    needle::Needle,
    recorder::{Record, Recorder},
};
