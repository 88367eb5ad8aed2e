//! A circuit breaker: whether a store is worth asking.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use craftx_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::out_of_range;
use crate::window::Window;

/// When a breaker opens and closes.
///
/// ```
/// use craftx_retry::BreakerConfig;
/// let config = BreakerConfig::default().min_calls(5).open_ms(1_000);
/// assert_eq!(config.failure_ratio, 0.5);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BreakerConfig {
    /// How far back calls are counted, in milliseconds. Default: 10,000; at least 10.
    pub window_ms: u64,
    /// With fewer calls in the window it does not open. Default: 20; at least 1.
    pub min_calls: u32,
    /// It opens when this part of the calls in the window failed. Default: 0.5; more than 0, up to 1.
    pub failure_ratio: f64,
    /// How long it stays open before it lets probes through, in milliseconds. Default: 5,000; at least 1.
    pub open_ms: u64,
    /// How many calls have to succeed as probes before it closes; no more than these are under way at the same time.
    /// Default: 3; at least 1.
    pub probes: u32,
    /// A call that takes longer counts as failed, in milliseconds. Default: none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_ms: Option<u64>,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { window_ms: 10_000, min_calls: 20, failure_ratio: 0.5, open_ms: 5_000, probes: 3, slow_ms: None }
    }
}

impl BreakerConfig {
    /// Sets how far back calls are counted, in milliseconds.
    #[must_use]
    pub fn window_ms(mut self, milliseconds: u64) -> Self {
        self.window_ms = milliseconds;
        self
    }

    /// Sets with how few calls it does not open.
    #[must_use]
    pub fn min_calls(mut self, calls: u32) -> Self {
        self.min_calls = calls;
        self
    }

    /// Sets which part of the calls has to fail.
    #[must_use]
    pub fn failure_ratio(mut self, ratio: f64) -> Self {
        self.failure_ratio = ratio;
        self
    }

    /// Sets how long it stays open, in milliseconds.
    #[must_use]
    pub fn open_ms(mut self, milliseconds: u64) -> Self {
        self.open_ms = milliseconds;
        self
    }

    /// Sets how many probes have to succeed.
    #[must_use]
    pub fn probes(mut self, probes: u32) -> Self {
        self.probes = probes;
        self
    }

    /// Sets which calls are too slow, in milliseconds.
    #[must_use]
    pub fn slow_ms(mut self, milliseconds: Option<u64>) -> Self {
        self.slow_ms = milliseconds;
        self
    }

    fn check(&self) -> Result<()> {
        if self.window_ms < 10 {
            return Err(out_of_range("window_ms", "the window needs at least 10 ms"));
        }
        if self.min_calls == 0 {
            return Err(out_of_range("min_calls", "it takes at least one call to judge"));
        }
        if !(self.failure_ratio > 0.0 && self.failure_ratio <= 1.0) {
            return Err(out_of_range("failure_ratio", "the ratio is more than 0 and at most 1"));
        }
        if self.open_ms == 0 {
            return Err(out_of_range("open_ms", "a breaker stays open for at least a millisecond"));
        }
        if self.probes == 0 {
            return Err(out_of_range("probes", "it takes at least one probe to close a breaker"));
        }
        Ok(())
    }
}

/// Whether a breaker lets calls through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BreakerState {
    /// All.
    Closed,
    /// None, until its time has come.
    Open,
    /// A few, to see whether the store is back.
    HalfOpen,
}

impl BreakerState {
    /// The name in lower snake case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// A call that was given less time than this says nothing about the store if it ends late.
const TOO_SHORT: Duration = Duration::from_millis(50);

/// What a call says of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answered, be it with an error.
    Answered,
    /// It could not be reached, or took too long.
    Failed,
}

impl Verdict {
    /// What the result of a call says that had this much time `left` when it began. Only
    /// [`Unavailable`](ErrorKind::Unavailable) and [`Timeout`](ErrorKind::Timeout) are failures; a timeout after less than
    /// 50 ms says nothing, because a caller in a hurry must not stop all others.
    pub fn of<T>(result: &Result<T>, left: Option<Duration>) -> Option<Self> {
        match result.as_ref().err().map(Error::kind) {
            Some(ErrorKind::Timeout) if left.is_some_and(|left| left < TOO_SHORT) => None,
            Some(ErrorKind::Unavailable | ErrorKind::Timeout) => Some(Self::Failed),
            _ => Some(Self::Answered),
        }
    }
}

