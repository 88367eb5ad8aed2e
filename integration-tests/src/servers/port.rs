//! Free ports.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the ports that outgoing connections are given: one of those might take the port of a server that a test has
/// stopped for a while.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// Each process begins somewhere else, so that tests which run beside each other seldom want the same port.
static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(std::process::id().wrapping_mul(7919) % COUNT));

/// A port on which nobody listens now. Who takes it tries again if somebody was faster.
pub(super) fn free() -> u16 {
    let ports = (0..COUNT).map(|_| FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT);
    let mut ports = ports.filter_map(|port| u16::try_from(port).ok());
    ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).expect("no port is free")
}
