//! One connection of a listener, plain or in TLS, with a deadline for each read and write.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A connection.
pub(crate) enum TimedStream {
    Plain(DeadlineStream),
    Tls(Box<StreamOwned<ServerConnection, DeadlineStream>>),
}

impl TimedStream {
    pub(crate) fn new(stream: Arc<TcpStream>, tls: Option<&Arc<ServerConfig>>) -> io::Result<Self> {
        let timed = DeadlineStream { stream, until: Instant::now(), reading: None, writing: None };
        let Some(config) = tls else { return Ok(Self::Plain(timed)) };
        let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        Ok(Self::Tls(Box::new(StreamOwned::new(session, timed))))
    }

    /// Waits for bytes, and returns how many came, 0 at the end. Fails with [`io::ErrorKind::TimedOut`] at the deadline.
    pub(crate) fn read(&mut self, buffer: &mut [u8], until: Instant) -> io::Result<usize> {
        self.timed().until = until;
        loop {
            let read = match self {
                Self::Plain(stream) => stream.read(buffer),
                Self::Tls(stream) => stream.read(buffer),
            };
            match read {
                // TLS that ends without close_notify: requests are framed, so a truncated one is noticed.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                // The socket's own time-out, or a signal. The deadline decides.
                Err(error) if may_go_on(&error) && Instant::now() < until => {}
                Err(error) if may_go_on(&error) => return Err(io::ErrorKind::TimedOut.into()),
                other => return other,
            }
        }
    }

    /// Writes all of it, or fails.
    pub(crate) fn write(&mut self, bytes: &[u8], until: Instant) -> io::Result<()> {
        self.timed().until = until;
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(stream) => {
                stream.write_all(bytes)?;
                stream.flush()
            }
        }
    }

    /// Closes the writing half.
    pub(crate) fn finish(&mut self, until: Instant) -> io::Result<()> {
        self.timed().until = until;
        if let Self::Tls(stream) = self {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        self.timed().stream.shutdown(Shutdown::Write)
    }

    fn timed(&mut self) -> &mut DeadlineStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &mut stream.sock,
        }
    }
}

/// A socket on which nothing takes longer than `until`, however slowly the peer sends: TLS reads several times before it
/// returns a byte.
pub(crate) struct DeadlineStream {
    stream: Arc<TcpStream>,
    until: Instant,
    /// The time-outs that are set. Setting one is a system call, so a difference of [`TRIFLE`] changes nothing.
    reading: Option<Duration>,
    writing: Option<Duration>,
}

impl DeadlineStream {
    /// Returns the time until the deadline.
    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for DeadlineStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left()?;
        if !is_near(self.reading, left) {
            self.stream.set_read_timeout(Some(left))?;
            self.reading = Some(left);
        }
        (&*self.stream).read(buffer)
    }
}

impl Write for DeadlineStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left()?;
        if !is_near(self.writing, left) {
            self.stream.set_write_timeout(Some(left))?;
            self.writing = Some(left);
        }
        (&*self.stream).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns whether the time-out that is set differs by at most [`TRIFLE`].
fn is_near(set: Option<Duration>, left: Duration) -> bool {
    set.is_some_and(|set| set <= left + TRIFLE && set + TRIFLE >= left)
}

/// Returns whether the error only means that no byte has arrived yet.
fn may_go_on(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

const TRIFLE: Duration = Duration::from_millis(50);
