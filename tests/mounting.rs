//! The receiver in servers that are not ours: as a tower service in axum, and by hand in a server that gives
//! headers and bytes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::{
    fs,
    future::{Future, IntoFuture as _},
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
    export_through(|exporter| Router::new().nest_service("/abyssale", exporter.service())).await;
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

/// An export whose deliveries come to a server of axum's with these routes.
async fn export_through(routes: impl FnOnce(&abyssale_async::Exporter) -> Router) {
    let simulator = Simulator::start(Config {
        signing_secret: Some(SECRET.into()),
        render_delay: Duration::from_millis(20),
        ..Config::default()
    })
    .unwrap();
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let exporter = abyssale_async::Exporter::builder()
        .api_key(abyssale_core::ApiKey::new(simulator.api_key()).unwrap())
        .base_url(simulator.base_url())
        .callback(format!("http://{}/abyssale", socket.local_addr().unwrap()))
        .signing_secret(SigningSecret::new(SECRET).unwrap())
        .event_timeout(Duration::from_secs(30))
        .build()
        .await
        .unwrap();
    let server = tokio::spawn(axum::serve(socket, routes(&exporter)).into_future());
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("banners.zip");
    let archive = is_send(exporter.export([ID]).unwrap().save_to(&target)).await.unwrap();
    assert_eq!(fs::metadata(target).unwrap().len(), archive.bytes());
    server.abort();
}

/// Tasks of a runtime with several threads take nothing else.
fn is_send<F: Future + Send>(future: F) -> F {
    future
}
