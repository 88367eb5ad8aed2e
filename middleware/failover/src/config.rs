//! How several stores work as one.

use std::time::Duration;

use craftx_core::{Error, ErrorKind, Result};
use craftx_retry::BreakerConfig;
use serde::{Deserialize, Deserializer, Serialize};

/// One failure opens a breaker, however many calls succeeded before: a leg that hangs costs its share once.
const ONE_IS_ENOUGH: f64 = 1e-9;

/// How several stores work as one.
///
/// ```
/// use craftx_failover::{FailoverConfig, Mirror};
/// let config = FailoverConfig::default().mirror(Mirror::Sync).timeout_ms(2_000);
/// assert_eq!(config.breaker.min_calls, 1);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct FailoverConfig {
    /// When a write is copied to the other legs. Default: `async`.
    pub mirror: Mirror,
    /// Which legs answer reads, and in which order they are asked. Default: `primary_first`.
    pub reads: Reads,
    /// Who else uses the same legs. Default: `shared`.
    pub processes: Processes,
    /// How long a leg may take for one call, in milliseconds; a call that has a deadline divides what is left of it among
    /// the legs. Default: 5,000; at least 1.
    pub timeout_ms: u64,
    /// How often the background thread looks for something to heal, in milliseconds; writes wake it besides. 0: there is
    /// no thread, and [`heal`](crate::Failover::heal) has to be called. Default: 1,000.
    pub heal_interval_ms: u64,
    /// How often the marks of other processes and the identities of the legs are read again, in milliseconds: so long a
    /// process that noticed nothing may answer without what another one wrote to a secondary. Default: 5,000.
    pub refresh_ms: u64,
    /// How long a mark stays in use after the last write that needed it, in milliseconds, so that a session which is
    /// written to all the time is not marked for each write. Default: 2,000.
    pub linger_ms: u64,
    /// For how long a write whose outcome is unknown may still arrive at a leg, in milliseconds. Default: 30,000.
    pub settle_ms: u64,
    /// For how long a mark must have been seen before somebody else than its owner may take it away, in milliseconds; the
    /// owner relies on it for half of that. Default: 60,000; at least four times `timeout_ms`.
    pub mark_lease_ms: u64,
    /// When a leg is away, and how long until it is asked again. Default: one failure is enough, 5,000 ms, one probe.
    #[serde(deserialize_with = "leg_breaker")]
    pub breaker: BreakerConfig,
}

impl Default for FailoverConfig {
    fn default() -> Self {
        Self {
            mirror: Mirror::default(),
            reads: Reads::default(),
            processes: Processes::default(),
            timeout_ms: 5_000,
            heal_interval_ms: 1_000,
            refresh_ms: 5_000,
            linger_ms: 2_000,
            settle_ms: 30_000,
            mark_lease_ms: 60_000,
            breaker: LegBreaker::default().into(),
        }
    }
}

/// A breaker as configurations give it: the keys that they leave out are those of a leg, and not of a breaker by itself, or
/// whoever sets one of them would get a leg that is away only after many failures.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LegBreaker {
    window_ms: u64,
    min_calls: u32,
    failure_ratio: f64,
    open_ms: u64,
    probes: u32,
    slow_ms: Option<u64>,
}

impl Default for LegBreaker {
    fn default() -> Self {
        let BreakerConfig { window_ms, open_ms, slow_ms, .. } = BreakerConfig::default();
        Self { window_ms, min_calls: 1, failure_ratio: ONE_IS_ENOUGH, open_ms, probes: 1, slow_ms }
    }
}

impl From<LegBreaker> for BreakerConfig {
    fn from(leg: LegBreaker) -> Self {
        Self::default()
            .window_ms(leg.window_ms)
            .min_calls(leg.min_calls)
            .failure_ratio(leg.failure_ratio)
            .open_ms(leg.open_ms)
            .probes(leg.probes)
            .slow_ms(leg.slow_ms)
    }
}

