//! The receiver in plain hyper, which speaks tower through hyper-util.
//!
//! `cargo run --example mount-hyper`, and deliver to `http://127.0.0.1:8080/abyssale`. On the open internet hyper wants
//! more care than this (time-outs, a limit on connections): `Receiver::listen` has it.

use std::io;

use abyssale_async::Receiver;
use abyssale_examples::{endpoint, show};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::net::TcpListener;

/// Serves connections for ever.
pub async fn serve(socket: TcpListener, receiver: Receiver) -> io::Result<()> {
    loop {
        let (stream, _) = socket.accept().await?;
        let service = TowerToHyperService::new(receiver.service());
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let receiver = Receiver::new(endpoint()?, |_, delivery| show(&delivery));
    Ok(serve(TcpListener::bind("127.0.0.1:8080").await?, receiver).await?)
}
