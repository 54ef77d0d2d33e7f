//! Name resolution for downloads: an archive's address must not lead into a private network.
//!
//! The connection goes to the very address that was checked, so a name that resolves differently the
//! second time (DNS rebinding) gains nothing. Addresses that are spelled out are core's to check.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    vec,
};

use abyssale_core::{ArchivePolicy, http::Url};
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower_service::Service;

#[derive(Clone, Debug)]
pub(crate) struct GuardedResolver {
    inner: GaiResolver,
    policy: ArchivePolicy,
    base: Url,
}

impl GuardedResolver {
    pub(crate) fn new(policy: ArchivePolicy, base: Url) -> Self {
        Self { inner: GaiResolver::new(), policy, base }
    }
}

impl Service<Name> for GuardedResolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (found, policy, base) = (self.inner.call(name), self.policy, self.base.clone());
        Box::pin(async move {
            let allowed: Vec<_> =
                found.await?.filter(|address| policy.allows_ip(address.ip(), &base)).collect();
            if allowed.is_empty() {
                let reason =
                    "its name leads into a private network; set `allow_private` if that is meant to be";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
            }
            Ok(allowed.into_iter())
        })
    }
}
