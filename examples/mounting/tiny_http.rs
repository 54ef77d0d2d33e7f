//! The receiver in `tiny_http`, as in any synchronous server that gives headers and bytes.
//!
//! `cargo run --example mount-tiny-http`, and deliver to `http://127.0.0.1:8080/abyssale`.

use std::io::{self, Read as _};

use abyssale_blocking::{Receiver, protocol::webhook::MAX_DELIVERY};
use abyssale_examples::{endpoint, show};
use tiny_http::{Request, Response, Server};

/// Answers one request.
pub fn answer(receiver: &Receiver, mut request: Request) -> io::Result<()> {
    let field = |field: &tiny_http::Header| (field.field.to_string(), field.value.to_string());
    let (headers, mut body) = (request.headers().iter().map(field).collect::<Vec<_>>(), Vec::new());
    request.as_reader().take(MAX_DELIVERY as u64 + 1).read_to_end(&mut body)?;
    let reply = receiver.receive(&request.method().to_string(), request.url(), &headers, &body);
    request.respond(Response::empty(reply.status()))
}

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let receiver = Receiver::new(endpoint()?, |_, delivery| show(&delivery));
    for request in Server::http("127.0.0.1:8080")?.incoming_requests() {
        answer(&receiver, request)?;
    }
    Ok(())
}
