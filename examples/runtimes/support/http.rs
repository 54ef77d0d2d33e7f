//! HTTP/1.1 as bytes, by ureq-proto, which does no I/O either: one request on each connection.

use std::{fmt, mem};

use ::http::{HeaderMap, header};
use abyssale_core::{
    MAX_ANSWER, Timestamp,
    http::{Method, Request, Response},
    webhook::{Admitted, CallbackEndpoint, Delivery},
};
use ureq_proto::{
    BodyMode, Error,
    client::{Call, RecvResponseResult, SendRequestResult, state as client},
    server::{RecvRequestResult, Reply, state as server},
};

/// Reads the answer to one request.
pub(crate) struct Answer {
    state: State,
    unread: Vec<u8>,
    head: Option<(u16, HeaderMap)>,
    body: Vec<u8>,
}

enum State {
    Head(Call<client::RecvResponse>),
    Body(Call<client::RecvBody>),
    Done,
}

impl Answer {
    /// Returns the bytes of a request, and what reads the answer to it.
    pub(crate) fn to(request: &Request) -> Result<(Vec<u8>, Self), Error> {
        let mut head =
            ::http::Request::builder().method(request.method().as_str()).uri(request.url().as_str());
        for (name, value) in request.headers() {
            head = head.header(name, value);
        }
        if request.method() == Method::Post {
            head = head.header(header::CONTENT_LENGTH, request.body().len());
        }
        let head = head.header(header::CONNECTION, "close").body(());
        let mut call = Call::new(head.map_err(|error| Error::HttpParseFail(error.to_string()))?)?.proceed();
        let mut bytes = vec![0; (16 << 10) + 2 * request.body().len()];
        let mut written = call.write(&mut bytes)?;
        let call = match call.proceed()? {
            Some(SendRequestResult::RecvResponse(call)) => call,
            Some(SendRequestResult::SendBody(mut call)) => {
                written += call.write(request.body(), bytes.get_mut(written..).unwrap_or_default())?.1;
                call.proceed().ok_or(Error::OutputOverflow)?
            }
            _ => return Err(Error::OutputOverflow),
        };
        bytes.truncate(written);
        Ok((bytes, Self { state: State::Head(call), unread: Vec::new(), head: None, body: Vec::new() }))
    }

    /// Takes bytes as they come.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.unread.extend_from_slice(bytes);
        loop {
            match &mut self.state {
                State::Head(call) => {
                    let (used, response) = call.try_response(&self.unread, false)?;
                    self.unread.drain(..used);
                    let Some(response) = response else {
                        // An interim answer may stand before the final one.
                        if used > 0 {
                            continue;
                        }
                        return if self.unread.len() > MAX_HEAD {
                            Err(Error::OutputOverflow)
                        } else {
                            Ok(())
                        };
                    };
                    self.head = Some((response.status().as_u16(), response.headers().clone()));
                    let State::Head(call) = mem::replace(&mut self.state, State::Done) else { return Ok(()) };
                    if let Some(RecvResponseResult::RecvBody(call)) = call.proceed() {
                        self.state = State::Body(call);
                    }
                }
                State::Body(call) => {
                    let mut piece = [0; 8 << 10];
                    let (used, length) = call.read(&self.unread, &mut piece)?;
                    self.unread.drain(..used);
                    self.body.extend_from_slice(piece.get(..length).unwrap_or_default());
                    if call.can_proceed() && call.body_mode() != BodyMode::CloseDelimited {
                        self.state = State::Done;
                    } else if used == 0 {
                        return if self.unread.len() > MAX_HEAD {
                            Err(Error::OutputOverflow)
                        } else {
                            Ok(())
                        };
                    }
                }
                State::Done => {
                    self.unread.clear();
                    return Ok(());
                }
            }
        }
    }

    /// The connection has ended. Returns whether the answer is whole.
    pub(crate) fn end(&mut self) -> bool {
        if matches!(&self.state, State::Body(call) if call.can_proceed()) {
            self.state = State::Done;
        }
        self.is_done()
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The status and the fields, once they are here.
    pub(crate) fn head(&self) -> Option<&(u16, HeaderMap)> {
        self.head.as_ref()
    }

    pub(crate) fn body_len(&self) -> usize {
        self.body.len()
    }

    /// Takes what has come of the body since the last time.
    pub(crate) fn take_body(&mut self) -> Vec<u8> {
        mem::take(&mut self.body)
    }

    /// As much of the answer as has come.
    pub(crate) fn take_response(&mut self) -> Option<Response> {
        let (status, fields) = self.head.clone()?;
        let pairs = fields.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
        let mut body = self.take_body();
        body.truncate(MAX_ANSWER);
        Some(Response { status, headers: pairs.collect(), body })
    }
}

