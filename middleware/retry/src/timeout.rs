//! Giving up in time.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use craftx_core::{
    Around, Capabilities, Context, DynBackend, Error, ErrorKind, Layer, Operation, Result, Slot, Surrounded,
    async_trait,
};
use serde::{Deserialize, Serialize};

use crate::out_of_range;

/// How long a call may take.
///
/// ```
/// use craftx_retry::TimeoutConfig;
/// assert_eq!(TimeoutConfig::default().limit_ms(500).limit_ms, 500);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TimeoutConfig {
    /// No call takes longer than this, in milliseconds; below a retry layer, no try. Default: 5,000; at least 1. A
    /// sooner deadline of the caller stays.
    pub limit_ms: u64,
}

impl Default for TimeoutConfig {
    fn default() -> Self {
        Self { limit_ms: 5_000 }
    }
}

impl TimeoutConfig {
    /// Sets how long a call may take, in milliseconds.
    #[must_use]
    pub fn limit_ms(mut self, milliseconds: u64) -> Self {
        self.limit_ms = milliseconds;
        self
    }
}

/// Ends every call in time, also over a store that hangs and takes no notice of its deadline.
///
/// The store is told the deadline, so that it can end in good order; if it does not, its future is dropped. A write that
/// was cut off has the outcome `Unknown`. `prepare`, `compact`, `verify` and `close` take the time that they need, up to the
/// deadline of the caller: a migration that is always cut off would never be done.
#[derive(Clone, Debug)]
pub struct TimeoutLayer(Arc<Limit>);

#[derive(Debug)]
struct Limit(Duration);

impl TimeoutLayer {
    /// A layer with this limit.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) for a limit of nothing.
    pub fn new(config: TimeoutConfig) -> Result<Self> {
        if config.limit_ms == 0 {
            return Err(out_of_range("limit_ms", "a call needs at least a millisecond"));
        }
        Ok(Self(Arc::new(Limit(Duration::from_millis(config.limit_ms)))))
    }
}

impl Layer for TimeoutLayer {
    fn name(&self) -> &'static str {
        "timeout"
    }

    fn slot(&self) -> Slot {
        Slot::Timeout
    }

    fn capabilities(&self, inner: Capabilities) -> Result<Capabilities> {
        Ok(inner)
    }

    fn apply(&self, inner: DynBackend) -> Result<DynBackend> {
        Ok(Arc::new(Surrounded::new(Arc::clone(&self.0), inner)))
    }
}

impl Limit {
    /// The deadline of a call that begins now.
    fn of(&self, operation: Operation, cx: &Context) -> Context {
        let mut limited = cx.clone();
        if !operation.takes_long() {
            let limit = cx.clock.now().checked_add(self.0);
            limited.deadline = [cx.deadline, limit].into_iter().flatten().min();
        }
        limited
    }
}

#[async_trait]
impl Around for Limit {
    async fn around<T, F, Fut>(&self, operation: Operation, cx: &Context, call: F) -> Result<T>
    where
        T: Send,
        F: Fn(Context) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T>> + Send,
    {
        let limited = self.of(operation, cx);
        limited.check_deadline().map_err(|error| error.during(operation.as_str()))?;
        in_time(&limited, operation, call(limited.clone())).await
    }
}

/// Ends a call at the deadline of its context, whether the store takes notice of it or not: its future is dropped then.
/// A call that may have changed the store has the outcome `Unknown`.
///
/// # Errors
/// Those of the call, or [`Timeout`](ErrorKind::Timeout).
///
/// # Cancel safety
/// As that of the call.
pub async fn in_time<T>(cx: &Context, operation: Operation, call: impl Future<Output = Result<T>>) -> Result<T> {
    let Some(left) = cx.remaining() else { return call.await };
    let mut answer = pin!(call);
    // Most calls are answered at once or soon, so the alarm is set only when one has to wait.
    let mut alarm = None;
    let answer = poll_fn(|task| {
        if let Poll::Ready(answer) = answer.as_mut().poll(task) {
            return Poll::Ready(Some(answer));
        }
        alarm.get_or_insert_with(|| cx.clock.sleep(left)).as_mut().poll(task).map(|()| None)
    });
    answer.await.unwrap_or_else(|| {
        let late = Error::new(ErrorKind::Timeout, "the store did not answer in time")
            .during(operation.as_str())
            .with("limit_ms", left.as_millis());
        Err(if operation.changes() { late.maybe_applied() } else { late })
    })
}
