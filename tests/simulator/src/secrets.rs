//! The workspace's signing secret through its life: absent, issued, rotated with an overlap, revoked. Also signs, with
//! every secret that is valid at the moment.

use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::clock::unix_seconds;
use crate::mint::hex;

/// The secrets of the workspace.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    current: Option<Current>,
    previous: Option<Previous>,
    /// The secret before the last rotation, expired or revoked or not: the signing side may still hold it.
    replaced: Option<String>,
}

#[derive(Debug)]
struct Current {
    secret: String,
    created_at: SystemTime,
    rotated_at: Option<SystemTime>,
}

#[derive(Debug)]
struct Previous {
    secret: String,
    expires_at: SystemTime,
}

/// Refusal of a rotation: the secret before the last is still honoured.
#[derive(Debug)]
pub(crate) struct StillActive;

impl Secrets {
    /// Replaces whatever there is: no overlap, nothing remembered.
    pub(crate) fn set(&mut self, secret: Option<String>, now: SystemTime) {
        self.current = secret.map(|secret| Current { secret, created_at: now, rotated_at: None });
        self.previous = None;
        self.replaced = None;
    }

    /// The current secret, made by `mint` when there is none: asking is what turns signing on.
    pub(crate) fn issue(&mut self, mint: impl FnOnce() -> String, now: SystemTime) -> Value {
        self.current.get_or_insert_with(|| Current { secret: mint(), created_at: now, rotated_at: None });
        self.state(now)
    }

    /// Makes a new secret; the one before stays valid for `overlap`. A second rotation within the overlap would drop a
    /// secret that receivers still hold, so it is refused unless forced. Without a secret, one is made and replaced.
    pub(crate) fn rotate(
        &mut self,
        mint: impl Fn() -> String,
        force: bool,
        overlap: Duration,
        now: SystemTime,
    ) -> Result<Value, StillActive> {
        if self.live_previous(now).is_some() && !force {
            return Err(StillActive);
        }
        let old = self.current.take();
        let old = old.unwrap_or_else(|| Current { secret: mint(), created_at: now, rotated_at: None });
        self.current = Some(Current { secret: mint(), created_at: old.created_at, rotated_at: Some(now) });
        self.replaced = Some(old.secret.clone());
        self.previous =
            Some(Previous { secret: old.secret, expires_at: now.checked_add(overlap).unwrap_or(now) });
        Ok(self.state(now))
    }

    /// Ends the overlap early. The current secret stays; never refused.
    pub(crate) fn revoke(&mut self, mint: impl FnOnce() -> String, now: SystemTime) -> Value {
        self.previous = None;
        self.issue(mint, now)
    }

    /// The current secret.
    pub(crate) fn current(&self) -> Option<&str> {
        self.current.as_ref().map(|current| current.secret.as_str())
    }

    /// The signature header for `body`, if the workspace signs: one `v1` for each valid secret.
    pub(crate) fn sign(&self, body: &[u8], now: SystemTime) -> Option<String> {
        let current = self.current()?;
        let previous = self.live_previous(now).map(|previous| previous.secret.as_str());
        Some(signature_header([Some(current), previous].into_iter().flatten(), body, now))
    }

    /// The same by a signing side that has not heard of the last rotation.
    pub(crate) fn sign_late(&self, body: &[u8], now: SystemTime) -> Option<String> {
        let secret = self.replaced.as_deref().or_else(|| self.current())?;
        Some(signature_header([secret].into_iter(), body, now))
    }

    fn live_previous(&self, now: SystemTime) -> Option<&Previous> {
        self.previous.as_ref().filter(|previous| previous.expires_at > now)
    }

    fn state(&self, now: SystemTime) -> Value {
        let current = self.current.as_ref();
        json!({
            "secret": current.map(|current| &current.secret),
            "created_at_ts": current.map(|current| unix_seconds(current.created_at)),
            "rotated_at_ts": current.and_then(|current| current.rotated_at).map(unix_seconds),
            "previous_secret_expires_at_ts": self.live_previous(now).map(|previous| unix_seconds(previous.expires_at)),
        })
    }
}

/// `t=<seconds>,v1=<hex>[,v1=<hex>]` over the raw body, newest secret first.
pub(crate) fn signature_header<'a>(
    secrets: impl Iterator<Item = &'a str>,
    body: &[u8],
    now: SystemTime,
) -> String {
    let seconds = unix_seconds(now);
    secrets
        .fold(format!("t={seconds}"), |header, secret| format!("{header},v1={}", hash(secret, seconds, body)))
}

fn hash(secret: &str, seconds: u64, body: &[u8]) -> String {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new(); // HMAC takes a key of any length: this arm has no input that reaches it
    };
    hex(&mac.chain_update(format!("v1:webhook:{seconds}.")).chain_update(body).finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_signature_is_the_documented_hmac() {
        // Computed with Python: hmac.new(b"whsec_test", b'v1:webhook:1649838135.{"a":1}', "sha256").hexdigest()
        let now = UNIX_EPOCH + Duration::from_secs(1_649_838_135);
        assert_eq!(
            signature_header(["whsec_test"].into_iter(), br#"{"a":1}"#, now),
            "t=1649838135,v1=35a2e5a7e2d595933a93d4d036aae2cfce5016e70888bb93c8a874387d308145"
        );
    }

    #[test]
    fn a_rotation_overlaps_once_and_a_second_one_needs_force() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let mut secrets = Secrets::default();
        assert_eq!(secrets.sign(b"", now), None);
        secrets.issue(|| "a".to_owned(), now);
        let state = secrets.rotate(|| "b".to_owned(), false, HOUR, now).unwrap();
        assert_eq!(state["secret"], "b");
        assert_eq!(state["previous_secret_expires_at_ts"], 1_003_600);
        assert_eq!(secrets.sign(b"", now).unwrap().matches("v1=").count(), 2);
        assert!(secrets.rotate(|| "c".to_owned(), false, HOUR, now).is_err());
        assert!(secrets.rotate(|| "c".to_owned(), true, HOUR, now).is_ok());
        assert_eq!(secrets.sign(b"", now + HOUR).unwrap().matches("v1=").count(), 1);
        assert!(secrets.rotate(|| "d".to_owned(), false, HOUR, now + HOUR).is_ok());
        assert_eq!(secrets.revoke(|| "e".to_owned(), now + HOUR)["secret"], "d");
        assert_eq!(secrets.sign(b"", now + HOUR).unwrap().matches("v1=").count(), 1);
    }
}
