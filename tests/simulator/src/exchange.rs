//! One request and its answer: read the body, write it all down, find who answers, hand the answer to hyper and its
//! fault to the wire.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use httpdate::fmt_http_date;
use hyper::body::Incoming;
use hyper::header::{DATE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};
use tokio::time::timeout;

use crate::journal::{Notice, RequestRecord};
use crate::refusal::Refusal;
use crate::reply::{Body, Reply};
use crate::shared::Shared;
use crate::trouble::{ArchiveTrouble, CreateTrouble, Trouble};
use crate::wire::Tap;
use crate::{api, storage};

/// Answers one request.
pub(crate) async fn exchange(
    shared: Arc<Shared>,
    connection: u64,
    tap: Tap,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    tap.turn(None);
    let (head, body) = request.into_parts();
    let body = read(body).await;
    let number = shared.journal.request(record(connection, &head, body.as_ref().ok()));
    let trouble = trouble(&shared, &head);
    let text = trouble.as_ref().map(ToString::to_string);
    let reply = match body {
        Ok(body) => answer(&shared, &head, &body, trouble).await,
        Err(refusal) => refusal.response(shared.config.dialect).into(),
    };
    if let Some(record) = shared.journal.answered(number, reply.status_seen(), text) {
        shared.observe(Notice::Request(&record));
    }
    tap.turn(reply.fault);
    let mut response = reply.response;
    if let Some(date) = shared.config.date.and_then(|date| HeaderValue::from_str(&fmt_http_date(date)).ok()) {
        response.headers_mut().insert(DATE, date);
    }
    Ok(response)
}

async fn answer(shared: &Arc<Shared>, head: &Parts, body: &Bytes, trouble: Option<Trouble>) -> Reply {
    let (method, path, query) = (&head.method, head.uri.path(), head.uri.query());
    if is_archive(path) {
        let trouble =
            if let Some(Trouble::Archive(trouble)) = trouble { trouble } else { ArchiveTrouble::Nothing };
        return storage::serve(shared, method, path, query, &head.headers, trouble).await;
    }
    if path == api::CREATE {
        if *method != Method::POST {
            return Refusal::MethodNotAllowed.response(shared.config.dialect).into();
        }
        let trouble =
            if let Some(Trouble::Create(trouble)) = trouble { trouble } else { CreateTrouble::Nothing };
        return api::create(shared, &head.headers, body, trouble).await;
    }
    if path == "/auth" {
        return api::auth(shared, method, &head.headers).into();
    }
    if let Some(id) = path.strip_prefix("/banners/") {
        return api::banner(shared, method, id, &head.headers).into();
    }
    api::signing_secret(shared, method, path, query, &head.headers)
        .unwrap_or_else(|| Refusal::NoSuchEndpoint.response(shared.config.dialect))
        .into()
}

/// What the script has for this request.
fn trouble(shared: &Shared, head: &Parts) -> Option<Trouble> {
    match head.uri.path() {
        path if is_archive(path) => Some(shared.script().next_archive())
            .filter(|t| *t != ArchiveTrouble::Nothing)
            .map(Trouble::Archive),
        api::CREATE if head.method == Method::POST => {
            Some(shared.script().next_create()).filter(|t| *t != CreateTrouble::Nothing).map(Trouble::Create)
        }
        _ => None,
    }
}

fn is_archive(path: &str) -> bool {
    path.starts_with("/archives/")
}

async fn read(body: Incoming) -> Result<Bytes, Refusal> {
    match timeout(BODY_TIME, Limited::new(body, BODY_SIZE).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge),
        Ok(Err(error)) => Err(Refusal::NotJson(error.to_string())),
        Err(_) => Err(Refusal::TooSlow),
    }
}

fn record(connection: u64, head: &Parts, body: Option<&Bytes>) -> RequestRecord {
    RequestRecord {
        number: 0,
        connection,
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        headers: head.headers.clone(),
        body: body.cloned().unwrap_or_default(),
        answered: None,
        trouble: None,
    }
}

const BODY_SIZE: usize = 4 * 1024 * 1024;
const BODY_TIME: Duration = Duration::from_secs(30);
