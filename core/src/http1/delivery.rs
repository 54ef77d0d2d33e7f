//! From the bytes of a connection at a callback address to a delivery, or to a status.

use super::{BodyReader, Framing, Head, HeadReader, Malformed};
use crate::{
    Timestamp,
    webhook::{CallbackEndpoint, Delivery, MAX_DELIVERY},
};

/// Reads one delivery from the bytes of a connection, as strictly as the [`CallbackEndpoint`] and this module are.
///
/// How long the bytes may take is for the owner of the connection to say: five seconds for the head and twenty for
/// the rest are what the transports give.
///
/// A client that sends `expect: 100-continue` is not told to continue, and sends its body by itself a moment later, as
/// HTTP has it; a listener that wants to spare it that moment uses [`HeadReader`] and [`BodyReader`].
///
/// ```
/// # use abyssale_core::{Timestamp, http1::{DeliveryReader, Incoming}, webhook::{CallbackEndpoint, Verifier}};
/// let endpoint = CallbackEndpoint::new(Verifier::new([]).accept_unsigned()).token(None);
/// let mut reader = DeliveryReader::default();
/// let now = Timestamp::from_secs(1_795_000_000);
/// let bytes = b"POST /abyssale HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n";
/// assert_eq!(reader.feed(&endpoint, now, bytes), Incoming::More);
/// assert_eq!(reader.feed(&endpoint, now, b"[]"), Incoming::Refused(400)); // no event
/// ```
#[derive(Debug, Default)]
pub struct DeliveryReader {
    head: HeadReader,
    begun: Option<(Head, BodyReader)>,
}

/// What has come of a delivery so far.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Incoming {
    /// Not all of it: read on.
    More,
    /// All of it. Hand it to its job, save the job, and answer what became of it
    /// by its disposition.
    Delivery(Delivery),
    /// Nothing that is taken here: answer this status.
    Refused(u16),
}

impl DeliveryReader {
    /// Takes bytes as they come; none at all mean that the connection has ended, as they do to who reads from one. What is
    /// behind the delivery is thrown away: it is the connection's last.
    ///
    /// `now` is the time of the wall clock, which a signature is compared with.
    pub fn feed(&mut self, endpoint: &CallbackEndpoint, now: Timestamp, bytes: &[u8]) -> Incoming {
        self.step(endpoint, now, bytes).unwrap_or_else(Incoming::Refused)
    }

    fn step(&mut self, endpoint: &CallbackEndpoint, now: Timestamp, bytes: &[u8]) -> Result<Incoming, u16> {
        if bytes.is_empty() {
            // Whoever has closed one side only may still hear that.
            return Err(Malformed::BadRequest.status());
        }
        let mut bytes = bytes;
        if self.begun.is_none() {
            let Some((head, used)) = self.head.feed(bytes).map_err(Malformed::status)? else {
                return Ok(Incoming::More);
            };
            endpoint.admit(head.method(), head.target(), &head).map_err(|reply| reply.status())?;
            if head.framing == Framing::Absent {
                return Err(Malformed::LengthRequired.status());
            }
            let body = BodyReader::new(head.framing, MAX_DELIVERY).map_err(Malformed::status)?;
            self.begun = Some((head, body));
            bytes = bytes.get(used..).unwrap_or_default();
        }
        let Some((head, body)) = &mut self.begun else { return Ok(Incoming::More) };
        body.feed(bytes).map_err(Malformed::status)?;
        if !body.is_done() {
            return Ok(Incoming::More);
        }
        endpoint
            .receive(now, head.method(), head.target(), head, body.body())
            .map(Incoming::Delivery)
            .map_err(|reply| reply.status())
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String, vec::Vec};

    use super::*;
    use crate::{SigningSecret, webhook::Event, webhook::Verifier, webhook::sign};

    const NOW: Timestamp = Timestamp::from_secs(1_755_561_234);
    const BODY: &str = r#"{"export_id":"e","archive_url":"https://h/a.zip"}"#;

    fn endpoint() -> CallbackEndpoint {
        CallbackEndpoint::new(Verifier::new([SigningSecret::new("whsec_a").unwrap()])).token(None)
    }

    fn signed(method: &str, body: &str) -> String {
        let signature = sign(&SigningSecret::new("whsec_a").unwrap(), NOW, body.as_bytes());
        let length = body.len();
        format!(
            "{method} /abyssale HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\nX-Abyssale-Signature: {signature}\r\n\r\n{body}"
        )
    }

    fn read(bytes: &[u8], step: usize) -> Vec<Incoming> {
        let (endpoint, mut reader) = (endpoint(), DeliveryReader::default());
        bytes.chunks(step).map(|piece| reader.feed(&endpoint, NOW, piece)).collect()
    }

    #[test]
    fn a_delivery_is_the_same_however_it_arrives() {
        let bytes = signed("POST", BODY);
        for step in [1, 2, 7, 100, bytes.len()] {
            let mut came = read(bytes.as_bytes(), step);
            let last = came.pop().unwrap();
            assert!(came.iter().all(|incoming| *incoming == Incoming::More), "{step}");
            let Incoming::Delivery(delivery) = last else { panic!("{last:?}") };
            assert!(
                matches!(delivery.event, Event::NewExport(event) if &*event.archive_url == "https://h/a.zip")
            );
        }
    }

    #[test]
    fn a_connection_that_ends_before_its_delivery_has_brought_none() {
        let bytes = signed("POST", BODY);
        for end in [0, 5, bytes.len() - 1] {
            let (endpoint, mut reader) = (endpoint(), DeliveryReader::default());
            let came = bytes.as_bytes().get(..end).unwrap();
            if !came.is_empty() {
                assert_eq!(reader.feed(&endpoint, NOW, came), Incoming::More);
            }
            assert_eq!(reader.feed(&endpoint, NOW, b""), Incoming::Refused(400));
        }
    }

    #[test]
    fn what_is_refused_is_refused_as_early_as_it_can_be() {
        for (bytes, status) in [
            (signed("GET", BODY), 405),
            (signed("POST", BODY).replace("https", "httpx"), 401),
            (signed("POST", "[]"), 400),
            ("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n".into(), 401),
            ("POST /a HTTP/1.1\r\nHost: h\r\nX-Abyssale-Signature: t=1,v1=a\r\n\r\n".into(), 411),
            ("POST /a HTTP/1.1\nHost: h\n\n".into(), 400),
            (format!("POST /a HTTP/1.1\r\nX: {}", "x".repeat(super::super::MAX_HEAD)), 431),
            ("POST /a HTTP/1.1\r\nHost: h\r\nX-Abyssale-Signature: t=1,v1=a\r\nContent-Length: 9999999\r\n\r\n".into(), 413),
        ] {
            assert_eq!(read(bytes.as_bytes(), bytes.len()), [Incoming::Refused(status)], "{bytes}");
        }
    }
}
