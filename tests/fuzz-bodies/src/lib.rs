//! The bodies of the fuzz targets: what has to hold for any input whatever.
//!
//! `fuzz/` holds nothing but their entry points, because it builds with nightly and a sanitizer. Here
//! they build on stable, so that `cargo test` replays the corpus and the tests of `tests/` can use
//! the same generator of Python values.

mod archive_headers;
mod delivery;
mod error_response;
mod export_machine;
pub mod python;
mod signature_header;
mod strict;
mod validation;

pub use self::{
    archive_headers::archive_headers,
    delivery::delivery,
    error_response::error_response,
    export_machine::export_machine,
    signature_header::signature_header,
    validation::{validation_json, validation_repr, validation_round_trip},
};

/// A target by its name, which is also the name of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 8] = [
    ("archive_headers", archive_headers),
    ("delivery", delivery),
    ("error_response", error_response),
    ("export_machine", export_machine),
    ("signature_header", signature_header),
    ("validation_json", validation_json),
    ("validation_repr", validation_repr),
    ("validation_round_trip", validation_round_trip),
];
