//! What the transports are compared with: the least program that does the same with ureq, or with hyper, alone. It posts,
//! takes the event, downloads, flushes and renames, as many exports at once. It retries, checks and saves nothing.

use std::{
    collections::HashMap,
    convert::Infallible,
    env, fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use abyssale_host::connections::lengthen_backlog;
use http_body_util::{BodyExt as _, Collected, Full};
use hyper::{Request, Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    sync::{Semaphore, oneshot},
    task::JoinSet,
};

use crate::{AnyError, Options, client::banner};

/// Where the event of each export goes, by the last segment of its callback URL.
type Waiting<S> = Arc<Mutex<HashMap<String, S>>>;

fn take<S>(waiting: &Waiting<S>, path: &str) -> Option<S> {
    let token = path.rsplit('/').next().unwrap_or_default();
    waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(token)
}

fn archive_url(event: &[u8]) -> Result<String, AnyError> {
    let event: Value = serde_json::from_slice(event)?;
    Ok(event.get("archive_url").and_then(Value::as_str).ok_or("no archive_url")?.to_owned())
}

fn order(number: usize, address: &str) -> Vec<u8> {
    json!({ "ids": [banner(number)], "callback_url": format!("http://{address}/{number}") })
        .to_string()
        .into_bytes()
}

fn service() -> Result<(String, String), AnyError> {
    Ok((env::var("ABYSSALE_BASE_URL")?, env::var("ABYSSALE_API_KEY")?))
}

/// With ureq, and a thread for each export that is under way.
pub(crate) fn with_ureq(
    folder: &Path,
    options: &Options,
    bar: &ProgressBar,
) -> Result<Vec<Duration>, AnyError> {
    let (base, key) = service()?;
    let socket = TcpListener::bind("127.0.0.1:0")?;
    lengthen_backlog(&socket)?;
    let address = socket.local_addr()?.to_string();
    let waiting: Waiting<mpsc::SyncSender<String>> = Arc::default();
    let answering = Arc::clone(&waiting);
    thread::spawn(move || {
        for stream in socket.incoming().flatten() {
            let waiting = Arc::clone(&answering);
            thread::spawn(move || answer(stream, &waiting));
        }
    });
    let agent = ureq::Agent::new_with_defaults();
    let (next, latencies) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let export = |number: usize| -> Result<(), AnyError> {
        let (sender, event) = mpsc::sync_channel(1);
        waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(number.to_string(), sender);
        let request = agent.post(format!("{base}/async/banners/export")).header("x-api-key", &key);
        request.content_type("application/json").send(&order(number, &address))?.body_mut().read_to_vec()?;
        let mut archive = agent.get(event.recv()?).call()?;
        let part = folder.join(format!("{number}.part"));
        let mut file = fs::File::create(&part)?;
        io::copy(&mut archive.body_mut().as_reader(), &mut file)?;
        file.sync_all()?;
        Ok(fs::rename(part, folder.join(format!("{number}.zip")))?)
    };
    let work = || -> Result<(), AnyError> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= options.exports {
                return Ok(());
            }
            let began = Instant::now();
            export(number)?;
            latencies.lock().unwrap_or_else(PoisonError::into_inner).push(began.elapsed());
            bar.inc(1);
        }
    };
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for _ in 0..options.threads.min(options.exports) {
            threads.push(thread::Builder::new().stack_size(512 << 10).spawn_scoped(scope, work)?);
        }
        for thread in threads {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        Ok::<_, AnyError>(())
    })?;
    Ok(latencies.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Reads one delivery, and hands its event over.
fn answer(mut stream: TcpStream, waiting: &Waiting<mpsc::SyncSender<String>>) -> Result<(), AnyError> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut path, mut length) = (String::new(), String::new(), 0);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let text = line.trim().to_ascii_lowercase();
        if let Some(target) = text.strip_prefix("post ") {
            target.split(' ').next().unwrap_or_default().clone_into(&mut path);
        } else if let Some(digits) = text.strip_prefix("content-length:") {
            length = digits.trim().parse()?;
        } else if text.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    take(waiting, &path).ok_or("nobody waits for it")?.send(archive_url(&body)?)?;
    Ok(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?)
}

/// With hyper, and all exports under way at once. At most as many requests as ureq has threads are: of 10,000 connections
/// at once the kernel would drop some.
pub(crate) async fn with_hyper(
    folder: &Path,
    options: &Options,
    bar: &ProgressBar,
) -> Result<Vec<Duration>, AnyError> {
    let (base, key) = service()?;
    let socket = TcpListener::bind("127.0.0.1:0")?;
    lengthen_backlog(&socket)?;
    socket.set_nonblocking(true)?;
    let socket = tokio::net::TcpListener::from_std(socket)?;
    let address: Arc<str> = socket.local_addr()?.to_string().into();
    let waiting: Waiting<oneshot::Sender<String>> = Arc::default();
    let answering = Arc::clone(&waiting);
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let waiting = Arc::clone(&answering);
            tokio::spawn(http1::Builder::new().serve_connection(
                TokioIo::new(stream),
                service_fn(move |request: Request<hyper::body::Incoming>| {
                    let waiting = Arc::clone(&waiting);
                    async move {
                        let path = request.uri().path().to_owned();
                        let body = request.into_body().collect().await.map(Collected::to_bytes);
                        let url = body.map_err(AnyError::from).and_then(|body| archive_url(&body));
                        let sent = url.ok().zip(take(&waiting, &path)).map(|(url, sender)| sender.send(url));
                        let status = if sent == Some(Ok(())) { 200 } else { 400 };
                        let mut response = Response::new(Full::<Bytes>::default());
                        *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
                        Ok::<_, Infallible>(response)
                    }
                }),
            ));
        }
    });
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let requests = Arc::new(Semaphore::new(options.threads));
    let mut tasks = JoinSet::new();
    for number in 0..options.exports {
        let (client, waiting, address) = (client.clone(), Arc::clone(&waiting), Arc::clone(&address));
        let requests = Arc::clone(&requests);
        let (base, key, folder) = (base.clone(), key.clone(), folder.to_owned());
        tasks.spawn(async move {
            let began = Instant::now();
            let (sender, event) = oneshot::channel();
            waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(number.to_string(), sender);
            let request = Request::post(format!("{base}/async/banners/export")).header("x-api-key", key);
            let request = request.header("content-type", "application/json");
            let turn = requests.acquire().await?;
            let answer = client.request(request.body(order(number, &address).into())?).await?;
            answer.into_body().collect().await?;
            drop(turn);
            let url = event.await?.parse()?;
            let _turn = requests.acquire().await?;
            let archive = client.get(url).await?;
            let part = folder.join(format!("{number}.part"));
            let mut file = tokio::fs::File::create(&part).await?;
            file.write_all(&archive.into_body().collect().await?.to_bytes()).await?;
            file.sync_all().await?;
            tokio::fs::rename(part, folder.join(format!("{number}.zip"))).await?;
            Ok::<_, AnyError>(began.elapsed())
        });
    }
    let mut latencies = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        latencies.push(ended??);
        bar.inc(1);
    }
    Ok(latencies)
}
