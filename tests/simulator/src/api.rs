//! The API's own endpoints: the request for an export, and the three for the signing secret.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::config::{Dialect, UnknownBanners};
use crate::envelope::VERSION;
use crate::event;
use crate::mint::is_uuid;
use crate::rate::Allowance;
use crate::refusal::Refusal;
use crate::reply::{self, Body, Reply, full};
use crate::shared::Shared;
use crate::trouble::{Answer, CreateTrouble, with_byte_order_mark};
use crate::validate::{self, Order};
use crate::wire::Fault;

/// Where exports are asked for.
pub(crate) const CREATE: &str = "/async/banners/export";

/// Answers a request for an export.
pub(crate) async fn create(
    shared: &Arc<Shared>,
    headers: &HeaderMap,
    body: &Bytes,
    trouble: CreateTrouble,
) -> Reply {
    match trouble {
        CreateTrouble::LostBefore { reset } => return Reply::hang_up(reset),
        CreateTrouble::Answer(answer) if !answer.accepted => return to_order(shared, &answer).into(),
        _ => {}
    }
    let answer = accept(shared, headers, body).await;
    let answer = answer.unwrap_or_else(|refusal| refusal.response(shared.config.dialect));
    spoil(shared, answer, trouble).await
}

/// Answers a request that checks the key.
pub(crate) fn auth(shared: &Shared, method: &Method, headers: &HeaderMap) -> Response<Body> {
    let answer = if *method == Method::POST {
        admit(shared, headers).map(|allowance| granted(shared.config.dialect, json!({}), allowance))
    } else {
        Err(Refusal::MethodNotAllowed)
    };
    answer.unwrap_or_else(|refusal| refusal.response(shared.config.dialect))
}

/// Answers a request about a banner.
pub(crate) fn banner(shared: &Shared, method: &Method, id: &str, headers: &HeaderMap) -> Response<Body> {
    let answer = match admit(shared, headers) {
        Ok(_) if *method != Method::GET => Err(Refusal::MethodNotAllowed),
        Ok(_) if !is_uuid(id) => Err(Refusal::NotAnId),
        Ok(_) if !knows(shared, id) => Err(Refusal::UnknownBanners(vec![id.to_owned()])),
        Ok(allowance) => Ok(granted(shared.config.dialect, json!({ "id": id }), allowance)),
        Err(refusal) => Err(refusal),
    };
    answer.unwrap_or_else(|refusal| refusal.response(shared.config.dialect))
}

