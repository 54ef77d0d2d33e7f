//! The receiver as a tower service, for axum, hyper and whatever else speaks tower.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use abyssale_core::webhook::{MAX_DELIVERY, Reply};
use bytes::{Buf as _, Bytes};
use http::{HeaderValue, Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use crate::Receiver;

/// Answers deliveries as a [`tower_service::Service`].
///
/// In axum: `Router::new().route_service("/abyssale/{token}", exporter.service())`.
#[derive(Clone, Debug)]
pub struct ReceiverService {
    receiver: Receiver,
}

impl ReceiverService {
    pub(crate) fn new(receiver: Receiver) -> Self {
        Self { receiver }
    }
}

impl<B> Service<Request<B>> for ReceiverService
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let receiver = self.receiver.clone();
        Box::pin(async move { Ok(answer(receive(&receiver, request).await.status())) })
    }
}

/// An answer that is nothing but a status.
fn answer(status: u16) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    if status == 405 {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

async fn receive<B: Body>(receiver: &Receiver, request: Request<B>) -> Reply {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    if let Err(reply) = receiver.admit(parts.method.as_str(), target, &parts.headers) {
        return reply;
    }
    match read_body(body, Instant::now() + BODY).await {
        Ok(body) => receiver.receive(parts.method.as_str(), target, &parts.headers, &body).await,
        Err(reply) => {
            receiver.counters().reply(&reply);
            reply
        }
    }
}

async fn read_body<B: Body>(body: B, deadline: Instant) -> Result<Vec<u8>, Reply> {
    let mut body = std::pin::pin!(body);
    let mut bytes = Vec::new();
    loop {
        let mut piece = match timeout_at(deadline, body.frame()).await {
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(piece) => piece,
                Err(_trailers) => continue,
            },
            Ok(None) => return Ok(bytes),
            // It broke off, or took too long: either way it did not come to its end.
            Ok(Some(Err(_))) | Err(_) => return Err(Reply::TooSlow),
        };
        if piece.remaining() > MAX_DELIVERY - bytes.len() {
            return Err(Reply::TooLarge);
        }
        while piece.has_remaining() {
            let chunk = piece.chunk();
            bytes.extend_from_slice(chunk);
            let read = chunk.len();
            piece.advance(read);
        }
    }
}

/// How long a body may take to arrive, from its head on.
const BODY: Duration = Duration::from_secs(20);
