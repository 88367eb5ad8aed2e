//! The bridge between futures and threads: deadlines, answers, and jobs that can still be taken back.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use craftx_core::{Clock, Context, Error, ErrorKind};
use futures_channel::oneshot;

/// How long a call without a deadline reads, or waits for a lock.
const PATIENCE: Duration = Duration::from_secs(30);

/// When a call has to end.
#[derive(Clone, Debug)]
pub(crate) struct Deadline {
    clock: Arc<dyn Clock>,
    asked: Option<Instant>,
    patience: Instant,
}

impl Deadline {
    pub(crate) fn of(cx: &Context) -> Self {
        Self { clock: Arc::clone(&cx.clock), asked: cx.deadline, patience: Instant::now() + PATIENCE }
    }

    pub(crate) fn has_passed(&self) -> bool {
        match self.asked {
            Some(asked) => self.clock.now() >= asked,
            None => Instant::now() >= self.patience,
        }
    }

    /// Returns when the time is over, if the caller set a limit.
    async fn passes(&self) {
        match self.asked {
            Some(asked) => self.clock.sleep(asked.saturating_duration_since(self.clock.now())).await,
            None => std::future::pending().await,
        }
    }
}

/// The error of a call that ended by its deadline.
pub(crate) fn late() -> Error {
    Error::new(ErrorKind::Timeout, "the deadline has passed")
}

/// The error of a call on a store that is not open.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store is closed, or was never prepared")
}

/// What became of waiting for a thread.
pub(crate) enum Waited<T> {
    Answer(T),
    /// The deadline passed first.
    Late,
    /// The thread is gone without an answer.
    Gone,
}

/// Waits for the answer of a thread until the deadline, on any executor.
pub(crate) async fn answer<T>(receiver: oneshot::Receiver<T>, deadline: &Deadline) -> Waited<T> {
    let (mut receiver, mut late) = (pin!(receiver), pin!(deadline.passes()));
    poll_fn(|task| match receiver.as_mut().poll(task) {
        Poll::Ready(answer) => Poll::Ready(answer.map_or(Waited::Gone, Waited::Answer)),
        Poll::Pending => late.as_mut().poll(task).map(|()| Waited::Late),
    })
    .await
}

/// Whether a job has begun. A job that has not can be taken back, so that its outcome is certain.
#[derive(Debug, Default)]
pub(crate) struct Ticket(AtomicU8);

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Ticket {
    /// Called by the thread before the first change; `false` if the job was taken back.
    pub(crate) fn begin(&self) -> bool {
        self.0.compare_exchange(WAITING, BEGUN, Ordering::AcqRel, Ordering::Acquire).unwrap_or_else(|found| found)
            != WITHDRAWN
    }

    /// Called by the future; `false` if the job has begun.
    pub(crate) fn withdraw(&self) -> bool {
        self.0.compare_exchange(WAITING, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_either_begun_or_withdrawn() {
        let ticket = Ticket::default();
        assert!(ticket.begin() && ticket.begin() && !ticket.withdraw());
        let ticket = Ticket::default();
        assert!(ticket.withdraw() && !ticket.begin());
    }
}
