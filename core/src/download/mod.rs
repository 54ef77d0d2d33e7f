//! One download, decided: what to ask for, and what an answer's head means for the bytes that are there already.
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
//! It moves no bytes and waits for nothing; when and how often to try again is the job's decision
//! ([`Export`](crate::Export)). The rest of an archive is asked for only under a strong validator, so that what is put
//! together is always one version of it.

mod resume;
#[cfg(test)]
mod tests;

use alloc::{borrow::Cow, boxed::Box, format, string::String};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::resume::Validator;
use crate::{
    archive::ArchivePolicy,
    archive::{self, ArchiveUrlError, NotAnArchive},
    decimal::decimal,
    http::{Headers, Request, Response, Url, encoded_reference},
    redact::excerpt,
    redact::redact_query,
    request,
};

pub use resume::ResumeState;

/// The decisions of one attempt to download an archive. See the [module](self).
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
    /// The address that the event names.
    address: Url,
    /// Where the next request goes: the same, or where a redirect led.
    url: Url,
    policy: ArchivePolicy,
    base: Url,
    /// What is there already, and how many bytes of it: more than none.
    begun: Option<(ResumeState, u64)>,
    redirects: u8,
}

/// What to do about an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// Throw this answer's body away and send [`Transfer::request`], which is another one now.
    Again,
    /// The body is the archive, or the rest of it.
    Receive(Receive),
    /// It is not a yes. It is for the job to judge, as [`Transfer::redact`] leaves it.
    Refused {
        /// Whether the archive is not there any more, so that what was begun of it is of no use either.
        is_gone: bool,
    },
    /// It is a yes that cannot be used.
    Failed(DownloadError),
}

/// How to take in a body.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Receive {
    /// Where its first byte belongs. What is there from this place on is of no use; 0 means all of it.
    pub from: u64,
    /// How many bytes there are in all at the end, where that is known.
    pub total: Option<u64>,
    /// Where this body ends at the latest, where that is known: at the end of the archive, or of the part of it that the
    /// server has chosen to send.
    pub until: Option<u64>,
    /// What to keep beside the bytes while there are not all of them; `None` if they cannot be continued.
    pub resume_state: Option<ResumeState>,
    /// Where it comes from: an error page may repeat it, signature and all.
    source: Url,
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
    /// A redirect leads to a URL that archives are not fetched from.
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
    /// A download of all of `url`, which the policy has allowed ([`ArchivePolicy::check`]).
    ///
    /// `base` is the service's address: next to a service on this machine, archives may be here too.
    pub fn new(url: Url, policy: ArchivePolicy, base: Url) -> Self {
        Self { address: url.clone(), url, policy, base, begun: None, redirects: 0 }
    }

    /// The same, going on behind the first `len` bytes, which `resume_state` describes.
    ///
    /// From the beginning if there are none, if they are of another address, or if there are more than there can be.
    #[must_use]
    pub fn resume(self, resume_state: ResumeState, len: u64) -> Self {
        let fits = len > 0
            && resume_state.is_from(&self.address)
            && resume_state.total().is_none_or(|total| len <= total);
        Self { url: self.address.clone(), begun: fits.then_some((resume_state, len)), redirects: 0, ..self }
    }

    /// Decides about an answer to [`request`](Self::request). Total: no head panics, and after at most seven it does
    /// not say [`Step::Again`].
    pub fn handle_head(&mut self, status: u16, headers: &dyn Headers) -> Step {
        match status {
            300..=303 | 307 | 308 => self.redirected(headers),
            206 => self.partial(headers),
            // Of another version than what is there, or without ranges: this is all of it.
            200..=299 => self.whole(headers),
            // The validator does not hold any more, or there is nothing behind what is there.
            412 | 416 if self.begun.is_some() => self.start_over(),
            _ => Step::Refused { is_gone: archive::is_gone(status) },
        }
    }

    /// Returns where the next request goes.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The request to send now. It does not carry the key.
    pub fn request(&self) -> Request {
        let request = request::download(self.url.clone());
        match &self.begun {
            None => request,
            Some((resume_state, len)) => request
                .header("range", format!("bytes={len}-"))
                .header("if-range", String::from(resume_state.validator().as_str())),
        }
    }

    /// How many bytes are there already and will be kept, as far as is known before there is an answer.
    pub fn resumes_from(&self) -> u64 {
        self.begun.as_ref().map_or(0, |(_, len)| *len)
    }

    /// The body that remains when all of it is there already, so that there is nothing to ask for: a process ended
    /// between the last byte and the file's name.
    pub fn nothing_left(&self) -> Option<Receive> {
        let (resume_state, len) = self.begun.as_ref()?;
        (resume_state.total() == Some(*len)).then(|| Receive {
            from: *len,
            total: Some(*len),
            until: Some(*len),
            resume_state: Some(resume_state.clone()),
            source: self.url.clone(),
        })
    }

    /// An answer that was [refused](Step::Refused), for the job ([`DownloadError::Refused`]).
    ///
    /// The address it came from may be signed, it may repeat that address, and the job keeps some of it: so what stands
    /// behind the address's path is taken out of the body.
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
        let Some((resume_state, len)) = &self.begun else {
            return interrupted("a part came (206) where all of it was asked for");
        };
        if let Some(refused) = encoded(headers) {
            return refused;
        }
        let range = headers.only("content-range").and_then(content_range);
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
        // No part reaches beyond the whole, whoever has said how long that is.
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
        })
    }

    fn whole(&mut self, headers: &dyn Headers) -> Step {
        self.begun = None;
        if let Some(refused) = encoded(headers) {
            return refused;
        }
        // A transfer coding has an end of its own, and a length beside it means nothing (RFC 9112 §6.3).
        let is_coded = headers.first("transfer-encoding").is_some();
        let total = headers.only("content-length").filter(|_| !is_coded).and_then(decimal);
        let resume_state =
            Validator::of(headers).map(|validator| ResumeState::new(&self.address, validator, total));
        Step::Receive(Receive { from: 0, total, until: total, resume_state, source: self.url.clone() })
    }

    /// Once: the next request is not one for the rest, so nothing can lead here again.
    fn start_over(&mut self) -> Step {
        self.begun = None;
        Step::Again
    }
}

