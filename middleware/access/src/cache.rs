//! Who owns a session and what is granted, remembered for a few seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use craftx_core::{SessionId, Tenant};

use crate::principal::Acl;

/// How many sessions are remembered. When there are more, what has expired is forgotten, and if that is not enough, all.
const MOST: usize = 10_000;

/// Remembers what was read of sessions, no longer than its time to live.
///
/// The time counts from before the medium was asked, so that a revocation which it had not heard of takes effect in time.
#[derive(Debug)]
pub(crate) struct Cache {
    ttl: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<(Tenant, SessionId), Known>,
    /// Grows when something is forgotten on purpose: what was asked for before that is not remembered.
    generation: u64,
}

#[derive(Debug)]
struct Known {
    acl: Arc<Acl>,
    asked: Instant,
}

/// When somebody began to ask the medium.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking {
    at: Instant,
    generation: u64,
}

impl Cache {
    pub(crate) fn new(ttl: Duration) -> Self {
        Self { ttl, state: Mutex::default() }
    }

    /// What is known of a session, if it is fresh enough.
    pub(crate) fn get(&self, tenant: &Tenant, session: &SessionId, now: Instant) -> Option<Arc<Acl>> {
        let state = self.lock();
        let known = state.known.get(&(tenant.clone(), session.clone()))?;
        self.is_fresh(known, now).then(|| Arc::clone(&known.acl))
    }

    /// Call this before the medium is asked.
    pub(crate) fn ask(&self, now: Instant) -> Asking {
        Asking { at: now, generation: self.lock().generation }
    }

    pub(crate) fn learn(&self, tenant: &Tenant, session: &SessionId, acl: &Arc<Acl>, asking: Asking) {
        let mut state = self.lock();
        if self.ttl.is_zero() || state.generation != asking.generation {
            return;
        }
        if state.known.len() >= MOST {
            state.known.retain(|_, known| self.is_fresh(known, asking.at));
            if state.known.len() >= MOST {
                state.known.clear();
            }
        }
        let known = Known { acl: Arc::clone(acl), asked: asking.at };
        state.known.insert((tenant.clone(), session.clone()), known);
    }

    /// Forgets a session, and what others are being told of it right now.
    pub(crate) fn forget(&self, tenant: &Tenant, session: &SessionId) {
        let mut state = self.lock();
        state.generation += 1;
        state.known.remove(&(tenant.clone(), session.clone()));
    }

    /// A clock that runs backwards makes nothing live longer.
    fn is_fresh(&self, known: &Known, now: Instant) -> bool {
        now.checked_duration_since(known.asked).is_some_and(|age| age < self.ttl)
    }

    /// Nothing here can be left half-changed by a panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> (Tenant, SessionId) {
        (Tenant::default(), SessionId::new("s").unwrap())
    }

    #[test]
    fn what_was_asked_for_before_a_session_was_forgotten_is_not_remembered() {
        let (cache, now, (tenant, session)) = (Cache::new(Duration::from_secs(5)), Instant::now(), names());
        let asking = cache.ask(now);
        cache.forget(&tenant, &session);
        cache.learn(&tenant, &session, &Arc::default(), asking);
        assert_eq!(cache.get(&tenant, &session, now), None);
        cache.learn(&tenant, &session, &Arc::default(), cache.ask(now));
        assert!(cache.get(&tenant, &session, now).is_some());
    }

    #[test]
    fn time_counts_from_before_the_medium_was_asked() {
        let (cache, now, (tenant, session)) = (Cache::new(Duration::from_secs(5)), Instant::now(), names());
        cache.learn(&tenant, &session, &Arc::default(), cache.ask(now));
        assert!(cache.get(&tenant, &session, now + Duration::from_millis(4_999)).is_some());
        assert_eq!(cache.get(&tenant, &session, now + Duration::from_secs(5)), None);
        assert_eq!(cache.get(&tenant, &session, now - Duration::from_secs(1)), None, "a clock that went back");
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let (cache, now, tenant) = (Cache::new(Duration::from_secs(5)), Instant::now(), Tenant::default());
        for n in 0..3 * MOST {
            let session = SessionId::new(n.to_string()).unwrap();
            cache.learn(&tenant, &session, &Arc::default(), cache.ask(now));
        }
        assert!(cache.lock().known.len() <= MOST);
    }
}
