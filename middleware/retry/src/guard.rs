//! A breaker as a layer.

use std::sync::Arc;
use std::time::Duration;

use craftx_core::{
    Around, Capabilities, Context, DynBackend, Error, ErrorKind, Layer, Operation, Result, Slot, Surrounded,
    async_trait,
};

use crate::{Breaker, BreakerConfig, Verdict};

/// Stops asking a store that does not answer: a call that the [`Breaker`] does not let through fails at once with
/// [`Unavailable`](ErrorKind::Unavailable) and is not applied.
///
/// Only [`Unavailable`](ErrorKind::Unavailable) and [`Timeout`](ErrorKind::Timeout) count as failures, and calls that
/// are too slow. A timeout does not count if the caller left the call less than 50 ms: one who is in a hurry must not stop
/// all others. `status` and `close` always go through and do not count. A probe that hangs keeps its place until it is
/// dropped, so put a timeout layer below.
#[derive(Clone, Debug)]
pub struct BreakerLayer(Arc<Guard>);

#[derive(Debug)]
struct Guard(Breaker);

impl BreakerLayer {
    /// A layer with a closed breaker.
    ///
    /// # Errors
    /// As [`Breaker::new`].
    pub fn new(config: BreakerConfig) -> Result<Self> {
        Ok(Self(Arc::new(Guard(Breaker::new(config)?))))
    }

    /// The breaker.
    pub fn breaker(&self) -> &Breaker {
        &self.0.0
    }
}

impl Layer for BreakerLayer {
    fn name(&self) -> &'static str {
        "breaker"
    }

    fn slot(&self) -> Slot {
        Slot::Break
    }

    fn capabilities(&self, inner: Capabilities) -> Result<Capabilities> {
        Ok(inner)
    }

    fn apply(&self, inner: DynBackend) -> Result<DynBackend> {
        Ok(Arc::new(Surrounded::new(Arc::clone(&self.0), inner)))
    }
}

/// The error of a call that is not let through.
fn open(operation: Operation, wait: Duration) -> Error {
    Error::new(ErrorKind::Unavailable, "the store does not answer, and is not asked for a while")
        .during(operation.as_str())
        .with("ask_again_in_ms", wait.as_millis())
}

#[async_trait]
impl Around for Guard {
    async fn around<T, F, Fut>(&self, operation: Operation, cx: &Context, call: F) -> Result<T>
    where
        T: Send,
        F: Fn(Context) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T>> + Send,
    {
        if matches!(operation, Operation::Status | Operation::Close) {
            return call(cx.clone()).await;
        }
        // A caller who is late already says nothing about the store.
        cx.check_deadline().map_err(|error| error.during(operation.as_str()))?;
        let left = cx.remaining();
        let began = cx.clock.now();
        let permit = self.0.admit(began).map_err(|wait| open(operation, wait))?;
        let result = call(cx.clone()).await;
        // Without a verdict the permit is given back.
        if let Some(verdict) = Verdict::of(&result, left) {
            let now = cx.clock.now();
            let took = now.saturating_duration_since(began);
            let slow = self.0.config().slow_ms.is_some_and(|limit| took > Duration::from_millis(limit));
            permit.done(now, if slow { Verdict::Failed } else { verdict });
        }
        result
    }
}
