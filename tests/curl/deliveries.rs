//! Requests to a callback address, each posted by curl to the listeners of both transports: the same status, the same
//! headers that mean something, and the handler sees what was acknowledged and nothing else.

use crate::{
    command::{Answer, Curl},
    listeners::{PATH, SECRET, Standing, signature},
};

/// A request, and the status it is answered with.
pub(crate) struct Case {
    name: &'static str,
    target: &'static str,
    options: Vec<String>,
    body: Option<Vec<u8>>,
    status: u16,
}

impl Case {
    pub(crate) fn title(&self) -> String {
        format!("{} is answered {}", self.name, self.status).replace(' ', "_")
    }

    pub(crate) fn check(&self, curl: &Curl) {
        let mut meanings = Vec::new();
        for standing in Standing::both() {
            let answer = self.post(curl, &standing);
            assert_eq!(answer.status, self.status, "{}: {answer:?}", standing.name);
            let received = standing.received();
            let is_delivered = self.status == 200 && self.target != "/healthz";
            assert_eq!(received.len(), usize::from(is_delivered), "{}", standing.name);
            meanings.push((meaning(&answer), received));
        }
        assert_eq!(meanings[0], meanings[1]);
    }

    fn post(&self, curl: &Curl, standing: &Standing) -> Answer {
        let mut options: Vec<_> = self.options.iter().map(String::as_str).collect();
        if self.body.is_some() {
            options.extend(["--data-binary", "@-"]);
        }
        let url = format!("{}{}", standing.url, self.target);
        curl.send(&url, &options, self.body.as_deref().unwrap_or_default())
    }

    fn to(mut self, target: &'static str) -> Self {
        self.target = target;
        self
    }

    fn with_fields(mut self, count: usize) -> Self {
        self.options.extend((0..count).flat_map(|n| ["-H".to_owned(), format!("X-{n}: y")]));
        self
    }

    fn with<const N: usize>(mut self, options: [&str; N]) -> Self {
        self.options.extend(options.map(str::to_owned));
        self
    }
}

/// What an answer says to whoever delivers. That it closes, its length and its date are how it is transported.
fn meaning(answer: &Answer) -> (u16, Option<String>, String) {
    (answer.status, answer.header("allow").map(str::to_owned), answer.body.clone())
}

