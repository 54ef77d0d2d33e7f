//! What the test programs share.

pub mod outside;
pub mod process;
