//! Trying again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use craftx_core::{
    Around, Capabilities, Context, DynBackend, Layer, Operation, Outcome, Result, Retry, Slot, Surrounded, async_trait,
};
use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::out_of_range;

/// How often and when a call is tried again.
///
/// ```
/// use craftx_retry::RetryConfig;
/// let config = RetryConfig::default().attempts(5).min_delay_ms(20);
/// assert_eq!(config.max_delay_ms, 1_000);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RetryConfig {
    /// How often a call is tried in all. Default: 3; 1 to 100.
    pub attempts: u32,
    /// The longest pause before the second try, in milliseconds; it doubles with each further one. The pause itself is a
    /// random part of it ("full jitter"), so that many who failed together do not come back together. Default: 50.
    pub min_delay_ms: u64,
    /// No pause is longer than this, in milliseconds. Default: 1,000.
    pub max_delay_ms: u64,
    /// How many retries one call that succeeds pays for. Default: 0.1; 0 to 1. So in the long run a store sees at most
    /// 1.1 times the calls that are made.
    pub budget: f64,
    /// How many retries there may be that nothing has paid for yet, such as those of a program that has just begun.
    /// Default: 10.
    pub reserve: u32,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { attempts: 3, min_delay_ms: 50, max_delay_ms: 1_000, budget: 0.1, reserve: 10 }
    }
}

impl RetryConfig {
    /// Sets how often a call is tried in all.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets the longest pause before the second try, in milliseconds.
    #[must_use]
    pub fn min_delay_ms(mut self, milliseconds: u64) -> Self {
        self.min_delay_ms = milliseconds;
        self
    }

    /// Sets the longest pause of all, in milliseconds.
    #[must_use]
    pub fn max_delay_ms(mut self, milliseconds: u64) -> Self {
        self.max_delay_ms = milliseconds;
        self
    }

    /// Sets how many retries one call that succeeds pays for.
    #[must_use]
    pub fn budget(mut self, retries: f64) -> Self {
        self.budget = retries;
        self
    }

    /// Sets how many retries there may be that nothing has paid for yet.
    #[must_use]
    pub fn reserve(mut self, retries: u32) -> Self {
        self.reserve = retries;
        self
    }

    fn check(&self) -> Result<()> {
        if !(1..=100).contains(&self.attempts) {
            return Err(out_of_range("attempts", "a call can be tried 1 to 100 times"));
        }
        if self.min_delay_ms > self.max_delay_ms {
            return Err(out_of_range("min_delay_ms", "the first pause cannot be longer than the longest"));
        }
        if !(0.0..=1.0).contains(&self.budget) {
            return Err(out_of_range("budget", "a success pays for 0 to 1 retries"));
        }
        Ok(())
    }

    fn backoff(&self) -> ExponentialBuilder {
        ExponentialBuilder::new()
            .with_factor(2.0)
            .with_min_delay(Duration::from_millis(self.min_delay_ms))
            .with_max_delay(Duration::from_millis(self.max_delay_ms))
            .with_max_times(self.attempts.saturating_sub(1) as usize)
    }
}

/// Tries again what failed with an error that [may succeed later](Retry::Later), with the same stamps, within the
/// deadline of the call and a budget that all calls share.
///
/// An error that comes out says [`Retry::Exhausted`] and how often it was tried. If any try has an unknown outcome, so
/// has the whole: it may have happened though a later try failed before it began. `status` and `close` are not retried.
#[derive(Clone, Debug)]
pub struct RetryLayer(Arc<Policy>);

#[derive(Debug)]
struct Policy {
    config: RetryConfig,
    budget: Budget,
    jitter: Mutex<fastrand::Rng>,
}

impl RetryLayer {
    /// A layer with a full budget.
    ///
    /// # Errors
    /// [`ConfigInvalid`](craftx_core::ErrorKind::ConfigInvalid) naming what is out of its range.
    pub fn new(config: RetryConfig) -> Result<Self> {
        Self::with_jitter(config, fastrand::Rng::new())
    }

    /// The same pauses every time, for simulations.
    ///
    /// # Errors
    /// As [`RetryLayer::new`].
    pub fn seeded(config: RetryConfig, seed: u64) -> Result<Self> {
        Self::with_jitter(config, fastrand::Rng::with_seed(seed))
    }

    fn with_jitter(config: RetryConfig, jitter: fastrand::Rng) -> Result<Self> {
        config.check()?;
        let budget = Budget::new(config.reserve, config.budget);
        Ok(Self(Arc::new(Policy { config, budget, jitter: Mutex::new(jitter) })))
    }
}

impl Layer for RetryLayer {
    fn name(&self) -> &'static str {
        "retry"
    }

    fn slot(&self) -> Slot {
        Slot::Retry
    }

    fn capabilities(&self, inner: Capabilities) -> Result<Capabilities> {
        Ok(inner)
    }

    fn apply(&self, inner: DynBackend) -> Result<DynBackend> {
        Ok(Arc::new(Surrounded::new(Arc::clone(&self.0), inner)))
    }
}

impl Policy {
    /// How long to wait before the next try; `None` if there is none.
    fn pause(&self, cx: &Context, longest: Duration) -> Option<Duration> {
        let part = self.jitter.lock().unwrap_or_else(PoisonError::into_inner).f64();
        let pause = longest.mul_f64(part);
        let in_time = cx.remaining().is_none_or(|left| pause < left);
        (in_time && self.budget.take()).then_some(pause)
    }
}

#[async_trait]
impl Around for Policy {
    async fn around<T, F, Fut>(&self, operation: Operation, cx: &Context, call: F) -> Result<T>
    where
        T: Send,
        F: Fn(Context) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T>> + Send,
    {
        if matches!(operation, Operation::Status | Operation::Close) {
            return call(cx.clone()).await;
        }
        cx.check_deadline().map_err(|error| error.during(operation.as_str()))?;
        let mut pauses = self.config.backoff().build();
        let (mut tries, mut unknown) = (0_u32, false);
        loop {
            tries += 1;
            let error = match call(cx.clone()).await {
                Ok(answer) => {
                    self.budget.earn();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            unknown |= error.outcome() == Outcome::Unknown;
            let error = if unknown { error.maybe_applied() } else { error };
            if error.retry() != Retry::Later {
                return Err(error);
            }
            match pauses.next().and_then(|longest| self.pause(cx, longest)) {
                Some(pause) => cx.clock.sleep(pause).await,
                None => return Err(error.retry_is(Retry::Exhausted).with("tries", tries)),
            }
        }
    }
}