impl Receive {
    /// Checks that there is room for what has come, with which there would be `len` bytes in all.
    ///
    /// A server that sends more than it announced is not to be believed in either; nothing of it should be kept.
    pub fn check_room(&self, len: u64) -> Result<(), DownloadError> {
        match self.until {
            Some(until) if until < len => {
                Err(DownloadError::Interrupted(format!("more came than the {until} bytes announced").into()))
            }
            _ => Ok(()),
        }
    }

    /// Checks that the body has ended where it should, with `len` bytes there in all.
    pub fn check_end(&self, len: u64) -> Result<(), DownloadError> {
        match self.total {
            Some(total) if total != len => {
                Err(DownloadError::Interrupted(format!("{len} of {total} bytes came").into()))
            }
            _ => Ok(()),
        }
    }

    /// What it means that the file is no archive.
    ///
    /// Where no length was announced, one without its end was cut off on the way, and is worth asking for again. Of what
    /// is there instead of an archive, the query of its address is taken out.
    pub fn not_an_archive(&self, found: NotAnArchive) -> DownloadError {
        match (found, self.total) {
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

/// A body in another coding than was asked for, whose length would say nothing about the archive's.
fn encoded(headers: &dyn Headers) -> Option<Step> {
    let coding = headers.first("content-encoding")?;
    let plain = coding.eq_ignore_ascii_case(b"identity") && headers.nth("content-encoding", 1).is_none();
    let source = NotAnArchive::Encoded { coding: excerpt(coding, 40).into() };
    (!plain).then(|| Step::Failed(source.into()))
}

/// What part of an archive a 206 has: `bytes FIRST-LAST/TOTAL`, both included.
struct Range {
    first: u64,
    last: u64,
    /// Unless it is `*`.
    total: Option<u64>,
}

/// Reads a `Content-Range`.
///
/// A server may send less than the rest; that is found out at its end, and the next attempt asks for what is missing.
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

/// The most redirects of one attempt.
const MAX_REDIRECTS: u8 = 5;
