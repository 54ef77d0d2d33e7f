//! The head of a request: taken apart by httparse, which hyper and ureq use as well, and kept as the bytes it came in.
//!
//! How its body is framed is decided here, because what there is to borrow is looser than an address on the open internet
//! should be. All that is to be known of the fields for that is found in one pass.

use alloc::vec::Vec;
use core::{fmt, ops::Range, ptr};

use super::{Malformed, request::MAX_FIELDS};
use crate::{
    decimal::decimal,
    http::{Headers, Repeated, is_named},
};

/// The head of a request. Its fields are looked up by name, as those of any [`Headers`].
///
/// The target may hold a token and the fields a signature: `Debug` shows the length of the one and the names of the others.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct Head {
    bytes: Vec<u8>,
    method: Range<usize>,
    target: Range<usize>,
    fields: Vec<Field>,
    /// How the end of the body is known.
    pub framing: Framing,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The client may send another request on the same connection.
    pub keeps_alive: bool,
}

/// Where a field stands in the bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Field {
    name: Range<usize>,
    value: Range<usize>,
}

/// How the end of the body is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// Nothing is said about it, which means that there is none.
    Absent,
    /// It has this many bytes.
    Length(u64),
    /// It comes in chunks.
    Chunked,
}

impl Head {
    /// The method's name, as it came.
    pub fn method(&self) -> &str {
        self.text(&self.method)
    }

    /// Path and query, as they came.
    pub fn target(&self) -> &str {
        self.text(&self.target)
    }

    /// The header fields, in order and as they came.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|field| (self.text(&field.name), self.slice(&field.value)))
    }

    /// Takes a head apart, from its first line to the empty one behind it.
    pub(super) fn parse(bytes: Vec<u8>, max_fields: usize) -> Result<Self, Malformed> {
        // As many as are usual need no allocation of their own.
        let (mut few, mut many) = ([httparse::EMPTY_HEADER; MAX_FIELDS], Vec::new());
        let fields = few.get_mut(..max_fields).unwrap_or_else(|| {
            many.resize(max_fields, httparse::EMPTY_HEADER);
            &mut many
        });
        let mut request = httparse::Request::new(fields);
        match request.parse(&bytes) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Malformed::HeadTooLarge),
            Ok(httparse::Status::Partial) | Err(_) => return Err(Malformed::BadRequest),
        }
        let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version)
        else {
            return Err(Malformed::BadRequest);
        };
        // Proxies send the origin form to servers; anything else is not meant for us.
        if !target.starts_with('/') {
            return Err(Malformed::BadRequest);
        }
        let mut said = Said::default();
        let place = |part: &[u8]| place(&bytes, part);
        let mut fields = Vec::with_capacity(request.headers.len());
        for field in request.headers.iter() {
            said.hear(field.name, field.value)?;
            fields.push(Field { name: place(field.name.as_bytes()), value: place(field.value) });
        }
        let (method, target) = (place(method.as_bytes()), place(target.as_bytes()));
        let is_newest = version == 1;
        if is_newest && !said.host {
            return Err(Malformed::BadRequest);
        }
        let framing = match (said.length, said.is_chunked) {
            (Some(length), false) => Framing::Length(length),
            (None, true) if is_newest => Framing::Chunked,
            (None, false) => Framing::Absent,
            (_, true) => return Err(Malformed::BadRequest),
        };
        let (expects_continue, keeps_alive) = (is_newest && said.expects, is_newest && !said.close);
        Ok(Self { bytes, method, target, fields, framing, expects_continue, keeps_alive })
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let fields = self.fields.iter().filter(move |field| is_named(self.slice(&field.name), name));
        fields.map(|field| self.slice(&field.value))
    }

    fn slice(&self, place: &Range<usize>) -> &[u8] {
        self.bytes.get(place.clone()).unwrap_or_default()
    }

    fn text(&self, place: &Range<usize>) -> &str {
        // What httparse takes for a method, a target or a name is text.
        str::from_utf8(self.slice(place)).unwrap_or_default()
    }
}

impl Headers for Head {
    fn nth(&self, name: &str, n: usize) -> Option<&[u8]> {
        self.named(name).nth(n)
    }

    fn sole(&self, name: &str) -> Result<Option<&[u8]>, Repeated> {
        let mut found = self.named(name);
        let first = found.next();
        if found.next().is_some() { Err(Repeated) } else { Ok(first) }
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("method", &self.method())
            .field("target", &format_args!("({} bytes)", self.target.len()))
            .field("headers", &self.fields().map(|(name, _)| name).collect::<Vec<_>>())
            .field("framing", &self.framing)
            .field("expects_continue", &self.expects_continue)
            .field("keeps_alive", &self.keeps_alive)
            .finish_non_exhaustive()
    }
}

/// What the fields say that concerns the connection.
#[expect(clippy::struct_excessive_bools, reason = "each is what one field says")]
#[derive(Default)]
struct Said {
    host: bool,
    length: Option<u64>,
    is_chunked: bool,
    expects: bool,
    close: bool,
}

impl Said {
    /// Of these, each may be said once and in one way; only `connection` may be repeated.
    fn hear(&mut self, name: &str, value: &[u8]) -> Result<(), Malformed> {
        let is = |known| is_named(name.as_bytes(), known);
        let once = |is_first: bool| is_first.then_some(()).ok_or(Malformed::BadRequest);
        if is("host") {
            once(!self.host)?;
            self.host = true;
        } else if is("content-length") {
            once(self.length.is_none())?;
            self.length = Some(decimal(value).ok_or(Malformed::BadRequest)?);
        } else if is("transfer-encoding") {
            once(!self.is_chunked && value.eq_ignore_ascii_case(b"chunked"))?;
            self.is_chunked = true;
        } else if is("expect") {
            once(!self.expects && value.eq_ignore_ascii_case(b"100-continue"))?;
            self.expects = true;
        } else if is("connection") {
            let mut options = value.split(|byte| *byte == b',');
            self.close |= options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
        }
        Ok(())
    }
}

/// Where a part of these bytes stands in them.
fn place(bytes: &[u8], part: &[u8]) -> Range<usize> {
    // What is empty may be elsewhere, and is nowhere.
    let start = part.as_ptr().addr().checked_sub(bytes.as_ptr().addr());
    let place = start.map(|start| start..start.saturating_add(part.len()));
    place
        .filter(|place| bytes.get(place.clone()).is_some_and(|found| ptr::eq(found, part)))
        .unwrap_or_default()
}
