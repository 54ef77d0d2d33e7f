//! The receiving end of a callback address: from an HTTP request to a delivery, or to a refusal.
//!
//! A [`CallbackEndpoint`] knows the address's path and the [`Verifier`]; it holds no jobs and answers nothing.
//! Whoever owns the socket asks it what to make of a request, and answers with a [`Reply`].

use alloc::{borrow::ToOwned, string::String};

use thiserror::Error;

use crate::{
    DeliveryId, SigningSecret, Timestamp, Token, TokenPlacement,
    http::Headers,
    webhook::{DELIVERY_ID_HEADER, Event, EventError, Refusal, Verifier},
};

/// What makes a delivery of a request to a callback address.
#[derive(Clone, Debug)]
pub struct CallbackEndpoint {
    path: Option<String>,
    token: Option<TokenPlacement>,
    verifier: Verifier,
}

impl CallbackEndpoint {
    /// An endpoint that expects the [token](Token) as the last segment of any path.
    pub fn new(verifier: Verifier) -> Self {
        Self { path: None, token: Some(TokenPlacement::PathSegment), verifier }
    }

    /// Answers 404 unless the path, without the token, is this one. A slash at its end makes no difference.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        self.path = Some(path.trim_end_matches('/').to_owned());
        self
    }

    /// Where the token stands, or `None` if the callback addresses hold none.
    #[must_use]
    pub fn token(mut self, placement: Option<TokenPlacement>) -> Self {
        self.token = placement;
        self
    }

    /// Takes these [secrets](Verifier::set_secrets) instead of the former.
    pub fn set_secrets(&mut self, secrets: impl IntoIterator<Item = SigningSecret>) {
        self.verifier.set_secrets(secrets);
    }

    /// Whether a request is worth reading the body of: its path, its method, whether it is signed at all, its length.
    ///
    /// `target` is the request's path and query, as it came. [`receive`](Self::receive) checks the
    /// same again, so a caller that has the body already need not ask.
    pub fn admit(&self, method: &str, target: &str, headers: &dyn Headers) -> Result<Option<Token>, Reply> {
        let token = self.find_token(target)?;
        if method != "POST" {
            return Err(Reply::MethodNotAllowed);
        }
        if headers.first("content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
            return Err(Reply::UnsupportedEncoding);
        }
        self.verifier.admit(headers).map_err(Reply::Unauthorized)?;
        let length =
            headers.first("content-length").and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
        if length.is_some_and(|length: u64| length > MAX_DELIVERY as u64) {
            return Err(Reply::TooLarge);
        }
        Ok(token)
    }

    /// Reads a whole request, whose body must have been cut off past [`MAX_DELIVERY`] bytes.
    ///
    /// An `Err` is the final answer. A delivery is to be acknowledged only once it is where it
    /// cannot be lost.
    pub fn receive(
        &self,
        now: Timestamp,
        method: &str,
        target: &str,
        headers: &dyn Headers,
        body: &[u8],
    ) -> Result<Delivery, Reply> {
        let token = self.admit(method, target, headers)?;
        if body.len() > MAX_DELIVERY {
            return Err(Reply::TooLarge);
        }
        let verified = self.verifier.verify(now, headers, body).map_err(Reply::Unauthorized)?;
        Ok(Delivery {
            event: Event::parse(&verified).map_err(Reply::BadEvent)?,
            token,
            id: headers.only(DELIVERY_ID_HEADER).and_then(DeliveryId::from_header),
            signed_at: verified.signed_at(),
        })
    }

    /// The token of a path that is ours, where one must be.
    fn find_token(&self, target: &str) -> Result<Option<Token>, Reply> {
        let parse = |text: &str| text.parse().map(Some).map_err(|_| Reply::NotFound);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.trim_end_matches('/');
        let (path, token) = match &self.token {
            None => (path, None),
            Some(TokenPlacement::PathSegment) => {
                let (path, segment) = path.rsplit_once('/').ok_or(Reply::NotFound)?;
                (path, parse(segment)?)
            }
            Some(TokenPlacement::QueryParameter(name)) => {
                let mut values =
                    query.split('&').filter_map(|pair| pair.strip_prefix(name.as_str())?.strip_prefix('='));
                (path, parse(values.next().ok_or(Reply::NotFound)?)?)
            }
        };
        let ours = self.path.as_ref().is_none_or(|expected| expected == path.trim_end_matches('/'));
        if ours { Ok(token) } else { Err(Reply::NotFound) }
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

/// What to answer to a request, with the reason for our own log.
///
/// | status | what came | what becomes of a genuine delivery |
/// |---|---|---|
/// | 200 | an event that is saved, was known already, or is none of our concern | it is over |
/// | 400 | genuine, but not an event that can be read; or no request that can be read in one way only | it comes again |
/// | 401 | no signature, or one that is malformed, stale or another's | it comes again, signed anew |
/// | 404 | another path, or a token that nobody waits for | it comes again |
/// | 405 | another method than POST | |
/// | 408 | a head or a body that took too long | it comes again |
/// | 411 | a request that says nothing about a body (by a listener) | |
/// | 413 | a body of more than 1 MiB | it comes again, in vain |
/// | 415 | a body that is encoded | it comes again, in vain |
/// | 429 | an event for which there is no room, which a handler puts off, or (by a listener) too much at once | it comes again |
/// | 431 | a head that is too long (by a listener) | |
/// | 503 | anything while we shut down, or what could not be saved | it comes again |
///
/// The answer itself is a bare [`status`](Self::status) with an empty body: a stranger learns nothing
/// more. Only a 2xx ends a delivery; after anything else the service comes again, six times in all,
/// over hours.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// 200: the event is saved, was known already, or is none of our concern.
    #[error("acknowledged")]
    Acknowledged,
    /// 400: it is genuine, but not an event that can be read.
    #[error(transparent)]
    BadEvent(EventError),
    /// 401: it is not genuine.
    #[error(transparent)]
    Unauthorized(Refusal),
    /// 404: nothing is received at this path, or nobody waits for this token.
    #[error("nothing is received at this address")]
    NotFound,
    /// 405: deliveries are POSTs.
    #[error("only POST is received here")]
    MethodNotAllowed,
    /// 408: the request did not come to its end in time.
    #[error("the delivery did not come to its end in time")]
    TooSlow,
    /// 413: the body is larger than [`MAX_DELIVERY`].
    #[error("the delivery is larger than {MAX_DELIVERY} bytes")]
    TooLarge,
    /// 415: the body is compressed; its signature is over other bytes than would be read.
    #[error("the delivery has a content encoding")]
    UnsupportedEncoding,
    /// 429: there is no room to keep it, or to read it; it may come again.
    #[error("there is no room for another event")]
    NoRoom,
    /// 503: we are shutting down, or it could not be saved; it may come again.
    #[error("deliveries cannot be taken at the moment")]
    Unavailable,
}

