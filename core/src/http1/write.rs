//! Requests and answers, written as bytes.

use alloc::{string::String, vec::Vec};
use core::fmt::Write as _;

use crate::http::{Request, Scheme};

impl Request {
    /// The request as the bytes of HTTP/1.1, for a connection of its own that the answer closes.
    ///
    /// The key is in them where [`carries_key`](Self::carries_key) says so: they are not for logs.
    pub fn to_http1(&self) -> Vec<u8> {
        let url = self.url();
        let mut head = String::new();
        let path = if url.path().is_empty() { "/" } else { url.path() };
        let (mark, query) = url.query().map_or(("", ""), |query| ("?", query));
        let host = if url.host().contains(':') { ["[", url.host(), "]"].concat() } else { url.host().into() };
        // Writing to a string does not fail.
        let _ = write!(head, "{} {path}{mark}{query} HTTP/1.1\r\nhost: {host}", self.method());
        let usual = match url.scheme() {
            Scheme::Http => 80,
            Scheme::Https => 443,
        };
        if url.port() != usual {
            let _ = write!(head, ":{}", url.port());
        }
        head.push_str("\r\nconnection: close\r\n");
        if !self.method().is_idempotent() || !self.body().is_empty() {
            let _ = write!(head, "content-length: {}\r\n", self.body().len());
        }
        for (name, value) in self.headers() {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(self.body());
        bytes
    }
}

/// The whole answer to a delivery: the status, no body, and the end of the connection.
///
/// Write it, then go on reading for a moment before closing: closing while the other side still sends can reset the
/// connection before it has read the answer.
pub fn answer(status: u16) -> Vec<u8> {
    written(status, "connection: close\r\n")
}

/// The same, but the connection goes on. Only for a request that was read to its end, and acknowledged.
pub fn answer_and_keep(status: u16) -> Vec<u8> {
    written(status, "")
}

fn written(status: u16, close: &str) -> Vec<u8> {
    let other;
    let line = match status {
        200 => "200 OK",
        400 => "400 Bad Request",
        401 => "401 Unauthorized",
        404 => "404 Not Found",
        405 => "405 Method Not Allowed",
        408 => "408 Request Timeout",
        411 => "411 Length Required",
        413 => "413 Content Too Large",
        415 => "415 Unsupported Media Type",
        429 => "429 Too Many Requests",
        431 => "431 Request Header Fields Too Large",
        503 => "503 Service Unavailable",
        // The reason may be empty, and says nothing that the status does not.
        status => {
            other = alloc::format!("{status} ");
            &other
        }
    };
    let allow = if status == 405 { "allow: POST\r\n" } else { "" };
    ["HTTP/1.1 ", line, "\r\ncontent-length: 0\r\n", close, allow, "\r\n"].concat().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ApiKey, Endpoint, Order, request::download};

    fn text(request: &Request) -> String {
        String::from_utf8(request.to_http1()).unwrap()
    }

    #[test]
    fn a_call_is_written_whole() {
        let endpoint = Endpoint::new("http://127.0.0.1:8080/v1", ApiKey::new("hunter2").unwrap()).unwrap();
        let order =
            Order::new(["64238d01-d402-474b-8c2d-fbc957e9d290"], "https://hooks.example.com/a").unwrap();
        let written = text(&endpoint.create_export(&order));
        let (head, body) = written.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("POST /v1/async/banners/export HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n"),
            "{head}"
        );
        assert!(head.contains(&alloc::format!("\r\ncontent-length: {}\r\n", body.len())), "{head}");
        assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
        assert_eq!(head.matches("\r\nx-api-key: hunter2").count(), 1);
        assert_eq!(body.as_bytes(), endpoint.create_export(&order).body());
    }

    #[test]
    fn a_download_names_its_host_as_it_is_written_in_an_address() {
        for (address, line, host) in [
            ("https://store.example.com", "GET / HTTP/1.1", "host: store.example.com"),
            ("https://store.example.com:443?a=b", "GET /?a=b HTTP/1.1", "host: store.example.com"),
            (
                "https://store.example.com:80/a.zip?s=1",
                "GET /a.zip?s=1 HTTP/1.1",
                "host: store.example.com:80",
            ),
            ("http://[::1]:9000/a.zip", "GET /a.zip HTTP/1.1", "host: [::1]:9000"),
        ] {
            let written = text(&download(address.parse().unwrap()));
            let mut lines = written.split("\r\n");
            assert_eq!((lines.next(), lines.next()), (Some(line), Some(host)), "{address}");
            assert!(!written.contains("content-length") && !written.contains("x-api-key"), "{written}");
            assert!(written.ends_with("\r\n\r\n"), "{written}");
        }
    }

    #[test]
    fn an_answer_says_that_it_is_the_last_one() {
        let written = String::from_utf8(answer(200)).unwrap();
        assert_eq!(written, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        assert_eq!(answer_and_keep(200), b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        assert!(answer(405).ends_with(b"\r\nallow: POST\r\n\r\n"));
        assert!(answer(599).starts_with(b"HTTP/1.1 599 \r\n"));
    }
}
