//! The HTTP types that the protocol needs: a complete [`Request`], a [`Response`], the [`Headers`] of an answer or a
//! delivery, and a checked [`Url`].
//!
//! The `http` crate requires std, so these are types of this crate. The feature `http` converts them.

mod date;
mod encode;
mod headers;
mod join;
mod request;
mod response;
mod url;

pub(crate) use date::parse_http_date;
pub(crate) use encode::encoded as encoded_reference;
pub use headers::{Headers, Repeated};
pub use request::{Method, Request};
pub use response::Response;
pub use url::{InvalidUrl, Scheme, Url};
