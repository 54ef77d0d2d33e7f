//! The decisions of one attempt to download an archive: what to request, and what an answer means for the bytes that are
//! already stored.
//!
//! ```text
//!             ┌── redirect, or start over ──┐
//!             ▼                             │
//!   new ──► request ──► handle_head ──► Step::Again
//!             ▲             │
//!       resume state       ├──► Step::Receive   write the body from `from` on, then check_end
//!       (from a file)       ├──► Step::Refused   for the job: gone, or come again
//!                           └──► Step::Failed
//! ```
//!
//! A [`Transfer`] performs no I/O, and does not decide about retries: the job ([`Export`](crate::Export)) does. It requests
//! the rest of an archive only with a strong validator, so that the stored bytes are always of one version of the archive.

mod rate;
mod resume;
#[cfg(test)]
mod tests;

use alloc::{borrow::Cow, boxed::Box, format, string::String};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::resume::Validator;
use crate::{
    archive::{self, ArchivePolicy, ArchiveUrlError, NotAnArchive},
    decimal::decimal,
    http::{Headers, Request, Response, Url, encoded_reference},
    redact::{excerpt, redact_query},
    request,
};

pub use rate::{DownloadLimits, MinRate, RateMeter};
pub use resume::ResumeState;

/// One attempt to download an archive. See the [module](self).
///
/// ```
/// # use abyssale_core::{archive::ArchivePolicy, download::{Step, Transfer}, http::Url};
/// let (address, base): (Url, Url) = ("https://h/a.zip".parse()?, "https://api.abyssale.com".parse()?);
/// let mut transfer = Transfer::new(address, ArchivePolicy::default(), base);
/// let head = [("content-length", "1000"), ("etag", "\"a\"")];
/// let Step::Receive(body) = transfer.handle_head(200, &head) else { panic!() };
/// assert_eq!((body.from, body.total), (0, Some(1000)));
///
/// // 400 bytes later the connection breaks; the next attempt asks for the rest.
/// let transfer = transfer.resume(body.resume_state.unwrap(), 400);
/// assert!(transfer.request().headers().any(|field| field == ("range", "bytes=400-")));
/// # Ok::<(), abyssale_core::http::InvalidUrl>(())
/// ```
#[derive(Clone, Debug)]
pub struct Transfer {
    /// The archive's URL.
    address: Url,
    /// The URL of the next request: the archive's, or the target of a redirect.
    url: Url,
    policy: ArchivePolicy,
    base: Url,
    /// What is stored already, and how many bytes, at least one.
    begun: Option<(ResumeState, u64)>,
    redirects: u8,
}

/// What to do with an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// Discard the body and send [`Transfer::request`], which has changed.
    Again,
    /// Store the body, which is the archive or the rest of it.
    Receive(Receive),
    /// The status is not 2xx. Pass the answer to the job, as [`Transfer::redact`] returns it.
    Refused {
        /// Whether the archive does not exist any more, so that the stored bytes are useless.
        is_gone: bool,
    },
    /// The status is 2xx, but the answer is not usable.
    Failed(DownloadError),
}

/// How to store a body.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Receive {
    /// The offset of the body's first byte in the archive. Stored bytes from this offset on have to be discarded.
    pub from: u64,
    /// The archive's size in bytes, if it is known.
    pub total: Option<u64>,
    /// The offset of the body's end, if it is known: the archive's end, or the end of the range that the server sends.
    pub until: Option<u64>,
    /// What to store beside the bytes until the archive is complete. `None` if the download cannot be resumed.
    pub resume_state: Option<ResumeState>,
    /// The URL of the answer, which an error page may repeat together with its signature.
    source: Url,
    /// The content encoding that the head announced. The body may be plain nevertheless.
    coding: Option<Box<str>>,
}

