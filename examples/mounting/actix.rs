//! The receiver in actix-web, which has types of its own: headers and bytes are all that is asked for.
//!
//! `cargo run --example mount-actix`, and deliver to `http://127.0.0.1:8080/abyssale`.

use abyssale_async::{Receiver, protocol::webhook::MAX_DELIVERY};
use abyssale_examples::{endpoint, show};
use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    http::StatusCode,
    web::{Bytes, Data, PayloadConfig, ServiceConfig, to},
};

/// Answers one request.
pub async fn answer(receiver: Data<Receiver>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let headers: Vec<_> = request.headers().iter().map(|(name, value)| (name, value.as_bytes())).collect();
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let reply = receiver.receive(request.method().as_str(), target, &headers, &body).await;
    HttpResponse::new(StatusCode::from_u16(reply.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
}

/// A route below `/abyssale`, for bodies as large as a delivery may be: actix-web stops at less.
pub fn routes(receiver: Receiver) -> impl FnOnce(&mut ServiceConfig) + Clone + Send {
    move |config| {
        let size = PayloadConfig::new(MAX_DELIVERY);
        config.app_data(size).app_data(Data::new(receiver)).route("/abyssale/{token}", to(answer));
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let routes = routes(Receiver::new(endpoint()?, |_, delivery| show(&delivery)));
    let app = move || App::new().configure(routes.clone());
    Ok(HttpServer::new(app).workers(1).bind("127.0.0.1:8080")?.run().await?)
}
