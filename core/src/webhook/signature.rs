//! Checks that a delivery is genuine: `X-Abyssale-Signature`, over the raw bytes of the body (`PROTOCOL.md` §5).

use alloc::{string::String, vec::Vec};
use core::{fmt, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;

use crate::{decimal::decimal, hex, http::Headers, id::DeliveryId, secret::SigningSecret, time::Timestamp};

/// Checks the signatures of deliveries against one or several signing secrets.
///
/// For 24 hours after a rotation, deliveries carry two signatures; one valid signature is enough. A verifier can hold
/// several secrets, so that a rotation may become known to it before or after the service.
///
/// ```
/// # use abyssale_core::{SigningSecret, Timestamp, webhook::{Event, Verifier, sign}};
/// let secret = SigningSecret::new("whsec_example")?;
/// let verifier = Verifier::new([secret.clone()]);
///
/// let now = Timestamp::from_secs(1_649_838_135);
/// let body = br#"{"export_id": "54e62358", "archive_url": "url.zip"}"#;
/// let headers = [("X-Abyssale-Signature", sign(&secret, now, body))];
///
/// let verified = verifier.verify(now, &headers, body)?;
/// assert!(matches!(Event::parse(&verified)?, Event::NewExport(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Verifier {
    /// An HMAC for each secret, keyed and fed with the prefix of every signed text. It is wiped when dropped.
    secrets: Vec<Hmac<Sha256>>,
    accept_unsigned: bool,
    tolerance: Duration,
}

impl Verifier {
    /// Creates a verifier that requires a signature by one of these secrets. Without a secret it refuses every delivery.
    pub fn new(secrets: impl IntoIterator<Item = SigningSecret>) -> Self {
        let mut verifier = Self { secrets: Vec::new(), accept_unsigned: false, tolerance: DEFAULT_TOLERANCE };
        verifier.set_secrets(secrets);
        verifier
    }

    /// Accepts deliveries without a signature, as a workspace without a signing secret sends them.
    ///
    /// A signature is still checked if there is one and if the verifier has a secret. But since a sender may leave it
    /// out, anybody who knows the callback URL can complete an export, so the URL should contain a
    /// [token](crate::Token).
    #[must_use]
    pub fn accept_unsigned(mut self) -> Self {
        self.accept_unsigned = true;
        self
    }

    /// Sets how far the time of a signature may be from `now`, in both directions. Default: 300 s.
    #[must_use]
    pub fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Replaces the secrets.
    ///
    /// During a rotation, set both the old and the new secret; set the new one alone some minutes later, when no
    /// delivery signed with the old one can arrive any more.
    pub fn set_secrets(&mut self, secrets: impl IntoIterator<Item = SigningSecret>) {
        self.secrets = secrets.into_iter().map(|secret| keyed(&secret)).collect();
    }

    /// Signs a body with the first secret, if there is one.
    pub(crate) fn sign(&self, now: Timestamp, body: &[u8]) -> Option<String> {
        Some(signed(self.secrets.first()?.clone(), now, body))
    }

    /// Returns whether every delivery without a signature is refused.
    pub fn requires_signature(&self) -> bool {
        !self.accept_unsigned
    }

    /// Checks that a delivery has a signature, if one is required: what can be checked before its body is read.
    pub fn admit(&self, headers: &dyn Headers) -> Result<(), Refusal> {
        if self.accept_unsigned || headers.first(SIGNATURE_HEADER).is_some() {
            return Ok(());
        }
        // Every delivery has an id, whether or not it is signed (`PROTOCOL.md` §4).
        let is_delivery = headers.only(DELIVERY_ID_HEADER).and_then(DeliveryId::from_header).is_some();
        Err(if is_delivery { Refusal::Unsigned } else { Refusal::Missing })
    }

    /// Checks that a delivery is genuine. `body` must hold the raw bytes, as they were received.
    ///
    /// Signatures are compared in constant time. No header makes this panic.
    pub fn verify<'b>(
        &self,
        now: Timestamp,
        headers: &dyn Headers,
        body: &'b [u8],
    ) -> Result<Verified<'b>, Refusal> {
        let value = headers.sole(SIGNATURE_HEADER);
        if value == Ok(None) {
            self.admit(headers)?;
            return Ok(Verified { body, signed_at: None });
        }
        if self.accept_unsigned && self.secrets.is_empty() {
            return Ok(Verified { body, signed_at: None });
        }
        let value = value.ok().flatten().ok_or(Refusal::Malformed)?;
        let signature = Signature::parse(value).ok_or(Refusal::Malformed)?;
        let signed_at = Timestamp::from_secs(signature.secs);
        let age = now.max(signed_at).saturating_duration_since(now.min(signed_at));
        if age > self.tolerance {
            let [signed, now] = [signed_at, now].map(|at| i64::try_from(at.as_secs()).unwrap_or(i64::MAX));
            return Err(Refusal::Stale { ahead_secs: signed.saturating_sub(now) });
        }
        // All pairs are tried, so that the time taken does not depend on which of them is valid.
        let mut is_valid = false;
        for secret in &self.secrets {
            let mac = secret.clone().chain_update(signature.timestamp).chain_update(b".").chain_update(body);
            for digest in signature.digests.iter().filter_map(|digits| hex::decode::<32>(digits)) {
                is_valid |= mac.clone().verify_slice(&digest).is_ok();
            }
        }
        if is_valid { Ok(Verified { body, signed_at: Some(signed_at) }) } else { Err(Refusal::Mismatch) }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("secrets", &self.secrets.len())
            .field("accept_unsigned", &self.accept_unsigned)
            .field("tolerance", &self.tolerance)
            .finish()
    }
}

