//! The cryptography behind TLS, chosen without touching the process's own default.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

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