/// A circuit breaker with a sliding window. It knows no clock and does no I/O: whoever asks says what time it is.
///
/// It is closed at first. When at least [`failure_ratio`](BreakerConfig::failure_ratio) of the calls in the window
/// failed, and there were [`min_calls`](BreakerConfig::min_calls), it opens; after
/// [`open_ms`](BreakerConfig::open_ms) it is half-open and lets probes through; when all of them were answered it
/// closes, and the first one that fails opens it again. So it switches at most once in `open_ms`.
///
/// ```
/// use craftx_retry::{Breaker, BreakerConfig, BreakerState, Verdict};
/// use std::time::{Duration, Instant};
/// let breaker = Breaker::new(BreakerConfig::default().min_calls(1).probes(1))?;
/// let now = Instant::now();
/// breaker.admit(now).unwrap().done(now, Verdict::Failed);
/// let wait = breaker.admit(now).unwrap_err();
/// assert_eq!(breaker.state(now + wait), BreakerState::HalfOpen);
/// breaker.admit(now + wait).unwrap().done(now + wait, Verdict::Answered);
/// assert_eq!(breaker.state(now + wait), BreakerState::Closed);
/// # Ok::<(), craftx_core::Error>(())
/// ```
pub struct Breaker {
    config: BreakerConfig,
    state: Mutex<State>,
}

struct State {
    /// Counts the changes, so that a call which began before one does not count after it.
    period: u64,
    phase: Phase,
}

enum Phase {
    /// The window begins with the first call.
    Closed(Option<Window>),
    Open {
        until: Instant,
    },
    HalfOpen {
        running: u32,
        answered: u32,
    },
}

/// The right to make one call. Say [`done`](Permit::done) with what came of it; a permit that is dropped says nothing.
#[derive(Debug)]
#[must_use]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    period: u64,
}

impl Breaker {
    /// A closed breaker.
    ///
    /// # Errors
    /// [`ConfigInvalid`](craftx_core::ErrorKind::ConfigInvalid) naming what is out of its range.
    pub fn new(config: BreakerConfig) -> Result<Self> {
        config.check()?;
        Ok(Self { config, state: Mutex::new(State { period: 0, phase: Phase::Closed(None) }) })
    }

    /// Asks for a call.
    ///
    /// # Errors
    /// The time after which to ask again, if it is open or enough probes are under way.
    pub fn admit(&self, now: Instant) -> Result<Permit<'_>, Duration> {
        let mut state = self.lock();
        state.half_open_if_due(now);
        match &mut state.phase {
            Phase::Closed(_) => {}
            Phase::Open { until } => return Err(until.saturating_duration_since(now)),
            Phase::HalfOpen { running, answered } if *running + *answered < self.config.probes => *running += 1,
            // How long the probes take is not known; it cannot be worth asking again at once.
            Phase::HalfOpen { .. } => return Err(self.open_for() / 10),
        }
        Ok(Permit { breaker: self, period: state.period })
    }

    /// Whether it lets calls through at this time.
    pub fn state(&self, now: Instant) -> BreakerState {
        match &self.lock().phase {
            Phase::Closed(_) => BreakerState::Closed,
            Phase::Open { until } if now < *until => BreakerState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Its configuration.
    pub fn config(&self) -> &BreakerConfig {
        &self.config
    }

    fn open_for(&self) -> Duration {
        Duration::from_millis(self.config.open_ms)
    }

    /// What came of a call of this period.
    fn end(&self, period: u64, now: Instant, verdict: Verdict) {
        let mut state = self.lock();
        if state.period != period {
            return;
        }
        let opens = match (&mut state.phase, verdict) {
            (Phase::Closed(window), _) => {
                let length = Duration::from_millis(self.config.window_ms);
                let window = window.get_or_insert_with(|| Window::new(length, now));
                let held = window.count(now, verdict == Verdict::Failed);
                let limit = f64::from(held.calls) * self.config.failure_ratio;
                held.calls >= self.config.min_calls && f64::from(held.failures) >= limit
            }
            (Phase::HalfOpen { .. }, Verdict::Failed) => true,
            (Phase::HalfOpen { running, answered }, Verdict::Answered) => {
                *running = running.saturating_sub(1);
                *answered += 1;
                if *answered == self.config.probes {
                    state.enter(Phase::Closed(None));
                }
                false
            }
            (Phase::Open { .. }, _) => false,
        };
        if opens {
            state.enter(Phase::Open { until: now + self.open_for() });
        }
    }

    /// Nothing in here can be left half-changed by a panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.period += 1;
        self.phase = phase;
    }

    fn half_open_if_due(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Open { until } if until <= now) {
            self.enter(Phase::HalfOpen { running: 0, answered: 0 });
        }
    }
}

impl Permit<'_> {
    /// Says what came of the call.
    pub fn done(self, now: Instant, verdict: Verdict) {
        self.breaker.end(self.period, now, verdict);
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // Only a probe that was given up has to make room; it has no time of its own.
        let mut state = self.breaker.lock();
        if state.period == self.period
            && let Phase::HalfOpen { running, .. } = &mut state.phase
        {
            *running = running.saturating_sub(1);
        }
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.lock().phase {
            Phase::Closed(_) => "closed",
            Phase::Open { .. } => "open",
            Phase::HalfOpen { .. } => "half-open",
        };
        f.debug_struct("Breaker").field("config", &self.config).field("phase", &phase).finish()
    }
}
