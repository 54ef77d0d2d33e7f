//! A small HTTP/1.1 server for deliveries: the socket and the tasks around the [`Conversation`] that both transports
//! share.

use std::{
    future::{Future as _, poll_fn},
    io,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use abyssale_core::http1::Head;
use abyssale_host::{
    Error,
    server::{Conversation, ListenerSettings, Memory, Phase, Place, Places, Step, Tls},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::{JoinHandle, JoinSet},
    time::{sleep, sleep_until, timeout, timeout_at},
};
use tokio_rustls::TlsAcceptor;

use crate::{Receiver, tls::provider};

/// Listens for deliveries until it is shut down or dropped.
///
/// Dropping it stops accepting at once; the requests that have begun are answered in the background, for which the
/// runtime has to live on. [`shutdown`](Self::shutdown) waits for them.
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
        let tls = settings
            .tls
            .clone()
            .map(|files| Tls::open(files, provider(), receiver.counters()))
            .transpose()?;
        let (stop, stopping) = watch::channel(());
        let places = Places::new(settings, receiver.counters());
        let memory = Memory::new(settings);
        let settings = Arc::new(settings.clone());
        let tls = tls.map(|tls| TlsAcceptor::from(tls.config()));
        let task =
            tokio::spawn(accept(listener, places, Server { receiver, settings, memory, tls, stopping }));
        Ok(Self { address, stop, task })
    }

    /// Where it listens; tells the port if it was told to take any.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no more, answers every request that has begun, and waits for that: as long as the settings allow.
    /// Connections between two requests are closed.
    pub async fn shutdown(self) {
        let Self { stop, task, .. } = self;
        drop(stop);
        // It fails only where the runtime itself is ending.
        let _ended = task.await;
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Server {
    receiver: Receiver,
    settings: Arc<ListenerSettings>,
    memory: Arc<Memory>,
    tls: Option<TlsAcceptor>,
    /// Closed when the listener shuts down.
    stopping: watch::Receiver<()>,
}

async fn accept(listener: TcpListener, places: Arc<Places>, server: Server) {
    // Ends what is left in it when it is dropped.
    let mut connections = JoinSet::new();
    let mut stopping = server.stopping.clone();
    let mut stopped = pin!(stopping.changed());
    let take_in = |connections: &mut JoinSet<()>, stream: TcpStream, from: SocketAddr| {
        let spared = Arc::new(Notify::new());
        let spare = Arc::clone(&spared);
        // What does not fit is closed without an answer; a genuine delivery comes again.
        let Some(place) = places.take(from.ip(), move |_| spare.notify_one()) else { return };
        while connections.try_join_next().is_some() {}
        let server = server.clone();
        connections.spawn(async move {
            // The other end has gone, or was too slow; there is nobody to tell.
            let _gone = serve(server, stream, place, &spared).await;
        });
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => break,
        };
        match accepted {
            Ok((stream, from)) => take_in(&mut connections, stream, from),
            Err(error) => sleep(places.not_accepted(&error)).await,
        }
    }
    // For the other end, those that are waiting here have been accepted. The runtime may not have told of them yet, so the
    // socket itself is asked.
    if let Ok(listener) = listener.into_std() {
        for _ in 0..server.settings.connections {
            let Ok((stream, from)) = listener.accept() else { break };
            if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
                take_in(&mut connections, stream, from);
            }
        }
    }
    let to_their_end = async { while connections.join_next().await.is_some() {} };
    // What has not come to its end by then is cut off, and comes again.
    let _ended = timeout(server.settings.shutdown_timeout, to_their_end).await;
}

async fn serve(server: Server, stream: TcpStream, place: Place, spared: &Notify) -> io::Result<()> {
    let begun = Instant::now();
    // Without it, a small answer may wait for an acknowledgement; a socket that refuses is about to fail anyway.
    stream.set_nodelay(true)?;
    let Some(tls) = server.tls.clone() else { return converse(server, stream, place, spared, begun).await };
    let mut stopping = server.stopping.clone();
    let shaken = tokio::select! {
        biased;
        shaken = timeout(server.settings.head_timeout, tls.accept(stream)) => shaken,
        () = spared.notified() => return Ok(()),
        _ = stopping.changed() => return Ok(()),
    };
    converse(server, shaken??, place, spared, begun).await
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    server: Server,
    mut stream: S,
    mut place: Place,
    spared: &Notify,
    begun: Instant,
) -> io::Result<()> {
    let Server { receiver, settings, memory, stopping, .. } = server;
    let mut conversation = Conversation::new(settings, receiver.counters(), memory, begun);
    let mut buffer = vec![0; READ];
    // What may end a wait is waited for once and for all: each new wait would have to be entered and struck off a list.
    let mut spared = pin!(spared.notified());
    let mut listening = stopping.clone();
    // Nothing is ever sent, so what changes is that the sender is gone.
    let mut stopped = pin!(listening.changed());
    let mut timer = pin!(sleep_until(begun.into()));
    // When the timer will go off. It may do so early: setting it anew for each request costs more than that.
    let mut set = None::<Instant>;
    let mut now = begun;
    let mut shutting_down = false;
    let admit = |head: &Head| receiver.admit(head.method(), head.target(), head);
    loop {
        let step = conversation.next(now, admit);
        place.enter(conversation.phase(), now);
        match step {
            // What has come is read before anything else is looked at.
            Step::Read { until } => {
                if set.is_none_or(|set| until < set) {
                    timer.as_mut().reset(until.into());
                    set = Some(until);
                }
                tokio::select! {
                    biased;
                    read = stream.read(&mut buffer) => match read {
                        Ok(0) => conversation.ended(),
                        Ok(count) => conversation.received(buffer.get(..count).unwrap_or_default()),
                        // TLS that ends without saying so: what it has said is framed, so nothing can be cut off unseen.
                        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => conversation.ended(),
                        Err(error) => return Err(error),
                    },
                    () = &mut spared => return Ok(()),
                    _ = &mut stopped, if !shutting_down => {
                        shutting_down = true;
                        // A request may be here, of which the runtime has not told yet.
                        if conversation.phase() == Phase::Silent
                            && let Ok(read) = timeout(LAST_WORDS, stream.read(&mut buffer)).await
                        {
                            conversation.received(buffer.get(..read?).unwrap_or_default());
                        }
                        conversation.shut_down();
                    }
                    () = &mut timer => set = None,
                }
                now = Instant::now();
            }
            Step::Handle(request) => {
                let head = &request.head;
                let reply = receiver.receive(head.method(), head.target(), head, &request.body).await;
                if stopping.has_changed().is_err() {
                    conversation.shut_down();
                }
                now = Instant::now();
                conversation.answer(now, &reply);
            }
            Step::Write { bytes, until } => {
                let mut written = pin!(async {
                    stream.write_all(&bytes).await?;
                    stream.flush().await
                });
                // An answer fits into the socket's buffer, unless the other end reads none.
                match poll_fn(|context| Poll::Ready(written.as_mut().poll(context))).await {
                    Poll::Ready(done) => done?,
                    Poll::Pending => timeout_at(until.into(), written).await??,
                }
                now = Instant::now();
            }
            Step::Finish => stream.shutdown().await?,
            Step::Close => return Ok(()),
        }
    }
}

/// How much is read at a time.
const READ: usize = 8 << 10;
/// How long who has said nothing may take to do so when the listener shuts down.
const LAST_WORDS: Duration = Duration::from_millis(50);

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
    fn what_waits_to_be_accepted_is_answered_before_the_end() {
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
}
