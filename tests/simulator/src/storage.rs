//! The object store: serves archives to whoever holds their address, with ranges and validators, and badly when the
//! script says so. It is not the API: it knows no key and speaks XML.

use std::time::SystemTime;

use bytes::Bytes;
use hyper::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, IF_RANGE, LAST_MODIFIED, LOCATION, RANGE,
};
use hyper::{Method, Response, StatusCode};
use tokio::time::sleep;

use crate::archive::Archive;
use crate::range::{Wanted, wanted};
use crate::refusal::storage as refuse;
use crate::reply::{Body, Reply, full, typed};
use crate::shared::Shared;
use crate::trouble::{ArchiveTrouble, NotYet, page};
use crate::wire::Fault;

/// Answers a request for an archive.
pub(crate) async fn serve(
    shared: &Shared,
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    trouble: ArchiveTrouble,
) -> Reply {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed").into();
    }
    match trouble {
        ArchiveTrouble::Answer(answer) => return answer.response(shared.config.dialect).into(),
        ArchiveTrouble::Lost { reset } => return Reply::hang_up(reset),
        ArchiveTrouble::Garbage => return Reply::garbage(),
        ArchiveTrouble::ErrorPage => {
            return typed(StatusCode::OK, "text/html", page(StatusCode::FORBIDDEN, "This link has expired"))
                .into();
        }
        ArchiveTrouble::Redirect { status, to } => {
            let own = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
            let last = own.rsplit_once('/').map_or("", |(_, last)| last);
            let to = if to.is_empty() { own.clone() } else { to.replace("{own}", last) };
            return redirect(status, &to).into();
        }
        ArchiveTrouble::Slow(time) => sleep(time).await,
        _ => {}
    }
    let Some(stored) = shared.stored(path) else { return refuse(StatusCode::NOT_FOUND, "NoSuchKey").into() };
    if let ArchiveTrouble::NotYet(until, answer) = trouble
        && stored.since.elapsed().is_ok_and(|age| age < until)
    {
        shared.script().archive_again(trouble);
        return not_yet(answer).into();
    }
    // A name at the end of the query says how a saved file is to be called; any will do.
    let opens = query.map(|query| query.split_once("&name=").map_or(query, |(opens, _)| opens));
    if opens != Some(stored.query.as_str()) {
        return refuse(StatusCode::FORBIDDEN, "SignatureDoesNotMatch").into();
    }
    match shared.archive(path, &stored).await {
        Some(archive) => Download { archive, modified: stored.since, headers }.reply(&trouble),
        None => refuse(StatusCode::INTERNAL_SERVER_ERROR, "InternalError").into(),
    }
}

/// One archive, asked for with these headers.
struct Download<'a> {
    archive: Archive,
    modified: SystemTime,
    headers: &'a HeaderMap,
}

impl Download<'_> {
    fn reply(&self, trouble: &ArchiveTrouble) -> Reply {
        let validators = self.validators(trouble);
        let archive = match trouble {
            ArchiveTrouble::Before(bytes) => self.archive.between(bytes, &[]),
            ArchiveTrouble::Behind(bytes) => self.archive.between(&[], bytes),
            _ => self.archive.clone(),
        };
        let len = archive.len();
        let part = match trouble {
            ArchiveTrouble::Unasked206 => Wanted::Part(0, len.saturating_sub(1)),
            ArchiveTrouble::IgnoreRange => Wanted::Whole,
            ArchiveTrouble::RefuseRange => Wanted::Nothing,
            _ if !self.range_applies(&validators) => Wanted::Whole,
            _ => wanted(self.text(&RANGE), len),
        };
        let (status, start, count, content_range) = match part {
            Wanted::Whole => (StatusCode::OK, 0, len, None),
            Wanted::Part(first, last) => {
                let range = format!("bytes {first}-{last}/{len}");
                (StatusCode::PARTIAL_CONTENT, first, last - first + 1, Some(range))
            }
            Wanted::Nothing => return out_of_range(len).into(),
        };
        let (announced, fault) = match *trouble {
            ArchiveTrouble::WrongLength(by) => {
                let announced = count.saturating_add_signed(by);
                (announced, (by > 0).then_some(Fault::Cut(count)))
            }
            ArchiveTrouble::Cut(at) => (count, Some(Fault::Cut(at))),
            ArchiveTrouble::Stall(at) => (count, Some(Fault::Stall(at))),
            ArchiveTrouble::Drip(pause) => (count, Some(Fault::Drip(pause))),
            _ => (count, None),
        };
        // A body shorter than announced is one that hyper does not send: it is padded here and cut on the wire.
        let body = archive.body(start, count.min(announced), announced.saturating_sub(count));
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.extend(validators);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/zip"));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(CONTENT_LENGTH, announced.into());
        insert(headers, CONTENT_RANGE, content_range);
        if let ArchiveTrouble::Encoding(label) = trouble {
            insert(headers, CONTENT_ENCODING, Some(label.clone()));
        }
        Reply { response, fault }
    }

    fn validators(&self, trouble: &ArchiveTrouble) -> HeaderMap {
        let etag = self.archive.etag();
        let etag = match trouble {
            ArchiveTrouble::NoValidator => return HeaderMap::new(),
            ArchiveTrouble::WeakEtag => format!("W/\"{etag}\""),
            ArchiveTrouble::NewEtag => format!("\"{}\"", etag.chars().rev().collect::<String>()),
            _ => format!("\"{etag}\""),
        };
        let mut validators = HeaderMap::new();
        insert(&mut validators, ETAG, Some(etag));
        insert(&mut validators, LAST_MODIFIED, Some(httpdate::fmt_http_date(self.modified)));
        validators
    }

    /// `If-Range`: the range counts only if the client's copy is of this very archive. A weak validator never says so.
    fn range_applies(&self, validators: &HeaderMap) -> bool {
        let Some(condition) = self.headers.get(IF_RANGE) else { return true };
        let strong_etag = validators.get(ETAG).filter(|etag| !etag.as_bytes().starts_with(b"W/"));
        [strong_etag, validators.get(LAST_MODIFIED)].contains(&Some(condition))
    }

    fn text(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

fn out_of_range(len: u64) -> Response<Body> {
    let mut response = refuse(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange");
    insert(response.headers_mut(), CONTENT_RANGE, Some(format!("bytes */{len}")));
    response
}

/// What is answered while there is no archive.
fn not_yet(answer: NotYet) -> Response<Body> {
    match answer {
        NotYet::Missing => refuse(StatusCode::NOT_FOUND, "NoSuchKey"),
        NotYet::Denied => refuse(StatusCode::FORBIDDEN, "AccessDenied"),
        NotYet::Accepted => typed(StatusCode::ACCEPTED, "text/plain", Bytes::new()),
        NotYet::Empty => typed(StatusCode::OK, "application/zip", Bytes::new()),
        NotYet::Page => typed(StatusCode::OK, "text/html", page(StatusCode::NOT_FOUND, "Not there yet")),
        NotYet::Xml => refuse(StatusCode::OK, "NoSuchKey"),
    }
}

fn redirect(status: u16, to: &str) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::FOUND);
    insert(response.headers_mut(), LOCATION, Some(to.to_owned()));
    response
}

/// Inserts a header, unless there is none or it is no header text.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<String>) {
    if let Some(value) = value.and_then(|value| HeaderValue::from_maybe_shared(value).ok()) {
        headers.insert(name, value);
    }
}
