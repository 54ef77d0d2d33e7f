//! What the listeners of both transports share: the whole of a small, strict HTTP/1.1 server but its socket.
//!
//! ```text
//!   bytes, time ──► Conversation ──► read · write · handle this request · close
//!                     │ core's http1: what could be framed in two ways is refused
//!   an address ──► Places ──► a place, or none; whoever dawdles makes room
//!   two files ──► Tls ──► a certificate that is read again when it changes
//! ```
//!
//! Nothing here reads or writes a socket, so both transports answer alike, and tests and fuzzers need no network.

mod conversation;
mod memory;
mod places;
mod settings;
mod tls;

pub use self::{
    conversation::{Conversation, Request, Step},
    memory::Memory,
    places::{End, Phase, Place, Places},
    settings::ListenerSettings,
    tls::{Tls, TlsFiles},
};
