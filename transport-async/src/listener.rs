//! A listener for deliveries: hyper's HTTP/1.1 server around the receiver, with a bound on connections and on time.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use abyssale_core::webhook::Reply;
use abyssale_host::{
    Error, ListenerSettings,
    connections::{Activity, Connection, Connections, Phase, Room, later},
};
use http::{HeaderValue, Request, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinHandle, JoinSet},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    Receiver,
    service::{answer, respond},
};

/// Listens for deliveries until it is shut down or dropped.
///
/// Dropping it stops accepting at once; the requests that have begun are answered in the background, for as long as the
/// runtime lives. [`shutdown`](Self::shutdown) waits for them.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    /// Dropped with the listener, which ends its task.
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Listener {
    pub(crate) fn start(
        listener: TcpListener,
        receiver: Receiver,
        settings: &ListenerSettings,
    ) -> Result<Self, Error> {
        let address = listener.local_addr().map_err(|source| Error::listen("the socket", source))?;
        let (stop, stopping) = watch::channel(());
        let settings = Arc::new(settings.clone());
        let connections = Connections::new(&settings, Arc::clone(receiver.deliveries().counters()));
        let tls = settings.tls.clone().map(TlsAcceptor::from);
        let server = Server { receiver, settings, tls, stopping };
        let task = tokio::spawn(accept(listener, connections, server));
        Ok(Self { address, stop, task })
    }

    /// Returns the address it listens on, with the port that the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, answers every request that has begun, and waits for that as long as the settings allow. Closes
    /// connections between two requests.
    pub async fn shutdown(self) {
        let Self { stop, task, .. } = self;
        drop(stop);
        // It fails only when the runtime itself ends.
        let _ended = task.await;
    }
}

/// The part of the listener that every connection shares.
#[derive(Clone)]
struct Server {
    receiver: Receiver,
    settings: Arc<ListenerSettings>,
    tls: Option<TlsAcceptor>,
    /// Closed when the listener shuts down.
    stopping: watch::Receiver<()>,
}

async fn accept(listener: TcpListener, connections: Arc<Connections>, server: Server) {
    // Aborts what is left in it when it is dropped.
    let mut tasks = JoinSet::new();
    let mut stopping = server.stopping.clone();
    let mut stopped = pin!(stopping.changed());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => break,
        };
        match accepted {
            Ok((stream, from)) => open(stream, from, &mut tasks, &connections, &server).await,
            Err(error) => sleep(connections.not_accepted(&error)).await,
        }
    }
    let rest = async {
        // To their peers, the connections that wait here are open. The runtime may not have reported them, so ask the socket.
        if let Ok(listener) = listener.into_std() {
            for _ in 0..server.settings.connections {
                let Ok((stream, from)) = listener.accept() else { break };
                if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
                    open(stream, from, &mut tasks, &connections, &server).await;
                }
            }
        }
        while tasks.join_next().await.is_some() {}
    };
    // What has not ended by then is cut off; the service delivers it again.
    let _ended = timeout(server.settings.shutdown_timeout, rest).await;
}

/// Serves a connection in a task of its own, once there is room for it.
async fn open(
    stream: TcpStream,
    from: SocketAddr,
    tasks: &mut JoinSet<()>,
    connections: &Arc<Connections>,
    server: &Server,
) {
    loop {
        while tasks.try_join_next().is_some() {}
        match connections.room(from.ip()) {
            Room::Yes => break,
            Room::No => return,
            Room::After(wait) => {
                // Either of them may be the first.
                let _ended = timeout(wait, tasks.join_next()).await;
            }
        }
    }
    let task = Arc::new(OnceLock::<AbortHandle>::new());
    let cut_off = Arc::clone(&task);
    let connection = connections.open(from.ip(), move |_| {
        if let Some(task) = cut_off.get() {
            task.abort();
        }
    });
    let server = server.clone();
    let serving = tasks.spawn(async move {
        // The peer has gone, or was too slow; there is nobody to tell.
        let _gone = serve(&server, stream, &connection).await;
    });
    // It is the first to set it. Connections are cut off by this task alone, so none is before.
    let _first = task.set(serving);
}