pub(crate) fn cases() -> Vec<Case> {
    // Signed here and posted soon: both are over long before the 300 seconds of a signature are.
    let request = |name, status, body: Option<&[u8]>, options: &[&str]| Case {
        name,
        target: PATH,
        options: options.iter().map(|&option| option.to_owned()).collect(),
        body: body.map(<[u8]>::to_vec),
        status,
    };
    let genuine =
        |name, status, body: &[u8]| request(name, status, Some(body), &["-H", &signature(SECRET, body, 0)]);
    let event = |name, status| genuine(name, status, EVENT.as_bytes());
    let with_signature =
        |name, status, header: &str| request(name, status, Some(EVENT.as_bytes()), &["-H", header]);
    let plain = |name, status, options: &[&str]| request(name, status, None, options);
    let good = signature(SECRET, EVENT.as_bytes(), 0);
    let second = format!("{good},v1={}", "0".repeat(64));
    let largest = padded(LIMIT);
    let too_large = padded(LIMIT + 1);
    let chunked = ["-H", "Transfer-Encoding: chunked"];
    vec![
        event("a genuine delivery", 200),
        event("a genuine delivery in chunks", 200).with(chunked),
        event("a genuine delivery that waits to be asked for its body", 200)
            .with(["-H", "Expect: 100-continue"]),
        event("a genuine delivery in HTTP/1.0", 200).with(["--http1.0"]),
        event("a genuine delivery in HTTP/1.0 without a host", 200).with(["--http1.0", "-H", "Host:"]),
        event("a genuine delivery with an id", 200).with(["-H", DELIVERY_ID]),
        event("a genuine delivery to a path with a slash and a query", 200).to("/abyssale/?a=b"),
        event("a genuine delivery over an upgradable connection", 200).with([
            "-H",
            "Connection: Upgrade",
            "-H",
            "Upgrade: h2c",
        ]),
        with_signature("a genuine delivery after a rotation", 200, &second),
        genuine("a genuine event of another kind", 200, br#"{"event_type":"NEW_BANNER","id":"x"}"#),
        genuine("a genuine delivery of exactly 64 KiB", 200, &largest),
        genuine("a genuine delivery of exactly 64 KiB in chunks", 200, &largest).with(chunked),
        genuine("a genuine delivery that is no JSON", 400, b"not json"),
        genuine("a genuine delivery of nothing", 400, b""),
        genuine("a genuine event without an archive", 400, br#"{"export_id":"e"}"#),
        request("an unsigned delivery", 401, Some(EVENT.as_bytes()), &[]),
        request("an unsigned delivery of nothing", 401, Some(b""), &[]),
        with_signature("an empty signature", 401, "X-Abyssale-Signature;"),
        with_signature("a malformed signature", 401, "X-Abyssale-Signature: t=soon,v1=x"),
        with_signature("a signature in bytes that are no text", 401, "X-Abyssale-Signature: t=1,v1=é"),
        with_signature("a stale signature", 401, &signature(SECRET, EVENT.as_bytes(), -400)),
        with_signature("a signature from the future", 401, &signature(SECRET, EVENT.as_bytes(), 400)),
        with_signature(
            "a signature with another secret",
            401,
            &signature("whsec_other", EVENT.as_bytes(), 0),
        ),
        with_signature("a signature of another body", 401, &signature(SECRET, b"{}", 0)),
        event("a delivery whose signature a proxy repeats", 200).with(["-H", &good]),
        event("a delivery signed in two ways", 401).with(["-H", "X-Abyssale-Signature: t=1,v1=0"]),
        event("a delivery to a path with a stage before it", 200).to("/prod/abyssale"),
        event("a delivery to another path", 404).to("/other"),
        plain("a health check", 200, &[]).to("/healthz"),
        plain("a health check without a body", 200, &["--head"]).to("/healthz"),
        plain("a DELETE of the health check", 404, &["-X", "DELETE"]).to("/healthz"),
        event("a delivery to the root", 404).to("/"),
        event("a delivery to a path in other letters", 404).to("/Abyssale"),
        plain("a GET", 405, &[]),
        plain("a HEAD", 405, &["--head"]),
        plain("a DELETE", 405, &["-X", "DELETE"]),
        plain("an OPTIONS", 405, &["-X", "OPTIONS"]),
        plain("a method of its own making", 405, &["-X", "DELIVER"]),
        plain("a GET of another path", 404, &[]).to("/other"),
        event("a PUT", 405).with(["-X", "PUT"]),
        genuine("a delivery of more than 64 KiB", 413, &too_large).with(["-H", "Expect:"]),
        genuine("a delivery of more than 64 KiB that waits to be asked for", 413, &too_large)
            .with(["-H", "Expect: 100-continue"]),
        genuine("a delivery of more than 64 KiB in chunks", 413, &too_large)
            .with(chunked)
            .with(["-H", "Expect:"]),
        genuine("a delivery of more than 64 KiB in chunks that waits to be asked for", 413, &too_large)
            .with(chunked)
            .with(["-H", "Expect: 100-continue"]),
        event("a compressed delivery", 415).with(["-H", "Content-Encoding: gzip"]),
        event("a delivery with an encoding that changes nothing", 200)
            .with(["-H", "Content-Encoding: identity"]),
        event("a delivery that expects something unknown", 200).with(["-H", "Expect: a-miracle"]),
        event("a delivery without a host", 200).with(["-H", "Host:"]),
        event("a delivery that names its address in full", 200)
            .with(["--request-target", "http://hooks.example.com/abyssale"]),
        event("a request for the server as a whole", 404).with(["--request-target", "*"]),
        event("a delivery in another transfer coding", 200).with(["-H", "Transfer-Encoding: gzip, chunked"]),
        event("a delivery framed twice", 200).with(chunked).with(["-H", "Content-Length: 41"]),
        plain("a delivery that says nothing about a body", 401, &["-X", "POST", "-H", &good]),
        event("a delivery with a head of more than 16 KiB", 431)
            .with(["-H", &format!("X: {}", "x".repeat(17 << 10))]),
        event("a delivery with more than 128 header fields", 431).with_fields(200),
        event("a delivery with a hundred header fields more", 200).with_fields(100),
    ]
}

/// The largest delivery that is read by default.
pub(crate) const LIMIT: usize = 64 << 10;

/// A genuine event of this many bytes: JSON may end in blanks.
fn padded(len: usize) -> Vec<u8> {
    let mut body = EVENT.as_bytes().to_vec();
    body.resize(len, b' ');
    body
}

pub(crate) const EVENT: &str = r#"{"export_id":"e","archive_url":"url.zip"}"#;
const DELIVERY_ID: &str =
    "X-Abyssale-Delivery-Id: 0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a";
