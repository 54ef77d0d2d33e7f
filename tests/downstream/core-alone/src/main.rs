//! The core on a transport of its own: one thread, one connection at a time, HTTP/1.1 by hand.
//! `downstream-core-alone LISTEN FILE`
//!
//! Enough for a service and a receiver on one machine, and nothing to copy: a delivery that comes while a request is under
//! way waits in the kernel's queue.

use std::{
    env,
    error::Error,
    fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use abyssale_core::{
    ApiKey, CallError, Config, Endpoint, Export, Finished, Input, Order, Output, Sent, Timestamp, Token,
    TokenPlacement,
    archive::{TAIL_LEN, check_ends},
    download::{DownloadError, Step, Transfer},
    http::{Request, Response},
    webhook::{CallbackEndpoint, Verifier},
};

type AnyError = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), AnyError> {
    let mut args = env::args().skip(1);
    let (Some(listen), Some(file)) = (args.next(), args.next()) else {
        return Err("usage: downstream-core-alone LISTEN FILE".into());
    };
    let endpoint =
        Endpoint::new(&env::var("ABYSSALE_BASE_URL")?, ApiKey::new(env::var("ABYSSALE_API_KEY")?)?)?;
    let mut random = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    let order = Order::new(["64238d01-d402-474b-8c2d-fbc957e9d290"], &format!("http://{listen}/abyssale"))?
        .with_token(Token::from_random(random), TokenPlacement::PathSegment)?;
    let listener = TcpListener::bind(&listen)?;
    listener.set_nonblocking(true)?;
    let hook = CallbackEndpoint::new(Verifier::new([]).accept_unsigned());

    let clock = Clock { wall: wall(), begun: Instant::now() };
    let mut export = Export::new(Arc::new(Config::new(endpoint)), order, clock.now());
    loop {
        while let Some(output) = export.poll_output() {
            let input = match output {
                Output::Call { call, request, .. } => Input::of_call(call, send(&request)),
                Output::Download { call, transfer, .. } => {
                    Input::of_download(call, fetch(*transfer, Path::new(&file)))
                }
                Output::Notice(notice) => {
                    writeln!(io::stderr(), "{notice}")?;
                    continue;
                }
                Output::Done(result) => {
                    let Finished::Archive { bytes, .. } = result? else { return Err("no archive".into()) };
                    writeln!(io::stdout(), "{bytes} bytes")?;
                    return Ok(());
                }
                _ => continue,
            };
            let _ = export.handle(clock.now(), input);
        }
        match listener.accept() {
            Ok((stream, _)) => receive(stream, &hook, &mut export, clock.now())?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(20));
                let _ = export.handle(clock.now(), Input::Tick);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// A clock that does not jump.
struct Clock {
    wall: Timestamp,
    begun: Instant,
}

impl Clock {
    fn now(&self) -> Timestamp {
        self.wall.saturating_add(self.begun.elapsed())
    }
}

fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_secs(since.as_secs())
}

fn receive(
    mut stream: TcpStream,
    hook: &CallbackEndpoint,
    export: &mut Export,
    now: Timestamp,
) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let Message { line, headers, body } = read_message(&mut stream)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let reply = match hook.receive(wall(), method, target, &headers, &body) {
        Ok(delivery) => export.handle_delivery(now, &delivery),
        Err(reply) => reply,
    };
    write!(stream, "HTTP/1.1 {} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", reply.status())
}

fn send(request: &Request) -> Result<Response, CallError> {
    let address = (request.url().host(), request.url().port());
    let stream = TcpStream::connect(address);
    let mut stream =
        stream.map_err(|error| CallError { sent: Sent::Never, reason: error.to_string().into() })?;
    exchange(&mut stream, request)
        .map_err(|error| CallError { sent: Sent::Maybe, reason: error.to_string().into() })
}

fn exchange(stream: &mut TcpStream, request: &Request) -> io::Result<Response> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let url = request.url();
    let query = url.query().map_or(String::new(), |query| format!("?{query}"));
    let begin = format!("{} {}{query} HTTP/1.1\r\nhost: {}\r\n", request.method(), url.path(), url.host());
    let fields: String = request.headers().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
    let end = format!("content-length: {}\r\nconnection: close\r\n\r\n", request.body().len());
    stream.write_all((begin + &fields + &end).as_bytes())?;
    stream.write_all(request.body())?;
    let Message { line, headers, body } = read_message(stream)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let headers = headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
    Ok(Response { status: status.ok_or(io::ErrorKind::InvalidData)?, headers, body })
}

/// A request or an answer.
struct Message {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Reads the first line, the header fields and a body that has a length.
fn read_message(stream: &mut TcpStream) -> io::Result<Message> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
        if head.len() > 64 << 10 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    let head = String::from_utf8(head).map_err(io::Error::other)?;
    let mut lines = head.lines();
    let line = lines.next().unwrap_or_default().to_owned();
    let fields = lines.filter_map(|line| line.split_once(':'));
    let headers: Vec<_> =
        fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut body = Vec::new();
    stream.take(length.unwrap_or(0)).read_to_end(&mut body)?;
    Ok(Message { line, headers, body })
}

fn fetch(mut transfer: Transfer, file: &Path) -> Result<u64, DownloadError> {
    let failed = |error: &dyn std::fmt::Display| DownloadError::Interrupted(error.to_string().into());
    loop {
        let response = send(&transfer.request()).map_err(|error| failed(&error))?;
        let receive = match transfer.handle_head(response.status, &response.headers) {
            Step::Again => continue,
            Step::Receive(receive) => receive,
            Step::Failed(error) => return Err(error),
            _ => return Err(DownloadError::Refused(transfer.redact(response))),
        };
        let (body, len) = (&response.body, response.body.len() as u64);
        receive.check_end(len)?;
        let tail = body.get(body.len().saturating_sub(TAIL_LEN)..).unwrap_or_default();
        check_ends(body, tail, len).map_err(|found| receive.not_an_archive(found))?;
        fs::write(file, body).map_err(|error| DownloadError::Storage(error.to_string().into()))?;
        return Ok(len);
    }
}
