//! The core on threads and `std::net`, without an HTTP client: a thread for each request, one for each delivery, and the
//! job in the main one. `cargo run -p abyssale-runtimes --bin std-threads`

use std::{
    error::Error,
    io::{self, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    sync::{Arc, mpsc::Sender, mpsc::channel},
    thread,
};

use abyssale_core::{Output, webhook::CallbackEndpoint};
use abyssale_host::Clock;
use abyssale_runtimes::{Attempt, DELIVERY, DeliveryReader, Incoming, Message, Stage, answer};

fn main() -> Result<(), Box<dyn Error>> {
    let stage = Stage::set()?;
    let (outbox, inbox) = channel();
    let (listener, endpoint, deliveries) = (stage.listener()?, Arc::clone(&stage.endpoint), outbox.clone());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (endpoint, deliveries) = (Arc::clone(&endpoint), deliveries.clone());
            thread::spawn(move || receive(stream, &endpoint, &deliveries));
        }
    });
    let mut export = stage.export()?;
    loop {
        while let Some(output) = export.poll_output() {
            match output {
                Output::Done(result) => return stage.end(result),
                Output::Notice(notice) => stage.say(&notice),
                // A thread cannot be called back; what it tells will be stale, and changes nothing.
                Output::Abort(_) => {}
                output => {
                    let (attempt, outbox) = (stage.attempt(output), outbox.clone());
                    thread::spawn(move || attempt.map(|attempt| carry_out(attempt, &outbox)));
                }
            }
        }
        let message = inbox.recv_timeout(stage.until(export.poll_timeout())).unwrap_or(Message::Tick);
        if let Some((mut stream, answer)) = message.tell(&mut export, stage.now()) {
            // If it does not arrive, the delivery comes again, and is a duplicate then.
            let _ = stream.write_all(&answer);
        }
    }
}

fn carry_out(mut attempt: Attempt, outbox: &Sender<Message<TcpStream>>) {
    while let Some(address) = attempt.connect_to() {
        if let Err(error) = exchange(&mut attempt, &address, outbox) {
            attempt.broke(&error);
        }
    }
    let _ = outbox.send(Message::Input(attempt.over()));
}

fn exchange(attempt: &mut Attempt, address: &str, outbox: &Sender<Message<TcpStream>>) -> io::Result<()> {
    let address = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let mut stream = TcpStream::connect_timeout(&address, attempt.patience())?;
    stream.set_write_timeout(Some(attempt.patience()))?;
    stream.write_all(&attempt.to_send())?;
    let mut buffer = vec![0; 16 << 10];
    while attempt.wants_more() {
        stream.set_read_timeout(Some(attempt.patience()))?;
        let read = stream.read(&mut buffer)?;
        if let Some(progress) = attempt.received(buffer.get(..read).unwrap_or_default()) {
            let _ = outbox.send(Message::Input(progress));
        }
    }
    Ok(())
}

fn receive(
    mut stream: TcpStream,
    endpoint: &CallbackEndpoint,
    outbox: &Sender<Message<TcpStream>>,
) -> io::Result<()> {
    stream.set_read_timeout(Some(DELIVERY))?;
    let (mut reader, mut buffer) = (DeliveryReader::default(), [0; 4096]);
    let delivery = loop {
        let read = stream.read(&mut buffer)?;
        match reader.feed(endpoint, Clock::wall(), buffer.get(..read).unwrap_or_default()) {
            Incoming::More => {}
            Incoming::Refused(status) => return stream.write_all(&answer(status)),
            Incoming::Delivery(delivery) => break delivery,
        }
    };
    outbox.send(Message::Delivery(delivery, stream)).or(Ok(()))
}
