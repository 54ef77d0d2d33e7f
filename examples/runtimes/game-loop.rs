//! The core in a game's loop: one thread, nothing waits, nothing is `async`; the job is looked after once a frame.
//! `cargo run -p abyssale-runtimes --bin game-loop`

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::time::{Duration, Instant};
use std::{error::Error, net::SocketAddr, thread};

use abyssale_core::{Input, Output};
use abyssale_runtimes::{Attempt, Inbox, Stage};
use socket2::{Domain, Socket, Type};

fn main() -> Result<(), Box<dyn Error>> {
    let stage = Stage::set()?;
    let mut inbox = Inbox::new(stage.listener()?)?;
    let mut export = stage.export()?;
    let mut flight: Option<Flight> = None;
    loop {
        while let Some(output) = export.poll_output() {
            match output {
                Output::Done(result) => return stage.end(result),
                Output::Notice(notice) => stage.say(&notice),
                Output::Abort(_) => flight = None,
                output => flight = stage.attempt(output).map(Flight::new),
            }
        }
        if let Some(progress) = flight.as_mut().and_then(Flight::look_after) {
            let _ = export.handle(stage.now(), progress);
        }
        if let Some(over) = flight.take_if(|flying| flying.attempt.is_over()) {
            let _ = export.handle(stage.now(), over.attempt.over());
        }
        inbox.poll(&stage.endpoint, |delivery| export.handle_delivery(stage.now(), delivery));
        let _ = export.handle(stage.now(), Input::Tick);
        // Here a game would move and draw, and wait for the next frame.
        thread::sleep(Duration::from_millis(4));
    }
}

/// A request on its way: its connection, what of it is unsent, and when to give up unless something is heard.
struct Flight {
    attempt: Attempt,
    connection: Option<(Socket, Option<Vec<u8>>)>,
    give_up: Instant,
}

impl Flight {
    fn new(attempt: Attempt) -> Self {
        Self { attempt, connection: None, give_up: Instant::now() }
    }

    /// As much as can be done without waiting.
    fn look_after(&mut self) -> Option<Input> {
        let progress = self.go_on().inspect_err(|error| self.attempt.broke(error));
        progress.ok().flatten()
    }

    fn go_on(&mut self) -> io::Result<Option<Input>> {
        let Some((socket, unsent)) = &mut self.connection else {
            let Some(address) = self.attempt.connect_to() else { return Ok(None) };
            // Looking a name up waits, so a game would do that elsewhere; here it has to be an IP address.
            let address: SocketAddr = address.parse().map_err(io::Error::other)?;
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
            socket.set_nonblocking(true)?;
            // Whatever is wrong will be seen in the next frame, and for now it is not over.
            let _ = socket.connect(&address.into());
            self.connection = Some((socket, None));
            self.give_up = Instant::now() + self.attempt.patience();
            return Ok(None);
        };
        socket.take_error()?.map_or(Ok(()), Err)?;
        let (mut told, mut buffer) = (None, [0; 16 << 10]);
        if unsent.is_none() && socket.peer_addr().is_ok() {
            *unsent = Some(self.attempt.to_send());
        }
        while let Some(bytes) = unsent.as_mut().filter(|_| self.attempt.wants_more()) {
            let moved = if bytes.is_empty() { socket.read(&mut buffer) } else { socket.write(bytes) };
            match moved {
                Ok(written) if !bytes.is_empty() => drop(bytes.drain(..written)),
                Ok(read) => told = self.attempt.received(buffer.get(..read).unwrap_or_default()).or(told),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            self.give_up = Instant::now() + self.attempt.patience();
        }
        if Instant::now() > self.give_up {
            return Err(ErrorKind::TimedOut.into());
        }
        if unsent.is_some() && !self.attempt.wants_more() {
            self.connection = None;
        }
        Ok(told)
    }
}
