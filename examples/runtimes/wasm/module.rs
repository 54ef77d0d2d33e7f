//! The core as a WebAssembly module: it imports nothing, so it cannot do anything but compute. JSON goes in and comes out
//! byte by byte, through three functions without a pointer; the host's I/O is in `host.mjs`. `.ci/wasm` runs both.

use std::{cell::RefCell, sync::Arc};

use abyssale_core::{
    ApiKey, CallId, Config, Endpoint, Export, Input, Order, Output, Sent, SigningSecret, Timestamp, Token,
    TokenPlacement, archive,
    export::DownloadError,
    http::Request,
    webhook::{Event, Hook, Verifier},
};
use serde::Deserialize;
use serde_json::{Value, json};

/// What the host tells. Bytes are text with a character from U+0000 to U+00FF for each.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Start { base: String, key: String, secret: String, callback: String, token: Token, ids: Vec<String> },
    Tick {},
    Answered { call: CallId, status: u16, headers: Vec<(String, String)>, body: String },
    Unanswered { call: CallId, sent: bool, reason: String },
    Progress { call: CallId, received: u64 },
    Ends { call: CallId, head: String, tail: String, len: u64 },
    Downloaded { call: CallId, bytes: u64 },
    Interrupted { call: CallId, reason: String },
    Request { method: String, target: String, headers: Vec<(String, String)>, body: String },
}

type Job = (Export, Hook);

thread_local! {
    static MESSAGE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static JOB: RefCell<Option<Job>> = const { RefCell::new(None) };
}

/// Takes the next byte of a message.
#[unsafe(no_mangle)]
pub extern "C" fn push(byte: u8) {
    MESSAGE.with_borrow_mut(|message| message.push(byte));
}

/// The message is whole: `[now, wall, told]`. Returns the length of what there is to say to it.
#[unsafe(no_mangle)]
pub extern "C" fn run() -> usize {
    let message = MESSAGE.take();
    let said = JOB.with_borrow_mut(|job| {
        let told = serde_json::from_slice::<(Timestamp, Timestamp, Told)>(&message);
        let reply =
            told.map_err(|error| error.to_string()).and_then(|(now, wall, told)| tell(job, now, wall, told));
        let Some((export, _)) = job else { return json!({ "error": reply.err() }) };
        let outputs: Vec<_> = std::iter::from_fn(|| export.poll_output()).map(shown).collect();
        let (reply, error) = reply.map_or_else(|error| (None, Some(error)), |reply| (reply, None));
        json!({ "outputs": outputs, "timeout": export.poll_timeout(), "reply": reply, "error": error })
    });
    MESSAGE.set(said.to_string().into_bytes());
    MESSAGE.with_borrow(Vec::len)
}

/// A byte of what there is to say; the last one ends it.
#[unsafe(no_mangle)]
pub extern "C" fn pull(index: usize) -> u8 {
    let (byte, is_last) = MESSAGE.with_borrow(|said| (said.get(index).copied(), index + 1 == said.len()));
    if is_last {
        MESSAGE.take();
    }
    byte.unwrap_or_default()
}

/// Tells the job, and returns the status to answer if it was a delivery.
fn tell(job: &mut Option<Job>, now: Timestamp, wall: Timestamp, told: Told) -> Result<Option<u16>, String> {
    if let Told::Start { base, key, secret, callback, token, ids } = told {
        *job =
            Some(start(now, &base, key, secret, &callback, token, &ids).map_err(|error| error.to_string())?);
        return Ok(None);
    }
    let (export, hook) = job.as_mut().ok_or("nothing was started")?;
    let reply = match told {
        Told::Start { .. } | Told::Tick {} => export.handle(now, Input::Tick),
        Told::Answered { call, status, headers, body } => {
            export.handle(now, Input::Response { call, status, headers: &headers, body: &bytes(&body) })
        }
        Told::Unanswered { call, sent, reason } => {
            let sent = if sent { Sent::Maybe } else { Sent::Never };
            export.handle(now, Input::CallFailed { call, sent, reason: &reason })
        }
        Told::Progress { call, received } => {
            export.handle(now, Input::Progress { call, received, total: None })
        }
        Told::Ends { call, head, tail, len } => {
            let checked = archive::check_ends(&bytes(&head), &bytes(&tail), len);
            let Err(error) = checked else { return Ok(Some(200)) };
            export.handle(now, Input::DownloadFailed { call, error: DownloadError::NotAnArchive(&error) })
        }
        Told::Downloaded { call, bytes } => export.handle(now, Input::Downloaded { call, bytes }),
        Told::Interrupted { call, reason } => {
            export.handle(now, Input::DownloadFailed { call, error: DownloadError::Interrupted(&reason) })
        }
        Told::Request { method, target, headers, body } => {
            let delivery = hook.receive(wall, &method, &target, &headers, &bytes(&body));
            return Ok(Some(match delivery.map(|delivery| (delivery.event, delivery.token)) {
                Ok((Event::NewExport(event), token)) => {
                    let input = Input::Event { event: &event, token: token.as_ref() };
                    export.handle(now, input).reply().status()
                }
                Ok(_) => 200,
                Err(reply) => reply.status(),
            }));
        }
    };
    let _ = reply;
    Ok(None)
}

fn start(
    now: Timestamp,
    base: &str,
    key: String,
    secret: String,
    callback: &str,
    token: Token,
    ids: &[String],
) -> Result<Job, Box<dyn std::error::Error>> {
    let config = Config::new(Endpoint::new(base, ApiKey::new(key)?)?);
    let order = Order::new(ids.iter().map(String::as_str), callback)?
        .with_token(token, TokenPlacement::PathSegment)?;
    let hook = Hook::new(Verifier::new([SigningSecret::new(secret)?]));
    Ok((Export::new(Arc::new(config), order, now), hook))
}

fn shown(output: Output) -> Value {
    match output {
        Output::Call { call, request, .. } => json!({ "call": call, "request": described(&request) }),
        Output::Download { call, request, .. } => json!({ "download": call, "request": described(&request) }),
        Output::Abort(call) => json!({ "abort": call }),
        Output::Notice(notice) => json!({ "notice": notice.to_string() }),
        Output::Done(result) => json!({ "done": result }),
        _ => Value::Null,
    }
}

fn described(request: &Request) -> Value {
    let headers: Vec<_> = request.headers().collect();
    let body = String::from_utf8_lossy(request.body());
    json!({ "method": request.method().as_str(), "url": request.url().as_str(), "headers": headers, "body": body })
}

fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(character).unwrap_or(b'?')).collect()
}
