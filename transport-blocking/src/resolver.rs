//! Name resolution: what does not resolve is told from what broke off later, and an archive's
//! address must not lead into a private network.
//!
//! The connection goes to the very address that was checked, so a name that resolves differently the
//! second time (DNS rebinding) gains nothing.

use abyssale_core::{archive::ArchivePolicy, http::Url};
use abyssale_host::allowed_addresses;
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
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let allowed = allowed_addresses(&self.policy, &self.base, host, found.iter().copied())?;
        let mut found = self.empty();
        for address in allowed {
            found.push(address);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ureq::{Timeout, config::Config};

    use super::*;

    fn resolve(policy: ArchivePolicy, base: &str, uri: &str) -> Result<ResolvedSocketAddrs, Error> {
        let timeout = NextTimeout {
            after: Duration::from_secs(30).into(),
            reason: Timeout::Resolve,
            per_read: None,
            per_write: None,
        };
        let resolver = GuardedResolver::new(policy, base.parse().unwrap());
        resolver.resolve(&uri.parse().unwrap(), &Config::default(), timeout)
    }

    #[test]
    fn a_name_that_leads_to_this_machine_is_refused_where_the_service_is_elsewhere() {
        let away = "https://api.abyssale.com";
        for uri in ["https://localhost/a", "https://127.0.0.1/a", "https://[::1]/a"] {
            let error = resolve(ArchivePolicy::default(), away, uri).unwrap_err();
            assert!(error.to_string().contains("may not come from"), "{error}");
            assert!(!resolve(ArchivePolicy::default(), "http://localhost:1", uri).unwrap().is_empty());
        }
        let listed = || ArchivePolicy::default().allow(["localhost", "::1"]).unwrap();
        assert!(!resolve(listed(), away, "https://localhost/a").unwrap().is_empty());
        assert!(!resolve(listed(), away, "https://[::1]/a").unwrap().is_empty());
        assert!(resolve(listed(), away, "https://127.0.0.1/a").is_err());
    }
}
