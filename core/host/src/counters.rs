//! What has come of the requests to a callback address, in figures that a program can read at any time.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use abyssale_core::webhook::{Refusal, Reply};

use tracing::{debug, warn};

use crate::pace::Pace;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// How often each thing has happened since the receiver was made.
        ///
        /// A snapshot: while requests arrive, two figures may be of different moments.
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        #[non_exhaustive]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// Counts. Shared by the receiver's clones and its listeners.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($name: AtomicU64,)*
            pace: Pace,
        }

        impl Counters {
            /// The figures at this moment.
            pub fn read(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Answered 200: an event that was taken, was known already, or is none of our concern.
    acknowledged,
    /// Answered 400: genuine, and not an event that can be read.
    unreadable,
    /// Answered 401: neither a signature nor a delivery id.
    missing,
    /// Answered 401: a signature of another form.
    malformed,
    /// Answered 401: a signature too far from the present.
    stale,
    /// Answered 401: a signature that fits no secret and body.
    mismatch,
    /// Answered 401: a delivery without the signature that is required.
    unsigned,
    /// Answered 404: another path, or a token that nobody waits for.
    not_found,
    /// Answered 405.
    not_post,
    /// Answered 408, or cut off: the request took too long, or broke off.
    too_slow,
    /// Answered 413.
    too_large,
    /// Answered 415.
    encoded,
    /// Answered 429: no room to keep the event.
    no_room,
    /// Answered 503: shutting down, or not saved.
    unavailable,
    /// Answered 400 or 431 by a listener: not an HTTP request, or one whose head is too long.
    bad_request,
    /// Connections that a listener accepted.
    connections,
    /// Connections that a listener closed at once, because their address had as many as it may have.
    turned_away,
    /// Connections that a listener cut off to make room for others.
    made_room,
    /// Times that a listener could not accept a connection, or start a thread for it: the process had no descriptor left,
    /// most likely, or no memory.
    not_accepted,
}

impl Counters {
    /// An answer that was given.
    pub fn reply(&self, reply: &Reply) {
        increase(match reply {
            Reply::Acknowledged => &self.acknowledged,
            Reply::BadEvent(_) => &self.unreadable,
            Reply::Unauthorized(Refusal::Missing) => &self.missing,
            Reply::Unauthorized(Refusal::Malformed) => &self.malformed,
            Reply::Unauthorized(Refusal::Stale { .. }) => &self.stale,
            Reply::Unauthorized(Refusal::Unsigned) => &self.unsigned,
            Reply::Unauthorized(_) => &self.mismatch,
            Reply::NotFound => &self.not_found,
            Reply::MethodNotAllowed => &self.not_post,
            Reply::TooSlow => &self.too_slow,
            Reply::TooLarge => &self.too_large,
            Reply::UnsupportedEncoding => &self.encoded,
            Reply::NoRoom => &self.no_room,
            _ => &self.unavailable,
        });
        if *reply == Reply::Acknowledged {
            return;
        }
        let status = reply.status();
        if self.pace.allows(reply) {
            warn!(target: DELIVERY, status, refusal = %reply, "delivery refused");
        } else {
            debug!(target: DELIVERY, status, refusal = %reply, "request refused");
        }
    }

    /// An answer to what is no request, with this status.
    pub fn bad_request(&self, status: u16) {
        increase(&self.bad_request);
        debug!(target: DELIVERY, status, refusal = "not an HTTP request", "request refused");
    }

    pub(crate) fn connection(&self) {
        increase(&self.connections);
    }

    pub(crate) fn turned_away(&self) {
        increase(&self.turned_away);
        if self.pace.allows_connection() {
            warn!(target: LISTENER, "connection turned away");
        }
    }

    pub(crate) fn made_room(&self) {
        increase(&self.made_room);
        debug!(target: LISTENER, "connection made room");
    }

    pub(crate) fn not_accepted(&self, reason: &io::Error) {
        increase(&self.not_accepted);
        if self.pace.allows_accepting() {
            warn!(target: LISTENER, %reason, "connection not accepted");
        }
    }
}

fn increase(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

const DELIVERY: &str = "abyssale::delivery";
const LISTENER: &str = "abyssale::listener";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_a_figure_of_its_own() {
        let counters = Counters::default();
        let replies = [
            Reply::Acknowledged,
            Reply::Unauthorized(Refusal::Missing),
            Reply::Unauthorized(Refusal::Malformed),
            Reply::Unauthorized(Refusal::Stale { ahead_secs: 301 }),
            Reply::Unauthorized(Refusal::Mismatch),
            Reply::Unauthorized(Refusal::Unsigned),
            Reply::NotFound,
            Reply::MethodNotAllowed,
            Reply::TooSlow,
            Reply::TooLarge,
            Reply::UnsupportedEncoding,
            Reply::NoRoom,
            Reply::Unavailable,
        ];
        let mut before = counters.read();
        for reply in replies {
            counters.reply(&reply);
            let after = counters.read();
            assert_ne!(before, after, "{reply:?}");
            before = after;
        }
        let all = format!("{before:?}");
        assert_eq!(all.matches(": 1").count(), 13, "{all}");
    }
}
