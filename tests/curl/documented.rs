//! The request for an export as the service documents it, for curl, against the simulator.

use abyssale_simulator::{Config, Simulator};
use serde_json::Value;

use crate::command::{Answer, Curl};

pub(crate) fn is_accepted(curl: &Curl) {
    let simulator = Simulator::start(Config::default()).unwrap();
    let answer = ask(curl, &simulator, "/async/banners/export");
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((answer.status, &body["export_id"]), (200, &simulator.exports()[0].export_id.clone().into()));
    for limit in ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"] {
        assert!(
            answer.header(limit).is_some_and(|value| value.parse::<u64>().is_ok()),
            "{limit}: {answer:?}"
        );
    }
}

/// The documented sample really says `api.abyssale.com//async/…`. Whether the live service forgives that is not known;
/// the simulator does not, so that a client of ours that did the same would be found out.
pub(crate) fn double_slash(curl: &Curl) {
    let simulator = Simulator::start(Config::default()).unwrap();
    assert_eq!(ask(curl, &simulator, "//async/banners/export").status, 404);
    assert_eq!(simulator.requests()[0].path, "//async/banners/export");
    assert!(simulator.exports().is_empty());
}

fn ask(curl: &Curl, simulator: &Simulator, path: &str) -> Answer {
    let key = format!("x-api-key: {}", simulator.api_key());
    let data = r#"{"callback_url": "https://callback.url/endpoint", "ids": ["64238d01-d402-474b-8c2d-fbc957e9d290"]}"#;
    let options = ["-X", "POST", "-H", &key, "-H", "Content-Type: application/json", "-d", data];
    curl.send(&format!("{}{path}", simulator.base_url()), &options, b"")
}
