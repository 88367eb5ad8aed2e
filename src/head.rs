//! What this process knows of the stamps of each session, so that it mints after them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use craftx_core::{SessionId, Stamp, Tenant};

/// How many sessions are remembered. A forgotten one costs one look-up at its next write.
const REMEMBERED: usize = 10_000;

/// The greatest stamp that this process has seen in each session.
#[derive(Debug, Default)]
pub(crate) struct Heads(Mutex<HashMap<(Tenant, SessionId), Option<Stamp>>>);

impl Heads {
    /// `None` if nothing is known of the session; `Some(None)` if it is known to have no record.
    pub(crate) fn get(&self, tenant: &Tenant, session: &SessionId) -> Option<Option<Stamp>> {
        self.lock().get(&(tenant.clone(), session.clone())).copied()
    }

    /// Keeps the greater of what was known and `stamp`.
    pub(crate) fn learn(&self, tenant: &Tenant, session: &SessionId, stamp: Option<Stamp>) {
        let mut heads = self.lock();
        let key = (tenant.clone(), session.clone());
        if heads.len() >= REMEMBERED && !heads.contains_key(&key) {
            heads.clear();
        }
        let known = heads.entry(key).or_default();
        *known = (*known).max(stamp);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Tenant, SessionId), Option<Stamp>>> {
        // A map of stamps cannot be left half-changed in a way that matters.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
