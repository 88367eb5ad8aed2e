//! The handle.

use std::fmt;
use std::sync::Arc;

use craftx_core::{Clock, Context, DynBackend, Result, SystemClock};

use crate::bug::Bug;
use crate::config::FailoverConfig;
use crate::heal::Healed;
use crate::inner::Inner;
use crate::leg::Leg;
use crate::status::LegStatus;
use crate::verify::Compared;

/// Several stores as one: a [`Backend`](craftx_core::Backend) over legs, the primary first.
///
/// A write goes to the primary, or while that is away to the first secondary that is there, and is acknowledged when one
/// leg has it durably; the others get it right after, or, with [`Mirror::Sync`](crate::Mirror::Sync), before. A read comes
/// from the first leg that is known to lack nothing. What a leg may lack is marked in the leg that has it, before it has
/// it, so that no crash forgets it.
///
/// Clones share everything; keep one to call [`heal`](Self::heal), [`legs`](Self::legs) and [`compare`](Self::compare).
///
/// ```
/// use craftx_core::Memory;
/// use craftx_failover::{Failover, FailoverConfig, Processes};
/// use std::sync::Arc;
/// let store = Failover::builder("primary", Arc::new(Memory::new()))
///     .secondary("secondary", Arc::new(Memory::new()))
///     .config(FailoverConfig::default().processes(Processes::Single))
///     .build()?;
/// assert_eq!(store.legs().len(), 2);
/// # Ok::<(), craftx_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Failover(pub(crate) Arc<Inner>);

/// Collects the legs of a [`Failover`], the primary first.
#[derive(Debug)]
pub struct FailoverBuilder {
    config: FailoverConfig,
    legs: Vec<(Arc<str>, DynBackend)>,
    clock: Arc<dyn Clock>,
    seed: Option<u64>,
    bug: Option<Bug>,
}

impl Failover {
    /// Begins with the primary. `name` is what statuses and errors call it.
    pub fn builder(name: impl Into<Arc<str>>, primary: DynBackend) -> FailoverBuilder {
        FailoverBuilder {
            config: FailoverConfig::default(),
            legs: vec![(name.into(), primary)],
            clock: Arc::new(SystemClock),
            seed: None,
            bug: None,
        }
    }

    /// How each leg is, the primary first. Asks nobody.
    pub fn legs(&self) -> Vec<LegStatus> {
        self.0.leg_statuses()
    }

    /// Heals until all legs are equal, or nothing more can be done for now: what is missing is copied, legs that may be
    /// back are asked, marks that are no longer needed are taken away.
    ///
    /// # Cancel safety
    /// May be dropped at any time; the next one goes on.
    pub async fn heal(&self, cx: &Context) -> Healed {
        self.0.heal(cx).await
    }

    /// Compares what the legs hold, session by session, and names what differs. What was written a moment ago may not
    /// have been copied yet; [`heal`](Self::heal) first.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn compare(&self, cx: &Context) -> Compared {
        self.0.compare(cx).await
    }

    /// One round of what the background thread does all the time.
    ///
    /// # Cancel safety
    /// May be dropped at any time; the next one goes on.
    pub async fn tick(&self, cx: &Context) -> Healed {
        self.0.tick(cx, self.0.config.linger()).await
    }
}

impl FailoverBuilder {
    /// Adds a secondary behind those added before.
    #[must_use]
    pub fn secondary(mut self, name: impl Into<Arc<str>>, secondary: DynBackend) -> Self {
        self.legs.push((name.into(), secondary));
        self
    }

    /// Replaces the configuration.
    #[must_use]
    pub fn config(mut self, config: FailoverConfig) -> Self {
        self.config = config;
        self
    }

    /// Replaces the clock that breakers, marks and healing go by. Deadlines go by the clock of their call.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The same random names every time, for simulations.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Gives it a bug.
    #[cfg(test)]
    pub(crate) fn with_bug(mut self, bug: Option<Bug>) -> Self {
        self.bug = bug;
        self
    }

    /// Puts it together. Does no I/O.
    ///
    /// # Errors
    /// [`ConfigInvalid`](craftx_core::ErrorKind::ConfigInvalid) naming what is out of its range, or without a secondary.
    pub fn build(self) -> Result<Failover> {
        let breaker = &self.config.breaker;
        let legs = self.legs.into_iter().map(|(name, backend)| Leg::new(name, backend, breaker.clone()));
        let legs = legs.collect::<Result<Vec<_>>>()?;
        let random = match self.seed {
            Some(seed) => fastrand::Rng::with_seed(seed),
            None => fastrand::Rng::with_seed(craftx_core::random_bits() as u64),
        };
        Ok(Failover(Arc::new(Inner::new(self.config, legs, self.clock, random, self.bug)?)))
    }
}

impl fmt::Debug for Failover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failover").field("config", &self.0.config).field("legs", &self.0.legs).finish_non_exhaustive()
    }
}
