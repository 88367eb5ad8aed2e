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
    entries: Mutex<HashMap<Place, (Instant, Arc<SessionKeys>)>>,
}

impl Cache {
    pub(crate) fn new(most: usize, longest: Duration) -> Self {
        Self { most, longest, entries: Mutex::default() }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Place, (Instant, Arc<SessionKeys>)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys, and when they were read, unless that was too long ago.
    pub(crate) fn get(&self, now: Instant, place: &Place) -> Option<(Instant, Arc<SessionKeys>)> {
        let mut entries = self.entries();
        let (read, keys) = entries.get(place)?;
        if now.saturating_duration_since(*read) >= self.longest {
            entries.remove(place);
            return None;
        }
        Some((*read, Arc::clone(keys)))
    }

    pub(crate) fn put(&self, now: Instant, place: Place, keys: Arc<SessionKeys>) {
        if self.most == 0 || self.longest.is_zero() {
            return;
        }
        let mut entries = self.entries();
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
        self.entries().remove(place);
    }

    pub(crate) fn clear(&self) {
        self.entries().clear();
    }
}
