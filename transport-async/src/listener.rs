//! A small HTTP/1.1 server for deliveries, on hyper: a bounded number of connections, a deadline on everything, and
//! one request a connection, so that nothing can hide behind another.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use abyssale_host::Error;
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, oneshot},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    Receiver,
    service::{answer, receive},
    strict::is_unambiguous,
};

/// Listens for deliveries until it is dropped.
///
/// Dropping it stops accepting at once; the deliveries that have begun are answered in the background.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    /// Dropped with the listener, which ends its task.
    _stop: oneshot::Sender<Infallible>,
}

impl Listener {
    pub(crate) fn start(listener: TcpListener, receiver: Receiver) -> Result<Self, Error> {
        let local = listener.local_addr().map_err(|source| Error::listen("the socket", source))?;
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(accept(listener, receiver, stopped));
        Ok(Self { address: local, _stop: stop })
    }

    /// Where it listens; tells the port if it was told to take any.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, receiver: Receiver, mut stopped: oneshot::Receiver<Infallible>) {
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_FIELDS)
        .keep_alive(false);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Ends what is left in it when it is dropped.
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => break,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, most likely: wait for one to come free instead of spinning.
            sleep(OUT_OF_DESCRIPTORS).await;
            continue;
        };
        // What does not fit is closed without an answer; a genuine delivery comes again.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        // Without it, a small answer may wait for an acknowledgement; a socket that refuses is about to fail anyway.
        let _refused = stream.set_nodelay(true);
        let receiver = receiver.clone();
        let service = service_fn(move |request| {
            let receiver = receiver.clone();
            async move { Ok::<_, Infallible>(respond(&receiver, request).await) }
        });
        let connection = server.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            // The other end has gone, or was too slow; there is nobody to tell.
            let _gone = connection.await;
            drop(place);
        });
    }
    drop(listener);
    // What has not come to its end by then is cut off, and comes again.
    let _ended = timeout(SHUTDOWN, graceful.shutdown()).await;
}

async fn respond(receiver: &Receiver, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let ambiguous = !is_unambiguous(&request);
    let asks_first = request.headers().contains_key(header::EXPECT);
    let (parts, mut body) = request.into_parts();
    let mut begun = false;
    let watched = (&mut body).map_frame(|frame| {
        begun = true;
        frame
    });
    let request = Request::from_parts(parts, watched);
    let status = if ambiguous { 400 } else { receive(receiver, request).await.status() };
    if status != 200 {
        // Reading is what asks for the body: who waits to be asked is told no instead.
        if begun || !asks_first {
            drain(body).await;
        }
    }
    answer(status)
}

/// Reads on for a moment, so that closing does not reset the connection before the answer is read.
async fn drain(mut body: Incoming) {
    let to_its_end = async { while let Some(Ok(_thrown_away)) = body.frame().await {} };
    let _over = timeout(LINGER, to_its_end).await;
}

/// The most connections at once; one more is closed. Well below the usual limit on descriptors, which the program
/// needs for its own calls too.
const MAX_CONNECTIONS: usize = 256;
/// How long a head may take to arrive, from the connection on.
const HEAD: Duration = Duration::from_secs(10);
/// The longest head, in bytes.
const MAX_HEAD: usize = 16 << 10;
/// The most header fields.
const MAX_FIELDS: usize = 64;
/// How long what is still being sent with a refused request is read and thrown away.
const LINGER: Duration = Duration::from_secs(1);
/// How long deliveries that have begun may take once the listener is dropped.
const SHUTDOWN: Duration = Duration::from_secs(30);
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);
