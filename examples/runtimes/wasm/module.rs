//! The core as a WebAssembly module: it imports nothing, so it cannot do anything but compute. JSON goes in and comes out
//! byte by byte, through three functions without a pointer; the host's I/O is in `host.mjs`. `.ci/wasm` runs both.

use std::{cell::RefCell, collections::VecDeque, error::Error, sync::Arc};

use abyssale_core::http::Request;
use abyssale_core::webhook::{CallbackEndpoint, Verifier};
use abyssale_core::{ApiKey, BannerId, Config, Endpoint, Export, Order, Output, SigningSecret, Timestamp};
use abyssale_core::{Input, Token, TokenPlacement, archive::check_ends, download::DownloadError};
use serde::Deserialize;
use serde_json::{Value, json};

/// What the host tells: what happens to the job is core's own [`Input`].
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Start { base: String, key: String, secret: String, callback: String, token: Token, ids: Vec<BannerId> },
    Input(Input),
    Ends { head: Vec<u8>, tail: Vec<u8>, len: u64 },
    Request { method: String, target: String, headers: Vec<(String, Vec<u8>)>, body: Vec<u8> },
}

type Job = (Export, CallbackEndpoint);

thread_local! {
    static MESSAGE: RefCell<VecDeque<u8>> = const { RefCell::new(VecDeque::new()) };
    static JOB: RefCell<Option<Job>> = const { RefCell::new(None) };
}

/// Takes the next byte of a message.
#[unsafe(no_mangle)]
pub extern "C" fn push(byte: u8) {
    MESSAGE.with_borrow_mut(|message| message.push_back(byte));
}

/// The message is whole: `[now, wall, told]`. Returns the length of what there is to say to it.
#[unsafe(no_mangle)]
pub extern "C" fn run() -> usize {
    let message = Vec::from(MESSAGE.take());
    let said = JOB.with_borrow_mut(|job| {
        let reply = tell(job, &message).map_err(|error| error.to_string());
        let outputs: Vec<_> = std::iter::from_fn(|| job.as_mut()?.0.poll_output()).map(shown).collect();
        let timeout = job.as_ref().and_then(|(export, _)| export.poll_timeout());
        json!({ "outputs": outputs, "timeout": timeout, "reply": reply })
    });
    MESSAGE.set(said.to_string().into_bytes().into());
    MESSAGE.with_borrow(VecDeque::len)
}

/// Gives the next byte of what there is to say.
#[unsafe(no_mangle)]
pub extern "C" fn pull() -> u8 {
    MESSAGE.with_borrow_mut(VecDeque::pop_front).unwrap_or_default()
}

/// Tells the job. Returns the status to answer to a request, and what is wrong with an archive if something is.
fn tell(job: &mut Option<Job>, message: &[u8]) -> Result<Value, Box<dyn Error>> {
    let (now, wall, told): (Timestamp, Timestamp, Told) = serde_json::from_slice(message)?;
    match (told, &mut *job) {
        (Told::Start { base, key, secret, callback, token, ids }, _) => {
            let config = Config::new(Endpoint::new(&base, ApiKey::new(key)?)?);
            let order = Order::new(ids, &callback)?.with_token(token, TokenPlacement::PathSegment)?;
            let endpoint = CallbackEndpoint::new(Verifier::new([SigningSecret::new(secret)?]));
            *job = Some((Export::new(Arc::new(config), order, now), endpoint));
        }
        (_, None) => return Err("nothing was started".into()),
        (Told::Input(input), Some((export, _))) => drop(export.handle(now, input)),
        (Told::Ends { head, tail, len }, _) => {
            return Ok(json!(check_ends(&head, &tail, len).err().map(DownloadError::NotAnArchive)));
        }
        (Told::Request { method, target, headers, body }, Some((export, endpoint))) => {
            let delivery = endpoint.receive(wall, &method, &target, &headers, &body);
            let reply = delivery.map(|delivery| export.handle_delivery(now, &delivery));
            return Ok(json!(reply.unwrap_or_else(|refused| refused).status()));
        }
    }
    Ok(Value::Null)
}

fn shown(output: Output) -> Value {
    match output {
        Output::Call { call, request, .. } => json!({ "call": call, "request": described(&request) }),
        Output::Download { call, transfer, .. } => {
            json!({ "download": call, "request": described(&transfer.request()) })
        }
        Output::Abort(call) => json!({ "abort": call }),
        Output::Notice(notice) => json!({ "notice": notice.to_string() }),
        Output::Done(result) => json!({ "done": result }),
        _ => Value::Null,
    }
}

fn described(request: &Request) -> Value {
    let headers: Vec<_> = request.headers().collect();
    let (method, url) = (request.method().as_str(), request.url().as_str());
    json!({ "method": method, "url": url, "headers": headers, "body": request.body() })
}
