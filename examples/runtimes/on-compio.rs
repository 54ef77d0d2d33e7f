//! The core on compio, which completes reads and writes with `io_uring`: what is read into is handed over and given back.
//! `cargo run -p abyssale-runtimes --bin on-compio` (Linux)

use std::{error::Error, io, sync::Arc};

use abyssale_core::http1::{DeliveryReader, Incoming, answer};
use abyssale_core::{Input, Output, webhook::Hook};
use abyssale_host::Clock;
use abyssale_runtimes::{Attempt, DELIVERY, Message, Stage};
use compio::{
    BufResult,
    io::{AsyncRead as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::{Runtime, spawn},
    time::timeout,
};
use smol::channel::{Sender, bounded};

fn main() -> Result<(), Box<dyn Error>> {
    let stage = Stage::set()?;
    let runtime = Runtime::new()?;
    if runtime.driver_type().is_polling() {
        stage.warn("io_uring may not be used here, so compio polls instead");
    }
    runtime.block_on(async {
        let (outbox, inbox) = bounded(16);
        let listener = TcpListener::from_std(stage.listener()?)?;
        let (hook, deliveries) = (Arc::clone(&stage.hook), outbox.clone());
        let _listening = spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let receiving = receive(stream, Arc::clone(&hook), deliveries.clone());
                spawn(timeout(DELIVERY, receiving)).detach();
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
                        let begun = |attempt| spawn(carry_out(attempt, outbox.clone()));
                        _under_way = stage.attempt(output).map(begun);
                    }
                }
            }
            match timeout(stage.until(export.poll_timeout()), inbox.recv()).await {
                Ok(message) => {
                    if let Some((mut stream, answer)) = message?.tell(&mut export, stage.now()) {
                        // If it does not arrive, the delivery comes again, and is a duplicate then.
                        let _ = timeout(DELIVERY, stream.write_all(answer)).await;
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
            attempt.broke(&*error);
        }
    }
    let _ = outbox.send(Message::Happened(attempt.over())).await;
}

async fn exchange(
    attempt: &mut Attempt,
    to: &str,
    outbox: &Sender<Message<TcpStream>>,
) -> Result<(), Box<dyn Error>> {
    let mut stream = timeout(attempt.patience(), TcpStream::connect(to)).await??;
    timeout(attempt.patience(), stream.write_all(attempt.to_send())).await?.0?;
    let mut buffer = Vec::with_capacity(16 << 10);
    while attempt.wants_more() {
        buffer.clear();
        let BufResult(read, filled) = timeout(attempt.patience(), stream.read(buffer)).await?;
        (_, buffer) = (read?, filled);
        if let Some(happened) = attempt.received(&buffer) {
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
    let (mut reader, mut buffer) = (DeliveryReader::default(), Vec::with_capacity(4096));
    loop {
        buffer.clear();
        let BufResult(read, filled) = stream.read(buffer).await;
        (_, buffer) = (read?, filled);
        match reader.feed(&hook, Clock::wall(), &buffer) {
            Incoming::More if !buffer.is_empty() => {}
            Incoming::More => return Ok(()),
            Incoming::Refused(status) => return stream.write_all(answer(status)).await.0,
            Incoming::Delivery(delivery) => {
                let _ = outbox.send(Message::Delivery(delivery, stream)).await;
                return Ok(());
            }
        }
    }
}
