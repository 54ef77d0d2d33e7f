//! A connector that gives up: what comes before a request, resolving, connecting and TLS together, has a time of its own.

use std::{
    error::Error as StdError,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use tokio::time::timeout;
use tower_service::Service;

/// Another connector, and how long it may take.
#[derive(Clone, Debug)]
pub(crate) struct Within<C> {
    limit: Duration,
    connector: C,
}

impl<C> Within<C> {
    pub(crate) fn new(limit: Duration, connector: C) -> Self {
        Self { limit, connector }
    }
}

impl<C> Service<Uri> for Within<C>
where
    C: Service<Uri, Error: Into<Box<dyn StdError + Send + Sync>>, Future: Send + 'static>,
{
    type Response = C::Response;
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connector.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (limit, connecting) = (self.limit, self.connector.call(uri));
        Box::pin(async move {
            match timeout(limit, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(format!("no connection came about in {} s", limit.as_secs_f32()).into()),
            }
        })
    }
}
