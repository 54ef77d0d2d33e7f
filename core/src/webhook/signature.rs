//! Whether a delivery is genuine: `X-Abyssale-Signature`, checked over the raw bytes of the body.
//!
//! Long, because half of it are its tests.

use alloc::{string::String, vec::Vec};
use core::{fmt, iter, time::Duration};

use hmac::{Hmac, KeyInit, Mac, digest::CtOutput};
use sha2::Sha256;
use thiserror::Error;

use crate::{
    DeliveryId, SigningSecret, Timestamp,
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
    secrets: Vec<Hmac<Sha256>>,
    accept_unsigned: bool,
    tolerance: Duration,
}

impl Verifier {
    /// Requires a signature by one of these secrets. Without any, every delivery is refused.
    pub fn new(secrets: impl IntoIterator<Item = SigningSecret>) -> Self {
        Self {
            secrets: secrets.into_iter().map(|secret| keyed(&secret)).collect(),
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
        self.secrets = secrets.into_iter().map(|secret| keyed(&secret)).collect();
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
        let Some(value) = headers.first(SIGNATURE_HEADER) else {
            self.admit(headers)?;
            return Ok(Verified { body, signed_at: None });
        };
        if self.accept_unsigned && self.secrets.is_empty() {
            return Ok(Verified { body, signed_at: None });
        }
        if headers.nth(SIGNATURE_HEADER, 1).is_some() {
            return Err(Refusal::Malformed);
        }
        let signature = Signature::parse(value).ok_or(Refusal::Malformed)?;
        let signed_at = Timestamp::from_secs(signature.secs);
        let age = now.saturating_duration_since(signed_at).max(signed_at.saturating_duration_since(now));
        if age > self.tolerance {
            return Err(Refusal::Stale);
        }
        // All pairs are tried: which of them fits is nobody's business.
        let mut fits = false;
        for secret in &self.secrets {
            let expected = digest(secret, signature.timestamp, body);
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
    let digest = digest(&keyed(secret), secs.as_bytes(), body).into_bytes();
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
    first: &'h [u8],
    rest: &'h [u8],
}

impl<'h> Signature<'h> {
    /// `None` unless there is exactly one `t` of 1 to 20 ASCII digits, without a leading zero, and at
    /// least one `v1`.
    fn parse(value: &'h [u8]) -> Option<Self> {
        if value.len() > MAX_HEADER {
            return None;
        }
        let (mut timestamp, mut first) = (None, None);
        let mut pairs = Pairs(value);
        while let Some((name, value)) = pairs.next() {
            match name {
                b"t" if timestamp.is_some() => return None,
                b"t" => timestamp = Some((value, seconds(value)?)),
                b"v1" if first.is_none() => first = Some((value, pairs.0)),
                _ => {}
            }
        }
        let ((timestamp, secs), (first, rest)) = (timestamp?, first?);
        Some(Self { timestamp, secs, first, rest })
    }

    /// The digests of all well-formed `v1`; there are at most as many as the header's limit allows.
    fn candidates(&self) -> impl Iterator<Item = [u8; 32]> {
        let rest = Pairs(self.rest).filter(|(name, _)| *name == b"v1").map(|(_, value)| value);
        iter::once(self.first).chain(rest).filter_map(hex)
    }
}

/// What is left of `name=value,…`. Blanks around both are dropped, as the Python client does.
struct Pairs<'h>(&'h [u8]);

impl<'h> Iterator for Pairs<'h> {
    type Item = (&'h [u8], &'h [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            let (pair, rest) = split_at(self.0, b',').unwrap_or((self.0, &[]));
            self.0 = rest;
            if let Some((name, value)) = split_at(pair, b'=') {
                return Some((name.trim_ascii(), value.trim_ascii()));
            }
        }
        None
    }
}

/// What stands before and behind the first `mark`.
fn split_at(bytes: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(mark, bytes)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

/// One number, one spelling: the digits are what is signed.
fn seconds(digits: &[u8]) -> Option<u64> {
    if !(1..=MAX_DIGITS).contains(&digits.len()) || (digits.len() > 1 && digits.starts_with(b"0")) {
        return None;
    }
    digits.iter().try_fold(0u64, |secs, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        secs.checked_mul(10)?.checked_add(digit)
    })
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

fn keyed(secret: &SigningSecret) -> Hmac<Sha256> {
    // HMAC takes keys of any length; the fallback is unreachable and, being keyed with nothing, never used to accept.
    match Hmac::new_from_slice(secret.expose().as_bytes()) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of any length"),
    }
}

fn digest(secret: &Hmac<Sha256>, timestamp: &[u8], body: &[u8]) -> CtOutput<Hmac<Sha256>> {
    let mut mac = secret.clone();
    mac.update(b"v1:webhook:");
    mac.update(timestamp);
    mac.update(b".");
    mac.update(body);
    mac.finalize()
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
mod tests {
    use alloc::{format, string::ToString, vec};

    use proptest::prelude::*;

    use super::*;

    const BODY: &[u8] = br#"{"export_id":"e","archive_url":"url.zip"}"#;
    const NOW: Timestamp = Timestamp::from_secs(1_755_561_234);

    fn secret(text: &str) -> SigningSecret {
        SigningSecret::new(text).unwrap()
    }

    fn verify(value: &str) -> Result<(), Refusal> {
        let headers = [("X-Abyssale-Signature", value)];
        Verifier::new([secret("whsec_a")]).verify(NOW, &headers, BODY).map(drop)
    }

    #[test]
    fn the_signature_is_that_of_openssl() {
        // printf 'v1:webhook:1755561234.{"export_id":"e","archive_url":"url.zip"}' | openssl dgst -sha256 -hmac whsec_a
        assert_eq!(sign(&secret("whsec_a"), NOW, BODY), OPENSSL);
        assert_eq!(verify(OPENSSL), Ok(()));
    }

    const OPENSSL: &str = "t=1755561234,v1=9a7e98f1750556aee791f9ce5e05dc5db43ea581000afc8db6392338cfd3ca3f";

    #[test]
    fn one_fitting_signature_of_several_is_enough() {
        let good = sign(&secret("whsec_a"), NOW, BODY);
        let v1 = good.split_once(",v1=").unwrap().1;
        let zeros = "0".repeat(64);
        assert_eq!(verify(&format!("t=1755561234,v1={zeros},v1={v1}")), Ok(()));
        assert_eq!(verify(&format!("t=1755561234, v1={v1} ,v0=x,v1=junk")), Ok(()));
        assert_eq!(verify(&format!("v1={v1},t=1755561234")), Ok(()));
        assert_eq!(verify(&format!("t=1755561234,v1={zeros}")), Err(Refusal::Mismatch));
        assert_eq!(verify(&format!("t=1755561234,v1={}", v1.to_uppercase())), Err(Refusal::Mismatch));
    }

    #[test]
    fn one_fitting_secret_of_several_is_enough() {
        let headers = [(SIGNATURE_HEADER, sign(&secret("whsec_b"), NOW, BODY))];
        assert!(Verifier::new([secret("whsec_a"), secret("whsec_b")]).verify(NOW, &headers, BODY).is_ok());
        assert_eq!(
            Verifier::new([secret("whsec_a")]).verify(NOW, &headers, BODY).unwrap_err(),
            Refusal::Mismatch
        );
        assert_eq!(Verifier::new([]).verify(NOW, &headers, BODY).unwrap_err(), Refusal::Mismatch);
    }

    #[test]
    fn secrets_can_be_replaced() {
        let headers = [(SIGNATURE_HEADER, OPENSSL)];
        let mut verifier = Verifier::new([secret("whsec_a")]);
        verifier.set_secrets([secret("whsec_b"), secret("whsec_a")]);
        assert!(verifier.verify(NOW, &headers, BODY).is_ok());
        verifier.set_secrets([secret("whsec_b")]);
        assert_eq!(verifier.verify(NOW, &headers, BODY).unwrap_err(), Refusal::Mismatch);
    }

    #[test]
    fn an_altered_body_is_refused() {
        let headers = [(SIGNATURE_HEADER, sign(&secret("whsec_a"), NOW, BODY))];
        let verifier = Verifier::new([secret("whsec_a")]);
        let altered = BODY.iter().map(|b| if *b == b'u' { b'v' } else { *b }).collect::<Vec<_>>();
        assert_eq!(verifier.verify(NOW, &headers, &altered).unwrap_err(), Refusal::Mismatch);
    }

    #[test]
    fn a_signature_ages_after_300_seconds_in_both_directions() {
        let headers = [(SIGNATURE_HEADER, sign(&secret("whsec_a"), NOW, BODY))];
        let verifier = Verifier::new([secret("whsec_a")]);
        let at = |secs| verifier.verify(Timestamp::from_secs(secs), &headers, BODY).map(drop);
        let now = NOW.as_secs();
        assert_eq!((at(now + 300), at(now - 300)), (Ok(()), Ok(())));
        assert_eq!((at(now + 301), at(now - 301)), (Err(Refusal::Stale), Err(Refusal::Stale)));
    }

    #[test]
    fn what_makes_the_official_verifiers_raise_is_malformed() {
        let v1 = "0".repeat(64);
        for value in [
            String::new(),
            "t".into(),
            format!("v1={v1}"),
            "t=1755561234".into(),
            format!("t=,v1={v1}"),
            format!("t={},v1={v1}", "9".repeat(5000)),
            format!("t={},v1={v1}", "9".repeat(21)),
            format!("t=99999999999999999999,v1={v1}"),
            format!("t=+1755561234,v1={v1}"),
            format!("t=١٧,v1={v1}"),
            format!("t=1755561234,t=1755561234,v1={v1}"),
            format!("t=1755561234.0,v1={v1}"),
            format!("t=01755561234,v1={v1}"),
        ] {
            assert_eq!(verify(&value), Err(Refusal::Malformed), "{value}");
        }
        assert_eq!(verify("t=1755561234,v1=é"), Err(Refusal::Mismatch));
        let twice = vec![(SIGNATURE_HEADER, OPENSSL), (SIGNATURE_HEADER, OPENSSL)];
        assert_eq!(
            Verifier::new([secret("whsec_a")]).verify(NOW, &twice, BODY).unwrap_err(),
            Refusal::Malformed
        );
    }

    #[test]
    fn unsigned_deliveries_are_accepted_only_by_name() {
        let verifier = Verifier::new([secret("whsec_a")]);
        assert_eq!(verifier.verify(NOW, &(), BODY).unwrap_err(), Refusal::Missing);
        let lenient = verifier.accept_unsigned();
        assert_eq!(lenient.verify(NOW, &(), BODY).unwrap().signed_at(), None);
        let forged = [(SIGNATURE_HEADER, format!("t=1755561234,v1={}", "0".repeat(64)))];
        assert_eq!(lenient.verify(NOW, &forged, BODY).unwrap_err(), Refusal::Mismatch);
        assert!(Verifier::new([]).accept_unsigned().verify(NOW, &forged, BODY).is_ok());
    }

    #[test]
    fn a_delivery_that_should_be_signed_is_told_from_a_request_that_is_none() {
        let verifier = Verifier::new([secret("whsec_a")]);
        let id = "0a".repeat(32);
        let refused = |headers: &dyn Headers| verifier.verify(NOW, headers, BODY).unwrap_err();
        assert_eq!(refused(&[(DELIVERY_ID_HEADER, id.as_str())]), Refusal::Unsigned);
        assert_eq!(refused(&[(DELIVERY_ID_HEADER, "0a")]), Refusal::Missing);
        assert_eq!(refused(&()), Refusal::Missing);
        assert_eq!(refused(&[(SIGNATURE_HEADER, "")]), Refusal::Malformed);
    }

    #[test]
    fn the_tolerance_is_the_operators() {
        let headers = [(SIGNATURE_HEADER, OPENSSL)];
        let at = |tolerance, secs| {
            let verifier = Verifier::new([secret("whsec_a")]).tolerance(Duration::from_secs(tolerance));
            verifier.verify(Timestamp::from_secs(secs), &headers, BODY).map(drop)
        };
        let now = NOW.as_secs();
        assert_eq!((at(10, now + 10), at(10, now + 11)), (Ok(()), Err(Refusal::Stale)));
        assert_eq!((at(0, now), at(0, now - 1)), (Ok(()), Err(Refusal::Stale)));
        assert_eq!((at(u64::MAX, 0), at(u64::MAX, u64::MAX)), (Ok(()), Ok(())));
    }

    #[test]
    fn verifying_and_parsing_says_which_of_the_two_failed() {
        let verifier = Verifier::new([secret("whsec_a")]);
        let both = |body: &[u8], signed: &[u8]| {
            let headers = [(SIGNATURE_HEADER, sign(&secret("whsec_a"), NOW, signed))];
            verifier.verify_and_parse(NOW, &headers, body)
        };
        assert!(matches!(both(BODY, BODY), Ok(Event::NewExport(_))));
        assert_eq!(both(BODY, b"[]"), Err(DeliveryError::Refused(Refusal::Mismatch)));
        assert!(matches!(both(b"[]", b"[]"), Err(DeliveryError::Unreadable(_))));
    }

    #[test]
    fn every_signature_of_a_header_is_tried_wherever_it_stands() {
        let v1 = OPENSSL.split_once(",v1=").unwrap().1;
        for place in 0..14 {
            let mut all = vec!["0".repeat(64); 14];
            all[place] = v1.to_string();
            assert_eq!(verify(&format!("t=1755561234,v1={}", all.join(",v1="))), Ok(()), "{place}");
        }
        let many = format!("{OPENSSL}{}", ",v1=0".repeat(300));
        assert_eq!(verify(&many), Err(Refusal::Malformed), "a length that is capped before anything is read");
    }

    #[test]
    fn nothing_shows_a_secret() {
        let verifier = Verifier::new([secret("whsec_hunter2")]);
        assert!(!format!("{verifier:?}").contains("hunter2"));
        assert!(!Refusal::Mismatch.to_string().contains("hunter2"));
    }

    proptest! {
        #[test]
        fn no_header_panics(value: Vec<u8>, now: u64) {
            let headers = [(SIGNATURE_HEADER, value)];
            let _ = Verifier::new([secret("a")]).verify(Timestamp::from_millis(now), &headers, b"");
        }

        #[test]
        fn what_is_signed_is_accepted(body: Vec<u8>, secs in 0u64..1 << 50, key in "[!-~]{1,100}") {
            let now = Timestamp::from_secs(secs);
            let headers = [(SIGNATURE_HEADER, sign(&secret(&key), now, &body))];
            prop_assert!(Verifier::new([secret(&key)]).verify(now, &headers, &body).is_ok());
        }
    }
}
