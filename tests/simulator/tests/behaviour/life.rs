//! Starting and ending: where a simulator refuses to live, and that nothing of it is left.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use abyssale_simulator::{Config, Simulator, StartError};

use crate::common::{ID, PATIENCE, ask, connect, quick, start, start_with};

#[test]
fn a_simulator_listens_on_loopback_only() {
    for address in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0"] {
        let refused = Simulator::start(Config { listen: address.parse().unwrap(), ..quick() });
        assert!(matches!(refused, Err(StartError::NotLoopback(_))), "{address}");
    }
}

#[test]
fn time_does_not_run_backwards() {
    for time_scale in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(Simulator::start(Config { time_scale, ..quick() }), Err(StartError::TimeScale(_))));
    }
}

#[test]
fn a_dropped_simulator_ends_its_connections_and_frees_its_port() {
    let simulator = start(&["create:slow=60s", "event:late=60s"]);
    let base = simulator.base_url().to_owned();
    let (mut idle, mut busy) = (connect(&base), connect(&base));
    write!(busy, "POST /async/banners/export HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").unwrap();
    simulator.wait_for_requests(1, PATIENCE).unwrap();
    let dropped = Instant::now();
    drop(simulator);
    assert!(dropped.elapsed() < Duration::from_secs(10));
    assert!([&mut idle, &mut busy].map(|stream| stream.read(&mut [0]).unwrap_or(0)) == [0, 0]);
    assert!(TcpStream::connect(base.strip_prefix("http://").unwrap()).is_err());
}

#[test]
fn a_seeded_simulator_repeats_its_ids() {
    let exports = [(), ()].map(|()| {
        let simulator = start_with(Config { seed: Some([1; 32]), ..quick() });
        ask(&simulator, &[ID], "http://127.0.0.1:9/");
        simulator.exports().remove(0).export_id
    });
    assert_eq!(exports[0], exports[1]);
}

#[test]
fn every_request_and_delivery_is_reported_as_a_line() {
    let (lines, reported) = std::sync::mpsc::channel();
    let simulator = Simulator::start_observed(quick(), move |notice| {
        let _ = lines.send(notice.to_string());
    })
    .unwrap();
    ask(&simulator, &[ID], "http://192.0.2.1/");
    let mut lines = [reported.recv_timeout(PATIENCE).unwrap(), reported.recv_timeout(PATIENCE).unwrap()];
    lines.sort();
    assert_eq!(lines[0], "POST /async/banners/export -> 200");
    assert!(lines[1].starts_with("delivery 1 of export ") && lines[1].ends_with("not a loopback address"));
}
