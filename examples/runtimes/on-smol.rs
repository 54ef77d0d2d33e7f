//! The core on smol: a task for each request, which is dropped when the job gives it up, and one for each delivery.
//! `cargo run -p abyssale-runtimes --bin on-smol`

use std::{error::Error, future::Future, io, sync::Arc, time::Duration};

use abyssale_core::http1::{DeliveryReader, Incoming, answer};
use abyssale_core::{Input, Output, webhook::Hook};
use abyssale_host::Clock;
use abyssale_runtimes::{Attempt, DELIVERY, Message, Stage};
use smol::{
    Async, Timer,
    channel::{Sender, bounded},
    future::or,
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

fn main() -> Result<(), Box<dyn Error>> {
    let stage = Stage::set()?;
    smol::block_on(async {
        let (outbox, inbox) = bounded(16);
        let listener = TcpListener::from(Async::new(stage.listener()?)?);
        let (hook, deliveries) = (Arc::clone(&stage.hook), outbox.clone());
        let _listening = smol::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let receiving = receive(stream, Arc::clone(&hook), deliveries.clone());
                smol::spawn(within(DELIVERY, receiving)).detach();
            }
        });
        let mut export = stage.export()?;
        let mut _under_way = None;
        loop {
            while let Some(output) = export.poll_output() {
                match output {
                    Output::Done(result) => return stage.end(result),
                    Output::Notice(notice) => stage.say(&notice),
                    Output::Abort(_) => _under_way = None,
                    output => {
                        let begun = |attempt| smol::spawn(carry_out(attempt, outbox.clone()));
                        _under_way = stage.attempt(output).map(begun);
                    }
                }
            }
            let waiting = async { inbox.recv().await.map_err(io::Error::other) };
            match within(stage.until(export.poll_timeout()), waiting).await {
                Ok(message) => {
                    if let Some((mut stream, answer)) = message.tell(&mut export, stage.now()) {
                        // If it does not arrive, the delivery comes again, and is a duplicate then.
                        let _ = within(DELIVERY, stream.write_all(&answer)).await;
                    }
                }
                Err(_) => drop(export.handle(stage.now(), Input::Tick)),
            }
        }
    })
}

async fn carry_out(mut attempt: Attempt, outbox: Sender<Message<TcpStream>>) {
    while let Some(address) = attempt.connect_to() {
        if let Err(error) = exchange(&mut attempt, &address, &outbox).await {
            attempt.broke(&error);
        }
    }
    let _ = outbox.send(Message::Happened(attempt.over())).await;
}

async fn exchange(attempt: &mut Attempt, to: &str, outbox: &Sender<Message<TcpStream>>) -> io::Result<()> {
    let mut stream = within(attempt.patience(), TcpStream::connect(to)).await?;
    within(attempt.patience(), stream.write_all(&attempt.to_send())).await?;
    let mut buffer = vec![0; 16 << 10];
    while attempt.wants_more() {
        let read = within(attempt.patience(), stream.read(&mut buffer)).await?;
        if let Some(happened) = attempt.received(buffer.get(..read).unwrap_or_default()) {
            let _ = outbox.send(Message::Happened(happened)).await;
        }
    }
    Ok(())
}

async fn receive(
    mut stream: TcpStream,
    hook: Arc<Hook>,
    outbox: Sender<Message<TcpStream>>,
) -> io::Result<()> {
    let (mut reader, mut buffer) = (DeliveryReader::default(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer).await?;
        match reader.feed(&hook, Clock::wall(), buffer.get(..read).unwrap_or_default()) {
            Incoming::More if read > 0 => {}
            Incoming::More => return Ok(()),
            Incoming::Refused(status) => return stream.write_all(&answer(status)).await,
            Incoming::Delivery(delivery) => {
                let _ = outbox.send(Message::Delivery(delivery, stream)).await;
                return Ok(());
            }
        }
    }
}

async fn within<T>(time: Duration, io: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    or(io, async {
        Timer::after(time).await;
        Err(io::ErrorKind::TimedOut.into())
    })
    .await
}
