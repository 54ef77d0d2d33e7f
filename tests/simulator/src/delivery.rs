//! One delivery of one event: the same body and delivery id on every attempt, signed anew each time, until the receiver
//! says 2xx or the ladder ends. Goes to loopback addresses only: nothing a test writes into a callback address may
//! make this machine speak to another.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::journal::{DeliveryRecord, Notice, Outcome};
use crate::secrets::signature_header;
use crate::shared::Shared;

/// One delivery.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) id: String,
    pub(crate) export_id: String,
    pub(crate) callback_url: String,
    pub(crate) body: String,
    pub(crate) signed: Signed,
    /// Whether the service's own header fields are sent twice.
    pub(crate) repeats_headers: bool,
}

/// How a delivery is signed, where the workspace signs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signed {
    Truly,
    /// With a secret that is not the workspace's.
    ByAnother,
    /// With the secret before the last rotation.
    Late,
    /// By a clock that is so many seconds ahead.
    At(i64),
}

/// Why an attempt got no answer.
#[derive(Debug, thiserror::Error)]
enum DeliveryError {
    #[error("the callback address cannot be read")]
    Address,
    #[error("only plain http is spoken here")]
    NotHttp,
    #[error("refused to deliver to {0}: not a loopback address")]
    NotLoopback(String),
    #[error("no connection: {0}")]
    Connect(#[from] std::io::Error),
    #[error("no answer: {0}")]
    Exchange(#[from] hyper::Error),
    #[error("the request cannot be written: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("no answer in time")]
    TimedOut,
}

impl Delivery {
    /// Every attempt after the first, with the waits before them; `all` goes on after a 2xx.
    pub(crate) async fn climb(&self, shared: &Shared, all: bool) {
        for (wait, attempt) in shared.config.ladder.iter().zip(2..) {
            sleep(shared.config.scaled(*wait)).await;
            if self.attempt(shared, attempt).await && !all {
                return;
            }
        }
    }

    /// One attempt; whether the receiver has taken the event.
    pub(crate) async fn attempt(&self, shared: &Shared, attempt: u32) -> bool {
        // The semaphore is never closed; if it were, one more delivery would do no harm.
        let _courier = shared.couriers.acquire().await;
        let signature = self.sign(shared);
        let sent = timeout(shared.config.delivery_timeout, self.send(signature.as_deref())).await;
        let outcome = match sent.unwrap_or(Err(DeliveryError::TimedOut)) {
            Ok(status) => Outcome::Answered(status),
            Err(error) => Outcome::Failed(error.to_string()),
        };
        let taken = outcome.is_acknowledged();
        let record = DeliveryRecord {
            export_id: self.export_id.clone(),
            delivery_id: self.id.clone(),
            attempt,
            callback_url: self.callback_url.clone(),
            body: self.body.clone(),
            signature,
            outcome,
        };
        shared.observe(Notice::Delivery(&record));
        shared.journal.delivery(record);
        taken
    }

    fn sign(&self, shared: &Shared) -> Option<String> {
        let now = SystemTime::now();
        let body = self.body.as_bytes();
        match self.signed {
            Signed::Truly => shared.secrets().sign(body, now),
            Signed::ByAnother => {
                let secret = shared.mint.secret();
                Some(signature_header([secret.as_str()].into_iter(), body, now))
            }
            Signed::Late => shared.secrets().sign_late(body, now),
            Signed::At(seconds) => {
                let by = Duration::from_secs(seconds.unsigned_abs());
                let then = if seconds < 0 { now.checked_sub(by) } else { now.checked_add(by) };
                shared.secrets().sign(body, then.unwrap_or(now))
            }
        }
    }

    async fn send(&self, signature: Option<&str>) -> Result<u16, DeliveryError> {
        let uri: Uri = self.callback_url.parse().map_err(|_| DeliveryError::Address)?;
        let address = loopback(&uri)?;
        let mut request = Request::post(uri.path_and_query().map_or("/", |path| path.as_str()))
            .header(HOST, uri.authority().map_or("", |authority| authority.as_str()))
            .header(USER_AGENT, concat!("abyssale-simulator/", env!("CARGO_PKG_VERSION")));
        let times = if self.repeats_headers { 2 } else { 1 };
        for _ in 0..times {
            request =
                request.header(CONTENT_TYPE, "application/json").header("x-abyssale-delivery-id", &self.id);
            if let Some(signature) = signature {
                request = request.header("x-abyssale-signature", signature);
            }
        }
        let request = request.body(Full::new(Bytes::from(self.body.clone())))?;
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let exchange = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status().as_u16();
            // Read to its end, so that the receiver is not cut off in the middle; what it says is of no interest.
            let _ = Limited::new(answer.into_body(), ANSWER_READ).collect().await;
            Ok(status)
        };
        tokio::pin!(exchange);
        tokio::select! {
            answered = &mut exchange => answered,
            // A connection that ends by itself has handed its answer, or its error, to the exchange.
            _ = connection => exchange.await,
        }
    }
}

/// Where to connect. Names other than `localhost` are not resolved: that alone would ask another machine.
fn loopback(uri: &Uri) -> Result<SocketAddr, DeliveryError> {
    if uri.scheme_str() != Some("http") {
        return Err(DeliveryError::NotHttp);
    }
    let host = uri.host().unwrap_or_default();
    let address = match host.trim_matches(['[', ']']) {
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        literal => literal.parse().ok(),
    };
    match address.filter(IpAddr::is_loopback) {
        Some(address) => Ok(SocketAddr::new(address, uri.port_u16().unwrap_or(80))),
        None => Err(DeliveryError::NotLoopback(host.to_owned())),
    }
}

const ANSWER_READ: usize = 64 * 1024;
