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

use abyssale_core::{archive::ArchivePolicy, http::Url};
use abyssale_host::allowed_addresses;
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
        let (policy, base) = (self.policy.clone(), self.base.clone());
        let (host, found) = (name.as_str().to_owned(), self.inner.call(name));
        Box::pin(async move {
            allowed_addresses(&policy, &base, &host, found.await?).map(IntoIterator::into_iter)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(policy: ArchivePolicy, base: &str) -> io::Result<Vec<SocketAddr>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut resolver = GuardedResolver::new(policy, base.parse().unwrap());
        let name = "localhost".parse().unwrap();
        runtime.block_on(async move { resolver.call(name).await }).map(Iterator::collect)
    }

    #[test]
    fn a_name_that_leads_to_this_machine_is_refused_where_the_service_is_elsewhere() {
        let away = "https://api.abyssale.com";
        let error = resolve(ArchivePolicy::default(), away).unwrap_err();
        assert!(error.to_string().contains("may not come from"), "{error}");
        assert!(!resolve(ArchivePolicy::default(), "http://localhost:1").unwrap().is_empty());
        let listed = |place| ArchivePolicy::default().allow([place]).unwrap();
        assert!(!resolve(listed("localhost"), away).unwrap().is_empty());
        assert!(!resolve(listed("127.0.0.0/8").allow(["::1"]).unwrap(), away).unwrap().is_empty());
        assert!(resolve(listed("10.0.0.0/8"), away).is_err());
    }
}
