//! Unwrapped data keys, for a short time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use craftx_core::{SessionId, Tenant};

use crate::session_keys::SessionKeys;

type Place = (Tenant, SessionId);

/// The keys of the sessions that were used last. They are overwritten when they leave it.
pub(crate) struct Cache {
    most: usize,
    longest: Duration,
    state: Mutex<State>,
}

type Entries = HashMap<Place, (Instant, Arc<SessionKeys>)>;

#[derive(Default)]
struct State {
    entries: Entries,
    /// Grows when something is forgotten on purpose: what was being read before that is not kept, or keys that were
    /// destroyed meanwhile would come back.
    generation: u64,
}

/// When somebody began to read keys.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    at: Instant,
    generation: u64,
}

impl Cache {
    pub(crate) fn new(most: usize, longest: Duration) -> Self {
        Self { most, longest, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys, and when they were read, unless that was too long ago.
    pub(crate) fn get(&self, now: Instant, place: &Place) -> Option<(Instant, Arc<SessionKeys>)> {
        let entries = &mut self.lock().entries;
        let (read, keys) = entries.get(place)?;
        if now.saturating_duration_since(*read) >= self.longest {
            entries.remove(place);
            return None;
        }
        Some((*read, Arc::clone(keys)))
    }

    /// Call this before keys are read.
    pub(crate) fn reading(&self, now: Instant) -> Reading {
        Reading { at: now, generation: self.lock().generation }
    }

    pub(crate) fn put(&self, reading: Reading, place: Place, keys: Arc<SessionKeys>) {
        let now = reading.at;
        let mut state = self.lock();
        if self.most == 0 || self.longest.is_zero() || state.generation != reading.generation {
            return;
        }
        let entries = &mut state.entries;
        if entries.len() >= self.most && !entries.contains_key(&place) {
            entries.retain(|_, (read, _)| now.saturating_duration_since(*read) < self.longest);
            // Still full: the one that was read longest ago goes.
            let oldest = entries.iter().min_by_key(|(_, (read, _))| *read).map(|(place, _)| place.clone());
            if let Some(oldest) = oldest.filter(|_| entries.len() >= self.most) {
                entries.remove(&oldest);
            }
        }
        entries.insert(place, (now, keys));
    }

    pub(crate) fn forget(&self, place: &Place) {
        let mut state = self.lock();
        state.generation += 1;
        state.entries.remove(place);
    }

    pub(crate) fn clear(&self) {
        let mut state = self.lock();
        state.generation += 1;
        state.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_were_being_read_when_they_were_forgotten_are_not_kept() {
        let (cache, now) = (Cache::new(10, Duration::from_secs(5)), Instant::now());
        let place = (Tenant::default(), SessionId::new("s").unwrap());
        for forget in [Cache::clear, |cache: &Cache| cache.forget(&(Tenant::default(), SessionId::new("s").unwrap()))] {
            let reading = cache.reading(now);
            forget(&cache);
            cache.put(reading, place.clone(), Arc::default());
            assert!(cache.get(now, &place).is_none());
        }
        cache.put(cache.reading(now), place.clone(), Arc::default());
        assert!(cache.get(now, &place).is_some());
    }
}
