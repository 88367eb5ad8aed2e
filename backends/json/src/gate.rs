//! Open or closed, and who is inside.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use craftx_core::{Context, Error, ErrorKind, Result};

use crate::marker::Opened;

/// Lets calls in while the store is open, and lets [`close`](Self::close) wait until they are done.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    inside: usize,
}

#[derive(Debug)]
enum Phase {
    Unopened,
    Open(Opened),
    Closed,
}

impl Default for State {
    fn default() -> Self {
        Self { phase: Phase::Unopened, inside: 0 }
    }
}

/// A call that is inside; dropped, it has left.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    /// What the store was opened as.
    pub(crate) opened: Opened,
}

impl Gate {
    /// Nothing here is left half-changed by a panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails if the store is closed for good.
    pub(crate) fn check_not_closed(&self) -> Result<()> {
        match self.state().phase {
            Phase::Closed => Err(Error::new(ErrorKind::Closed, "the store is closed")),
            _ => Ok(()),
        }
    }

    /// Opens the gate.
    pub(crate) fn open(&self, as_what: Opened) -> Result<()> {
        let mut state = self.state();
        if matches!(state.phase, Phase::Closed) {
            return Err(Error::new(ErrorKind::Closed, "the store is closed"));
        }
        state.phase = Phase::Open(as_what);
        Ok(())
    }

    /// Goes inside.
    pub(crate) fn enter(&self) -> Result<Pass<'_>> {
        let mut state = self.state();
        let opened = match &state.phase {
            Phase::Open(opened) => *opened,
            Phase::Unopened => return Err(Error::new(ErrorKind::Closed, "the store has not been opened: prepare it")),
            Phase::Closed => return Err(Error::new(ErrorKind::Closed, "the store is closed")),
        };
        state.inside += 1;
        Ok(Pass { gate: self, opened })
    }

    /// Closes the gate, then waits for those inside, at most until the deadline or for `longest`.
    pub(crate) fn close(&self, cx: &Context, longest: Duration) -> Result<()> {
        let started = Instant::now();
        let mut state = self.state();
        state.phase = Phase::Closed;
        while state.inside > 0 {
            if started.elapsed() >= longest || cx.check_deadline().is_err() {
                return Err(Error::new(ErrorKind::Timeout, "the store is closed, but calls are still under way"));
            }
            // Woken now and then, because the clock of the context need not be the one that Condvar waits by.
            let wait = self.left.wait_timeout(state, Duration::from_millis(20));
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.inside -= 1;
        // Nobody waits before the gate is closed, and to wake nobody is a call to the operating system all the same.
        if state.inside == 0 && matches!(state.phase, Phase::Closed) {
            self.gate.left.notify_all();
        }
    }
}
