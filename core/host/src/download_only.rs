//! A job for an event that is here already: it only downloads the archive.

use std::sync::Arc;

use abyssale_core::{Config, Export, Input, Order, Timestamp, TokenPlacement, webhook::NewExport};

use crate::{Error, random_token};

/// A job that has its event and goes on with the download: the same retries, checks and failures as of a whole one.
///
/// Nothing is asked for: a job takes its event at any time, so this one is handed it before its request is polled.
pub fn download_only(config: &Arc<Config>, event: &NewExport, now: Timestamp) -> Result<Export, Error> {
    let token = random_token()?;
    // Never sent, and there is none that it would have to be equal to. The token says that the event is its own.
    let order = Order::new(["00000000-0000-0000-0000-000000000000"], config.endpoint.base_url().as_str())?
        .with_token(token, TokenPlacement::PathSegment)?;
    let mut export = Export::new(Arc::clone(config), order, now);
    let _ = export.handle(now, Input::Event { event: event.clone(), token: Some(token) });
    Ok(export)
}

#[cfg(test)]
mod tests {
    use abyssale_core::{ApiKey, Endpoint, Output};

    use super::*;

    #[test]
    fn nothing_but_the_download_is_asked_for() {
        let endpoint = Endpoint::new("https://h", ApiKey::new("k").unwrap()).unwrap();
        let event = serde_json::from_str(
            r#"{"export_id": "54e62358-2656-455c-afd7-66d5ed3dd581", "archive_url": "https://store.example.com/a.zip"}"#,
        );
        let mut export =
            download_only(&Arc::new(Config::new(endpoint)), &event.unwrap(), Timestamp::default()).unwrap();
        let outputs: Vec<_> = std::iter::from_fn(|| export.poll_output()).collect();
        assert!(matches!(outputs.as_slice(), [Output::Notice(_), Output::Download { .. }]), "{outputs:?}");
    }
}
