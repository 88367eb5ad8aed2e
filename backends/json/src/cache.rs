//! The indexes of the sessions that were used last, bounded by what they hold together.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use craftx_core::{SessionId, Tenant};

use crate::index::Index;

/// An index that threads share.
#[derive(Debug, Default)]
pub(crate) struct Slot(Mutex<Index>);

impl Slot {
    /// The index. It is forgotten if a panic has left it half-changed.
    pub(crate) fn index(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap_or_else(|poisoned| {
            self.0.clear_poison();
            let mut index = PoisonError::into_inner(poisoned);
            *index = Index::default();
            index
        })
    }
}

type Key = (Tenant, SessionId);

/// Indexes by session; the one used longest ago goes first. A session whose index went away while somebody still
/// used it gets a second one, as if another process read it.
#[derive(Debug)]
pub(crate) struct Cache {
    most: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    slots: HashMap<Key, Entry>,
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    total: u64,
}

#[derive(Debug)]
struct Entry {
    slot: Arc<Slot>,
    used: u64,
    weight: u64,
}

impl Cache {
    /// A cache of at most `most` entries of sessions, and of one session of whatever size.
    pub(crate) fn new(most: u64) -> Self {
        Self { most, state: Mutex::default() }
    }

    /// Nothing here is left half-changed by a panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot of a session, for now an empty one if there is none.
    pub(crate) fn slot(&self, tenant: &Tenant, session: &SessionId) -> Arc<Slot> {
        let key = (tenant.clone(), session.clone());
        let mut state = self.state();
        state.touch(key)
    }

    /// Notes how much the index of a session holds now, and drops those used longest ago if it is too much together.
    pub(crate) fn weigh(&self, tenant: &Tenant, session: &SessionId, entries: usize) {
        // An index without entries takes some memory too.
        let weight = entries as u64 + 4;
        let mut state = self.state();
        let state = &mut *state;
        if let Some(entry) = state.slots.get_mut(&(tenant.clone(), session.clone())) {
            state.total = state.total - entry.weight + weight;
            entry.weight = weight;
        }
        while state.total > self.most && state.slots.len() > 1 {
            let Some((_, key)) = state.by_use.pop_first() else { break };
            if let Some(entry) = state.slots.remove(&key) {
                state.total -= entry.weight;
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.state().slots.len()
    }
}

impl State {
    fn touch(&mut self, key: Key) -> Arc<Slot> {
        self.uses += 1;
        let used = self.uses;
        let entry = self.slots.entry(key.clone()).or_insert_with(|| Entry { slot: Arc::default(), used, weight: 0 });
        self.by_use.remove(&entry.used);
        entry.used = used;
        self.by_use.insert(used, key);
        Arc::clone(&entry.slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let tenant = Tenant::default();
        let id = |text: &str| SessionId::new(text).unwrap();
        let cache = Cache::new(100);
        let first = cache.slot(&tenant, &id("a"));
        cache.weigh(&tenant, &id("a"), 40);
        cache.slot(&tenant, &id("b"));
        cache.weigh(&tenant, &id("b"), 40);
        assert!(Arc::ptr_eq(&first, &cache.slot(&tenant, &id("a"))));
        cache.slot(&tenant, &id("c"));
        cache.weigh(&tenant, &id("c"), 40);
        assert_eq!(cache.len(), 2, "`b` went");
        assert!(Arc::ptr_eq(&first, &cache.slot(&tenant, &id("a"))));
        cache.slot(&tenant, &id("large"));
        cache.weigh(&tenant, &id("large"), 10_000);
        assert_eq!(cache.len(), 1, "the last one stays, whatever its size");
    }
}
