//! Counters of the replies to requests at a callback URL, and of a listener's connections.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use abyssale_core::webhook::{Refusal, Reply};

use tracing::{debug, warn};

use crate::pace::Pace;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters of a receiver since it was created.
        ///
        /// While requests arrive, two of them may be of different moments.
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        #[non_exhaustive]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// Counts replies and connections. The receiver's clones and its listeners share one.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($name: AtomicU64,)*
            pace: Pace,
        }

        impl Counters {
            /// Returns the counters at this moment.
            pub fn read(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Answered 200: the event was taken, was known already, or concerns no job of this program.
    acknowledged,
    /// Answered 400: genuine, but the event cannot be parsed.
    unreadable,
    /// Answered 401: neither a signature nor a delivery id.
    missing,
    /// Answered 401: the signature is malformed.
    malformed,
    /// Answered 401: signed too long ago, or in the future.
    stale,
    /// Answered 401: the signature fits none of the secrets.
    mismatch,
    /// Answered 401: unsigned, and a signature is required.
    unsigned,
    /// Answered 404: another path, or a token that no job has.
    not_found,
    /// Answered 405: not a POST.
    not_post,
    /// Answered 408, or cut off: the request took too long, or broke off.
    too_slow,
    /// Answered 413: the body is too large.
    too_large,
    /// Answered 415: the body is encoded.
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
    /// How often a listener could not accept a connection or start a thread for it, most likely because the process has no
    /// descriptor or memory left.
    not_accepted,
}

impl Counters {
    /// Counts a reply.
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

    /// Counts an answer with this status to bytes that are no HTTP request.
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
