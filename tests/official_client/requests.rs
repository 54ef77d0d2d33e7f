//! One export, asked for by the official client and by both of ours: the simulator must see the same request.

use abyssale_async::Client as AsyncClient;
use abyssale_blocking::Client as BlockingClient;
use abyssale_core::{ApiKey, Order};
use abyssale_simulator::{Config, RequestRecord, Simulator};
use serde_json::Value;

use crate::{
    calls::{CALLBACK, ID, export},
    python::OfficialClient,
};

pub(crate) fn are_the_same(client: &OfficialClient) {
    let simulator = Simulator::start(Config::default()).unwrap();
    let ids = [ID, "7b3c6a52-6f0f-4d4c-9d39-0d7d3a0c5a11", ID];
    client.calls(&simulator, &[export(&ids, CALLBACK)]);
    let (key, order) = (ApiKey::new(simulator.api_key()).unwrap(), Order::new(ids, CALLBACK).unwrap());

    let blocking = BlockingClient::builder().api_key(key.clone()).base_url(simulator.base_url()).build();
    blocking.unwrap().create_export(&order, None).unwrap();

    let asynchronous = AsyncClient::builder().api_key(key).base_url(simulator.base_url()).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(asynchronous.create_export(&order, None)).unwrap();

    let requests = simulator.requests();
    let [official, blocking, asynchronous] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!(essence(blocking), essence(official));
    assert_eq!(essence(asynchronous), essence(official));
    assert_eq!(essence(official)["method"], "POST");
    assert_eq!(essence(official)["path"], "/async/banners/export");
}

/// What a request asks for. How it is transported (`host`, `connection`, `accept-encoding`) and who asks
/// (`user-agent`) is each client's own.
fn essence(request: &RequestRecord) -> Value {
    serde_json::json!({
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "content-type": request.header("content-type"),
        "accept": request.header("accept"),
        "x-api-key": request.header("x-api-key"),
        "content-length is right": request.header("content-length").map(|text| text == request.body.len().to_string()),
        "body": serde_json::from_slice::<Value>(&request.body).unwrap(),
        "answered": request.answered,
    })
}
