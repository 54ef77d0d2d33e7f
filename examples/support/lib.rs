//! What the examples of receiving have in common. Not an example itself.

/// The examples of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The recipes for proxies, clusters and functions.
#[cfg(doctest)]
#[doc = include_str!("../DEPLOYING.md")]
struct Deploying;

mod certificate;
mod mounted;

pub use self::{
    certificate::Certificate,
    mounted::{endpoint, show},
};
