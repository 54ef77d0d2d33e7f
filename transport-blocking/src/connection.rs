//! One connection of the listener: requests in, answers out, read by the server half of ureq-proto.

use std::{
    io,
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use abyssale_core::webhook::Reply;
use abyssale_host::{
    ListenerSettings,
    connections::{Activity, Phase, later},
};
use http::{Request, Version, header};
use ureq_proto::{
    Error as ProtocolError,
    server::{RecvRequestResult, Reply as Exchange, state},
};

use crate::{Receiver, timed::TimedStream};

/// A connection, and the bytes that were read and not yet used.
pub(crate) struct Conversation<'a> {
    stream: TimedStream,
    unread: Vec<u8>,
    receiver: &'a Receiver,
    settings: &'a ListenerSettings,
    activity: &'a Activity,
    closing: &'a AtomicBool,
}

/// Why a request is not passed to the receiver.
enum NotReceived {
    /// The peer has gone, or sent no request in time. There is no one to answer.
    Gone,
    /// It is not an HTTP request, or its head is too long: answered with this status.
    Malformed(u16),
    /// It is refused.
    Refused(Reply),
}

impl From<io::Error> for NotReceived {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// Serves a connection until either side ends it.
pub(crate) fn serve(
    stream: Arc<TcpStream>,
    receiver: &Receiver,
    settings: &ListenerSettings,
    activity: &Activity,
    closing: &AtomicBool,
) -> io::Result<()> {
    // Some systems let an accepted socket inherit that its listener does not block.
    stream.set_nonblocking(false)?;
    // Without this a small answer may wait for an acknowledgement.
    stream.set_nodelay(true)?;
    let stream = TimedStream::new(stream, settings.tls.as_ref())?;
    let mut conversation = Conversation { stream, unread: Vec::new(), receiver, settings, activity, closing };
    while conversation.exchange()? {}
    Ok(())
}

impl Conversation<'_> {
    /// Reads a request and answers it. Returns whether another may follow.
    fn exchange(&mut self) -> io::Result<bool> {
        let (reply, keep_alive) = match self.receive() {
            Ok(received) => received,
            Err(NotReceived::Gone) => return Ok(false),
            Err(NotReceived::Malformed(status)) => {
                self.receiver.deliveries().counters().bad_request(status);
                self.answer(status, false)?;
                self.linger()?;
                return Ok(false);
            }
            Err(NotReceived::Refused(reply)) => (reply, false),
        };
        let keep_alive = keep_alive && reply == Reply::Acknowledged && !self.closing.load(Ordering::SeqCst);
        self.answer(reply.status(), keep_alive)?;
        self.activity.answered();
        if !keep_alive {
            self.linger()?;
        }
        Ok(keep_alive)
    }

    /// Returns the reply to the next request, and whether the connection may stay open.
    fn receive(&mut self) -> Result<(Reply, bool), NotReceived> {
        let (request, exchange) = self.read_head()?;
        let deadline = later(self.activity.since(), self.settings.delivery_timeout);
        if self.settings.is_health_check(request.method().as_str(), request.uri().path()) {
            let is_stopping = self.closing.load(Ordering::SeqCst);
            let reply = if is_stopping { Reply::Unavailable } else { Reply::Acknowledged };
            return Ok((reply, keeps_alive(&request)));
        }
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let deliveries = self.receiver.deliveries();
        let admitted = deliveries
            .admit(request.method().as_str(), target, request.headers())
            .map_err(NotReceived::Refused)?;
        let body = match self.read_body(&request, exchange, admitted.body_limit()) {
            Err(NotReceived::Refused(reply)) => {
                return Err(NotReceived::Refused(deliveries.not_taken(reply)));
            }
            body => body?,
        };
        self.activity.handling();
        let reply = self.receiver.take(&admitted, request.headers(), &body, deadline);
        Ok((reply, keeps_alive(&request)))
    }

    fn read_head(&mut self) -> Result<(Request<()>, Exchange<state::RecvRequest>), NotReceived> {
        let malformed = |error| match error {
            ProtocolError::HttpParseTooManyHeaders => NotReceived::Malformed(431),
            _ => NotReceived::Malformed(400),
        };
        loop {
            if !self.unread.is_empty() {
                let mut exchange = Exchange::new().map_err(malformed)?;
                let (used, request) = exchange.try_request(&self.unread).map_err(malformed)?;
                if let Some(request) = request {
                    self.unread.drain(..used);
                    return Ok((request, exchange));
                }
                if self.unread.len() >= self.settings.head_bytes.max(SMALLEST_HEAD) {
                    return Err(NotReceived::Malformed(431));
                }
            }
            match self.read_more() {
                Ok(0) if self.unread.is_empty() => return Err(NotReceived::Gone),
                // It broke off in the middle.
                Ok(0) => return Err(NotReceived::Malformed(400)),
                Ok(_) => {}
                Err(error) => {
                    if error.kind() == io::ErrorKind::TimedOut && self.activity.phase() == Phase::Receiving {
                        self.receiver.deliveries().counters().reply(&Reply::TooSlow);
                    }
                    return Err(NotReceived::Gone);
                }
            }
        }
    }

