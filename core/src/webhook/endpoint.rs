//! The receiving end of a callback URL: from an HTTP request to a delivery, or to the status that refuses it.
//!
//! A [`CallbackEndpoint`] knows the URL's path and the [`Verifier`]. It holds no jobs and answers nothing: the owner of
//! the socket asks it about a request, and answers with a [`Reply`].

use alloc::{borrow::ToOwned, string::String};
use core::iter;

use thiserror::Error;

use crate::{
    http::{Headers, Method, Request, Url},
    id::{DeliveryId, ExportId},
    request::USER_AGENT,
    secret::SigningSecret,
    time::Timestamp,
    token::{Token, TokenPlacement},
    webhook::{DELIVERY_ID_HEADER, Event, EventError, Refusal, SIGNATURE_HEADER, Verifier},
};

/// Turns a request to a callback URL into a [`Delivery`].
#[derive(Clone, Debug)]
pub struct CallbackEndpoint {
    path: Option<String>,
    token: Option<TokenPlacement>,
    verifier: Verifier,
    max_body: usize,
}

impl CallbackEndpoint {
    /// An endpoint that expects a [token](Token) as a segment of any path.
    pub fn new(verifier: Verifier) -> Self {
        Self { path: None, token: Some(TokenPlacement::PathSegment), verifier, max_body: DEFAULT_DELIVERY }
    }

    /// Sets the path of callback URLs that hold no token: another path is answered 404. Slashes, percent-encoding, and
    /// leading segments that a gateway adds or removes make no difference.
    ///
    /// Where the URLs hold a token, the token decides, and the path is not looked at.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// Sets where the token stands, or `None` if the callback URLs hold none.
    #[must_use]
    pub fn token(mut self, placement: Option<TokenPlacement>) -> Self {
        self.token = placement;
        self
    }

