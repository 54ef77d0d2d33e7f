//! What hyper's server lets through and an address on the open internet should not: requests that two
//! servers could frame or route differently.
//!
//! One such hyper settles by itself, before anybody can see it: of a length and a transfer coding it drops
//! the length, and closes the connection after the answer, so that nothing can hide behind the request.

use http::{
    HeaderMap, Request, Uri, Version,
    header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING},
};

/// Whether a request is framed in one way only, names exactly one host, and asks for nothing that we do
/// not understand.
pub(crate) fn is_unambiguous<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let hosts = count(headers, &HOST);
    let framed_twice = headers.contains_key(CONTENT_LENGTH) && headers.contains_key(TRANSFER_ENCODING);
    hosts <= 1
        && (hosts == 1 || request.version() == Version::HTTP_10)
        && has_origin_form(request.uri())
        && count(headers, &CONTENT_LENGTH) <= 1
        && is_absent_or(headers, &TRANSFER_ENCODING, "chunked")
        && is_absent_or(headers, &EXPECT, "100-continue")
        && !framed_twice
}

/// Proxies send a path and a query to servers; anything else is not meant for us.
fn has_origin_form(uri: &Uri) -> bool {
    uri.authority().is_none() && uri.path().starts_with('/')
}

/// Whether a field is not there, or once and with the one value that is understood.
fn is_absent_or(headers: &HeaderMap, name: &http::HeaderName, understood: &str) -> bool {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    first.is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(understood.as_bytes()))
        && values.next().is_none()
}

fn count(headers: &HeaderMap, name: &http::HeaderName) -> usize {
    headers.get_all(name).iter().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&str, &str)]) -> Request<()> {
        let mut builder = Request::builder();
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    #[test]
    fn ambiguous_requests_are_told_from_plain_ones() {
        assert!(is_unambiguous(&request(&[("host", "h"), ("content-length", "5")])));
        assert!(is_unambiguous(&request(&[("host", "h"), ("transfer-encoding", "Chunked")])));
        assert!(is_unambiguous(&request(&[("host", "h"), ("expect", "100-Continue")])));
        for fields in [
            &[("content-length", "5")][..],
            &[("host", "h"), ("host", "i")],
            &[("host", "h"), ("content-length", "5"), ("transfer-encoding", "chunked")],
            &[("host", "h"), ("content-length", "5"), ("content-length", "5")],
            &[("host", "h"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            &[("host", "h"), ("transfer-encoding", "gzip, chunked")],
            &[("host", "h"), ("expect", "a-miracle")],
            &[("host", "h"), ("expect", "100-continue"), ("expect", "a-miracle")],
        ] {
            assert!(!is_unambiguous(&request(fields)), "{fields:?}");
        }
    }
    #[test]
    fn only_a_path_is_an_address_of_ours() {
        let to = |target: &str| {
            is_unambiguous(&Request::builder().uri(target).header("host", "h").body(()).unwrap())
        };
        assert!(to("/abyssale/t?a=b"));
        for target in ["http://h/abyssale", "h:80", "*"] {
            assert!(!to(target), "{target}");
        }
    }
}
