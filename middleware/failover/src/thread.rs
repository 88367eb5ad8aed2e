//! The thread that heals in the background. It needs no async runtime.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

use craftx_core::{Context, Error, ErrorKind, Result};

use crate::inner::Inner;

/// How the thread is told that there is something to do, or that it is over.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    running: bool,
    work: bool,
    stop: bool,
}

impl Signal {
    /// There is something to copy.
    pub(crate) fn wake(&self) {
        self.tell(|wanted| wanted.work = true);
    }

    /// The thread ends after what it is doing.
    pub(crate) fn stop(&self) {
        self.tell(|wanted| wanted.stop = true);
    }

    fn tell(&self, change: impl FnOnce(&mut Wanted)) {
        change(&mut self.wanted.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    /// Waits until there is something to do, but no longer than this. False if it is over.
    fn wait(&self, longest: Duration) -> bool {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |wanted: &mut Wanted| !wanted.work && !wanted.stop;
        let waited = self.changed.wait_timeout_while(wanted, longest, idle);
        let (mut wanted, _) = waited.unwrap_or_else(PoisonError::into_inner);
        wanted.work = false;
        !wanted.stop
    }
}

impl Inner {
    /// Starts the thread, unless it runs or none is wanted.
    pub(crate) fn start_thread(self: &Arc<Self>) -> Result<()> {
        if self.config.heal_interval_ms == 0 {
            return Ok(());
        }
        {
            let mut wanted = self.signal.wanted.lock().unwrap_or_else(PoisonError::into_inner);
            if std::mem::replace(&mut wanted.running, true) {
                return Ok(());
            }
        }
        let (inner, signal) = (Arc::downgrade(self), Arc::clone(&self.signal));
        let interval = Duration::from_millis(self.config.heal_interval_ms);
        let run = move || {
            while signal.wait(interval) && heal(&inner) {}
        };
        match std::thread::Builder::new().name("craftx-failover".to_owned()).spawn(run) {
            Ok(_) => Ok(()),
            Err(error) => {
                self.signal.tell(|wanted| wanted.running = false);
                Err(Error::new(ErrorKind::Unavailable, "the thread that heals cannot be started").because(error))
            }
        }
    }
}

/// One round. False if the handle is gone.
fn heal(inner: &Weak<Inner>) -> bool {
    let Some(inner) = inner.upgrade() else { return false };
    let cx = Context::system(inner.reserved.clone()).with_clock(Arc::clone(&inner.clock));
    futures_executor::block_on(inner.tick(&cx, inner.config.linger()));
    true
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.signal.stop();
    }
}