/// Answers a request about the signing secret; `None` if the path is another.
pub(crate) fn signing_secret(
    shared: &Shared,
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Option<Response<Body>> {
    let expected = match path {
        "/signing-secret" => Method::GET,
        "/signing-secret/rotate" | "/signing-secret/revoke" => Method::POST,
        _ => return None,
    };
    let answer = if *method == expected {
        secret_state(shared, path, query, headers)
    } else {
        Err(Refusal::MethodNotAllowed)
    };
    Some(answer.unwrap_or_else(|refusal| refusal.response(shared.config.dialect)))
}

async fn accept(shared: &Arc<Shared>, headers: &HeaderMap, body: &Bytes) -> Result<Response<Body>, Refusal> {
    let allowance = admit(shared, headers)?;
    let (order, known) = order(shared, headers, body)?;
    let export = shared.accept(order.ids, known, order.callback_url);
    let answer = json!({ "export_id": export.export_id });
    event::announce(shared, export).await;
    Ok(granted(shared.config.dialect, answer, allowance))
}

fn secret_state(
    shared: &Shared,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response<Body>, Refusal> {
    let allowance = admit(shared, headers)?;
    let (now, mint) = (SystemTime::now(), || shared.mint.secret());
    let mut secrets = shared.secrets();
    let state = match path {
        "/signing-secret" => secrets.issue(mint, now),
        "/signing-secret/rotate" => {
            let force = query
                .is_some_and(|query| query.split('&').any(|pair| pair.eq_ignore_ascii_case("force=true")));
            let rotated = secrets.rotate(mint, force, shared.config.scaled(OVERLAP), now);
            rotated.map_err(|_| Refusal::PreviousSecretStillActive)?
        }
        _ => secrets.revoke(mint, now),
    };
    Ok(granted(shared.config.dialect, state, allowance))
}

/// The gateway: the key first, then the ceiling.
fn admit(shared: &Shared, headers: &HeaderMap) -> Result<Option<Allowance>, Refusal> {
    if headers.get("x-api-key").is_none_or(|key| key.as_bytes() != shared.config.api_key.as_bytes()) {
        return Err(Refusal::Unauthorized);
    }
    match shared.take_allowance() {
        Some(allowance) if !allowance.granted => Err(Refusal::TooManyRequests(allowance)),
        allowance => Ok(allowance),
    }
}

/// Reads the order and tells the banners that exist from those that do not.
fn order(shared: &Shared, headers: &HeaderMap, body: &Bytes) -> Result<(Order, Vec<String>), Refusal> {
    if body.is_empty() {
        return Ok((validate::NOTHING, Vec::new()));
    }
    let content_type =
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("no content type");
    if !content_type.to_ascii_lowercase().starts_with("application/json") {
        return Err(Refusal::NotJsonType(content_type.to_owned()));
    }
    let body: Value = serde_json::from_slice(body).map_err(|error| Refusal::NotJson(error.to_string()))?;
    let current = shared.config.dialect == Dialect::Current;
    let order = match validate::order(&body) {
        Err(problems) if current && problems.iter().all(validate::Problem::is_bad_id) => {
            return Err(Refusal::NotAnId);
        }
        other => other.map_err(Refusal::Invalid)?,
    };
    if current && !order.ids.iter().all(|id| is_uuid(id)) {
        return Err(Refusal::NotAnId);
    }
    // A banner asked for twice is one banner.
    let mut named = HashSet::new();
    let once = order.ids.iter().filter(|id| named.insert(id.as_str())).cloned();
    let (known, unknown): (Vec<_>, Vec<_>) = once.partition(|id| knows(shared, id));
    let refused = known.is_empty() || shared.config.unknown_banners == UnknownBanners::Refused;
    if refused && !unknown.is_empty() { Err(Refusal::UnknownBanners(unknown)) } else { Ok((order, known)) }
}

fn knows(shared: &Shared, id: &str) -> bool {
    is_uuid(id) && !shared.config.unknown_ids.iter().any(|unknown| unknown.eq_ignore_ascii_case(id))
}

/// A 200, with what the dialect and the ceiling add to it.
fn granted(dialect: Dialect, mut answer: Value, allowance: Option<Allowance>) -> Response<Body> {
    if let (Dialect::Current, Some(fields)) = (dialect, answer.as_object_mut()) {
        fields.insert("version".to_owned(), VERSION.into());
    }
    let mut response = reply::json(StatusCode::OK, &answer);
    if let Some(allowance) = allowance {
        response.headers_mut().extend(allowance.headers());
    }
    response
}

/// What becomes of the true answer on its way out.
async fn spoil(shared: &Shared, answer: Response<Body>, trouble: CreateTrouble) -> Reply {
    match trouble {
        CreateTrouble::Nothing | CreateTrouble::LostBefore { .. } => answer.into(),
        CreateTrouble::Answer(other) => to_order(shared, &other).into(),
        CreateTrouble::LostAfter { reset } => Reply::hang_up(reset),
        CreateTrouble::Slow(time) => {
            sleep(time).await;
            answer.into()
        }
        CreateTrouble::Drip(pause) => Reply::with_fault(answer, Fault::Drip(pause)),
        CreateTrouble::Truncated => {
            let len = answer.body().size_hint().lower();
            Reply::with_fault(answer, Fault::Cut(len.saturating_sub(1)))
        }
        CreateTrouble::Garbage => Reply::garbage(),
        CreateTrouble::ByteOrderMark => changed(answer, |body| with_byte_order_mark(&body)).await.into(),
        CreateTrouble::CapitalId => changed(answer, with_capital_id).await.into(),
        CreateTrouble::NotJson => reply::json(StatusCode::OK, &"The export is on its way.").into(),
        CreateTrouble::NoExportId => reply::json(StatusCode::OK, &json!({ "status": "accepted" })).into(),
    }
}

/// The same answer with another body.
async fn changed(answer: Response<Body>, change: impl FnOnce(Bytes) -> Bytes) -> Response<Body> {
    let (head, body) = answer.into_parts();
    let Ok(body) = body.collect().await;
    Response::from_parts(head, full(change(body.to_bytes())))
}

/// The same body with the export's id in capitals.
fn with_capital_id(body: Bytes) -> Bytes {
    let Ok(mut answer) = serde_json::from_slice::<Value>(&body) else { return body };
    if let Some(Value::String(id)) = answer.get_mut("export_id") {
        id.make_ascii_uppercase();
    }
    answer.to_string().into()
}

/// An answer made to order, with the headers that every 429 of the gateway carries.
fn to_order(shared: &Shared, answer: &Answer) -> Response<Body> {
    let mut response = answer.response(shared.config.dialect);
    if let (429, Some(limit)) = (answer.status, shared.config.requests_per_second) {
        response.headers_mut().extend(Allowance::spent(limit).headers());
    }
    response
}

/// How long a replaced secret is still honoured.
const OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);
