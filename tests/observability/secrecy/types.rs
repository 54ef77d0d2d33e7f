//! What `Debug` and `Display` show of every public type that holds a secret, or may be handed one.

use std::{sync::Arc, time::Duration};

use abyssale_core::{
    ApiKey, AtCapacity, CallError, Config, Endpoint, Export, Exports, Input, Limits, Order, Sent,
    SigningSecret, SigningSecretState, Snapshot, Timestamp, Token, TokenPlacement, Write,
    archive::ArchivePolicy,
    download::Transfer,
    http::Url,
    webhook::{CallbackEndpoint, Verifier, sign},
};
use abyssale_host::{Callback, CallbackSettings, Settings};

use crate::{
    KEY, QUERY, SECRET,
    hunt::{Hunt, Secret},
    world::IDS,
};

const TOKEN: &str = "009aff10c3d5e7081b2a4c6d8e0f1234";
const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

fn hunt() -> Hunt {
    let mut hunt = Hunt::new();
    hunt.seek(Secret::Token, TOKEN);
    hunt
}

fn key() -> ApiKey {
    ApiKey::new(KEY).unwrap()
}

fn secret() -> SigningSecret {
    SigningSecret::new(SECRET).unwrap()
}

fn endpoint() -> Endpoint {
    Endpoint::new("https://api.abyssale.com", key()).unwrap()
}

fn order(placement: TokenPlacement) -> Order {
    let order = Order::new(IDS, "https://hooks.example.com/abyssale").unwrap();
    order.with_token(TOKEN.parse().unwrap(), placement).unwrap()
}

fn body() -> String {
    format!(
        r#"{{"export_id":"54e62358-2656-455c-afd7-66d5ed3dd581","archive_url":"https://h.example.com/a.zip?{QUERY}"}}"#
    )
}

#[test]
fn a_secret_and_what_is_made_of_it_show_nothing_of_it() {
    let mut hunt = hunt();
    hunt.hear_debug("ApiKey", &key());
    hunt.hear_debug("SigningSecret", &secret());
    hunt.hear_error("ApiKey", &ApiKey::new(format!("{KEY} ")).unwrap_err());
    hunt.hear_error("SigningSecret", &SigningSecret::new(format!("{SECRET}\n")).unwrap_err());
    hunt.hear_debug("Endpoint", &endpoint());
    hunt.hear_debug("Config", &Config::new(endpoint()));
    hunt.hear_error("Endpoint", &Endpoint::new(&format!("http://h/?{QUERY}"), key()).unwrap_err());
    hunt.hear_debug("Token", &TOKEN.parse::<Token>().unwrap());
    hunt.hear_error("Token", &format!("{TOKEN}0").parse::<Token>().unwrap_err());
    for placement in [TokenPlacement::PathSegment, TokenPlacement::QueryParameter("t".into())] {
        let order = order(placement);
        hunt.hear_debug("Order", &order);
        hunt.hear_debug("Request", &endpoint().create_export(&order));
        let full = AtCapacity(Box::new(order));
        hunt.hear_error("AtCapacity", &full);
    }
    hunt.hear_debug("Request", &endpoint().rotate_signing_secret(true));
    let address: Url = format!("https://h.example.com/a.zip?{QUERY}").parse().unwrap();
    hunt.hear_debug("Url", &address);
    hunt.hear_error("Url", &format!("ftp://h/a.zip?{QUERY}").parse::<Url>().unwrap_err());
    let base: Url = "https://api.abyssale.com".parse().unwrap();
    let transfer = Transfer::new(address, ArchivePolicy::default(), base.clone());
    hunt.hear_debug("Transfer", &transfer);
    hunt.hear_debug("Request", &transfer.request());
    for address in [format!("http://10.0.0.1/a.zip?{QUERY}"), format!("a.zip?{QUERY}")] {
        hunt.hear_error("ArchivePolicy", &ArchivePolicy::default().check(&address, &base).unwrap_err());
    }
    hunt.hear_debug(
        "Write",
        &Write::Save(order(TokenPlacement::PathSegment).callback_with_token().as_str().into()),
    );
    hunt.assert_clean(40);
}

