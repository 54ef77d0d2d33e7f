//! The other side of a check: a socket that says exactly what it is told to, and remembers what it heard.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::PATIENCE;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// Counts connections from 0.
    pub(crate) connection: usize,
    /// The request line and the fields.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Heard {
    /// The values of a field, as they came.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }
}

type Say = dyn Fn(&Heard, &mut TcpStream) -> io::Result<()> + Send + Sync;

/// Accepts connections until it is dropped.
pub(crate) struct Peer {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    heard: Mutex<Vec<Heard>>,
    connections: AtomicUsize,
    closing: AtomicBool,
    say: Box<Say>,
}

impl Peer {
    /// Says this to every request, and leaves the connection open for the next one as long as it succeeds.
    pub(crate) fn start(
        say: impl Fn(&Heard, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::serve(
            move |shared, number, mut stream| {
                while let Ok(Some(heard)) = hear(number, &mut stream) {
                    shared.heard.lock().unwrap().push(heard.clone());
                    if (shared.say)(&heard, &mut stream).is_err() {
                        break;
                    }
                }
            },
            Box::new(say),
        )
    }

    /// Says these bytes to every request, and closes the connection.
    pub(crate) fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |_, stream| {
            stream.write_all(&bytes)?;
            Err(io::ErrorKind::ConnectionAborted.into())
        })
    }

    /// Closes every connection at once.
    pub(crate) fn hanging_up() -> Self {
        Self::serve(|_, _, stream| drop(stream), Box::new(|_, _| Ok(())))
    }

    /// Closes every connection with most of the request unread, which the operating system says with a reset.
    pub(crate) fn resetting() -> Self {
        let each = |_: &Shared, _, mut stream: TcpStream| drop(stream.read(&mut [0; 1]));
        Self::serve(each, Box::new(|_, _| Ok(())))
    }

    fn serve(each: fn(&Shared, usize, TcpStream), say: Box<Say>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            heard: Mutex::default(),
            connections: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            say,
        });
        let accepting = Arc::clone(&shared);
        let acceptor = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepting.closing.load(Ordering::Acquire) {
                    break;
                }
                let number = accepting.connections.fetch_add(1, Ordering::AcqRel);
                let shared = Arc::clone(&accepting);
                thread::spawn(move || each(&shared, number, stream));
            }
        });
        Self { address, shared, acceptor: Some(acceptor) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.shared.heard.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Acquire)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        // Wakes the acceptor, which is then told that it is closing time.
        let _woken = TcpStream::connect_timeout(&self.address, Duration::from_secs(5));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// Reads a request; `None` when the connection ends before one.
fn hear(connection: usize, stream: &mut TcpStream) -> io::Result<Option<Heard>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let request = Heard { connection, head, body: bytes[end + 4..].to_vec() };
            let length = request.values("content-length").first().and_then(|digits| digits.parse().ok());
            if request.body.len() >= length.unwrap_or(0) {
                return Ok(Some(request));
            }
        }
        match stream.read(&mut buffer)? {
            0 => return Ok(None),
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}

/// An answer with a length.
pub(crate) fn answer(status: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{fields}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Keeps the connection open and silent until the other side has enough of it.
pub(crate) fn silence(stream: &mut TcpStream) -> io::Result<()> {
    match stream.read(&mut [0; 1])? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
