//! Whether a delivery is genuine: `X-Abyssale-Signature`, checked over the raw bytes of the body.

use alloc::{string::String, vec::Vec};
use core::{fmt, time::Duration};

use hmac::{
    KeyInit,
    block_api::HmacCore,
    digest::{
        CtOutput, Output,
        block_api::{Buffer, FixedOutputCore, UpdateCore},
    },
};
use sha2::Sha256;
use thiserror::Error;

use crate::{
    DeliveryId, SigningSecret, Timestamp,
    digits::decimal,
    http::Headers,
    webhook::{Event, EventError},
};

/// Checks deliveries against one or several signing secrets.
///
/// During the 24 hours after a rotation, deliveries carry two signatures; one that fits is enough.
/// Several secrets can be held at once, so that the receiver may learn of a rotation late or early.
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
    secrets: Vec<Keyed>,
    accept_unsigned: bool,
    tolerance: Duration,
}

impl Verifier {
    /// Requires a signature by one of these secrets. Without any, every delivery is refused.
    pub fn new(secrets: impl IntoIterator<Item = SigningSecret>) -> Self {
        Self {
            secrets: secrets.into_iter().map(|secret| Keyed::new(&secret)).collect(),
            accept_unsigned: false,
            tolerance: DEFAULT_TOLERANCE,
        }
    }

    /// Accepts deliveries that carry no signature, as a workspace without a signing secret sends them.
    ///
    /// A signature that is there is still checked if there is a secret to check it with, but leaving it out is then all
    /// it takes to do without. Anybody who knows the callback address can complete an export, so the address should
    /// hold a [token](crate::Token).
    #[must_use]
    pub fn accept_unsigned(mut self) -> Self {
        self.accept_unsigned = true;
        self
    }

    /// How far the time of a signature may be from `now`, in both directions: 300 s unless set.
    #[must_use]
    pub fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Takes these secrets instead of the former: before a rotation, the next besides the present; after it, the next alone.
    pub fn set_secrets(&mut self, secrets: impl IntoIterator<Item = SigningSecret>) {
        self.secrets = secrets.into_iter().map(|secret| Keyed::new(&secret)).collect();
    }

    /// Whether a delivery without a signature is refused whatever it says.
    pub fn requires_signature(&self) -> bool {
        !self.accept_unsigned
    }

    /// Whether a delivery has a signature where one is required: what can be told before its body is read.
    pub fn admit(&self, headers: &dyn Headers) -> Result<(), Refusal> {
        if self.accept_unsigned || headers.first(SIGNATURE_HEADER).is_some() {
            return Ok(());
        }
        // Every delivery has an id, whether or not it is signed (PROTOCOL.md, section 4).
        let is_delivery = headers.only(DELIVERY_ID_HEADER).and_then(DeliveryId::from_header).is_some();
        Err(if is_delivery { Refusal::Unsigned } else { Refusal::Missing })
    }

    /// Whether a delivery is genuine, by the raw bytes of its body.
    ///
    /// Never panics, whatever the headers hold, and compares in constant time.
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
            return Err(Refusal::Stale);
        }
        // All pairs are tried: which of them fits is nobody's business.
        let mut fits = false;
        for secret in &self.secrets {
            let expected = secret.digest(signature.timestamp, body);
            for candidate in signature.candidates() {
                // This comparison takes the same time wherever the two differ.
                fits |= expected == CtOutput::new(candidate.into());
            }
        }
        if fits { Ok(Verified { body, signed_at: Some(signed_at) }) } else { Err(Refusal::Mismatch) }
    }

    /// [Verifies](Self::verify) a delivery, then [reads](Event::parse) what it says.
    pub fn verify_and_parse(
        &self,
        now: Timestamp,
        headers: &dyn Headers,
        body: &[u8],
    ) -> Result<Event, DeliveryError> {
        Ok(Event::parse(&self.verify(now, headers, body)?)?)
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

/// The body of a delivery that a [`Verifier`] let through.
///
/// It names an archive's address, which may be signed: `Debug` shows no more of it than its length.
#[derive(Clone, Copy)]
pub struct Verified<'b> {
    body: &'b [u8],
    signed_at: Option<Timestamp>,
}

