//! The receiver as a tower service, for axum, hyper and any other server that speaks tower. The listener uses it too.

use std::{
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use abyssale_core::webhook::Reply;
use abyssale_host::DELIVERY_TIMEOUT;
use bytes::{Buf as _, Bytes};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use crate::Receiver;

/// Answers deliveries as a [`tower_service::Service`], each within 12 s.
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
        Box::pin(async move {
            let reply = respond(&receiver, request, Instant::now() + DELIVERY_TIMEOUT, || {}).await;
            Ok(answer(&reply))
        })
    }
}

/// Answers a request until the deadline. `arrived` is called once its body is here.
pub(crate) async fn respond<B: Body>(
    receiver: &Receiver,
    request: Request<B>,
    deadline: Instant,
    arrived: impl FnOnce(),
) -> Reply {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let admitted = match receiver.deliveries().admit(parts.method.as_str(), target, &parts.headers) {
        Ok(admitted) => admitted,
        Err(reply) => return reply,
    };
    let body = timeout_at(deadline, read_body(body, admitted.body_limit())).await;
    match body.unwrap_or(Err(Reply::TooSlow)) {
        Ok(body) => {
            arrived();
            receiver.take(&admitted, &parts.headers, &body, deadline).await
        }
        Err(reply) => receiver.deliveries().not_taken(reply),
    }
}

/// An answer with a status and nothing else.
pub(crate) fn answer(reply: &Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() =
        StatusCode::from_u16(reply.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if *reply == Reply::MethodNotAllowed {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

/// Reads the body into one buffer. Keeping its frames would take 40 times the memory where each holds one byte.
async fn read_body<B: Body>(body: B, limit: usize) -> Result<Vec<u8>, Reply> {
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        // An error means that it broke off.
        let Ok(mut piece) = frame.map_err(|_| Reply::TooSlow)?.into_data() else { continue };
        if piece.remaining() > limit - bytes.len() {
            return Err(Reply::TooLarge);
        }
        while piece.has_remaining() {
            let chunk = piece.chunk();
            bytes.extend_from_slice(chunk);
            let read = chunk.len();
            piece.advance(read);
        }
    }
    Ok(bytes)
}
