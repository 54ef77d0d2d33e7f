//! Carrying out a request with hyper, under our own safety settings whatever the client's are, and
//! telling what certainly was not sent from what may have been.

use std::{error::Error as StdError, fmt, future::Future, io, pin::Pin, sync::Arc, time::Duration};

use abyssale_core::{
    CallError, CallId, Config, MAX_ANSWER, Sent,
    archive::{ArchivePolicy, ArchiveUrlError},
    download::DownloadError,
    http::Request,
};
use abyssale_host::{Attempt, Error, address_refusal, no_answer};
use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{
        self, Client,
        connect::{Connect, HttpConnector, capture_connection},
    },
    rt::TokioExecutor,
};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use crate::{connect::Within, resolver::GuardedResolver, tls};

/// Any hyper client, whatever it connects with.
pub(crate) trait HttpClient: fmt::Debug + Send + Sync {
    fn request(&self, request: http::Request<Full<Bytes>>) -> Answering;
}

pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Response<Incoming>, legacy::Error>> + Send>>;

impl<C: Connect + Clone + Send + Sync + 'static> HttpClient for Client<C, Full<Bytes>> {
    fn request(&self, request: http::Request<Full<Bytes>>) -> Answering {
        Box::pin(Self::request(self, request))
    }
}

/// Our own clients, for the service and for archives: no pool, so that every request has a fresh
/// connection, no proxy, and the operating system's certificates.
pub(crate) fn clients(config: &Config) -> Result<[Arc<dyn HttpClient>; 2], Error> {
    let (base, limit) = (config.endpoint.base_url(), config.connect_timeout);
    let tls = tls::client_config(base)?;
    let mut anywhere = ArchivePolicy::default();
    anywhere.allow_private = true;
    // The service is where the settings say, so only archives are held to the policy.
    let client = |policy: &ArchivePolicy| -> Arc<dyn HttpClient> {
        let mut connector =
            HttpConnector::new_with_resolver(GuardedResolver::new(policy.clone(), base.clone()));
        connector.enforce_http(false);
        // Shared out among the addresses of a name.
        connector.set_connect_timeout(Some(limit));
        connector.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_max_idle_per_host(0).retry_canceled_requests(false).http1_max_headers(MAX_FIELDS);
        Arc::new(builder.build::<_, Full<Bytes>>(Within::new(limit, connector)))
    };
    Ok([client(&anywhere), client(&config.archive)])
}

/// Sends a request to the service and reads the answer, all within `limit`.
///
/// `call` is its id, if it belongs to a job.
pub(crate) async fn send(
    client: &dyn HttpClient,
    request: Request,
    limit: Duration,
    call: Option<CallId>,
) -> Result<abyssale_core::http::Response, CallError> {
    let attempt = Attempt::call(&request, call);
    let answer = exchange(client, request, limit).instrument(attempt.span().clone()).await;
    attempt.answered(&answer);
    answer
}

async fn exchange(
    client: &dyn HttpClient,
    request: Request,
    limit: Duration,
) -> Result<abyssale_core::http::Response, CallError> {
    let deadline = Instant::now() + limit.min(FOREVER);
    let response = begin(client, request, deadline).await?;
    let (parts, body) = response.into_parts();
    let body = read_bounded(body, deadline).await;
    Ok(Response::from_parts(parts, body).into())
}

/// Sends a request and waits for the head of the answer until `deadline`.
pub(crate) async fn begin(
    client: &dyn HttpClient,
    request: Request,
    deadline: Instant,
) -> Result<Response<Incoming>, NoAnswer> {
    let url = request.url().clone();
    let request: http::Request<Vec<u8>> = request
        .try_into()
        .map_err(|error: http::Error| CallError { sent: Sent::Never, reason: error.to_string().into() })?;
    let mut request = request.map(|body| Full::new(body.into()));
    // A user's client may have a pool: nothing of ours is to be found in it by the next request.
    request.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    // Told of the connection just before the request goes out on it: the one moment that divides what was certainly
    // not sent from what may have been, whatever went wrong.
    let watched = capture_connection(&mut request);
    let sent = || if watched.connection_metadata().is_some() { Sent::Maybe } else { Sent::Never };
    match timeout_at(deadline, client.request(request)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => {
            let sent = if error.is_connect() { Sent::Never } else { sent() };
            let refusal = address_refusal(&error).cloned();
            Err(NoAnswer { error: no_answer(&url, sent, &error), refusal })
        }
        Err(_) => Err(no_answer(&url, sent(), &io::Error::from(io::ErrorKind::TimedOut)).into()),
    }
}

/// Why there is no answer.
pub(crate) struct NoAnswer {
    error: CallError,
    /// Why archives may not come from the host's addresses, if that is the reason.
    refusal: Option<ArchiveUrlError>,
}

impl From<CallError> for NoAnswer {
    fn from(error: CallError) -> Self {
        Self { error, refusal: None }
    }
}

impl From<NoAnswer> for CallError {
    fn from(no_answer: NoAnswer) -> Self {
        no_answer.error
    }
}

impl From<NoAnswer> for DownloadError {
    fn from(NoAnswer { error, refusal }: NoAnswer) -> Self {
        refusal.map_or(Self::Interrupted(error.reason), Self::Address)
    }
}

/// Reads at most [`MAX_ANSWER`] bytes. If the body breaks off or takes too long, what came before is
/// worth having: the status has said the main thing already.
pub(crate) async fn read_bounded(mut body: Incoming, deadline: Instant) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await {
        let Ok(piece) = frame.into_data() else { continue };
        let room = MAX_ANSWER - bytes.len();
        bytes.extend_from_slice(piece.get(..room).unwrap_or(&piece));
        if bytes.len() == MAX_ANSWER {
            break;
        }
    }
    bytes
}

/// hyper's errors say little themselves; what went wrong is in their causes.
pub(crate) fn with_causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.ends_with(&reason) {
            text.push_str(": ");
            text.push_str(&reason);
        }
        cause = error.source();
    }
    text
}

/// The most header fields of an answer.
const MAX_FIELDS: usize = 128;
/// Keeps a duration without end from overflowing the clock.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);
