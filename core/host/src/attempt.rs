//! The `tracing` span of one attempt at a call or a download, and the event that tells how the attempt ended.

use std::{error::Error as StdError, time::Instant};

use abyssale_core::{
    CallError, CallId, Sent,
    download::DownloadError,
    http::{Request, Response, Url},
};
use tracing::{Id, Span, debug, debug_span};

/// The span of a call or a download. Dropping it before its end logs that the attempt was given up.
#[derive(Debug)]
pub struct Attempt {
    timed: Timed,
    is_download: bool,
    is_over: bool,
}

impl Attempt {
    /// Begins a call. `call` is its id, if it belongs to a job.
    pub fn call(request: &Request, call: Option<CallId>) -> Self {
        let (endpoint, host) = (endpoint(request), request.url().host());
        let span = debug_span!(target: CALL, "call", endpoint, host, attempt = call.map(display));
        Self { timed: Timed::new(span), is_download: false, is_over: false }
    }

    /// Begins a download from this URL.
    pub fn download(url: &Url, call: CallId) -> Self {
        let span = debug_span!(target: DOWNLOAD, "download", host = url.host(), attempt = %call);
        Self { timed: Timed::new(span), is_download: true, is_over: false }
    }

    /// Returns the span.
    pub fn span(&self) -> &Span {
        &self.timed.span
    }

    /// Ends a call.
    pub fn answered(mut self, answer: &Result<Response, CallError>) {
        self.is_over = true;
        let (parent, duration_ms) = (self.timed.id(), self.timed.millis());
        match answer {
            Ok(Response { status, body, .. }) => {
                let bytes = body.len();
                debug!(target: CALL, parent: parent, status, bytes, duration_ms, "answered");
            }
            Err(CallError { sent, reason }) => {
                let reason = &**reason;
                debug!(target: CALL, parent: parent, ?sent, reason, duration_ms, "not answered");
            }
        }
    }

    /// Ends a download.
    pub fn downloaded(mut self, result: &Result<u64, DownloadError>) {
        self.is_over = true;
        let (parent, duration_ms) = (self.timed.id(), self.timed.millis());
        match result {
            Ok(bytes) => debug!(target: DOWNLOAD, parent: parent, bytes, duration_ms, "downloaded"),
            Err(DownloadError::Refused(Response { status, .. })) => {
                debug!(target: DOWNLOAD, parent: parent, status, duration_ms, "download refused");
            }
            Err(reason) => debug!(target: DOWNLOAD, parent: parent, %reason, duration_ms, "download failed"),
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let (parent, duration_ms) = (self.timed.id(), self.timed.millis());
        match (self.is_over, self.is_download) {
            (true, _) => {}
            (false, true) => debug!(target: DOWNLOAD, parent: parent, duration_ms, "download given up"),
            (false, false) => debug!(target: CALL, parent: parent, duration_ms, "call given up"),
        }
    }
}

/// Describes a call without an answer: the host and port, and the innermost cause of `error`.
///
/// The errors around that cause say only where in the HTTP library it came up.
pub fn no_answer(url: &Url, sent: Sent, error: &(dyn StdError + 'static)) -> CallError {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let (host, port) = (url.host(), url.port());
    let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let reason = match sent {
        Sent::Never => format!("cannot reach {address}: {cause}"),
        Sent::Maybe => format!("{address}: {cause}"),
    };
    CallError { sent, reason: reason.into() }
}

/// A span and the time since it began.
#[derive(Debug)]
pub(crate) struct Timed {
    pub(crate) span: Span,
    begun: Instant,
}

impl Timed {
    pub(crate) fn new(span: Span) -> Self {
        Self { span, begun: Instant::now() }
    }

    pub(crate) fn id(&self) -> Option<Id> {
        self.span.id()
    }

    pub(crate) fn millis(&self) -> u64 {
        millis_since(self.begun)
    }
}

pub(crate) fn millis_since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Returns the name of the endpoint, which the end of the path tells.
fn endpoint(request: &Request) -> &'static str {
    let path = request.url().path();
    let known = [
        ("/async/banners/export", "create_export"),
        ("/auth", "check_key"),
        ("/signing-secret", "signing_secret"),
        ("/signing-secret/rotate", "rotate_signing_secret"),
        ("/signing-secret/revoke", "revoke_signing_secret"),
    ];
    known
        .into_iter()
        .find(|(tail, _)| path.ends_with(tail))
        .map_or_else(|| if path.contains("/banners/") { "banner" } else { "another" }, |(_, name)| name)
}

const CALL: &str = "abyssale::call";
const DOWNLOAD: &str = "abyssale::download";
