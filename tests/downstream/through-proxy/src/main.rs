//! Through an HTTP proxy, and on into an object store: the archive goes to a file, is uploaded, and then removed. A ZIP is
//! known to be whole only at its end, so nothing is uploaded before. `downstream-through-proxy PROXY LISTEN UPLOAD_URL`

use std::{
    env,
    error::Error,
    io::{self, Write as _},
    pin::Pin,
    task::{Context, Poll},
};

use abyssale_async::Exporter;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Uri};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tower_service::Service;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let (Some(proxy), Some(listen), Some(upload)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: downstream-through-proxy PROXY LISTEN UPLOAD_URL".into());
    };
    // A client of our own brings the proxy; no connection stays in its pool.
    let tunnel = Tunnel { proxy };
    let client: Client<_, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(tunnel);
    let exporter = Exporter::builder()
        .callback(format!("http://{listen}/abyssale"))
        .listen(listen)
        .client(|builder| builder.http_client(client))
        .build()
        .await?;
    let path = env::temp_dir().join(format!("downstream-{}.zip", std::process::id()));
    let archive = exporter.export(["64238d01-d402-474b-8c2d-fbc957e9d290"])?.save_to(&path).await?;

    // The object store is in our own network.
    let store: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let body = Full::from(tokio::fs::read(archive.path()).await?);
    let answer = store.request(Request::put(upload).body(body)?).await?;
    tokio::fs::remove_file(&path).await?;
    if !answer.status().is_success() {
        return Err(format!("the store answered {}", answer.status()).into());
    }
    writeln!(io::stdout(), "{} bytes uploaded", archive.bytes())?;
    Ok(())
}

/// Connects through a proxy, given as host and port, with CONNECT.
#[derive(Clone)]
struct Tunnel {
    proxy: String,
}

impl Service<Uri> for Tunnel {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let proxy = self.proxy.clone();
        Box::pin(async move {
            let mut stream = TcpStream::connect(proxy).await?;
            let host = target.host().unwrap_or_default();
            let address = format!("{host}:{}", target.port_u16().unwrap_or(80));
            let request = format!("CONNECT {address} HTTP/1.1\r\nhost: {address}\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await?);
                if head.len() > 16 << 10 {
                    return Err(io::Error::other("the proxy's answer is too long"));
                }
            }
            if !head.starts_with(b"HTTP/1.1 200") {
                return Err(io::Error::other("the proxy refuses the tunnel"));
            }
            Ok(TokioIo::new(stream))
        })
    }
}
