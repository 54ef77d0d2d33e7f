//! The program against the simulator.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    fs,
    net::TcpListener,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use abyssale_simulator::{Config, Simulator};

const ID: &str = "64238d01-d402-474b-8c2d-fbc957e9d290";

/// A program that does not outlive a failing test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _waited = self.0.wait();
    }
}

#[test]
fn an_export_that_is_under_way_at_sigterm_comes_to_its_end() {
    let config = Config { render_delay: Duration::from_secs(1), ..Config::default() };
    let simulator = Simulator::start(config).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let url = format!("http://{listen}");
    let child = Command::new(env!("CARGO_BIN_EXE_downstream-web"))
        .args([&url, &listen])
        .arg(folder.path())
        .env("ABYSSALE_API_KEY", simulator.api_key())
        .env("ABYSSALE_BASE_URL", simulator.base_url())
        .spawn();
    let mut running = Running(child.unwrap());
    let started = Instant::now();
    while ureq::get(format!("{url}/health")).call().is_err() {
        assert!(started.elapsed() < Duration::from_secs(30), "it does not begin to listen");
        thread::park_timeout(Duration::from_millis(20));
    }
    assert_eq!(ureq::post(format!("{url}/exports")).send(ID).unwrap().status(), 202);
    simulator.wait_until(Duration::from_secs(30), |seen| seen.exports.first().cloned()).unwrap();

    let pid = running.0.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    assert!(running.0.wait().unwrap().success());
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["0.zip"]);
}
