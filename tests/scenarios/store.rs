//! An object store that says exactly what a test wants it to, byte for byte: for heads that the simulator is too well
//! bred to send.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use abyssale_core::webhook::NewExport;

/// Answers each connection's one request with the next of the answers, the last of them for ever.
pub(crate) struct Store {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Store {
    pub(crate) fn new(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        // It ends with the test's process: what it waits for then is a connection that never comes.
        thread::spawn(move || {
            let mut answers = answers.into_iter().peekable();
            let mut answer = Vec::new();
            for connection in listener.incoming().flatten() {
                answer = answers.next().unwrap_or(answer);
                serve(connection, &seen, &answer);
            }
        });
        Self { address, requests }
    }

    /// An event whose archive is here.
    pub(crate) fn event(&self) -> NewExport {
        serde_json::from_value(serde_json::json!({
            "export_id": "54e62358-2656-455c-afd7-66d5ed3dd581",
            "archive_url": format!("http://{}/a.zip?sig=x", self.address),
        }))
        .unwrap()
    }

    /// The heads of the requests so far, in lower case.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// An answer that announces `len` bytes and has this body.
pub(crate) fn answer(status: &str, fields: &[&str], len: usize, body: &[u8]) -> Vec<u8> {
    let fields = fields.iter().flat_map(|field| [*field, "\r\n"]).collect::<String>();
    let head = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {len}\r\nConnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn serve(mut connection: TcpStream, seen: &Mutex<Vec<String>>, answer: &[u8]) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && connection.read(&mut byte).is_ok_and(|read| read == 1) {
        head.extend(byte);
    }
    seen.lock().unwrap().push(String::from_utf8_lossy(&head).to_lowercase());
    // A client that hangs up in the middle is part of the test.
    let _ = connection.write_all(answer);
    let _ = connection.shutdown(Shutdown::Write);
}