    /// Sets the largest body that is read, in bytes, up to [`MAX_DELIVERY`]. Default: 64 KiB; the documented event takes
    /// about 150 bytes. A larger body is answered 413.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.max_body = bytes.min(MAX_DELIVERY);
        self
    }

    /// Replaces the [signing secrets](Verifier::set_secrets).
    pub fn set_secrets(&mut self, secrets: impl IntoIterator<Item = SigningSecret>) {
        self.verifier.set_secrets(secrets);
    }

    /// Builds a delivery of an event with this export id to `url`, signed if there is a secret. Sent to the callback URL by
    /// its public name, it shows whether that leads to this endpoint: use an id that nobody can guess, and see whether
    /// it arrives.
    pub fn probe(&self, url: Url, export_id: &ExportId, now: Timestamp) -> Request {
        let event = serde_json::json!({ "export_id": export_id, "archive_url": "check" });
        let body = alloc::format!("{event}").into_bytes();
        let signature = self.verifier.sign(now, &body);
        let request = Request::new(Method::Post, url).header("user-agent", USER_AGENT).json(body);
        match signature {
            Some(signature) => request.header(SIGNATURE_HEADER, signature),
            None => request,
        }
    }

    /// Decides by a request's head alone whether its body is worth reading: by its path, its method, its encoding, whether
    /// it is signed at all, and its length.
    ///
    /// `target` is the request's path and query as they came.
    pub fn admit(&self, method: &str, target: &str, headers: &dyn Headers) -> Result<Admitted, Reply> {
        let token = self.find_token(target)?;
        if method != "POST" {
            return Err(Reply::MethodNotAllowed);
        }
        let encodes = |coding: &[u8]| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity");
        if headers.first("content-encoding").is_some_and(encodes) {
            return Err(Reply::UnsupportedEncoding);
        }
        self.verifier.admit(headers).map_err(Reply::Unauthorized)?;
        let length =
            headers.first("content-length").and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
        if length.is_some_and(|length: u64| length > self.max_body as u64) {
            return Err(Reply::TooLarge);
        }
        Ok(Admitted { token, body_limit: self.max_body })
    }

    /// Reads the body of a request that was [admitted](Self::admit) with these headers.
    ///
    /// An `Err` is the final answer. Acknowledge a delivery only once its event is saved.
    pub fn read(
        &self,
        now: Timestamp,
        admitted: &Admitted,
        headers: &dyn Headers,
        body: &[u8],
    ) -> Result<Delivery, Reply> {
        if body.len() > admitted.body_limit {
            return Err(Reply::TooLarge);
        }
        let verified = self.verifier.verify(now, headers, body).map_err(Reply::Unauthorized)?;
        Ok(Delivery {
            event: Event::parse(&verified).map_err(Reply::BadEvent)?,
            token: admitted.token,
            id: headers.only(DELIVERY_ID_HEADER).and_then(DeliveryId::from_header),
            signed_at: verified.signed_at(),
        })
    }

    /// Admits and reads a request whose body is here already. It must have been cut off past [`MAX_DELIVERY`] bytes.
    pub fn receive(
        &self,
        now: Timestamp,
        method: &str,
        target: &str,
        headers: &dyn Headers,
        body: &[u8],
    ) -> Result<Delivery, Reply> {
        self.read(now, &self.admit(method, target, headers)?, headers, body)
    }

    /// Returns the token in a request's target, if there is one: the job that a refused delivery was meant for.
    pub fn token_in(&self, target: &str) -> Option<Token> {
        self.find_token(target).ok().flatten()
    }

    /// Returns the token of the request's target, or `None` if the callback URLs hold none.
    ///
    /// A gateway may add a stage to the path, remove one, or append a query. So the last segment that has the form of a
    /// token is taken, wherever it is: its 128 random bits prove more than the rest of the path.
    fn find_token(&self, target: &str) -> Result<Option<Token>, Reply> {
        // In the absolute form of a target, the host is a segment like any other.
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let found = match &self.token {
            None => return if self.is_our_path(path) { Ok(None) } else { Err(Reply::NotFound) },
            Some(TokenPlacement::PathSegment) => path.rsplit('/').find_map(|segment| segment.parse().ok()),
            Some(TokenPlacement::QueryParameter(name)) => {
                let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
                let mut values = pairs.filter(|(key, _)| same_path(key, name)).map(|(_, value)| value);
                values.find_map(|value| value.parse().ok())
            }
        };
        found.map(Some).ok_or(Reply::NotFound)
    }

    /// Whether a path without a token is the callback URL's, with or without leading segments that a gateway adds or
    /// removes.
    fn is_our_path(&self, path: &str) -> bool {
        let Some(ours) = &self.path else { return true };
        let mut theirs = segments(path).rev();
        let mut ours = segments(ours).rev();
        let mut both = 0;
        loop {
            match (ours.next(), theirs.next()) {
                (Some(one), Some(other)) if same_path(one, other) => both += 1,
                (Some(_), Some(_)) => return false,
                (None, None) => return true,
                _ => return both > 0,
            }
        }
    }
}

fn segments(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// Compares two pieces of a path, in which a proxy may have encoded or decoded any byte.
fn same_path(one: &str, other: &str) -> bool {
    decoded(one).eq(decoded(other))
}

/// Decodes `%2D` and the like. A percent sign that encodes nothing is itself.
fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let bytes = text.as_bytes();
    let mut at = 0;
    iter::from_fn(move || {
        let byte = *bytes.get(at)?;
        let encoded = bytes
            .get(at + 1..at + 3)
            .filter(|_| byte == b'%')
            .and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        at += if encoded.is_some() { 3 } else { 1 };
        Some(encoded.unwrap_or(byte))
    })
}

/// The head of a request whose body is worth reading.
#[derive(Debug)]
pub struct Admitted {
    token: Option<Token>,
    body_limit: usize,
}

impl Admitted {
    /// Returns the token of the callback URL that the request was sent to.
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// The most bytes of the body to read. A longer body is answered 413.
    pub fn body_limit(&self) -> usize {
        self.body_limit
    }
}

/// A genuine delivery.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Delivery {
    /// What it says.
    pub event: Event,
    /// The token of the address it came to: whose event it is.
    pub token: Option<Token>,
    /// Its id, for logs; not covered by the signature.
    pub id: Option<DeliveryId>,
    /// When it was signed; `None` if it was accepted without a signature.
    pub signed_at: Option<Timestamp>,
}

