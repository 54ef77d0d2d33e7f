//! The program against the simulator.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{fs, net::TcpListener, process::Command};

use abyssale_simulator::{Config, Simulator};

#[test]
fn the_core_alone_gets_an_archive() {
    let simulator = Simulator::start(Config::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.zip");
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_downstream-core-alone"))
        .arg(&listen)
        .arg(&file)
        .env("ABYSSALE_API_KEY", simulator.api_key())
        .env("ABYSSALE_BASE_URL", simulator.base_url())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(fs::read(&file).unwrap().starts_with(b"PK"));
    assert_eq!(simulator.exports().len(), 1);
}