fn leg_breaker<'de, D: Deserializer<'de>>(given: D) -> std::result::Result<BreakerConfig, D::Error> {
    LegBreaker::deserialize(given).map(BreakerConfig::from)
}

/// When a write is copied to the other legs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mirror {
    /// After it was acknowledged. What one leg alone has is lost if that leg is destroyed before.
    #[default]
    Async,
    /// Before it is acknowledged, to every leg that is there; a leg that is away is brought up to date later.
    Sync,
}

/// Which legs answer reads, and in which order they are asked. Whichever it is, a leg answers for a session only when it has
/// all that the handle knows of it, and that there is nothing only the primary says, or who knows as much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reads {
    /// The primary, and nobody while it is away.
    PrimaryOnly,
    /// The primary, and while it is away the secondaries.
    #[default]
    PrimaryFirst,
    /// The secondaries, and if none of them can the primary: for a primary that is far away. What other processes have
    /// written since marks were last read may be missing.
    SecondariesFirst,
}

/// Who else uses the same legs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Processes {
    /// Nobody: this handle alone writes to the legs, from when it is prepared until it is closed or dropped. Then a
    /// secondary also knows what does not exist, and marks of an earlier life are taken away soon.
    Single,
    /// Others may.
    #[default]
    Shared,
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        impl FailoverConfig {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(mut self, $name: $type) -> Self {
                    self.$name = $name;
                    self
                }
            )*
        }
    };
}

setters! {
    /// Sets when a write is copied to the other legs.
    mirror: Mirror,
    /// Sets which legs answer reads, and in which order they are asked.
    reads: Reads,
    /// Sets who else uses the same legs.
    processes: Processes,
    /// Sets how long a leg may take for one call, in milliseconds.
    timeout_ms: u64,
    /// Sets how often the background thread looks for something to heal, in milliseconds.
    heal_interval_ms: u64,
    /// Sets how often marks and identities are read again, in milliseconds.
    refresh_ms: u64,
    /// Sets how long a mark stays in use after the last write, in milliseconds.
    linger_ms: u64,
    /// Sets for how long a write whose outcome is unknown may still arrive, in milliseconds.
    settle_ms: u64,
    /// Sets for how long a mark must have been seen before others may take it away, in milliseconds.
    mark_lease_ms: u64,
    /// Sets when a leg is away.
    breaker: BreakerConfig,
}

impl FailoverConfig {
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |key: &'static str, rule: &'static str| {
            Err(Error::new(ErrorKind::ConfigInvalid, rule).with("key", format_args!("`{key}`")))
        };
        if self.timeout_ms == 0 {
            return wrong("timeout_ms", "a call needs at least a millisecond");
        }
        if self.processes == Processes::Shared && self.mark_lease_ms / 4 < self.timeout_ms {
            return wrong("mark_lease_ms", "a mark must be kept for at least four times the time of a call");
        }
        Ok(())
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.processes == Processes::Shared
    }

    /// Whether the legs may be written at the same time.
    pub(crate) fn writes_at_once(&self) -> bool {
        self.mirror == Mirror::Sync && !self.is_shared()
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    pub(crate) fn refresh(&self) -> Duration {
        Duration::from_millis(self.refresh_ms)
    }

    pub(crate) fn linger(&self) -> Duration {
        Duration::from_millis(self.linger_ms)
    }

    pub(crate) fn settle(&self) -> Duration {
        Duration::from_millis(self.settle_ms)
    }

    /// For how long a mark that somebody else wrote is left where it is. Nobody else is alive where there is a single
    /// process, but its last writes may still arrive.
    pub(crate) fn foreign(&self) -> Duration {
        let lease = Duration::from_millis(self.mark_lease_ms);
        if self.is_shared() { lease.max(self.settle()) } else { self.settle() }
    }

    /// For how long a handle relies on its own mark; for ever where nobody else may take it away.
    pub(crate) fn trust(&self) -> Option<Duration> {
        self.is_shared().then(|| Duration::from_millis(self.mark_lease_ms / 2))
    }
}
