//! The core on compio, which completes reads and writes with `io_uring`: what is read into is handed over and given back.
//! `cargo run -p abyssale-runtimes --bin on-compio` (Linux)

use std::{error::Error, io, sync::Arc};

use abyssale_core::{Output, webhook::CallbackEndpoint};
use abyssale_host::Clock;
use abyssale_runtimes::{Attempt, DELIVERY, DeliveryReader, Incoming, Message, Stage, answer};
use compio::io::{AsyncRead as _, AsyncWriteExt as _};
use compio::net::{TcpListener, TcpStream};
use compio::runtime::{JoinHandle, Runtime, spawn};
use compio::{BufResult, time::timeout};

type Outbox = smol::channel::Sender<Message<TcpStream>>;

fn main() -> Result<(), Box<dyn Error>> {
    let stage = Stage::set()?;
    let runtime = Runtime::new()?;
    if runtime.driver_type().is_polling() {
        stage.warn("io_uring may not be used here, so compio polls instead");
    }
    runtime.block_on(async {
        let (outbox, inbox) = smol::channel::bounded(16);
        let listener = TcpListener::from_std(stage.listener()?)?;
        let (endpoint, deliveries) = (Arc::clone(&stage.endpoint), outbox.clone());
        let _listening = spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                spawn(timeout(DELIVERY, receive(stream, Arc::clone(&endpoint), deliveries.clone()))).detach();
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
            let message = timeout(stage.until(export.poll_timeout()), inbox.recv()).await;
            let message = message.unwrap_or(Ok(Message::Tick))?;
            if let Some((mut stream, answer)) = message.tell(&mut export, stage.now()) {
                // If it does not arrive, the delivery comes again, and is a duplicate then.
                let _ = timeout(DELIVERY, stream.write_all(answer)).await;
            }
        }
    })
}

fn begin(mut attempt: Attempt, outbox: Outbox) -> JoinHandle<()> {
    spawn(async move {
        while let Some(address) = attempt.connect_to() {
            if let Err(error) = exchange(&mut attempt, &address, &outbox).await {
                attempt.broke(&*error);
            }
        }
        let _ = outbox.send(Message::Input(attempt.over())).await;
    })
}

async fn exchange(attempt: &mut Attempt, to: &str, outbox: &Outbox) -> Result<(), Box<dyn Error>> {
    let mut stream = timeout(attempt.patience(), TcpStream::connect(to)).await??;
    timeout(attempt.patience(), stream.write_all(attempt.to_send())).await?.0?;
    while attempt.wants_more() {
        let BufResult(read, data) =
            timeout(attempt.patience(), stream.read(Vec::with_capacity(8192))).await?;
        read?;
        if let Some(progress) = attempt.received(&data) {
            let _ = outbox.send(Message::Input(progress)).await;
        }
    }
    Ok(())
}

async fn receive(mut stream: TcpStream, endpoint: Arc<CallbackEndpoint>, outbox: Outbox) -> io::Result<()> {
    let mut reader = DeliveryReader::default();
    let delivery = loop {
        let BufResult(read, data) = stream.read(Vec::with_capacity(4096)).await;
        read?;
        match reader.feed(&endpoint, Clock::wall(), &data) {
            Incoming::More => {}
            Incoming::Refused(status) => return stream.write_all(answer(status)).await.0,
            Incoming::Delivery(delivery) => break delivery,
        }
    };
    outbox.send(Message::Delivery(delivery, stream)).await.or(Ok(()))
}