/// The answer to a request, with the reason for our own log.
///
/// | status | the request | what happens to a genuine delivery |
/// |---|---|---|
/// | 200 | its event is saved, was known already, or concerns no job of ours | it is over |
/// | 400 | genuine, but its event cannot be read; or not HTTP (by a listener) | it comes again |
/// | 401 | the signature is missing, malformed, stale or wrong | it comes again, signed anew |
/// | 404 | another path, or a token that no job has | it comes again |
/// | 405 | another method than POST | |
/// | 408 | its body did not arrive in time | it comes again |
/// | 413 | its body is larger than the limit: 64 KiB unless set otherwise | it comes again, in vain |
/// | 415 | its body is encoded | it comes again, in vain |
/// | 429 | its event finds no room, or a handler defers it | it comes again |
/// | 431 | its head is too long (by a listener) | |
/// | 503 | it came while we shut down, or could not be saved in time | it comes again |
///
/// The answer is a bare [`status`](Self::status) with an empty body: a stranger learns nothing more. Only a 2xx ends a
/// delivery; after anything else the service delivers again, six times in all, over hours.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// 200: the event is saved, was known already, or concerns no job of ours.
    #[error("acknowledged")]
    Acknowledged,
    /// 400: the delivery is genuine, but its event cannot be read.
    #[error(transparent)]
    BadEvent(EventError),
    /// 401: the delivery is not genuine.
    #[error(transparent)]
    Unauthorized(Refusal),
    /// 404: nothing is received at this path, or no job has this token.
    #[error("nothing is received at this address")]
    NotFound,
    /// 405: deliveries are POSTs.
    #[error("only POST is received here")]
    MethodNotAllowed,
    /// 408: the request did not arrive whole in time.
    #[error("the delivery did not arrive whole in time")]
    TooSlow,
    /// 413: the body is larger than the [limit](CallbackEndpoint::body_limit).
    #[error("the delivery is too large")]
    TooLarge,
    /// 415: the body is compressed; its signature is over other bytes than would be read.
    #[error("the delivery has a content encoding")]
    UnsupportedEncoding,
    /// 429: there is no room to keep the event.
    #[error("there is no room for another event")]
    NoRoom,
    /// 503: we are shutting down, or the event could not be saved in time.
    #[error("deliveries cannot be taken at the moment")]
    Unavailable,
}

impl Reply {
    /// Whether the reply refuses a delivery for what it is, so that the job it was meant for should hear of it.
    pub fn refuses_delivery(&self) -> bool {
        matches!(self, Self::BadEvent(_) | Self::Unauthorized(_) | Self::TooLarge | Self::UnsupportedEncoding)
    }

    /// The HTTP status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Self::Acknowledged => 200,
            Self::BadEvent(_) => 400,
            Self::Unauthorized(_) => 401,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::TooSlow => 408,
            Self::TooLarge => 413,
            Self::UnsupportedEncoding => 415,
            Self::NoRoom => 429,
            Self::Unavailable => 503,
        }
    }
}

/// The highest limit on a delivery's body: 1 MiB.
pub const MAX_DELIVERY: usize = 1 << 20;

