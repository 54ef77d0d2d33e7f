//! What is kept beside a file that was begun, so that the rest of it can be asked for later, perhaps by another process.

use alloc::{boxed::Box, string::String};
use core::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    Timestamp, hex,
    http::{Headers, Url, parse_http_date},
};

/// The first bytes of an archive, described: where they came from, and what has to hold for the rest to fit.
///
/// Only what can be continued has one. It holds no secret: of the address no more than a digest, and of that the query,
/// which may be a signature that differs the next time, is no part.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ResumeState {
    version: u32,
    address: Box<str>,
    validator: Validator,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
}

impl ResumeState {
    /// The longest text that [`from_json`](Self::from_json) reads, in bytes.
    pub const MAX_LEN: usize = 4096;

    pub(super) fn new(address: &Url, validator: Validator, total: Option<u64>) -> Self {
        Self { version: VERSION, address: digest(address), validator, total }
    }

    /// How many bytes the archive has in all, where that is known.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// As JSON, to be written beside the file.
    pub fn to_json(&self) -> String {
        // Plain data into a string: nothing here can fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`to_json`](Self::to_json) wrote; `None` for anything else, which means to begin anew.
    pub fn from_json(json: &[u8]) -> Option<Self> {
        let json = (json.len() <= Self::MAX_LEN).then_some(json)?;
        serde_json::from_slice::<Self>(json).ok().filter(|resume_state| resume_state.version == VERSION)
    }

    pub(super) fn validator(&self) -> &Validator {
        &self.validator
    }

    pub(super) fn is_from(&self, address: &Url) -> bool {
        self.address == digest(address)
    }
}

/// What tells one version of an archive from another, byte for byte: a strong `ETag`, or a `Last-Modified` that is as good
/// as one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Validator(Box<str>);

impl Validator {
    /// The strong validator of an answer, if it has one.
    ///
    /// A date serves only where there is no entity tag at all (RFC 9110 §13.1.5), and only if the answer is at least
    /// a minute younger: within the same second there may have been two versions (§8.8.2.2), and the two times may
    /// be of two clocks.
    pub(super) fn of(headers: &dyn Headers) -> Option<Self> {
        if headers.first("etag").is_some() {
            return headers.only("etag").and_then(Self::entity_tag);
        }
        let modified = headers.only("last-modified")?;
        let (since, now) = (date(modified)?, date(headers.only("date")?)?);
        let settled = since.saturating_add(SETTLED) <= now;
        settled.then(|| str::from_utf8(modified).ok().map(|text| Self(text.into())))?
    }

    /// Whether an answer says that it is of another version. One that says nothing does not.
    pub(super) fn contradicts(&self, headers: &dyn Headers) -> bool {
        let name = if self.0.starts_with('"') { "etag" } else { "last-modified" };
        headers.first(name).is_some() && headers.only(name) != Some(self.0.as_bytes())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn entity_tag(value: &[u8]) -> Option<Self> {
        let opaque = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let plain = opaque.iter().all(|byte| matches!(byte, 0x21 | 0x23..=0x7e));
        (plain && value.len() <= MAX_TAG).then(|| str::from_utf8(value).ok().map(|text| Self(text.into())))?
    }
}

/// A state file may have been altered, and what it says becomes a header field.
impl TryFrom<String> for Validator {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let date = || date(text.as_bytes()).map(|_| Self(text.as_str().into()));
        Self::entity_tag(text.as_bytes()).or_else(date).ok_or("neither a strong entity tag nor a date")
    }
}

impl From<Validator> for String {
    fn from(validator: Validator) -> Self {
        validator.0.into()
    }
}

/// An HTTP date in the one form that is still sent. The others have two-digit years, or are of another length.
fn date(value: &[u8]) -> Option<Timestamp> {
    (value.len() == IMF_FIXDATE).then(|| parse_http_date(value, Timestamp::default()))?
}

fn digest(address: &Url) -> Box<str> {
    let before_query = address.as_str().split('?').next().unwrap_or_default();
    hex::encode(&Sha256::digest(before_query)).into()
}

const VERSION: u32 = 1;

/// `Sun, 06 Nov 1994 08:49:37 GMT`
const IMF_FIXDATE: usize = 29;

const SETTLED: Duration = Duration::from_secs(60);

/// Real ones have less than 100 bytes.
const MAX_TAG: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&str, &str)]) -> Option<Box<str>> {
        Validator::of(&headers.to_vec()).map(|validator| validator.0)
    }

    const MODIFIED: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    const MUCH_LATER: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:50:37 GMT");
    const LATER: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:50:36 GMT");

    #[test]
    fn a_strong_entity_tag_is_a_validator() {
        assert_eq!(of(&[("ETag", "\"a-1\"")]).as_deref(), Some("\"a-1\""));
        assert_eq!(of(&[("etag", "\"\""), MODIFIED, MUCH_LATER]).as_deref(), Some("\"\""));
        for tag in ["W/\"a\"", "a", "\"", "", "\"a b\"", "\"a\"b\"", "\"é\"", "w/\"a\""] {
            assert_eq!(of(&[("etag", tag)]), None, "{tag}");
        }
        assert_eq!(of(&[("etag", "\"a\""), ("etag", "\"b\"")]), None, "which of them?");
    }

    #[test]
    fn a_date_is_one_only_without_a_tag_and_when_it_has_settled() {
        assert_eq!(of(&[MODIFIED, MUCH_LATER]).as_deref(), Some(MODIFIED.1));
        assert_eq!(of(&[MODIFIED, LATER]), None);
        assert_eq!(of(&[MODIFIED]), None);
        assert_eq!(of(&[MODIFIED, MUCH_LATER, ("etag", "W/\"a\"")]), None);
        assert_eq!(of(&[("last-modified", "Sunday, 06-Nov-94 08:49:37 GMT"), MUCH_LATER]), None);
        assert_eq!(of(&[("last-modified", "yesterday"), MUCH_LATER]), None);
    }

    #[test]
    fn what_was_written_is_read_again_and_nothing_else_is() {
        let address = "https://h/a.zip?sig=hunter2".parse().unwrap();
        let resume_state = ResumeState::new(&address, Validator("\"a\"".into()), Some(7));
        let json = resume_state.to_json();
        assert!(!json.contains("hunter2") && !json.contains("a.zip"), "{json}");
        assert_eq!(ResumeState::from_json(json.as_bytes()), Some(resume_state.clone()));
        assert!(resume_state.is_from(&"https://h/a.zip?sig=another".parse().unwrap()));
        assert!(!resume_state.is_from(&"https://h/b.zip?sig=hunter2".parse().unwrap()));
        for (from, to) in
            [("\\\"a\\\"", "\\\"a\\r\\nx: y\\\""), ("\\\"a\\\"", "W/\\\"a\\\""), (":1,", ":2,"), ("}", "")]
        {
            let altered = json.replacen(from, to, 1);
            assert_ne!(altered, json);
            assert_eq!(ResumeState::from_json(altered.as_bytes()), None, "{altered}");
        }
    }
}
