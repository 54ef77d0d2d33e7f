//! The little of HTTP that the protocol needs, as plain types of our own.
//!
//! The `http` crate forces std, so core has a complete, inert [`Request`], a [`Response`] that was
//! read, a look-up trait for the [`Headers`] of an answer or a delivery, and a checked [`Url`]. The feature `http` converts.

mod date;
mod encode;
mod headers;
mod join;
mod request;
mod response;
mod url;

pub(crate) use date::parse_http_date;
pub(crate) use encode::encoded as encoded_reference;
#[cfg(feature = "http1")]
pub(crate) use headers::is_named;
pub use headers::{Headers, Repeated};
pub use request::{Method, Request};
pub use response::Response;
pub use url::{InvalidUrl, Scheme, Url};
