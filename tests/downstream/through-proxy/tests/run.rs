//! The program against the simulator, with a proxy and a store of a few lines.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::mpsc::{Sender, channel},
    thread,
};

use abyssale_simulator::{Config, Simulator};

#[test]
fn the_archive_reaches_the_store() {
    let simulator = Simulator::start(Config::default()).unwrap();
    let (tunnels, opened) = channel();
    let (uploads, uploaded) = channel();
    let proxy = serve(move |stream| tunnel(stream, &tunnels));
    let store = serve(move |stream| store(stream, &uploads));
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_downstream-through-proxy"))
        .args([&proxy.to_string(), &listen, &format!("http://{store}/bucket/banners.zip")])
        .env("ABYSSALE_API_KEY", simulator.api_key())
        .env("ABYSSALE_BASE_URL", simulator.base_url())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(uploaded.recv().unwrap().starts_with(b"PK"));
    // The request and the download; the upload is not the proxy's.
    assert_eq!(
        opened.try_iter().collect::<Vec<_>>(),
        [simulator_address(&simulator), simulator_address(&simulator)]
    );
}

fn simulator_address(simulator: &Simulator) -> String {
    simulator.base_url().trim_start_matches("http://").to_owned()
}

/// A server that lives as long as the test program.
fn serve(handle: impl Fn(TcpStream) + Send + Clone + 'static) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        for stream in socket.incoming() {
            let handle = handle.clone();
            thread::spawn(move || handle(stream.unwrap()));
        }
    });
    address
}

/// Answers CONNECT, says where it leads, and passes bytes on in both directions.
fn tunnel(mut near: TcpStream, tunnels: &Sender<String>) {
    let head = read_head(&mut near);
    let target = head.split(' ').nth(1).unwrap().to_owned();
    assert!(head.starts_with("CONNECT "), "{head}");
    let mut far = TcpStream::connect(&target).unwrap();
    tunnels.send(target).unwrap();
    near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let (mut near_too, mut far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    // Either side may close first.
    thread::spawn(move || drop(io::copy(&mut near_too, &mut far_too)));
    let _copied = io::copy(&mut far, &mut near);
}

/// Takes a PUT.
fn store(mut stream: TcpStream, uploads: &Sender<Vec<u8>>) {
    let head = read_head(&mut stream).to_ascii_lowercase();
    assert!(head.starts_with("put /bucket/banners.zip"), "{head}");
    let length = head.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    uploads.send(body).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}
