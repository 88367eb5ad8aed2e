//! What the clones of a handle and its thread share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, UNIX_EPOCH};

use craftx_core::{Capabilities, Clock, Error, ErrorKind, Prepare, Result, SessionId, Stamp, Tenant, Uuid};

use futures_util::lock::Mutex as AsyncMutex;

use crate::bug::Bug;
use crate::config::FailoverConfig;
use crate::dirty::Dirty;
use crate::identity::Identities;
use crate::leg::Leg;
use crate::mark::{MarksRead, Spent};
use crate::thread::Signal;
use crate::turn::Turns;

/// What the clones of a handle and its thread share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: FailoverConfig,
    pub(crate) legs: Vec<Leg>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The tenant in the legs that is ours.
    pub(crate) reserved: Tenant,
    /// The session in it where the marks of this handle lie.
    pub(crate) own_marks: SessionId,
    /// The session in it where a leg remembers the others.
    pub(crate) known_legs: SessionId,
    pub(crate) signal: Arc<Signal>,
    pub(crate) bug: Option<Bug>,
    /// Held while somebody finds out what the legs are, so that an old answer does not come after a newer one.
    pub(crate) meeting: AsyncMutex<()>,
    /// Held by whoever heals.
    pub(crate) healing: AsyncMutex<()>,
    state: Mutex<State>,
}

/// Whether calls are let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    New,
    Open,
    Closed,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    /// Whether others were told that nothing more is written under our marks.
    pub(crate) ended: bool,
    pub(crate) dirty: Dirty,
    pub(crate) spent: Spent,
    pub(crate) marks_read: MarksRead,
    pub(crate) identities: Identities,
    pub(crate) turns: Turns,
    /// What the legs could do when they were prepared.
    pub(crate) capabilities: Vec<Option<Capabilities>>,
    /// When each leg last answered.
    pub(crate) answered: Vec<Option<Instant>>,
    /// Why each leg did not answer the last time.
    pub(crate) failures: Vec<Option<String>>,
    /// When marks and identities were last read.
    pub(crate) refreshed: Option<Instant>,
    /// When marks were last taken away.
    pub(crate) cleared: Option<Instant>,
    /// How legs are prepared that come back.
    pub(crate) mode: Prepare,
    /// The identity of the whole.
    pub(crate) store: Option<Uuid>,
    last_stamp: Option<Stamp>,
    random: fastrand::Rng,
}

impl State {
    pub(crate) fn answered(&mut self, leg: usize, now: Instant) {
        if let Some(answered) = self.answered.get_mut(leg) {
            *answered = Some(now);
        }
        if let Some(failure) = self.failures.get_mut(leg) {
            *failure = None;
        }
    }

    pub(crate) fn failed(&mut self, leg: usize, error: &Error) {
        if let Some(failure) = self.failures.get_mut(leg) {
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
            *failure = Some(format!("{error}{cause}"));
        }
    }
}

impl Inner {
    pub(crate) fn new(
        config: FailoverConfig,
        legs: Vec<Leg>,
        clock: Arc<dyn Clock>,
        mut random: fastrand::Rng,
        bug: Option<Bug>,
    ) -> Result<Self> {
        config.check()?;
        if legs.len() < 2 {
            return Err(Error::new(ErrorKind::ConfigInvalid, "a failover needs a primary and a secondary at least"));
        }
        let owner = random.u128(..);
        let state = State {
            phase: Phase::New,
            ended: false,
            dirty: Dirty::new(legs.len(), config.is_shared()),
            spent: Spent::new(legs.len()),
            marks_read: MarksRead::new(legs.len()),
            identities: Identities::new(legs.len()),
            turns: Turns::default(),
            capabilities: vec![None; legs.len()],
            answered: vec![None; legs.len()],
            failures: vec![None; legs.len()],
            refreshed: None,
            cleared: None,
            mode: Prepare::Open,
            store: None,
            last_stamp: None,
            random,
        };
        Ok(Self {
            config,
            legs,
            clock,
            reserved: Tenant::new(crate::tenant::RESERVED)?,
            own_marks: SessionId::new(format!("{}{owner:032x}", crate::mark::PREFIX))?,
            known_legs: SessionId::new("legs")?,
            signal: Arc::default(),
            bug,
            meeting: AsyncMutex::new(()),
            healing: AsyncMutex::new(()),
            state: Mutex::new(state),
        })
    }

    /// What is known. Never held over a call to a leg. A panic can leave nothing half-changed that matters: what is
    /// forgotten in memory is still marked.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails unless the handle was prepared and not closed.
    pub(crate) fn check_open(&self) -> Result<()> {
        match self.state().phase {
            Phase::Open => Ok(()),
            Phase::New => Err(Error::new(ErrorKind::Closed, "the store was not prepared")),
            Phase::Closed => Err(Error::new(ErrorKind::Closed, "the store is closed")),
        }
    }

    /// A stamp for a record of our own, later than `after`.
    pub(crate) fn mint(&self, after: Option<Stamp>) -> Result<Stamp> {
        let wall = self.clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut state = self.state();
        let random = state.random.u128(..);
        let after = state.last_stamp.max(after);
        let stamp = Stamp::mint(u64::try_from(wall.as_millis()).unwrap_or(0), after, random)?;
        state.last_stamp = Some(stamp);
        Ok(stamp)
    }

    /// A random identity.
    pub(crate) fn random_id(&self) -> Uuid {
        let random: u128 = self.state().random.u128(..);
        craftx_core::Uuid::from_u128((random & !(0xf << 76) & !(0x3 << 62)) | (4 << 76) | (2 << 62))
    }

    /// Whether this handle has been given a bug, to see that the simulation finds it.
    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }
}
