//! The program against the simulator.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{fs, net::TcpListener, process::Command};

use abyssale_simulator::{Config, Simulator};

#[test]
fn twenty_threads_get_an_archive_each() {
    let simulator = Simulator::start(Config::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_downstream-threads"))
        .args([&format!("http://{listen}/abyssale"), &listen])
        .arg(folder.path())
        .env("ABYSSALE_API_KEY", simulator.api_key())
        .env("ABYSSALE_BASE_URL", simulator.base_url())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 20);
    assert_eq!(simulator.exports().len(), 20);
}
