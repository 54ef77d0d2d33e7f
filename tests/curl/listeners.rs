//! The listeners of both transports, each with the same endpoint and a handler that keeps what it is given.

use std::{
    any::Any,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use abyssale_core::{
    SigningSecret, Timestamp,
    webhook::{CallbackEndpoint, Delivery, Reply, Verifier, sign},
};
use tokio::runtime::{self, Runtime};

/// A listener that stands until it is dropped.
pub(crate) struct Standing {
    pub(crate) name: &'static str,
    /// Without a path.
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Delivery>>>,
    /// The listener, and whatever carries it; dropped in this order.
    _listener: Box<dyn Any>,
    _runtime: Option<Runtime>,
}

impl Standing {
    /// One of each transport.
    pub(crate) fn both() -> [Self; 2] {
        [Self::blocking(), Self::asynchronous()]
    }

    /// What the handler was given, in order.
    pub(crate) fn received(&self) -> Vec<Delivery> {
        self.received.lock().unwrap().clone()
    }

    fn blocking() -> Self {
        let received = Arc::default();
        let handler = record(&received);
        let listener = abyssale_blocking::Receiver::new(endpoint(), handler).listen("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr());
        Self { name: "blocking", url, received, _listener: Box::new(listener), _runtime: None }
    }

    fn asynchronous() -> Self {
        let received = Arc::default();
        // With a worker of its own it runs on while the test waits for curl.
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let standing = abyssale_async::Receiver::new(endpoint(), record(&received));
        let listener = runtime.block_on(standing.listen("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr());
        Self { name: "async", url, received, _listener: Box::new(listener), _runtime: Some(runtime) }
    }
}

/// The headers of a genuine delivery of this body, signed by our core at this distance from the present.
pub(crate) fn signature(secret: &str, body: &[u8], seconds_from_now: i64) -> String {
    let secs = unix_now().saturating_add_signed(seconds_from_now);
    let secret = SigningSecret::new(secret).unwrap();
    format!("X-Abyssale-Signature: {}", sign(&secret, Timestamp::from_secs(secs), body))
}

pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn endpoint() -> CallbackEndpoint {
    CallbackEndpoint::new(Verifier::new([SigningSecret::new(SECRET).unwrap()])).path(PATH).token(None)
}

fn record(
    received: &Arc<Mutex<Vec<Delivery>>>,
) -> impl Fn(Timestamp, Delivery) -> Reply + Send + Sync + 'static {
    let received = Arc::clone(received);
    move |_, delivery| {
        received.lock().unwrap().push(delivery);
        Reply::Acknowledged
    }
}

pub(crate) const SECRET: &str = "whsec_between_curl_and_us";
pub(crate) const PATH: &str = "/abyssale";
