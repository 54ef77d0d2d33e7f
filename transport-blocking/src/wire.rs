//! One connection of a listener, plain or in TLS, with a deadline on whatever is done with it.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A connection.
pub(crate) enum Wire {
    Plain(Timed),
    Tls(Box<StreamOwned<ServerConnection, Timed>>),
}

impl Wire {
    pub(crate) fn new(stream: Arc<TcpStream>, tls: Option<&Arc<ServerConfig>>) -> io::Result<Self> {
        let timed = Timed { stream, until: Instant::now(), reading: None, writing: None };
        let Some(config) = tls else { return Ok(Self::Plain(timed)) };
        let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        Ok(Self::Tls(Box::new(StreamOwned::new(session, timed))))
    }

    /// Waits for bytes: how many have come, 0 at the end, or `None` when there are none in time.
    pub(crate) fn read(&mut self, buffer: &mut [u8], until: Instant) -> io::Result<Option<usize>> {
        self.timed().until = until;
        let read = match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        };
        match read {
            Ok(count) => Ok(Some(count)),
            // TLS that ends without saying so: what it has said is framed, so nothing can be cut off unseen.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Some(0)),
            Err(error) if may_go_on(&error) => Ok(None),
            Err(error) => Err(error),
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

    /// Says that nothing more will be written.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        if let Self::Tls(stream) = self {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        self.timed().stream.shutdown(Shutdown::Write)
    }

    fn timed(&mut self) -> &mut Timed {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &mut stream.sock,
        }
    }
}

/// A socket on which nothing takes longer than `until`, however the other end dribbles: TLS reads as often as it likes
/// before it has something to say.
pub(crate) struct Timed {
    stream: Arc<TcpStream>,
    until: Instant,
    /// The time-outs that are set: setting one is a call of its own, so it is not set anew for a trifle.
    reading: Option<Duration>,
    writing: Option<Duration>,
}

impl Timed {
    /// How long may still be waited. The end of it is told as a socket tells it.
    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left()?;
        if !is_near(self.reading, left) {
            self.stream.set_read_timeout(Some(left))?;
            self.reading = Some(left);
        }
        (&*self.stream).read(buffer)
    }
}

impl Write for Timed {
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

/// Whether what is set is at most a trifle longer, and not much shorter.
fn is_near(set: Option<Duration>, left: Duration) -> bool {
    set.is_some_and(|set| set <= left + TRIFLE && set + TRIFLE >= left)
}

/// Whether it is only that nothing happened in time.
fn may_go_on(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

const TRIFLE: Duration = Duration::from_millis(50);