/// The body of a delivery that a [`Verifier`] accepted.
///
/// It contains the archive's URL, which may be signed, so `Debug` shows only the length of the body.
#[derive(Clone, Copy)]
pub struct Verified<'b> {
    body: &'b [u8],
    signed_at: Option<Timestamp>,
}

impl<'b> Verified<'b> {
    /// Returns the raw body.
    pub fn body(&self) -> &'b [u8] {
        self.body
    }

    /// Returns when the delivery was signed; `None` if it was accepted without a signature.
    pub fn signed_at(&self) -> Option<Timestamp> {
        self.signed_at
    }
}

impl fmt::Debug for Verified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("body", &format_args!("({} bytes)", self.body.len()))
            .field("signed_at", &self.signed_at)
            .finish()
    }
}

/// Why a delivery is not accepted as genuine. All refusals are answered with 401.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// The request has neither a signature nor a delivery id, which every delivery has: it does not come from the
    /// service, or a proxy has removed the headers.
    #[error("the request carries neither a signature nor a delivery id")]
    Missing,
    /// The signature is not of the form `t=<digits>,v1=<hex>[,v1=<hex>]`, or the header has several values.
    #[error("the delivery's signature is malformed")]
    Malformed,
    /// The signature was made too long ago, or in the future.
    #[error(
        "the delivery was signed {} s {} this machine's time; check this machine's clock",
        ahead_secs.unsigned_abs(),
        if *ahead_secs < 0 { "before" } else { "after" }
    )]
    Stale {
        /// How many seconds the signature is ahead of this machine's clock; negative if it is behind.
        ahead_secs: i64,
    },
    /// The signature was made with none of the secrets, or for another body.
    #[error("the delivery's signature fits none of the signing secrets; is the secret this workspace's?")]
    Mismatch,
    /// The delivery has no signature, and unsigned deliveries are not accepted. A workspace has no signing secret
    /// before somebody asks for it.
    #[error("the delivery is unsigned and a signature is required here; has the workspace a signing secret?")]
    Unsigned,
}

/// Signs a body as the service does. Returns the value of `X-Abyssale-Signature`. For tests and simulators.
pub fn sign(secret: &SigningSecret, now: Timestamp, body: &[u8]) -> String {
    signed(keyed(secret), now, body)
}

fn signed(keyed: Hmac<Sha256>, now: Timestamp, body: &[u8]) -> String {
    let secs = now.as_secs();
    let mac = keyed.chain_update(alloc::format!("{secs}.")).chain_update(body);
    alloc::format!("t={secs},v1={}", hex::encode(&mac.finalize().into_bytes()))
}

/// The parts of a header value.
struct Signature<'h> {
    /// The digits of `t`, which are signed as they are spelled.
    timestamp: &'h [u8],
    secs: u64,
    /// The values of all `v1`. The service sends a second one for a day after a rotation.
    digests: Vec<&'h [u8]>,
}

impl<'h> Signature<'h> {
    /// Returns `None` unless there is exactly one `t` of 1 to 20 ASCII digits without a leading zero, and at least one
    /// `v1`. Blanks around names and values are ignored, as the official Python client does.
    fn parse(value: &'h [u8]) -> Option<Self> {
        if value.len() > MAX_HEADER {
            return None;
        }
        let (mut time, mut digests) = (None, Vec::new());
        for pair in value.split(|byte| *byte == b',') {
            let Some(at) = pair.iter().position(|byte| *byte == b'=') else { continue };
            let (name, value) = pair.split_at_checked(at)?;
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            match name.trim_ascii() {
                b"t" if time.is_some() => return None,
                b"t" => time = Some((value, seconds(value)?)),
                b"v1" => digests.push(value),
                _ => {}
            }
        }
        let (timestamp, secs) = time.filter(|_| !digests.is_empty())?;
        Some(Self { timestamp, secs, digests })
    }
}

/// Parses the one spelling of a number: the digits are what is signed.
fn seconds(digits: &[u8]) -> Option<u64> {
    if digits.len() > MAX_DIGITS || (digits.len() > 1 && digits.starts_with(b"0")) {
        return None;
    }
    decimal(digits)
}

/// Returns an HMAC with the secret as its key, fed with the prefix of every signed text.
fn keyed(secret: &SigningSecret) -> Hmac<Sha256> {
    let Ok(mac) = Hmac::new_from_slice(secret.expose().as_bytes()) else {
        unreachable!("HMAC accepts keys of any length")
    };
    mac.chain_update(b"v1:webhook:")
}

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-abyssale-signature";

/// The header that carries the delivery's id. The signature does not cover it: use it in logs, never for a decision.
pub const DELIVERY_ID_HEADER: &str = "x-abyssale-delivery-id";

/// How far a signature's time may be from the present by default, as in the official clients.
const DEFAULT_TOLERANCE: Duration = Duration::from_secs(300);

/// The length of the largest number of seconds.
const MAX_DIGITS: usize = 20;

/// Room for fourteen signatures; the service sends two at most.
const MAX_HEADER: usize = 1024;

#[cfg(test)]
mod tests;
