//! The bridge between futures and the threads or tasks that do the work: deadlines, answers, and jobs that can still be
//! taken back. For backends whose work goes on where the caller's future is not polled.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::{Clock, Context, Error, ErrorKind};

/// How long a call without a deadline reads, or waits for a lock.
const PATIENCE: Duration = Duration::from_secs(30);

/// When a call has to end: what is left of a [`Context`] where the call itself has gone elsewhere.
#[derive(Clone, Debug)]
pub struct Deadline {
    clock: Arc<dyn Clock>,
    asked: Option<Instant>,
    patience: Instant,
}

impl Deadline {
    /// The deadline of a call. One that has none is patient for 30 seconds, where it has to wait for others.
    pub fn of(cx: &Context) -> Self {
        Self { clock: Arc::clone(&cx.clock), asked: cx.deadline, patience: Instant::now() + PATIENCE }
    }

    /// Whether the time is over; of a call without a deadline, whether its patience is.
    pub fn has_passed(&self) -> bool {
        match self.asked {
            Some(asked) => self.clock.now() >= asked,
            None => Instant::now() >= self.patience,
        }
    }

    /// How long others may be waited for.
    pub fn remaining(&self) -> Duration {
        match self.asked {
            Some(asked) => asked.saturating_duration_since(self.clock.now()),
            None => self.patience.saturating_duration_since(Instant::now()),
        }
    }

    /// Returns when the time is over; never if the caller set no limit.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn passes(&self) {
        match self.asked {
            Some(asked) => self.clock.sleep(asked.saturating_duration_since(self.clock.now())).await,
            None => std::future::pending().await,
        }
    }

    /// Waits for an answer, such as that of a one-shot channel, until the deadline. On any executor.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn wait<T, E>(&self, answer: impl Future<Output = Result<T, E>>) -> Waited<T> {
        let (mut answer, mut late) = (pin!(answer), pin!(self.passes()));
        poll_fn(|task| match answer.as_mut().poll(task) {
            Poll::Ready(answer) => Poll::Ready(answer.map_or(Waited::Gone, Waited::Answer)),
            Poll::Pending => late.as_mut().poll(task).map(|()| Waited::Late),
        })
        .await
    }

    /// The error of a call that ended by its deadline.
    pub fn error() -> Error {
        Error::new(ErrorKind::Timeout, "the deadline has passed")
    }
}

/// What became of waiting for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited<T> {
    /// This is it.
    Answer(T),
    /// The deadline passed first.
    Late,
    /// Whoever was to answer is gone.
    Gone,
}

/// Whether a job has begun. A job that has not can be taken back, so that its outcome is certain.
#[derive(Debug, Default)]
pub struct Ticket(AtomicU8);

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Ticket {
    /// Called by whoever does the job, before the first change; `false` if the job was taken back. May be called again.
    pub fn begin(&self) -> bool {
        self.0.compare_exchange(WAITING, BEGUN, Ordering::AcqRel, Ordering::Acquire).unwrap_or_else(|found| found)
            != WITHDRAWN
    }

    /// Called by whoever asked for it; `false` if the job has begun.
    pub fn withdraw(&self) -> bool {
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
