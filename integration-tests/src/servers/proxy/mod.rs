//! A proxy that does to connections what networks do.

mod fault;
mod link;

use std::fmt;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use self::fault::Plan;
use self::link::Link;

pub use self::fault::Fault;

/// A port that leads to another one of this machine. Its connections and threads end when this is dropped.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

/// What the threads of all connections share.
struct Shared {
    target: u16,
    plan: Mutex<Plan>,
    links: Mutex<Vec<(Arc<Link>, JoinHandle<()>)>>,
    ends: AtomicBool,
    round_trips: AtomicU64,
    connections: AtomicU64,
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn links(&self) -> MutexGuard<'_, Vec<(Arc<Link>, JoinHandle<()>)>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proxy {
    /// A proxy in front of a port, which need not be open yet.
    pub fn new(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            target,
            plan: Mutex::default(),
            links: Mutex::default(),
            ends: AtomicBool::new(false),
            round_trips: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        });
        let listener = thread::spawn({
            let shared = Arc::clone(&shared);
            move || listen(&listener, &shared)
        });
        Self { port, shared, listener: Some(listener) }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What is done to connections from now on.
    pub fn set(&self, fault: Fault) {
        let links = self.shared.links();
        self.shared.plan().set(fault);
        for (link, _) in links.iter() {
            match fault {
                Fault::Refuse => link.cut(),
                Fault::HalfClose => link.half_close(),
                _ => {}
            }
        }
    }

    /// From now on each part of a request meets, with this probability, [`Fault::CutBeforeRequest`] or
    /// [`Fault::CutAfterRequest`], the one as often as the other. The same seed throws the same dice.
    pub fn random_faults(&self, seed: u64, probability: f64) {
        self.shared.plan().random(seed, probability);
    }

    /// How often a request has met a fault that acts once.
    pub fn fired(&self) -> u64 {
        self.shared.plan().fired
    }

    /// How often a client has spoken after the server had: requests that are sent together are one round trip, and so is
    /// the greeting of a new connection.
    pub fn round_trips(&self) -> u64 {
        self.shared.round_trips.load(Ordering::SeqCst)
    }

    /// How many connections there have been.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        // It waits for a connection, so it gets one.
        let _woken = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(listener) = self.listener.take() {
            let _ended = listener.join();
        }
        let links = std::mem::take(&mut *self.shared.links());
        links.iter().for_each(|(link, _)| link.cut());
        for (_, thread) in links {
            let _ended = thread.join();
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("port", &self.port).field("target", &self.shared.target).finish_non_exhaustive()
    }
}

/// Takes connections until the proxy ends. The plan is asked while the list of links is held, so that a fault which is set
/// meanwhile either keeps a connection out or finds it in the list.
fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming().flatten() {
        if shared.ends.load(Ordering::SeqCst) {
            return;
        }
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let mut links = shared.links();
        links.retain(|(_, thread)| !thread.is_finished());
        let fault = shared.plan().fault;
        if fault == Fault::Refuse {
            continue;
        }
        let link = Arc::new(Link::new(client));
        let thread = thread::spawn({
            let (shared, link) = (Arc::clone(shared), Arc::clone(&link));
            move || link::run(&shared, &link)
        });
        links.push((link, thread));
    }
}
