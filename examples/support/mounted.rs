//! What the examples of mounting receive, and show: any delivery, without an export of their own.

use std::{
    env,
    error::Error,
    io::{self, Write as _},
};

use abyssale_core::{
    SigningSecret,
    webhook::{CallbackEndpoint, Delivery, Reply, Verifier},
};

/// An endpoint that takes deliveries signed with `ABYSSALE_SIGNING_SECRET`, at any path and without a token.
pub fn endpoint() -> Result<CallbackEndpoint, Box<dyn Error + Send + Sync>> {
    let secret =
        env::var("ABYSSALE_SIGNING_SECRET").map_err(|error| format!("ABYSSALE_SIGNING_SECRET: {error}"))?;
    Ok(CallbackEndpoint::new(Verifier::new([SigningSecret::new(secret)?])).token(None))
}

/// Shows a delivery, and says that it was taken.
pub fn show(delivery: &Delivery) -> Reply {
    // If standard error is closed, there is nobody to show it to.
    let _closed = writeln!(io::stderr(), "{:?}", delivery.event);
    Reply::Acknowledged
}
