//! Accepts connections, no more at a time than it can hold and none for ever, and gives each to hyper over a wire that
//! can be tapped.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::exchange::exchange;
use crate::shared::Shared;
use crate::wire::{Tap, Wire};

/// Serves until `stop` is sent or dropped; connections still open end then.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, stop: oneshot::Receiver<()>) {
    tokio::select! {
        // Sent or dropped means the same.
        _ = stop => {}
        () = accept(listener, shared) => {}
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: others have to end first.
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // However a connection ends, by error or by time, there is nothing left to do for it.
            let _ = timeout(CONNECTION_LIFE, connection(stream, shared)).await;
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) -> hyper::Result<()> {
    // Without this a small answer may wait for the acknowledgement of its head.
    let _ = stream.set_nodelay(true);
    let (number, tap) = (shared.next_connection(), Tap::default());
    let wire = TokioIo::new(Wire::new(stream, tap.clone()));
    let service = service_fn(|request| exchange(Arc::clone(&shared), number, tap.clone(), request));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .serve_connection(wire, service)
        .await
}

const CONNECTIONS: usize = 1024;
const CONNECTION_LIFE: Duration = Duration::from_secs(15 * 60);
const HEADER_TIME: Duration = Duration::from_secs(30);
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
