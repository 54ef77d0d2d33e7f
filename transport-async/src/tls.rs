//! TLS, to the service and to archives, and for the listener: the operating system's certificates, and cryptography that is
//! chosen without touching the process's own default.

use std::sync::Arc;

use abyssale_core::http::{Scheme, Url};
use abyssale_host::Error;
use rustls::{ClientConfig, RootCertStore, crypto::CryptoProvider};
use rustls_platform_verifier::BuilderVerifierExt as _;

/// The client's side of TLS, for a service at `base`.
pub(crate) fn client_config(base: &Url) -> Result<ClientConfig, Error> {
    let failed = |error: rustls::Error| Error::Tls(error.to_string());
    let builder = || {
        let builder = ClientConfig::builder_with_provider(provider());
        builder.with_safe_default_protocol_versions().map_err(failed)
    };
    match builder()?.with_platform_verifier() {
        Ok(config) => Ok(config.with_no_client_auth()),
        // A machine without certificates can still talk to a service on itself; with nobody to trust,
        // every TLS connection then fails by itself.
        Err(_) if base.scheme() == Scheme::Http => {
            Ok(builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
        }
        Err(error) => Err(failed(error)),
    }
}

/// The provider of the enabled feature; aws-lc-rs where both are.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    let provider = rustls::crypto::ring::default_provider();
    #[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
    compile_error!("enable one of the features `aws-lc-rs` and `ring`: the service is reached over TLS");
    Arc::new(provider)
}
