//! A client and a receiver for these tests, on bare sockets: whatever the simulator writes is seen as it is.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver as Inbox, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use abyssale_simulator::{Config, DEFAULT_API_KEY, Simulator};
use serde_json::Value;

/// Longer than anything here takes, shorter than anyone wants to wait.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const ID: &str = "64238d01-d402-474b-8c2d-fbc957e9d290";

/// A simulator that does not keep tests waiting.
pub(crate) fn start(troubles: &[&str]) -> Simulator {
    start_with(Config { troubles: troubles.iter().map(|text| text.parse().unwrap()).collect(), ..quick() })
}

pub(crate) fn start_with(config: Config) -> Simulator {
    Simulator::start(config).unwrap()
}

pub(crate) fn quick() -> Config {
    Config { render_delay: Duration::ZERO, time_scale: 0.000_001, ..Config::default() }
}

/// An answer as it came, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) raw: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// Sends one request and reads until the other side ends the connection.
pub(crate) fn send(base: &str, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = connect(base);
    write!(stream, "{method} {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n").unwrap();
    for (name, value) in headers {
        write!(stream, "{name}: {value}\r\n").unwrap();
    }
    write!(stream, "content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut raw = Vec::new();
    // A reset ends an answer as well.
    let _ = stream.read_to_end(&mut raw);
    parse(raw)
}

pub(crate) fn connect(base: &str) -> TcpStream {
    let stream = TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn parse(raw: Vec<u8>) -> Answer {
    let end = raw.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = match end {
        Some(at) => (String::from_utf8_lossy(&raw[..at]).into_owned(), raw[at + 4..].to_vec()),
        None => (String::new(), Vec::new()),
    };
    let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    Answer { raw, status, head, body }
}

/// Asks for an export of these ids.
pub(crate) fn ask(simulator: &Simulator, ids: &[&str], callback: &str) -> Answer {
    ask_with(simulator, &serde_json::json!({ "ids": ids, "callback_url": callback }).to_string())
}

/// Asks for an export with this body.
pub(crate) fn ask_with(simulator: &Simulator, body: &str) -> Answer {
    let headers = [("x-api-key", DEFAULT_API_KEY), ("content-type", "application/json")];
    send(simulator.base_url(), "POST", "/async/banners/export", &headers, body)
}

/// Asks for an archive by the address the event gave.
pub(crate) fn download(url: &str, headers: &[(&str, &str)]) -> Answer {
    let at = url.match_indices('/').nth(2).unwrap().0;
    send(&url[..at], "GET", &url[at..], headers, "")
}

/// A webhook address that answers what it is told to, one status for each delivery, then 204.
pub(crate) struct Receiver {
    pub(crate) url: String,
    inbox: Inbox<Answer>,
    _thread: JoinHandle<()>,
}

impl Receiver {
    pub(crate) fn answering(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/abyssale?token=1", listener.local_addr().unwrap());
        let (outbox, inbox) = channel();
        let mut statuses = Vec::from(statuses).into_iter();
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let delivery = read_request(&mut stream);
                let status = statuses.next().unwrap_or(204);
                let _ = write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
                if outbox.send(delivery).is_err() {
                    return;
                }
            }
        });
        Self { url, inbox, _thread: thread }
    }

    pub(crate) fn next(&self) -> Answer {
        self.inbox.recv_timeout(PATIENCE).unwrap()
    }
}

fn read_request(stream: &mut TcpStream) -> Answer {
    let mut raw = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).unwrap();
        raw.extend_from_slice(&buffer[..count]);
        let request = parse(raw.clone());
        let length = request.header("content-length").and_then(|text| text.parse().ok());
        if count == 0 || length == Some(request.body.len()) {
            return request;
        }
    }
}
