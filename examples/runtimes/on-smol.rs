//! The core on smol: a task for each request, which is dropped when the job gives it up, and one for each delivery.
//! `cargo run -p abyssale-runtimes --bin on-smol`

use std::{error::Error, future::Future, io, sync::Arc, time::Duration};

use abyssale_core::{Output, webhook::CallbackEndpoint};
use abyssale_host::Clock;
use abyssale_runtimes::{Attempt, DELIVERY, DeliveryReader, Incoming, Message, Stage, answer};
use smol::net::{TcpListener, TcpStream};
use smol::{Async, Task, Timer, channel, future::or, prelude::*};

type Outbox = channel::Sender<Message<TcpStream>>;

fn main() -> Result<(), Box<dyn Error>> {
    let stage = Stage::set()?;
    smol::block_on(async {
        let (outbox, inbox) = channel::bounded(16);
        let listener = TcpListener::from(Async::new(stage.listener()?)?);
        let (endpoint, deliveries) = (Arc::clone(&stage.endpoint), outbox.clone());
        let _listening = smol::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                smol::spawn(within(DELIVERY, receive(stream, Arc::clone(&endpoint), deliveries.clone())))
                    .detach();
            }
        });
        let mut export = stage.export()?;
        let mut _flight = None;
        loop {
            while let Some(output) = export.poll_output() {
                match output {
                    Output::Done(result) => return stage.end(result),
                    Output::Notice(notice) => stage.say(&notice),
                    Output::Abort(_) => _flight = None,
                    output => _flight = stage.attempt(output).map(|attempt| begin(attempt, outbox.clone())),
                }
            }
            let waiting = async { inbox.recv().await.map_err(io::Error::other) };
            let message = within(stage.until(export.poll_timeout()), waiting).await.unwrap_or(Message::Tick);
            if let Some((mut stream, answer)) = message.tell(&mut export, stage.now()) {
                // If it does not arrive, the delivery comes again, and is a duplicate then.
                let _ = within(DELIVERY, stream.write_all(&answer)).await;
            }
        }
    })
}

fn begin(mut attempt: Attempt, outbox: Outbox) -> Task<()> {
    smol::spawn(async move {
        while let Some(address) = attempt.connect_to() {
            if let Err(error) = exchange(&mut attempt, &address, &outbox).await {
                attempt.broke(&error);
            }
        }
        let _ = outbox.send(Message::Input(attempt.over())).await;
    })
}

async fn exchange(attempt: &mut Attempt, to: &str, outbox: &Outbox) -> io::Result<()> {
    let mut stream = within(attempt.patience(), TcpStream::connect(to)).await?;
    within(attempt.patience(), stream.write_all(&attempt.to_send())).await?;
    let mut buffer = vec![0; 16 << 10];
    while attempt.wants_more() {
        let read = within(attempt.patience(), stream.read(&mut buffer)).await?;
        if let Some(progress) = attempt.received(buffer.get(..read).unwrap_or_default()) {
            let _ = outbox.send(Message::Input(progress)).await;
        }
    }
    Ok(())
}

async fn receive(mut stream: TcpStream, endpoint: Arc<CallbackEndpoint>, outbox: Outbox) -> io::Result<()> {
    let (mut reader, mut buffer) = (DeliveryReader::default(), [0; 4096]);
    let delivery = loop {
        let read = stream.read(&mut buffer).await?;
        match reader.feed(&endpoint, Clock::wall(), buffer.get(..read).unwrap_or_default()) {
            Incoming::More => {}
            Incoming::Refused(status) => return stream.write_all(&answer(status)).await,
            Incoming::Delivery(delivery) => break delivery,
        }
    };
    outbox.send(Message::Delivery(delivery, stream)).await.or(Ok(()))
}

async fn within<T>(time: Duration, io: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    or(io, async {
        Timer::after(time).await;
        Err(io::ErrorKind::TimedOut.into())
    })
    .await
}