/// Why a download failed.
#[derive(Clone, Debug, Deserialize, Eq, Error, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DownloadError {
    /// The answer had another status than 2xx. It is passed on as
    /// [`Transfer::redact`] returns it.
    #[error("the archive's server answered {}", .0.status)]
    Refused(Response),
    /// The download did not begin, or broke off. Another attempt may succeed. A job keeps at most 200 characters.
    #[error("{0}")]
    Interrupted(Box<str>),
    /// The download was complete, and is not an archive.
    #[error(transparent)]
    NotAnArchive(#[from] NotAnArchive),
    /// A redirect leads to a URL that archives are not downloaded from, or a host has no allowed address.
    #[error(transparent)]
    Address(#[from] ArchiveUrlError),
    /// The archive cannot be stored: the disk is full, or the folder is not writable.
    #[error("{0}")]
    Storage(Box<str>),
}

impl DownloadError {
    /// Returns whether another attempt may get further, so that the received bytes should be kept.
    pub fn is_interruption(&self) -> bool {
        matches!(self, Self::Interrupted(_))
    }
}

impl Transfer {
    /// Creates a download of a whole archive. `url` has to be the result of [`ArchivePolicy::check`].
    ///
    /// `base` is the service's base URL: if the service is on this machine, archives may be, too.
    pub fn new(url: Url, policy: ArchivePolicy, base: Url) -> Self {
        Self { address: url.clone(), url, policy, base, begun: None, redirects: 0 }
    }

    /// Continues behind the first `len` bytes, which `resume_state` describes.
    ///
    /// The download starts from the beginning if `len` is 0, if the bytes come from another URL, or if there are more than
    /// the archive has.
    #[must_use]
    pub fn resume(self, resume_state: ResumeState, len: u64) -> Self {
        let fits = len > 0
            && resume_state.is_from(&self.address)
            && resume_state.total().is_none_or(|total| len <= total);
        Self { url: self.address.clone(), begun: fits.then_some((resume_state, len)), redirects: 0, ..self }
    }

    /// Decides what to do with an answer to [`request`](Self::request). It returns [`Step::Again`] at most seven times.
    pub fn handle_head(&mut self, status: u16, headers: &dyn Headers) -> Step {
        match status {
            300..=303 | 307 | 308 => self.redirected(headers),
            206 => self.partial(headers),
            // The server has accepted the request and has no archive yet.
            202 | 204 | 205 => Step::Refused { is_gone: false },
            // The server has another version than the stored bytes, or does not support ranges.
            200..=299 => self.whole(headers),
            // The validator is outdated, or there are no bytes behind the stored ones.
            412 | 416 if self.begun.is_some() => self.start_over(),
            _ => Step::Refused { is_gone: archive::is_gone(status) },
        }
    }

    /// Returns where the next request goes.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the next request. It does not carry the API key.
    pub fn request(&self) -> Request {
        let request = request::download(self.url.clone());
        match &self.begun {
            None => request,
            Some((resume_state, len)) => request
                .header("range", format!("bytes={len}-"))
                .header("if-range", String::from(resume_state.validator().as_str())),
        }
    }

    /// Returns how many stored bytes are kept, unless the answer decides otherwise.
    pub fn resumes_from(&self) -> u64 {
        self.begun.as_ref().map_or(0, |(_, len)| *len)
    }

    /// Returns an empty body if all bytes are stored already, so that no request is needed: a process ended between storing
    /// the last byte and renaming the file.
    pub fn nothing_left(&self) -> Option<Receive> {
        let (resume_state, len) = self.begun.as_ref()?;
        (resume_state.total() == Some(*len)).then(|| Receive {
            from: *len,
            total: Some(*len),
            until: Some(*len),
            resume_state: Some(resume_state.clone()),
            source: self.url.clone(),
            coding: None,
        })
    }

    /// Prepares a [refused](Step::Refused) answer for the job ([`DownloadError::Refused`]).
    ///
    /// The body may repeat the request's URL with its signature, and the job keeps a part of the body, so the query of the
    /// URL is replaced in it.
    #[must_use]
    pub fn redact(&self, mut answer: Response) -> Response {
        if let Cow::Owned(concealed) = redact_query(&answer.body, self.url.query().unwrap_or_default()) {
            answer.body = concealed;
        }
        answer
    }

    fn redirected(&mut self, headers: &dyn Headers) -> Step {
        // Stores spell it in UTF-8 and in Latin-1, which no address may hold.
        let Some(location) = headers.only("location").map(encoded_reference) else {
            return Step::Refused { is_gone: false };
        };
        if self.redirects >= MAX_REDIRECTS {
            return Step::Failed(ArchiveUrlError::redirects(&location).into());
        }
        self.redirects += 1;
        match self.policy.check_redirect(&self.url, &location, &self.base) {
            Ok(url) => {
                self.url = url;
                Step::Again
            }
            Err(error) => Step::Failed(error.into()),
        }
    }

    fn partial(&mut self, headers: &dyn Headers) -> Step {
        let range = headers.only("content-range").and_then(content_range);
        let Some((resume_state, len)) = &self.begun else {
            return match range {
                // Some caches send the whole archive as a range, or its beginning. The next attempt requests the rest.
                Some(Range { first: 0, last, total }) => self.beginning(headers, last.checked_add(1), total),
                Some(_) => {
                    interrupted("the server sent a range (206) although the whole archive was requested")
                }
                None => self.whole(headers),
            };
        };
        // The range may be one of other bytes than the stored ones.
        if coding(headers).is_some() {
            return self.start_over();
        }
        let Some(Range { first, last, total }) =
            range.filter(|_| !resume_state.validator().contradicts(headers))
        else {
            return self.start_over();
        };
        let same_total = resume_state.total().zip(total).is_none_or(|(before, now)| before == now);
        if first != *len || !same_total {
            return self.start_over();
        }
        let total = resume_state.total().or(total);
        // No range reaches beyond the archive's end.
        if total.is_some_and(|total| last >= total) {
            return self.start_over();
        }
        let resume_state = ResumeState::new(&self.address, resume_state.validator().clone(), total);
        let until = last.checked_add(1);
        Step::Receive(Receive {
            from: first,
            total,
            until,
            resume_state: Some(resume_state),
            source: self.url.clone(),
            coding: None,
        })
    }

    fn whole(&mut self, headers: &dyn Headers) -> Step {
        self.begun = None;
        // Beside a transfer coding, `Content-Length` means nothing (RFC 9112 §6.3).
        let is_coded = headers.first("transfer-encoding").is_some();
        let total = headers.only("content-length").filter(|_| !is_coded).and_then(decimal);
        self.beginning(headers, total, total)
    }

    /// Receives a body that begins with the archive's first byte.
    fn beginning(&self, headers: &dyn Headers, until: Option<u64>, total: Option<u64>) -> Step {
        let coding = coding(headers).map(|coding| excerpt(coding, 40).into());
        let validator = Validator::of(headers).filter(|_| coding.is_none());
        let resume_state = validator.map(|validator| ResumeState::new(&self.address, validator, total));
        Step::Receive(Receive { from: 0, total, until, resume_state, source: self.url.clone(), coding })
    }

    /// Requests the whole archive. It happens once, since the next request has no range.
    fn start_over(&mut self) -> Step {
        self.begun = None;
        Step::Again
    }
}

impl Receive {
    /// Checks that the body does not exceed its announced end. `len` counts all bytes, with the piece to be stored.
    ///
    /// A server that sends more than it announced cannot be trusted: discard everything that it sent.
    pub fn check_room(&self, len: u64) -> Result<(), DownloadError> {
        match self.until {
            Some(until) if until < len => Err(DownloadError::Interrupted(
                format!("the server sent more than the {until} bytes that it announced").into(),
            )),
            _ => Ok(()),
        }
    }

    /// Checks that the archive is complete. `len` counts all stored bytes.
    pub fn check_end(&self, len: u64) -> Result<(), DownloadError> {
        match self.total {
            Some(total) if total != len => {
                Err(DownloadError::Interrupted(format!("only {len} of {total} bytes arrived").into()))
            }
            _ => Ok(()),
        }
    }

    /// Converts the result of [`check_ends`](archive::check_ends).
    ///
    /// If the server did not announce a length, a file without an archive's end was cut off, so another attempt may succeed.
    /// If the file begins with something else than an archive, the query of its URL is replaced in the error; if a content
    /// encoding was announced, that is the reason.
    pub fn not_an_archive(&self, found: NotAnArchive) -> DownloadError {
        match (found, self.total) {
            (NotAnArchive::NoMagic { .. }, _) if self.coding.is_some() => {
                NotAnArchive::Encoded { coding: self.coding.clone().unwrap_or_default() }.into()
            }
            (NotAnArchive::NoEnd, None) => {
                DownloadError::Interrupted(format!("{}", NotAnArchive::NoEnd).into())
            }
            (NotAnArchive::NoMagic { begins_with }, _) => {
                let query = self.source.query().unwrap_or_default();
                let (text, rest) =
                    begins_with.strip_suffix('…').map_or((&*begins_with, ""), |text| (text, "…"));
                let shown = redact_query(text.as_bytes(), query);
                let begins_with = format!("{}{rest}", String::from_utf8_lossy(&shown)).into();
                NotAnArchive::NoMagic { begins_with }.into()
            }
            (found, _) => found.into(),
        }
    }
}

/// Returns the first content encoding other than `identity`.
///
/// It is no reason to refuse a body: stores announce `aws-chunked`, `UTF-8` or an empty encoding and send the plain
/// archive. The first bytes decide.
fn coding(headers: &dyn Headers) -> Option<&[u8]> {
    let codings = (0..).map_while(|n| headers.nth("content-encoding", n)).map(<[u8]>::trim_ascii);
    let mut encoding =
        codings.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"));
    encoding.next()
}

/// The range of an answer with status 206: `bytes FIRST-LAST/TOTAL`, both included.
struct Range {
    first: u64,
    last: u64,
    /// `None` for `*`.
    total: Option<u64>,
}

/// Parses `Content-Range`.
///
/// A server may send less than was requested. The next attempt requests the rest.
fn content_range(value: &[u8]) -> Option<Range> {
    let (unit, range) = str::from_utf8(value).ok()?.split_once(' ')?;
    let (range, total) = range.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (decimal(first.as_bytes())?, decimal(last.as_bytes())?);
    let total = if total == "*" { None } else { Some(decimal(total.as_bytes())?) };
    (unit.eq_ignore_ascii_case("bytes") && first <= last).then_some(Range { first, last, total })
}

fn interrupted(reason: &str) -> Step {
    Step::Failed(DownloadError::Interrupted(reason.into()))
}

/// How many redirects one attempt follows.
const MAX_REDIRECTS: u8 = 5;