/// Reads one delivery from the bytes of a connection at a callback URL.
#[derive(Default)]
pub struct DeliveryReader {
    unread: Vec<u8>,
    begun: Option<Begun>,
}

struct Begun {
    request: ::http::Request<()>,
    admitted: Admitted,
    /// `None` for a request without a body.
    exchange: Option<Reply<server::RecvBody>>,
    body: Vec<u8>,
}

/// What has come of a delivery.
#[derive(Debug)]
pub enum Incoming {
    /// Not all of it: read on.
    More,
    /// All of it. Hand it to its job, save the job, and answer by the reply.
    Delivery(Delivery),
    /// Nothing that is taken: answer this status.
    Refused(u16),
}

impl DeliveryReader {
    /// Takes bytes as they come; none mean that the connection has ended. `now` is the time of the wall clock.
    pub fn feed(&mut self, endpoint: &CallbackEndpoint, now: Timestamp, bytes: &[u8]) -> Incoming {
        if bytes.is_empty() {
            return Incoming::Refused(408);
        }
        self.unread.extend_from_slice(bytes);
        self.step(endpoint, now).unwrap_or_else(Incoming::Refused)
    }

    fn step(&mut self, endpoint: &CallbackEndpoint, now: Timestamp) -> Result<Incoming, u16> {
        let malformed = |_| 400_u16;
        if self.begun.is_none() {
            let mut exchange = Reply::new().map_err(malformed)?;
            let (used, request) = exchange.try_request(&self.unread).map_err(malformed)?;
            let Some(request) = request else {
                return if self.unread.len() > MAX_HEAD { Err(431) } else { Ok(Incoming::More) };
            };
            self.unread.drain(..used);
            let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
            let admitted = endpoint.admit(request.method().as_str(), target, request.headers());
            let admitted = admitted.map_err(|reply| reply.status())?;
            let exchange = match exchange.proceed() {
                Some(RecvRequestResult::RecvBody(exchange)) => Some(exchange),
                // The peer sends its body by itself a moment later.
                Some(RecvRequestResult::Send100(exchange)) => {
                    Some(exchange.accept(&mut [0; 64]).map_err(malformed)?.1)
                }
                _ => None,
            };
            self.begun = Some(Begun { request, admitted, exchange, body: Vec::new() });
        }
        let Some(Begun { request, admitted, exchange, body }) = &mut self.begun else { return Err(400) };
        while let Some(exchange) = exchange.as_mut().filter(|exchange| !exchange.is_ended()) {
            let mut piece = [0; 4 << 10];
            let (used, length) = exchange.read(&self.unread, &mut piece).map_err(malformed)?;
            self.unread.drain(..used);
            body.extend_from_slice(piece.get(..length).unwrap_or_default());
            if body.len() > admitted.body_limit() || self.unread.len() > MAX_HEAD {
                return Err(413);
            }
            if used == 0 {
                return Ok(Incoming::More);
            }
        }
        let read = endpoint.read(now, admitted, request.headers(), body);
        read.map(Incoming::Delivery).map_err(|reply| reply.status())
    }
}

/// The whole answer to a delivery, and the connection's last.
pub fn answer(status: u16) -> Vec<u8> {
    let reason = ::http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let reason = reason.unwrap_or_default();
    format!("HTTP/1.1 {status} {reason}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").into_bytes()
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("body", &self.body.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for DeliveryReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryReader").field("unread", &self.unread.len()).finish_non_exhaustive()
    }
}

/// The longest head that is read, in bytes, and the longest line of a chunk.
const MAX_HEAD: usize = 64 << 10;