impl<'b> Verified<'b> {
    /// The raw body.
    pub fn body(&self) -> &'b [u8] {
        self.body
    }

    /// When it was signed; `None` if it was accepted without a signature.
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

/// Why a delivery is not taken as genuine. All are answered alike, with 401.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no signature, and no delivery id either, which every delivery has: a stranger's request, or one that a
    /// proxy took the headers off.
    #[error("the request carries neither a signature nor a delivery id")]
    Missing,
    /// There is one, but not of the form `t=<digits>,v1=<hex>[,v1=<hex>]`, or there are several.
    #[error("the delivery's signature is malformed")]
    Malformed,
    /// It was made too long ago, or in the future. Is the clock of this machine right?
    #[error("the delivery's signature is too far from the present; check this machine's clock")]
    Stale,
    /// It was made with none of the secrets, or for another body.
    #[error("the delivery's signature fits none of the signing secrets")]
    Mismatch,
    /// It says that it is a delivery and has no signature, and unsigned ones are not accepted here. Has the workspace
    /// a signing secret? It has none before it is first asked for.
    #[error("the delivery is unsigned and a signature is required here; has the workspace a signing secret?")]
    Unsigned,
}

/// Why a delivery gives no event.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum DeliveryError {
    /// It is not genuine.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is genuine, and cannot be read.
    #[error(transparent)]
    Unreadable(#[from] EventError),
}

/// Signs a body as the service does, and returns the value of `X-Abyssale-Signature`: for tests.
pub fn sign(secret: &SigningSecret, now: Timestamp, body: &[u8]) -> String {
    let secs = alloc::string::ToString::to_string(&now.as_secs());
    let digest = Keyed::new(secret).digest(secs.as_bytes(), body).into_bytes();
    let mut value = alloc::format!("t={secs},v1=");
    for byte in digest {
        for nibble in [byte >> 4, byte & 15] {
            value.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
        }
    }
    value
}

/// A header value taken apart, borrowed as it came.
struct Signature<'h> {
    /// The digits of `t`, which are signed as they are spelled.
    timestamp: &'h [u8],
    secs: u64,
    /// The first `v1`, and the pairs behind it. The service sends a second one for a day after a rotation only.
    first: Option<[u8; 32]>,
    rest: &'h [u8],
}

impl<'h> Signature<'h> {
    /// `None` unless there is exactly one `t` of 1 to 20 ASCII digits, without a leading zero, and at
    /// least one `v1`.
    fn parse(value: &'h [u8]) -> Option<Self> {
        if let Some(usual) = Self::usual(value) {
            return Some(usual);
        }
        if value.len() > MAX_HEADER {
            return None;
        }
        let (mut timestamp, mut first) = (None, None);
        let mut pairs = Pairs(value);
        while let Some((name, value)) = pairs.next() {
            match name {
                b"t" if timestamp.is_some() => return None,
                b"t" => timestamp = Some((value, seconds(value)?)),
                b"v1" if first.is_none() => first = Some((hex(value), pairs.0)),
                _ => {}
            }
        }
        let ((timestamp, secs), (first, rest)) = (timestamp?, first?);
        Some(Self { timestamp, secs, first, rest })
    }

    /// A header as the service writes it but on the day of a rotation: `t=<digits>,v1=<64 digits>`.
    fn usual(value: &'h [u8]) -> Option<Self> {
        let (before, digest) = value.split_last_chunk::<64>()?;
        let timestamp = before.strip_prefix(b"t=")?.strip_suffix(b",v1=")?;
        Some(Self { timestamp, secs: seconds(timestamp)?, first: Some(hex(digest)?), rest: &[] })
    }

