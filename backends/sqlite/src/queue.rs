//! A bounded queue from futures to threads.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use craftx_core::{Deadline, Result, Waited};
use futures_channel::oneshot;

use crate::error::closed;

/// How many jobs wait at most.
const MAX_JOBS: usize = 1_024;
/// How many bytes of records wait at most, unless a single job has more.
const MAX_BYTES: usize = 128 << 20;

/// Jobs for one or more threads. A future that finds no room waits without blocking its executor.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    ready: Condvar,
}

#[derive(Debug)]
struct State<T> {
    jobs: VecDeque<(T, usize)>,
    bytes: usize,
    closed: bool,
    /// How many threads wait for a job. To wake nobody costs a call to the operating system all the same.
    sleeping: usize,
    /// Futures that wait for room. All are woken when there is some; who finds none waits again.
    waiting: Vec<oneshot::Sender<()>>,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        let state = State { jobs: VecDeque::new(), bytes: 0, closed: false, sleeping: 0, waiting: Vec::new() };
        Self { state: Mutex::new(state), ready: Condvar::new() }
    }

    /// Nothing in here can be left half-changed by a panic.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job of about `bytes` bytes, waiting for room until the deadline.
    pub(crate) async fn push(&self, job: T, bytes: usize, deadline: &Deadline) -> Result<()> {
        loop {
            let room = {
                let mut state = self.lock();
                if state.closed {
                    return Err(closed());
                }
                let full = state.jobs.len() >= MAX_JOBS || state.bytes.saturating_add(bytes) > MAX_BYTES;
                if state.jobs.is_empty() || !full {
                    state.bytes += bytes;
                    state.jobs.push_back((job, bytes));
                    let sleeping = state.sleeping > 0;
                    // The thread that wakes up wants the lock.
                    drop(state);
                    if sleeping {
                        self.ready.notify_one();
                    }
                    return Ok(());
                }
                let (sender, receiver) = oneshot::channel();
                state.waiting.retain(|waiting| !waiting.is_canceled());
                state.waiting.push(sender);
                receiver
            };
            if let Waited::Late = deadline.wait(room).await {
                return Err(Deadline::error());
            }
        }
    }

    /// Takes the next job, waiting for one; `None` once the queue is closed and empty.
    pub(crate) fn pop(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.take() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state.sleeping += 1;
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.sleeping -= 1;
        }
    }

    /// Takes the next job if there is one now and `wanted` says so.
    pub(crate) fn pop_if(&self, wanted: impl FnOnce(&T) -> bool) -> Option<T> {
        let mut state = self.lock();
        match state.jobs.front() {
            Some((job, _)) if wanted(job) => state.take(),
            _ => None,
        }
    }

    /// Refuses new jobs. Those that are waiting are still done.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.waiting.clear();
        self.ready.notify_all();
    }

    /// Refuses new jobs and forgets those that are waiting: their futures see that nobody will answer.
    pub(crate) fn abandon(&self) {
        self.close();
        let jobs = std::mem::take(&mut self.lock().jobs);
        drop(jobs);
    }
}

impl<T> State<T> {
    fn take(&mut self) -> Option<T> {
        let (job, bytes) = self.jobs.pop_front()?;
        self.bytes -= bytes;
        for waiting in self.waiting.drain(..) {
            // A future that was dropped needs no room.
            let _ = waiting.send(());
        }
        Some(job)
    }
}
