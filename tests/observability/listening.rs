//! What a listener logs by itself, brought about without a socket: no room, no descriptor.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use abyssale_host::{
    ListenerSettings,
    connections::{Connections, Room},
};

use crate::world::PATIENCE;

/// A connection makes room once it had its time, an address has as many as it may, and there is no descriptor.
pub(crate) fn crowded() {
    let mut settings = ListenerSettings::default();
    settings.connections = 1;
    let connections = Connections::new(&Arc::new(settings.clone()), Arc::default());
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let only = Arc::new(Mutex::new(None));
    let closing = Arc::clone(&only);
    let held = connections
        .open(address, move |_| *closing.lock().unwrap_or_else(PoisonError::into_inner) = Some(()));
    let started = Instant::now();
    while let Room::After(wait) = connections.room(address)
        && only.lock().unwrap().is_none()
    {
        assert!(started.elapsed() < PATIENCE);
        thread::park_timeout(wait.max(Duration::from_millis(1)));
    }
    assert!(!connections.not_accepted(&std::io::Error::other("too many open files")).is_zero());
    drop(held);
    settings.connections_per_address = Some(1);
    let connections = Connections::new(&Arc::new(settings), Arc::default());
    let _held = connections.open(address, |_| {});
    assert_eq!(connections.room(address), Room::No);
}