    fn read_body(
        &mut self,
        request: &Request<()>,
        exchange: Exchange<state::RecvRequest>,
        limit: usize,
    ) -> Result<Vec<u8>, NotReceived> {
        let mut body = Vec::new();
        // Without either field HTTP has no body, whereas ureq-proto would wait for chunks.
        let headers = request.headers();
        if !headers.contains_key(header::CONTENT_LENGTH) && !headers.contains_key(header::TRANSFER_ENCODING) {
            return Ok(body);
        }
        let malformed = |_| NotReceived::Malformed(400);
        let mut exchange = match exchange.proceed() {
            Some(RecvRequestResult::RecvBody(exchange)) => exchange,
            Some(RecvRequestResult::Send100(exchange)) => {
                let mut line = [0; 64];
                let (length, exchange) = exchange.accept(&mut line).map_err(malformed)?;
                // The peer did not wait where its body is here already.
                if self.unread.is_empty() {
                    self.write(line.get(..length).unwrap_or_default())?;
                }
                exchange
            }
            Some(RecvRequestResult::ProvideResponse(_)) | None => return Ok(body),
        };
        let mut piece = vec![0; READ];
        while !exchange.is_ended() {
            let (used, length) = exchange.read(&self.unread, &mut piece).map_err(malformed)?;
            self.unread.drain(..used);
            body.extend_from_slice(piece.get(..length).unwrap_or_default());
            if body.len() > limit {
                return Err(NotReceived::Refused(Reply::TooLarge));
            }
            if used == 0 && !exchange.is_ended() {
                // The line of a chunk's size, or a trailer, that does not end.
                if self.unread.len() > self.settings.head_bytes.max(READ) {
                    return Err(NotReceived::Malformed(400));
                }
                match self.read_more() {
                    Ok(0) => return Err(NotReceived::Refused(Reply::TooSlow)),
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                        return Err(NotReceived::Refused(Reply::TooSlow));
                    }
                    read => _ = read?,
                }
            }
        }
        Ok(body)
    }

    /// Waits for bytes, and returns how many came, 0 at the end.
    fn read_more(&mut self) -> io::Result<usize> {
        // Between two requests, the end of the listener ends the connection.
        if self.activity.phase() == Phase::Idle && self.closing.load(Ordering::SeqCst) {
            return Ok(0);
        }
        let until = self.activity.deadline(self.settings).unwrap_or_else(Instant::now);
        let mut buffer = [0; READ];
        let count = self.stream.read(&mut buffer, until)?;
        if count > 0 {
            self.activity.received();
            self.unread.extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
        Ok(count)
    }

    fn answer(&mut self, status: u16, keep_alive: bool) -> io::Result<()> {
        let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let reason = reason.unwrap_or_default();
        let allow = if status == 405 { "allow: POST\r\n" } else { "" };
        let close = if keep_alive { "" } else { "connection: close\r\n" };
        let answer = format!("HTTP/1.1 {status} {reason}\r\ncontent-length: 0\r\n{allow}{close}\r\n");
        self.write(answer.as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write(bytes, later(Instant::now(), WRITE))
    }

    /// Reads and discards what the peer is still sending: closing at once would reset the connection before the peer has
    /// read the answer.
    fn linger(&mut self) -> io::Result<()> {
        let until = later(Instant::now(), LINGER);
        self.stream.finish(until)?;
        let (mut buffer, mut left) = ([0; READ], LINGER_BYTES);
        while left > 0 {
            match self.stream.read(&mut buffer, until)? {
                0 => break,
                count => left = left.saturating_sub(count),
            }
        }
        Ok(())
    }
}

/// Whether a request lets another one follow.
fn keeps_alive(request: &Request<()>) -> bool {
    let headers = request.headers();
    let says = |option: &str| {
        let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
        let mut options = values.flat_map(|value| value.split(','));
        options.any(|value| value.trim().eq_ignore_ascii_case(option))
    };
    let by_default = request.version() != Version::HTTP_10;
    // Servers read chunks in more than one way, so nothing may follow them.
    !headers.contains_key(header::TRANSFER_ENCODING) && !says("close") && (by_default || says("keep-alive"))
}

/// How much is read at a time.
const READ: usize = 8 << 10;
/// The smallest limit on a head, as in the asynchronous transport.
const SMALLEST_HEAD: usize = 8 << 10;
/// How long an answer may take to be written.
const WRITE: Duration = Duration::from_secs(5);
/// How long, and how much of, what is still being sent is read and discarded.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
    };

    use abyssale_core::webhook::{CallbackEndpoint, Verifier};
    use abyssale_host::connections::Connections;

    use super::*;

    #[test]
    fn a_health_check_during_the_shutdown_is_answered_503() {
        let receiver = Receiver::new(CallbackEndpoint::new(Verifier::new([])), |_, _| Reply::Acknowledged);
        let settings = Arc::new(ListenerSettings::default());
        let connections = Connections::new(&settings, Arc::default());
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let ask = |closing: bool| {
            let mut probe = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
            probe.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
            probe.shutdown(std::net::Shutdown::Write).unwrap();
            let (stream, from) = socket.accept().unwrap();
            let connection = connections.open(from.ip(), |_| {});
            let closing = AtomicBool::new(closing);
            serve(Arc::new(stream), &receiver, &settings, connection.activity(), &closing).unwrap();
            let mut answer = String::new();
            probe.read_to_string(&mut answer).unwrap();
            answer
        };
        assert!(ask(false).starts_with("HTTP/1.1 200 "));
        assert!(ask(true).starts_with("HTTP/1.1 503 "));
    }
}
