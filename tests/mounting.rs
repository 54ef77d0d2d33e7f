//! The receiver in servers that are not ours, through the very code of the examples: axum, plain hyper, actix-web, and
//! `tiny_http` for a synchronous one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

#[allow(dead_code, unreachable_pub, reason = "an example is a program, too")]
#[path = "../examples/mounting/actix.rs"]
mod actix_example;
#[allow(dead_code, unreachable_pub, reason = "an example is a program, too")]
#[path = "../examples/mounting/axum.rs"]
mod axum_example;
#[allow(dead_code, unreachable_pub, reason = "an example is a program, too")]
#[path = "../examples/mounting/hyper.rs"]
mod hyper_example;
#[allow(dead_code, unreachable_pub, reason = "an example is a program, too")]
#[path = "../examples/mounting/tiny_http.rs"]
mod tiny_http_example;

use std::{
    fs,
    future::{Future, IntoFuture as _},
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::Duration,
};

use abyssale_core::SigningSecret;
use abyssale_simulator::{Config, Simulator};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    routing::any,
};

const ID: &str = "64238d01-d402-474b-8c2d-fbc957e9d290";
const SECRET: &str = "whsec_hunter2";

#[tokio::test]
async fn an_export_completes_through_a_route_of_axum() {
    export_through(|exporter| Router::new().route_service("/abyssale/{token}", exporter.service())).await;
}

#[tokio::test]
async fn an_export_completes_through_a_router_that_takes_the_prefix_off() {
    export_through(|exporter| axum_example::app(exporter.receiver())).await;
}

#[tokio::test]
async fn an_export_completes_through_headers_and_bytes() {
    async fn receive(
        State(exporter): State<abyssale_async::Exporter>,
        method: Method,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> StatusCode {
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let reply = exporter.receiver().receive(method.as_str(), target, &headers, &body).await;
        StatusCode::from_u16(reply.status()).unwrap()
    }
    export_through(|exporter| {
        Router::new().route("/abyssale/{token}", any(receive)).with_state(exporter.clone())
    })
    .await;
}

#[tokio::test]
async fn an_export_completes_through_plain_hyper() {
    let (simulator, socket) = (simulator(), bind());
    let exporter = exporter(&simulator, socket.local_addr().unwrap()).await;
    socket.set_nonblocking(true).unwrap();
    let socket = tokio::net::TcpListener::from_std(socket).unwrap();
    let server = tokio::spawn(hyper_example::serve(socket, exporter.receiver().clone()));
    save(&exporter).await;
    server.abort();
}

#[tokio::test]
async fn an_export_completes_through_actix_web() {
    let (simulator, socket) = (simulator(), bind());
    let exporter = exporter(&simulator, socket.local_addr().unwrap()).await;
    let routes = actix_example::routes(exporter.receiver().clone());
    let app = move || actix_web::App::new().configure(routes.clone());
    let server = actix_web::HttpServer::new(app).workers(1).disable_signals().listen(socket).unwrap().run();
    let handle = server.handle();
    let running = tokio::spawn(server);
    save(&exporter).await;
    handle.stop(false).await;
    running.await.unwrap().unwrap();
}

#[test]
fn an_export_completes_through_a_synchronous_server() {
    let (simulator, socket) = (simulator(), bind());
    let address = socket.local_addr().unwrap();
    let exporter = abyssale_blocking::Exporter::builder()
        .api_key(abyssale_core::ApiKey::new(simulator.api_key()).unwrap())
        .base_url(simulator.base_url())
        .callback(format!("http://{address}/abyssale"))
        .signing_secret(SigningSecret::new(SECRET).unwrap())
        .settings(|settings| settings.event_timeout = Some(Duration::from_secs(30)))
        .build()
        .unwrap();
    let server = Arc::new(tiny_http::Server::from_listener(socket, None).unwrap());
    let (serving, receiver) = (Arc::clone(&server), exporter.receiver().clone());
    let serving = thread::spawn(move || {
        for request in serving.incoming_requests() {
            tiny_http_example::answer(&receiver, request).unwrap();
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("banners.zip");
    let archive = exporter.export([ID]).unwrap().save_to(&target).unwrap();
    assert_eq!(fs::metadata(target).unwrap().len(), archive.bytes());
    server.unblock();
    serving.join().unwrap();
}

/// An export whose deliveries come to a server of axum's with these routes.
async fn export_through(routes: impl FnOnce(&abyssale_async::Exporter) -> Router) {
    let simulator = simulator();
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let exporter = exporter(&simulator, socket.local_addr().unwrap()).await;
    let server = tokio::spawn(axum::serve(socket, routes(&exporter)).into_future());
    save(&exporter).await;
    server.abort();
}

fn simulator() -> Simulator {
    Simulator::start(Config {
        signing_secret: Some(SECRET.into()),
        render_delay: Duration::from_millis(20),
        ..Config::default()
    })
    .unwrap()
}

fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// One whose deliveries come to `address`.
async fn exporter(simulator: &Simulator, address: SocketAddr) -> abyssale_async::Exporter {
    abyssale_async::Exporter::builder()
        .api_key(abyssale_core::ApiKey::new(simulator.api_key()).unwrap())
        .base_url(simulator.base_url())
        .callback(format!("http://{address}/abyssale"))
        .signing_secret(SigningSecret::new(SECRET).unwrap())
        .settings(|settings| settings.event_timeout = Some(Duration::from_secs(30)))
        .build()
        .await
        .unwrap()
}

async fn save(exporter: &abyssale_async::Exporter) {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("banners.zip");
    let archive = is_send(exporter.export([ID]).unwrap().save_to(&target)).await.unwrap();
    assert_eq!(fs::metadata(target).unwrap().len(), archive.bytes());
}

/// Tasks of a runtime with several threads take nothing else.
fn is_send<F: Future + Send>(future: F) -> F {
    future
}
