//! The receiver in axum: one route.
//!
//! `cargo run --example mount-axum`, and deliver to `http://127.0.0.1:8080/abyssale`.

use abyssale_async::Receiver;
use abyssale_examples::{endpoint, show};
use axum::Router;
use tokio::net::TcpListener;

/// The routes of a server that takes deliveries below `/abyssale`.
pub fn app(receiver: &Receiver) -> Router {
    Router::new().nest_service("/abyssale", receiver.service())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let receiver = Receiver::new(endpoint()?, |_, delivery| show(&delivery));
    let socket = TcpListener::bind("127.0.0.1:8080").await?;
    Ok(axum::serve(socket, app(&receiver)).await?)
}
