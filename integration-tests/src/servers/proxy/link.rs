//! One connection: two sockets, and a thread for each direction.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Fault, Shared};
use crate::servers::PATIENCE;

/// How soon a thread that waits for bytes notices that it should not.
const GLANCE: Duration = Duration::from_millis(20);
/// A request that comes in several parts has no longer gaps.
const GAP: Duration = Duration::from_millis(5);
/// One connection.
pub(super) struct Link {
    client: TcpStream,
    server: OnceLock<TcpStream>,
    /// Everything is over.
    ends: AtomicBool,
    /// Nothing goes to the client any more.
    mute: AtomicBool,
    /// Something was lost, so nothing goes anywhere any more.
    silent: AtomicBool,
    /// When the server answers, the connection is cut.
    until_answer: AtomicBool,
    /// The last that was sent came from the client.
    asked: AtomicBool,
}

impl Link {
    pub(super) fn new(client: TcpStream) -> Self {
        let no = || AtomicBool::new(false);
        Self { client, server: OnceLock::new(), ends: no(), mute: no(), silent: no(), until_answer: no(), asked: no() }
    }

    /// Ends it for both sides.
    pub(super) fn cut(&self) {
        self.ends.store(true, Ordering::SeqCst);
        let _gone = self.client.shutdown(Shutdown::Both);
        if let Some(server) = self.server.get() {
            let _gone = server.shutdown(Shutdown::Both);
        }
    }

    /// Tells the client that the server will say nothing more.
    pub(super) fn half_close(&self) {
        self.mute.store(true, Ordering::SeqCst);
        let _gone = self.client.shutdown(Shutdown::Write);
    }

    fn ends(&self) -> bool {
        self.ends.load(Ordering::SeqCst)
    }
}

/// Connects to the server and carries bytes until both sides have ended.
pub(super) fn run(shared: &Shared, link: &Link) {
    let _slower = link.client.set_nodelay(true);
    if shared.plan().fault == Fault::BlackHole {
        link.silent.store(true, Ordering::SeqCst);
        requests(shared, link, None);
        return link.cut();
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, shared.target));
    let Ok(server) = TcpStream::connect_timeout(&address, PATIENCE) else { return link.cut() };
    let _slower = server.set_nodelay(true);
    let server = link.server.get_or_init(|| server);
    std::thread::scope(|scope| {
        scope.spawn(|| answers(shared, link, server));
        requests(shared, link, Some(server));
    });
    link.cut();
}

/// Carries what the client says.
fn requests(shared: &Shared, link: &Link, server: Option<&TcpStream>) {
    let mut buffer = vec![0; 1 << 18];
    while let Some(bytes) = read(&link.client, &mut buffer, || link.ends()) {
        if !link.asked.swap(true, Ordering::SeqCst) {
            shared.round_trips.fetch_add(1, Ordering::SeqCst);
        }
        let Some(mut server) = server.filter(|_| !link.silent.load(Ordering::SeqCst)) else { continue };
        let fault = shared.plan().meet();
        match fault {
            Fault::CutBeforeRequest => return link.cut(),
            Fault::BlackHole => {
                link.silent.store(true, Ordering::SeqCst);
                continue;
            }
            Fault::CutAfterRequest => link.mute.store(true, Ordering::SeqCst),
            Fault::CutBeforeAnswer => link.until_answer.store(true, Ordering::SeqCst),
            Fault::Delay(time) => wait(link, time),
            Fault::None | Fault::Refuse | Fault::HalfClose => {}
        }
        if server.write_all(bytes).is_err() {
            return link.cut();
        }
        if fault == Fault::CutAfterRequest {
            return cut_after_request(link, server);
        }
    }
    // The server may still answer.
    if let Some(server) = server {
        let _gone = server.shutdown(Shutdown::Write);
    }
}

/// Passes on the rest of a request, and leaves the server alone with it: it sees the end of the connection after it has
/// read everything. What it answers meanwhile is read and lost, because a server to which nobody listens may be torn
/// from its work.
fn cut_after_request(link: &Link, mut server: &TcpStream) {
    let mut buffer = vec![0; 1 << 18];
    let _later = link.client.set_read_timeout(Some(GAP));
    while let Ok(count @ 1..) = (&link.client).read(&mut buffer) {
        if server.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _gone = link.client.shutdown(Shutdown::Both);
    let _gone = server.shutdown(Shutdown::Write);
}

/// Carries what the server says.
fn answers(shared: &Shared, link: &Link, server: &TcpStream) {
    let mut buffer = vec![0; 1 << 18];
    while let Some(bytes) = read(server, &mut buffer, || link.ends()) {
        link.asked.store(false, Ordering::SeqCst);
        let fault = shared.plan().fault;
        if fault == Fault::BlackHole {
            link.silent.store(true, Ordering::SeqCst);
        }
        if let Fault::Delay(time) = fault {
            wait(link, time);
        }
        if link.until_answer.load(Ordering::SeqCst) {
            return link.cut();
        }
        let is = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
        if !is(&link.mute) && !is(&link.silent) && (&link.client).write_all(bytes).is_err() {
            return link.cut();
        }
    }
    // A server that ended is silent too if its words are lost.
    if !link.silent.load(Ordering::SeqCst) {
        let _gone = link.client.shutdown(Shutdown::Write);
    }
}

/// The next bytes; nothing at the end.
fn read<'a>(mut from: &TcpStream, buffer: &'a mut [u8], ends: impl Fn() -> bool) -> Option<&'a [u8]> {
    from.set_read_timeout(Some(GLANCE)).ok()?;
    loop {
        match from.read(buffer) {
            Ok(0) => return None,
            Ok(count) => return buffer.get(..count),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) && !ends() => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

/// Sleeps, unless the connection ends.
fn wait(link: &Link, time: Duration) {
    let mut left = time;
    while !left.is_zero() && !link.ends() {
        let now = left.min(GLANCE);
        std::thread::sleep(now);
        left -= now;
    }
}
