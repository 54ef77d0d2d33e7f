//! Knowing whether a byte of a request was sent: not by what an error looks like, but by having watched. And how long a
//! read may take after the head, which is not how long it may take before.
//!
//! An I/O error does not tell when it happened: an unreachable network, for one, is reported by a read on a connection
//! that stood, too. So our own agents connect through [`SentProbe`], which sits above TLS and notes the first byte of a
//! request that goes out.

use std::{cell::Cell, time::Duration};

use ureq::{
    Error,
    unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport},
};

thread_local! {
    /// Whether the call under way in this thread has begun to send. ureq sends in the thread that calls it.
    static BEGUN: Cell<bool> = const { Cell::new(false) };
    /// How long each read of the body may wait, once the head is there. It is read in the thread that called, too.
    static STALL: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Runs a call, and tells whether it began to send.
pub(crate) fn watch<T>(call: impl FnOnce() -> T) -> (T, bool) {
    BEGUN.set(false);
    STALL.set(None);
    let result = call();
    (result, BEGUN.get())
}

/// The head of the call's answer is there: from here on, each read may wait for so long.
pub(crate) fn stall_after_head(limit: Duration) {
    STALL.set(Some(limit));
}

/// The last link of a chain of connectors.
#[derive(Debug)]
pub(crate) struct SentProbe;

impl<In: Transport> Connector<In> for SentProbe {
    type Out = ProbedTransport<In>;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<ProbedTransport<In>>, Error> {
        Ok(chained.map(ProbedTransport))
    }
}

/// A connection that notes the first byte.
#[derive(Debug)]
pub(crate) struct ProbedTransport<T>(T);

impl<T: Transport> Transport for ProbedTransport<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        BEGUN.set(true);
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let per_read = STALL.get().map(Into::into).or(timeout.per_read);
        self.0.await_input(NextTimeout { per_read, ..timeout })
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}
