//! Name resolution: what does not resolve is told from what broke off later, and an archive's
//! address must not lead into a private network.
//!
//! The connection goes to the very address that was checked, so a name that resolves differently the
//! second time (DNS rebinding) gains nothing.

use std::io;

use abyssale_core::{ArchivePolicy, http::Url};
use ureq::{
    Error,
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::NextTimeout,
    },
};

#[derive(Debug)]
pub(crate) struct GuardedResolver {
    inner: DefaultResolver,
    policy: ArchivePolicy,
    base: Url,
}

impl GuardedResolver {
    pub(crate) fn new(policy: ArchivePolicy, base: Url) -> Self {
        Self { inner: DefaultResolver::default(), policy, base }
    }
}

impl Resolver for GuardedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = match self.inner.resolve(uri, config, timeout) {
            // What the resolver says cannot be told from what a broken connection says, unless it is
            // told here: a name that does not resolve means that nothing was sent.
            Err(Error::Io(_)) => return Err(Error::HostNotFound),
            other => other?,
        };
        let mut allowed = self.empty();
        for address in found.iter().filter(|address| self.policy.allows_ip(address.ip(), &self.base)) {
            allowed.push(*address);
        }
        if allowed.is_empty() {
            let reason = "its name leads into a private network; set `allow_private` if that is meant to be";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason).into());
        }
        Ok(allowed)
    }
}
