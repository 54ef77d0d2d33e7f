//! A callback address for a program that may not wait: looked into now and then, it answers what has come.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use abyssale_core::webhook::{CallbackEndpoint, Delivery, Reply};
use abyssale_host::Clock;

use crate::{DELIVERY, DeliveryReader, Incoming, answer};

/// The open connections of a callback address.
#[derive(Debug)]
pub struct Inbox {
    listener: TcpListener,
    open: Vec<(TcpStream, DeliveryReader, Instant)>,
}

impl Inbox {
    /// Looks into this socket.
    pub fn new(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener, open: Vec::new() })
    }

    /// The socket, for a program that can wait for it.
    pub fn listener(&self) -> &TcpListener {
        &self.listener
    }

    /// Takes what has come, and answers it. Does not wait.
    pub fn poll(&mut self, endpoint: &CallbackEndpoint, mut take: impl FnMut(&Delivery) -> Reply) {
        while let Some((stream, _)) =
            (self.open.len() < MAX_OPEN).then(|| self.listener.accept().ok()).flatten()
        {
            if stream.set_nonblocking(true).is_ok() {
                self.open.push((stream, DeliveryReader::default(), Instant::now() + DELIVERY));
            }
        }
        self.open.retain_mut(|(stream, reader, deadline)| {
            let status = match read(stream, reader, endpoint) {
                Ok(Incoming::More) => return Instant::now() < *deadline,
                Ok(Incoming::Delivery(delivery)) => take(&delivery).status(),
                Ok(Incoming::Refused(status)) => status,
                Err(_) => return false,
            };
            // So small that it fits, or the other side takes nothing; then a delivery comes again, and is a duplicate.
            let _ = stream.write_all(&answer(status));
            false
        });
    }
}

/// Reads what is there, which may be nothing.
fn read(
    stream: &mut TcpStream,
    reader: &mut DeliveryReader,
    endpoint: &CallbackEndpoint,
) -> io::Result<Incoming> {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(read) => match reader.feed(endpoint, Clock::wall(), buffer.get(..read).unwrap_or_default()) {
                Incoming::More => {}
                incoming => return Ok(incoming),
            },
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Incoming::More),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

const MAX_OPEN: usize = 256;