    /// The digests of all well-formed `v1`; there are at most as many as the header's limit allows.
    fn candidates(&self) -> impl Iterator<Item = [u8; 32]> {
        let rest = Pairs(self.rest).filter(|(name, _)| *name == b"v1").filter_map(|(_, value)| hex(value));
        self.first.into_iter().chain(rest)
    }
}

/// What is left of `name=value,…`. Blanks around both are dropped, as the Python client does.
struct Pairs<'h>(&'h [u8]);

impl<'h> Iterator for Pairs<'h> {
    type Item = (&'h [u8], &'h [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // A name has two letters at most, a value 64.
            let at = self.0.iter().position(|byte| matches!(byte, b'=' | b','))?;
            let (name, rest) = self.0.split_at_checked(at)?;
            let (mark, rest) = rest.split_first()?;
            self.0 = rest;
            if *mark == b'=' {
                let end = memchr::memchr(b',', rest).unwrap_or(rest.len());
                let (value, rest) = rest.split_at_checked(end)?;
                self.0 = rest.get(1..).unwrap_or_default();
                return Some((name.trim_ascii(), value.trim_ascii()));
            }
        }
    }
}

/// One number, one spelling: the digits are what is signed.
fn seconds(digits: &[u8]) -> Option<u64> {
    if !(1..=MAX_DIGITS).contains(&digits.len()) || (digits.len() > 1 && digits.starts_with(b"0")) {
        return None;
    }
    decimal(digits)
}

/// 64 lowercase hexadecimal digits, the only spelling the service uses.
fn hex(digits: &[u8]) -> Option<[u8; 32]> {
    let mut nibbles = <[u8; 64]>::try_from(digits).ok()?;
    let mut fit = true;
    for digit in &mut nibbles {
        fit &= matches!(*digit, b'0'..=b'9' | b'a'..=b'f');
        *digit = digit.wrapping_sub(if *digit < b'a' { b'0' } else { b'a' - 10 });
    }
    let mut out = [0; 32];
    for (byte, [high, low]) in out.iter_mut().zip(nibbles.as_chunks().0) {
        *byte = high << 4 | low;
    }
    fit.then_some(out)
}

/// What a key comes to: two hash states, which are wiped when they are dropped, and behind them what every signed text
/// begins with. Of the key itself nothing is kept.
///
/// This is the block-wise interface of `Hmac`, which wipes its buffer as well; there is nothing in it here but the delivery.
#[derive(Clone)]
struct Keyed {
    mac: HmacCore<Sha256>,
    buffer: Buffer<HmacCore<Sha256>>,
}

impl Keyed {
    fn new(secret: &SigningSecret) -> Self {
        let Ok(mac) = HmacCore::new_from_slice(secret.expose().as_bytes()) else {
            unreachable!("HMAC takes keys of any length")
        };
        let mut keyed = Self { mac, buffer: Buffer::<HmacCore<Sha256>>::default() };
        keyed.update(b"v1:webhook:");
        keyed
    }

    fn update(&mut self, piece: &[u8]) {
        self.buffer.digest_blocks(piece, |blocks| self.mac.update_blocks(blocks));
    }

    fn digest(&self, timestamp: &[u8], body: &[u8]) -> CtOutput<HmacCore<Sha256>> {
        let mut keyed = self.clone();
        for piece in [timestamp, b".", body] {
            keyed.update(piece);
        }
        let mut digest = Output::<HmacCore<Sha256>>::default();
        keyed.mac.finalize_fixed_core(&mut keyed.buffer, &mut digest);
        CtOutput::new(digest)
    }
}

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-abyssale-signature";

/// The header that carries the delivery's id. It is not under the signature: for logs, never for a decision.
pub const DELIVERY_ID_HEADER: &str = "x-abyssale-delivery-id";

/// How far a signature's time may be from the present unless set otherwise: that of the official clients.
pub const DEFAULT_TOLERANCE: Duration = Duration::from_secs(300);

/// As many as the largest number of seconds has.
const MAX_DIGITS: usize = 20;

/// Room for fourteen signatures; the service sends two at most.
const MAX_HEADER: usize = 1024;

#[cfg(test)]
mod tests;
