//! A listener that speaks TLS itself, and takes a renewed certificate into use without a restart.
//!
//! `cargo run --example listen-tls -- 0.0.0.0:8443 chain.pem key.pem`. Press return once the files have changed, and
//! end the input to shut down.

use std::{
    env,
    error::Error,
    io::{self, BufRead as _, Write as _},
};

use abyssale_blocking::{ListenerSettings, Receiver};
use abyssale_examples::{Certificate, endpoint, show};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut arguments = env::args().skip(1);
    let (Some(address), Some(chain), Some(key)) = (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: listen-tls ADDRESS CHAIN KEY".into());
    };
    let certificate = Certificate::open(chain, key)?;
    let mut settings = ListenerSettings::default();
    settings.tls = Some(certificate.config()?);
    let listener =
        Receiver::new(endpoint()?, |_, delivery| show(&delivery)).listen_with(address, &settings)?;
    writeln!(io::stderr(), "listening on https://{}", listener.local_addr())?;
    for line in io::stdin().lock().lines() {
        line?;
        match certificate.renew() {
            Ok(()) => writeln!(io::stderr(), "the renewed certificate is in use")?,
            Err(error) => writeln!(io::stderr(), "the former certificate stays in use: {error}")?,
        }
    }
    listener.shutdown();
    Ok(())
}
