//! What is stored beside an incomplete file, so that the rest of it can be requested later, perhaps by another process.

use alloc::{boxed::Box, string::String};
use core::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    hex,
    http::{Headers, Url, parse_http_date},
    time::Timestamp,
};

/// Describes the stored beginning of an archive: its URL, and the validator that the rest has to match.
///
/// It contains no secret: of the URL only a digest, without the query, which may be a signature that differs the next time.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ResumeState {
    version: u32,
    address: Box<str>,
    validator: Validator,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
}

impl ResumeState {
    /// The longest text that [`from_json`](Self::from_json) parses, in bytes.
    pub const MAX_LEN: usize = 4096;

    pub(super) fn new(address: &Url, validator: Validator, total: Option<u64>) -> Self {
        Self { version: VERSION, address: digest(address), validator, total }
    }

    /// Returns the archive's size in bytes, if it is known.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Returns the state as JSON.
    pub fn to_json(&self) -> String {
        // Serialising plain data does not fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Parses the result of [`to_json`](Self::to_json). `None` for any other text: then start from the beginning.
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

/// A strong validator, which differs between two versions of an archive: a strong `ETag`, or a `Last-Modified` that is
/// old enough.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Validator(Box<str>);

impl Validator {
    /// Returns the strong validator of an answer, if it has one.
    ///
    /// A date is used only if there is no entity tag (RFC 9110, 13.1.5), and only if the answer is at least a minute
    /// younger: there may have been two versions within the same second (RFC 9110, 8.8.2.2), and the two times may come
    /// from two clocks.
    pub(super) fn of(headers: &dyn Headers) -> Option<Self> {
        if headers.first("etag").is_some() {
            return headers.only("etag").and_then(Self::entity_tag);
        }
        let modified = headers.only("last-modified")?;
        let (since, now) = (date(modified)?, date(headers.only("date")?)?);
        let settled = since.saturating_add(SETTLED) <= now;
        settled.then(|| str::from_utf8(modified).ok().map(|text| Self(text.into())))?
    }

    /// Returns whether an answer has another validator. An answer without one is not of another version.
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

/// A state file may have been altered, and its validator becomes a header field.
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

/// Parses an HTTP date in the form that is still in use. The other forms have two-digit years, or another length.
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

/// Real entity tags have less than 100 bytes.
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
    fn a_resume_state_is_read_back_and_no_other_text_is() {
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