#[test]
fn a_job_shows_nothing_in_any_of_its_states() {
    let mut hunt = hunt();
    let config = Arc::new(Config::new(endpoint()));
    let mut export = Export::new(Arc::clone(&config), order(TokenPlacement::PathSegment), NOW);
    let mut exports = Exports::new(config, Limits::default());
    exports.submit(NOW, order(TokenPlacement::PathSegment)).unwrap();
    hunt.hear_debug("Exports", &exports);
    let event = serde_json::from_str(&body()).unwrap();
    let token = TOKEN.parse().unwrap();
    let inputs = [Input::Tick, Input::Event { event, token: Some(token) }, Input::Tick, Input::Cancel];
    for input in inputs {
        let _ = export.handle(NOW, input);
        hunt.hear_debug("Export", &export);
        while let Some(output) = export.poll_output() {
            hunt.hear_debug("Output", &output);
        }
        let snapshot = export.snapshot();
        hunt.hear_debug("Snapshot", &snapshot);
        let json = snapshot.to_json();
        hunt.hear_where("snapshot", json.as_str(), &[Secret::Token, Secret::Query]);
        for end in (0..json.len()).step_by(97) {
            let damaged = json.get(..end).unwrap();
            hunt.hear_error("a snapshot that is cut off", &Snapshot::from_json(damaged).unwrap_err());
        }
        // A text where none is expected, which a reader of JSON may quote.
        for (from, to) in [
            (format!("\"{TOKEN}\""), format!("\"{TOKEN}{TOKEN}\"")),
            ("\"order\":{".into(), format!("\"order\":\"{TOKEN}\",\"x\":{{")),
        ] {
            if let Err(error) = Snapshot::from_json(&json.replace(&from, &to)) {
                hunt.hear_error("a snapshot that is damaged", &error);
            }
        }
    }
    let mut lost = Export::new(Arc::new(Config::new(endpoint())), order(TokenPlacement::PathSegment), NOW);
    let Some(abyssale_core::Output::Call { call, .. }) = lost.poll_output() else { panic!() };
    let _ = lost.handle(
        NOW,
        Input::CallFailed { call, error: CallError { sent: Sent::Maybe, reason: "no answer".into() } },
    );
    hunt.hear_debug("Export", &lost);
    hunt.assert_clean(40);
}

#[test]
fn debug_output_shows_nothing_of_deliveries_and_answers() {
    let mut hunt = hunt();
    let endpoint = CallbackEndpoint::new(Verifier::new([secret()]));
    hunt.hear_debug("CallbackEndpoint", &endpoint);
    let body = body();
    let (target, headers) =
        (format!("/abyssale/{TOKEN}"), [("x-abyssale-signature", sign(&secret(), NOW, body.as_bytes()))]);
    hunt.hear_debug("Admitted", &endpoint.admit("POST", &target, &headers).unwrap());
    let verifier = Verifier::new([secret()]);
    hunt.hear_debug("Verified", &verifier.verify(NOW, &headers, body.as_bytes()).unwrap());
    hunt.hear_debug("Delivery", &endpoint.receive(NOW, "POST", &target, &headers, body.as_bytes()).unwrap());

    let state =
        format!(r#"{{"secret": {}, "created_at_ts": 1755561234}}"#, serde_json::to_string(SECRET).unwrap());
    hunt.hear_debug("SigningSecretState", &SigningSecretState::parse(200, &(), state.as_bytes()).unwrap());
    for damaged in [state.replace(':', ";"), state.replace("created", "secret"), format!("[{state}]")] {
        if let Err(error) = SigningSecretState::parse(200, &(), damaged.as_bytes()) {
            hunt.hear_error("SigningSecretState", &error);
        }
    }
    hunt.assert_clean(8);
}

#[test]
fn settings_and_builders_show_nothing() {
    let mut hunt = hunt();
    let mut settings = Settings::default();
    settings.api_key = Some(key());
    hunt.hear_debug("Settings", &settings);
    let callback = || {
        let mut settings = CallbackSettings::default();
        settings.address = Some("https://hooks.example.com/abyssale".into());
        settings.secrets = vec![secret()];
        settings
    };
    hunt.hear_debug("CallbackSettings", &callback());
    let (checked, endpoint): (Callback, CallbackEndpoint) =
        callback().check(&"https://api.abyssale.com".parse().unwrap(), true).unwrap();
    hunt.hear_debug("Callback", &checked);
    hunt.hear_debug("CallbackEndpoint", &endpoint);
    macro_rules! transport {
        ($transport:ident) => {{
            let client = $transport::Client::builder()
                .api_key(key())
                .settings(|settings| settings.timeout = Some(Duration::from_secs(1)));
            hunt.hear_debug("ClientBuilder", &client);
            hunt.hear_debug("Client", &client.build().unwrap());
            let exporter = $transport::Exporter::builder()
                .api_key(key())
                .callback("https://hooks.example.com/abyssale")
                .signing_secret(secret());
            hunt.hear_debug("ExporterBuilder", &exporter);
        }};
    }
    transport!(abyssale_blocking);
    transport!(abyssale_async);
    hunt.assert_clean(20);
}