/// The limit unless another is set.
const DEFAULT_DELIVERY: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use alloc::{format, vec, vec::Vec};

    use super::*;
    use crate::webhook::sign;

    const TOKEN: &str = "009aff1000000000000000000000000b";
    const BODY: &[u8] = br#"{"export_id":"e","archive_url":"https://h/a.zip"}"#;
    const NOW: Timestamp = Timestamp::from_secs(1_755_561_234);

    fn endpoint() -> CallbackEndpoint {
        CallbackEndpoint::new(Verifier::new([]).accept_unsigned()).path("/abyssale/")
    }

    fn receive(endpoint: &CallbackEndpoint, method: &str, target: &str) -> Result<Delivery, u16> {
        endpoint.receive(NOW, method, target, &(), BODY).map_err(|reply| reply.status())
    }

    #[test]
    fn the_token_is_found_where_it_was_placed() {
        let token = TOKEN.parse().ok();
        assert_eq!(receive(&endpoint(), "POST", &format!("/abyssale/{TOKEN}")).unwrap().token, token);
        let query = endpoint().token(Some(TokenPlacement::QueryParameter("t-1".into())));
        for target in ["/abyssale?a=b&t-1=TOKEN", "/prod/?t%2D1=TOKEN&b", "/?t-1=&t-1=TOKEN"] {
            let target = target.replace("TOKEN", TOKEN);
            assert_eq!(receive(&query, "POST", &target).unwrap().token, token, "{target}");
        }
        assert_eq!(receive(&query, "POST", &format!("/abyssale?other={TOKEN}")), Err(404));
        assert_eq!(receive(&endpoint().token(None), "POST", "/abyssale").unwrap().token, None);
    }

    #[test]
    fn a_gateway_may_change_the_path_around_the_token() {
        let other = "f".repeat(32);
        for target in [
            "/TOKEN",
            "/prod/abyssale/TOKEN",
            "/abyssale/TOKEN/",
            "/abyssale/TOKEN/?a=b",
            "//abyssale//TOKEN",
            "/other/TOKEN/deliver",
            "http://hooks.example.com/abyssale/TOKEN",
            &format!("/{other}/TOKEN/x"),
        ] {
            let target = target.replace("TOKEN", TOKEN);
            assert_eq!(receive(&endpoint(), "POST", &target).unwrap().token, TOKEN.parse().ok(), "{target}");
        }
    }

    #[test]
    fn a_gateway_may_change_a_path_without_a_token() {
        let endpoint = endpoint().token(None).path("/stage/my-hooks/");
        for target in [
            "/stage/my-hooks",
            "/my-hooks",
            "/prod/stage/my-hooks/",
            "//stage//my-hooks?x=/y",
            "/stage/my%2Dhooks",
            "/stage/my%2dhooks/",
        ] {
            assert!(receive(&endpoint, "POST", target).is_ok(), "{target}");
        }
        for target in
            ["", "/", "/stage", "/stage/other", "/stage/my-hooks/x", "/stage/My-hooks", "/stage/my%hooks"]
        {
            assert_eq!(receive(&endpoint, "POST", target), Err(404), "{target}");
        }
    }

    #[test]
    fn a_wrong_address_is_not_found_before_anything_else() {
        for target in ["/", "", "/abyssale", "/abyssale/", "/abyssale/x", &format!("/abyssale?t={TOKEN}")] {
            assert_eq!(receive(&endpoint(), "GET", target), Err(404), "{target}");
        }
        assert_eq!(receive(&endpoint(), "GET", &format!("/abyssale/{TOKEN}")), Err(405));
    }

    #[test]
    fn each_refusal_has_its_status() {
        let secret = SigningSecret::new("whsec_a").unwrap();
        let endpoint = CallbackEndpoint::new(Verifier::new([secret.clone()])).token(None);
        let status =
            |headers: &dyn Headers, body: &[u8]| match endpoint.receive(NOW, "POST", "/", headers, body) {
                Ok(_) => 200,
                Err(reply) => reply.status(),
            };
        let signed = |body: &[u8]| [("x-abyssale-signature", sign(&secret, NOW, body))];
        assert_eq!(status(&signed(BODY), BODY), 200);
        assert_eq!(status(&(), BODY), 401);
        assert_eq!(status(&signed(BODY), b"{}"), 401);
        assert_eq!(status(&signed(b"[]"), b"[]"), 400);
        let claimed = ("x-abyssale-signature", "t=1,v1=2");
        assert_eq!(status(&[claimed, ("content-length", "65537")], b""), 413);
        assert_eq!(status(&[claimed], &vec![b' '; DEFAULT_DELIVERY + 1]), 413);
        assert_eq!(status(&[claimed, ("content-length", "65536")], &vec![b' '; DEFAULT_DELIVERY]), 401);
        assert_eq!(status(&[("content-length", "65537")], b""), 401, "before its body is read");
        assert_eq!(status(&[("content-encoding", "gzip")], BODY), 415);
        assert_eq!(status(&[("content-encoding", "")], BODY), 401, "an empty field encodes nothing");
    }

    #[test]
    fn the_limit_on_a_body_can_be_set_up_to_the_highest() {
        let status = |limit: usize, length: usize| {
            let endpoint = endpoint().body_limit(limit);
            let (target, headers) = (format!("/abyssale/{TOKEN}"), [("content-length", format!("{length}"))]);
            endpoint.admit("POST", &target, &headers).map(|admitted| admitted.body_limit())
        };
        assert_eq!(status(200, 200), Ok(200));
        assert_eq!(status(200, 201), Err(Reply::TooLarge));
        assert_eq!(status(usize::MAX, MAX_DELIVERY), Ok(MAX_DELIVERY));
        assert_eq!(status(usize::MAX, MAX_DELIVERY + 1), Err(Reply::TooLarge));
    }

    #[test]
    fn the_table_of_statuses_is_the_truth() {
        let replies = [
            Reply::Acknowledged,
            Reply::BadEvent(EventError::Unusable { field: "export_id" }),
            Reply::Unauthorized(Refusal::Missing),
            Reply::NotFound,
            Reply::MethodNotAllowed,
            Reply::TooSlow,
            Reply::TooLarge,
            Reply::UnsupportedEncoding,
            Reply::NoRoom,
            Reply::Unavailable,
        ];
        let mut expected: Vec<_> = replies.iter().map(Reply::status).chain([431]).collect();
        expected.sort_unstable();
        let rows = include_str!("endpoint.rs").lines().filter_map(|line| line.strip_prefix("/// | "));
        let table: Vec<u16> = rows.filter_map(|row| row.split(' ').next()?.parse().ok()).collect();
        assert_eq!(table, expected);
    }

    #[test]
    fn secrets_can_be_replaced() {
        let [old, new] = ["whsec_a", "whsec_b"].map(|secret| SigningSecret::new(secret).unwrap());
        let mut endpoint = CallbackEndpoint::new(Verifier::new([old])).token(None);
        let headers = [("x-abyssale-signature", sign(&new, NOW, BODY))];
        let refused = Reply::Unauthorized(Refusal::Mismatch);
        assert_eq!(endpoint.receive(NOW, "POST", "/", &headers, BODY), Err(refused));
        endpoint.set_secrets([new]);
        assert_eq!(endpoint.receive(NOW, "POST", "/", &headers, BODY).unwrap().signed_at, Some(NOW));
    }

    #[test]
    fn a_probe_is_a_delivery_that_the_endpoint_takes() {
        let secret = SigningSecret::new("whsec_a").unwrap();
        for verifier in [Verifier::new([]).accept_unsigned(), Verifier::new([secret])] {
            let endpoint = CallbackEndpoint::new(verifier).path("/abyssale");
            let url = format!("https://hooks.example.com/abyssale/{TOKEN}").parse::<Url>().unwrap();
            let id = "0a0b".parse().unwrap();
            let probe = endpoint.probe(url, &id, NOW);
            let headers: Vec<_> = probe.headers().map(|(name, value)| (name, value.to_owned())).collect();
            let method = probe.method().as_str();
            let delivery = endpoint.receive(NOW, method, probe.url().path(), &&headers[..], probe.body());
            let Event::NewExport(event) = delivery.unwrap().event else { panic!() };
            assert_eq!(event.export_id, id);
            assert!(!probe.carries_key());
        }
    }

    #[test]
    fn the_delivery_id_is_kept_for_logs() {
        let id = "0a".repeat(32);
        let headers = [("X-Abyssale-Delivery-Id", id.as_str())];
        let delivery =
            endpoint().receive(NOW, "POST", &format!("/abyssale/{TOKEN}"), &headers, BODY).unwrap();
        assert_eq!(delivery.id.unwrap().as_str(), id);
        assert_eq!(delivery.signed_at, None);
    }
}
