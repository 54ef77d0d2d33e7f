//! Carrying out a request with ureq, under our own safety settings whatever the agent's are, and
//! telling what certainly was not sent from what may have been.

use std::{
    io::Read as _,
    time::{Duration, Instant},
};

use abyssale_core::{
    CallError, CallId, MAX_ANSWER, Sent,
    download::{DownloadError, DownloadLimits},
    http::{Request, Response, Url},
};
use abyssale_host::{Attempt, address_refusal, no_answer};
use ureq::{Agent, Body, Timeout, http};

use crate::sent_probe::{stall_after_head, watch};

/// An agent, and whether it is ours, so that what it sends can be watched.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) agent: Agent,
    pub(crate) is_own: bool,
    /// How long resolving may take, and connecting.
    pub(crate) connect: Duration,
}

/// Sends a request to the service and reads the answer, all within `timeout`.
///
/// On a fresh connection, since a pooled one may die under it; no redirect is followed, since the
/// request carries the key. `call` is its id, if it belongs to a job.
pub(crate) fn send(
    caller: &Caller,
    request: Request,
    timeout: Duration,
    call: Option<CallId>,
) -> Result<Response, CallError> {
    let attempt = Attempt::call(&request, call);
    let answer = attempt.span().in_scope(|| exchange(caller, request, timeout));
    attempt.answered(&answer);
    answer
}

fn exchange(caller: &Caller, request: Request, timeout: Duration) -> Result<Response, CallError> {
    if timeout.is_zero() {
        return Err(CallError { sent: Sent::Never, reason: "no time was left to send it".into() });
    }
    let url = request.url().clone();
    let request = into_http(request)?;
    let request = caller
        .agent
        .configure_request(request)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_idle_age(Duration::ZERO)
        .timeout_global(Some(timeout))
        // Well before the whole time is up, so that a service that cannot be reached is told from a lost answer.
        .timeout_resolve(Some(caller.connect.min(timeout / 3)))
        .timeout_connect(Some(caller.connect.min(timeout / 2)))
        .build();
    let (answered, begun) = watch(|| run(&caller.agent, request));
    let response = answered.map_err(|error| explain(&url, &error, begun, caller.is_own))?;
    Ok(response.map(read_bounded).into())
}

/// Begins a download: no limit on the whole time, but on the wait for the head and on each wait for a sign of life.
pub(crate) fn begin_download(
    caller: &Caller,
    request: Request,
    limits: DownloadLimits,
) -> Result<http::Response<Body>, DownloadError> {
    let DownloadLimits { first_byte_timeout: first_byte, stall_timeout: stall, .. } = limits;
    let interrupted = |error: CallError| DownloadError::Interrupted(error.reason);
    let url = request.url().clone();
    let request = into_http(request).map_err(interrupted)?;
    let request = caller
        .agent
        .configure_request(request)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_idle_age(Duration::ZERO)
        .timeout_global(None)
        .timeout_per_call(None)
        .timeout_recv_body(None)
        .timeout_resolve(Some(caller.connect.min(first_byte)))
        .timeout_connect(Some(caller.connect.min(first_byte)))
        .timeout_send_request(Some(first_byte))
        .timeout_recv_response(Some(first_byte))
        // Of the head's pieces, too; what watches our own agents makes it exact for those of the body.
        .timeout_per_read(Some(stall.max(first_byte)))
        .build();
    let (answered, begun) = watch(|| run(&caller.agent, request));
    stall_after_head(stall);
    answered.map_err(|error| {
        let refusal = if let ureq::Error::Io(cause) = &error { address_refusal(cause) } else { None };
        match refusal {
            Some(refusal) => DownloadError::Address(refusal.clone()),
            None => interrupted(explain(&url, &error, begun, caller.is_own)),
        }
    })
}

/// Reads at most [`MAX_ANSWER`] bytes, and for at most as long as an answer may take. If the body breaks off, what
/// came before is worth having: the status has said the main thing already.
pub(crate) fn read_bounded(body: Body) -> Vec<u8> {
    let deadline = Instant::now() + BODY;
    let mut reader = body.into_reader().take(MAX_ANSWER as u64);
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 8 << 10]);
    while Instant::now() < deadline {
        match reader.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => bytes.extend_from_slice(buffer.get(..read).unwrap_or_default()),
        }
    }
    bytes
}

/// Sends a GET without a body: an empty one is announced as `content-length: 0`, which some load balancers answer with
/// 400.
fn run(agent: &Agent, request: http::Request<Vec<u8>>) -> Result<http::Response<Body>, ureq::Error> {
    if request.method() == http::Method::GET { agent.run(request.map(drop)) } else { agent.run(request) }
}

fn into_http(request: Request) -> Result<http::Request<Vec<u8>>, CallError> {
    request
        .try_into()
        .map_err(|error: http::Error| CallError { sent: Sent::Never, reason: error.to_string().into() })
}

fn explain(url: &Url, error: &ureq::Error, begun: bool, is_own: bool) -> CallError {
    let never = if is_own { !begun } else { is_certainly_unsent(error) };
    let sent = if never { Sent::Never } else { Sent::Maybe };
    match error {
        // It would show the whole address.
        ureq::Error::RequireHttpsOnly(_) => CallError { sent, reason: "the agent allows https only".into() },
        ureq::Error::Io(error) => no_answer(url, sent, error),
        error => no_answer(url, sent, error),
    }
}

/// For a user's agent, which nobody watched: the errors that ureq can have only before it sends. An I/O error is none
/// of them, whatever its kind.
fn is_certainly_unsent(error: &ureq::Error) -> bool {
    use ureq::Error as E;
    match error {
        E::BadUri(_)
        | E::Http(_)
        | E::HostNotFound
        | E::InvalidProxyUrl
        | E::ConnectionFailed
        | E::ConnectProxyFailed(_)
        | E::RequireHttpsOnly(_)
        | E::TlsRequired
        | E::Timeout(Timeout::Resolve | Timeout::Connect) => true,
        E::Io(error) => {
            let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            matches!(tls, Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented))
        }
        _ => false,
    }
}

/// How long the body of a refused download may take.
const BODY: Duration = Duration::from_secs(30);
