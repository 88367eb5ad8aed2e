//! The data keys of one session, as the key store has them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use craftx_core::{Context, Cursor, DynBackend, Record, Result, SessionId, Stamp};

use crate::data_key::DataKey;
use crate::wrap::Wrap;

/// The data keys of one session: wrapped, and those that were needed so far unwrapped.
#[derive(Default)]
pub(crate) struct SessionKeys {
    /// The greatest stamp of the session in the key store.
    pub(crate) version: Option<Stamp>,
    /// Keys whose first one has a stamp up to this are dead.
    cleared: Option<Stamp>,
    wraps: BTreeMap<Stamp, Wrap>,
    open: Mutex<BTreeMap<Stamp, Arc<DataKey>>>,
}

impl SessionKeys {
    /// Reads the keys of a session.
    ///
    /// # Errors
    /// Those of the key store.
    pub(crate) async fn read(store: &DynBackend, cx: &Context, session: &SessionId) -> Result<Self> {
        let mut keys = Self::default();
        let mut deleted = BTreeSet::new();
        let mut from: Option<Cursor> = None;
        loop {
            let part = store.records(cx, session, from.as_ref(), None).await?;
            for record in &part.items {
                keys.version = keys.version.max(Some(record.stamp()));
                match record {
                    Record::Message(message) => {
                        keys.wraps.insert(message.id, Wrap::read(message)?);
                    }
                    Record::Deleted { id, .. } => {
                        deleted.insert(*id);
                    }
                    Record::Cleared { through, .. } => keys.cleared = keys.cleared.max(Some(*through)),
                    _ => {}
                }
            }
            if part.done {
                break;
            }
            from = Some(part.next);
        }
        // A part may have been read before the deletion that the next one tells of.
        keys.wraps.retain(|id, _| !deleted.contains(id) && keys.cleared.is_none_or(|cleared| *id > cleared));
        Ok(keys)
    }

    fn is_alive(&self, wrap: &Wrap) -> bool {
        self.cleared.is_none_or(|cleared| wrap.root > cleared)
    }

    /// The wraps of keys that are alive.
    pub(crate) fn wraps(&self) -> impl Iterator<Item = &Wrap> {
        self.wraps.values().filter(|wrap| self.is_alive(wrap))
    }

    /// What was wrapped anew while the session was being shredded: it opens nothing any more.
    pub(crate) fn strays(&self) -> impl Iterator<Item = &Wrap> {
        self.wraps.values().filter(|wrap| !self.is_alive(wrap))
    }

    /// Whether a key of this session was destroyed.
    pub(crate) fn was_shredded(&self) -> bool {
        self.cleared.is_some()
    }

    /// The key that writers use: of the newest generation the smallest, so that writers who made one at the same time
    /// come to use the same.
    pub(crate) fn newest(&self) -> Option<Stamp> {
        let newest = self.wraps().min_by_key(|wrap| (std::cmp::Reverse(wrap.generation), wrap.key));
        newest.map(|wrap| wrap.key)
    }

    /// Whether two writers made a first key at the same time, so that the session has more than one digest key.
    pub(crate) fn has_several_roots(&self) -> bool {
        let mut roots = self.wraps().map(|wrap| wrap.root);
        let first = roots.next();
        roots.any(|root| Some(root) != first)
    }

    pub(crate) fn opened(&self, key: Stamp) -> Option<Arc<DataKey>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    pub(crate) fn remember(&self, key: DataKey) -> Arc<DataKey> {
        let key = Arc::new(key);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(key.id, Arc::clone(&key));
        key
    }
}