async fn serve(server: &Server, stream: TcpStream, connection: &Connection) -> io::Result<()> {
    // Without this a small answer may wait for an acknowledgement.
    stream.set_nodelay(true)?;
    let activity = connection.activity();
    let Some(tls) = &server.tls else { return converse(server, stream, activity).await };
    let mut stopping = server.stopping.clone();
    tokio::select! {
        biased;
        shaken = timeout(server.settings.delivery_timeout, tls.accept(stream)) => {
            converse(server, shaken??, activity).await
        }
        _ = stopping.changed() => Ok(()),
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    server: &Server,
    stream: S,
    activity: &Arc<Activity>,
) -> io::Result<()> {
    let settings = &*server.settings;
    let counters = server.receiver.deliveries().counters();
    let mut stream = Watched { stream, activity: Arc::clone(activity) };
    let service = service_fn(async |request: Request<Incoming>| {
        if settings.is_health_check(request.method().as_str(), request.uri().path()) {
            activity.answered();
            let is_stopping = server.stopping.has_changed().is_err();
            let reply = if is_stopping { Reply::Unavailable } else { Reply::Acknowledged };
            return Ok(answer(&reply));
        }
        let deadline = later(activity.since(), settings.delivery_timeout).into();
        // Servers read chunks in more than one way, so nothing may follow them.
        let is_chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
        let reply = respond(&server.receiver, request, deadline, || activity.handling()).await;
        activity.answered();
        let mut response = answer(&reply);
        if is_chunked || reply != Reply::Acknowledged {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok::<_, Infallible>(response)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        // The deadlines below count from the first byte of a request, or from the last answer.
        .header_read_timeout(None)
        .auto_date_header(false)
        // A peer that has sent its request may close its half, and still wants the answer.
        .half_close(true)
        .max_headers(HEAD_FIELDS)
        .max_buf_size(settings.head_bytes.max(SMALLEST_BUFFER));
    let mut connection = pin!(http.serve_connection(TokioIo::new(&mut stream), service));
    let mut stopping = server.stopping.clone();
    let mut stopped = pin!(stopping.changed());
    let mut shutting_down = false;
    let mut timer = pin!(sleep_until(Instant::now()));
    let ended = loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => break ended,
            _ = &mut stopped, if !shutting_down => {
                shutting_down = true;
                // The runtime may not have reported a request that has arrived.
                if let Ok(ended) = timeout(LAST_BYTES, connection.as_mut()).await {
                    break ended;
                }
                connection.as_mut().graceful_shutdown();
            }
            () = &mut timer => {
                let now = Instant::now();
                let deadline = activity.deadline(settings).map(Instant::from_std);
                if deadline.is_some_and(|deadline| deadline <= now) {
                    if activity.phase() == Phase::Receiving {
                        counters.reply(&Reply::TooSlow);
                    }
                    return Ok(());
                }
                // A new phase may have an earlier deadline.
                timer.as_mut().reset(deadline.unwrap_or(now + TICK).min(now + TICK));
            }
        }
    };
    if let Err(error) = ended {
        if error.is_parse() {
            counters.bad_request(if error.is_parse_too_large() { 431 } else { 400 });
        } else if error.is_incomplete_message() && activity.phase() == Phase::Receiving {
            counters.reply(&Reply::TooSlow);
        }
    }
    // Closing while bytes arrive would reset the connection before the peer has read the answer.
    let _late = timeout(LINGER, discard(&mut stream.stream)).await;
    Ok(())
}

/// Reads to the end, at most [`LINGER_BYTES`].
async fn discard(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut buffer = vec![0; SMALLEST_BUFFER];
    let mut left = LINGER_BYTES;
    while left > 0 {
        match stream.read(&mut buffer).await? {
            0 => break,
            count => left = left.saturating_sub(count),
        }
    }
    Ok(())
}

/// A stream that records when bytes arrive.
struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        if buffer.filled().len() > before {
            self.activity.received();
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The most fields of a head.
const HEAD_FIELDS: usize = 128;
/// The smallest buffer that hyper takes.
const SMALLEST_BUFFER: usize = 8 << 10;
/// How often a connection looks at its deadline.
const TICK: Duration = Duration::from_secs(1);
/// How long to wait for the runtime to report bytes that arrived before the shutdown.
const LAST_BYTES: Duration = Duration::from_millis(50);
/// How long, and how much of, what is still being sent is read and discarded.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 16 << 20;
#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net,
    };

    use abyssale_core::webhook::{CallbackEndpoint, Reply, Verifier};

    use super::*;

    const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";

    #[test]
    fn connections_that_wait_to_be_accepted_are_answered_before_the_end() {
        let socket = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let waiting: Vec<_> = (0..20)
            .map(|_| {
                let mut stream = net::TcpStream::connect(address).unwrap();
                stream.write_all(REQUEST).unwrap();
                stream
            })
            .collect();
        let endpoint = CallbackEndpoint::new(Verifier::new([]).accept_unsigned()).token(None);
        let receiver = Receiver::new(endpoint, |_, _| Reply::Acknowledged);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { receiver.listen_on(socket).unwrap().shutdown().await });
        for mut stream in waiting {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
        }
    }

    #[test]
    fn a_health_check_during_the_shutdown_is_answered_503() {
        let socket = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut probe = net::TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        probe.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        let endpoint = CallbackEndpoint::new(Verifier::new([]).accept_unsigned());
        let receiver = Receiver::new(endpoint, |_, _| Reply::Acknowledged);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { receiver.listen_on(socket).unwrap().shutdown().await });
        let mut answer = String::new();
        probe.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer:?}");
    }
}
