//! Which of a host's addresses an archive may be downloaded from.

use std::{error::Error, io, net::SocketAddr};

use abyssale_core::{
    archive::{ArchivePolicy, ArchiveUrlError},
    http::Url,
};

/// Returns the addresses of an archive's host that the policy allows.
///
/// # Errors
///
/// Fails if it allows none of them. [`address_refusal`] finds the reason in the error of an HTTP client.
pub fn allowed_addresses(
    policy: &ArchivePolicy,
    base: &Url,
    host: &str,
    found: impl IntoIterator<Item = SocketAddr>,
) -> io::Result<Vec<SocketAddr>> {
    let allowed = found.into_iter().filter(|address| policy.allows_ip(host, address.ip(), base));
    let allowed: Vec<_> = allowed.collect();
    if allowed.is_empty() {
        let refusal = ArchiveUrlError::not_allowed_address(host);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, refusal));
    }
    Ok(allowed)
}

/// Returns why [`allowed_addresses`] failed, if that is a cause of the error.
pub fn address_refusal<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e ArchiveUrlError> {
    let mut error = Some(error);
    while let Some(cause) = error {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(refusal) = inner.and_then(|inner| inner.downcast_ref()) {
            return Some(refusal);
        }
        error = cause.source();
    }
    None
}
