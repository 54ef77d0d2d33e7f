//! What the examples of receiving have in common. Not an example itself.

/// The examples of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

mod certificate;
mod mounted;

pub use self::{
    certificate::Certificate,
    mounted::{endpoint, show},
};