impl Reply {
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

/// The largest delivery that is read: 1 MiB. The documented event takes about 150 bytes.
pub const MAX_DELIVERY: usize = 1 << 20;

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
        assert_eq!(receive(&endpoint(), "POST", &format!("/abyssale/{TOKEN}/?a=b")).unwrap().token, token);
        let query = endpoint().token(Some(TokenPlacement::QueryParameter("t".into())));
        assert_eq!(receive(&query, "POST", &format!("/abyssale?a=b&t={TOKEN}")).unwrap().token, token);
        assert_eq!(receive(&endpoint().token(None), "POST", "/abyssale").unwrap().token, None);
        let mounted = CallbackEndpoint::new(Verifier::new([]).accept_unsigned());
        assert_eq!(receive(&mounted, "POST", &format!("/{TOKEN}")).unwrap().token, token);
    }

    #[test]
    fn a_wrong_address_is_not_found_before_anything_else() {
        for target in [
            "/",
            "",
            "/abyssale",
            "/abyssale/",
            "/abyssale/x",
            &format!("/other/{TOKEN}"),
            &format!("/abyssale/a/{TOKEN}"),
            &format!("/abyssale?t={TOKEN}"),
        ] {
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
        assert_eq!(status(&[claimed, ("content-length", "1048577")], b""), 413);
        assert_eq!(status(&[claimed], &vec![b' '; MAX_DELIVERY + 1]), 413);
        assert_eq!(status(&[claimed, ("content-length", "1048576")], &vec![b' '; MAX_DELIVERY]), 401);
        assert_eq!(status(&[("content-length", "1048577")], b""), 401, "before anybody reads so much");
        assert_eq!(status(&[("content-encoding", "gzip")], BODY), 415);
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
        let mut expected: Vec<_> = replies.iter().map(Reply::status).chain([411, 431]).collect();
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
    fn the_delivery_id_is_kept_for_logs() {
        let id = "0a".repeat(32);
        let headers = [("X-Abyssale-Delivery-Id", id.as_str())];
        let delivery =
            endpoint().receive(NOW, "POST", &format!("/abyssale/{TOKEN}"), &headers, BODY).unwrap();
        assert_eq!(delivery.id.unwrap().as_str(), id);
        assert_eq!(delivery.signed_at, None);
    }
}
