//! What a set looks like from outside: its messages, its session, its records.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::SystemTime;

use serde_json::Value;

use super::{Acl, Cleared, SessionSet, Variants, conflicting};
use crate::{Identity, Message, MessageQuery, Metadata, Order, Record, Result, Session, SessionId, Stamp, page_size};

impl Acl {
    fn record(&self) -> Record {
        Record::Acl { stamp: self.stamp, owner: self.owner.clone(), grants: self.grants.clone() }
    }
}

impl<B> SessionSet<B> {
    /// What a stored record still says, for reading a log of records: `None` if nothing; a clear that has absorbed it
    /// if it was absorbed.
    pub fn canonical(&self, record: &Record, identity: &Identity) -> Option<Record> {
        match record {
            Record::Message(message) => {
                let known = self.messages.get(&message.id)?;
                known.contains(identity).then(|| record.clone())
            }
            Record::Session { stamp, set } => {
                let current: BTreeMap<_, _> = set
                    .iter()
                    .filter(|(key, value)| {
                        self.keys.get(*key).is_some_and(|known| known.stamp == *stamp && known.value == **value)
                    })
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                (!current.is_empty()).then_some(Record::Session { stamp: *stamp, set: current })
            }
            Record::Acl { stamp, .. } => {
                let (first, last) = self.acls.as_ref()?;
                let rank = (*stamp, identity.digest());
                (rank == first.rank() || rank == last.rank()).then(|| record.clone())
            }
            Record::Deleted { id, .. } if self.covers(*id) => self.cleared_record(),
            Record::Deleted { id, .. } => {
                let stamp = *self.deleted.get(id)?;
                Some(Record::Deleted { id: *id, stamp })
            }
            Record::Cleared { .. } => self.cleared_record(),
        }
    }

    fn cleared_record(&self) -> Option<Record> {
        self.cleared.map(|Cleared { through, stamp }| Record::Cleared { through, stamp })
    }

    /// Every record of the set but the messages, as few as possible, in a fixed order.
    pub fn facts(&self) -> Vec<Record> {
        let mut facts: Vec<_> = self.cleared_record().into_iter().collect();
        facts.extend(self.deleted.iter().map(|(id, stamp)| Record::Deleted { id: *id, stamp: *stamp }));
        if let Some((first, last)) = &self.acls {
            facts.push(first.record());
            if last != first {
                facts.push(last.record());
            }
        }
        let mut sets: BTreeMap<Stamp, BTreeMap<String, Option<Value>>> = BTreeMap::new();
        for (name, key) in &self.keys {
            sets.entry(key.stamp).or_default().insert(name.clone(), key.value.clone());
        }
        facts.extend(sets.into_iter().map(|(stamp, set)| Record::Session { stamp, set }));
        facts
    }

    /// What is kept of every message, conflicting variants included, in stamp order.
    pub fn bodies(&self) -> impl Iterator<Item = (Stamp, &B)> {
        self.messages.iter().flat_map(|(id, variants)| {
            std::iter::once(&variants.body).chain(variants.others.iter().map(|(_, body)| body)).map(|body| (*id, body))
        })
    }

    /// The ids under which replays brought more than one content.
    pub fn conflicts(&self) -> impl Iterator<Item = Stamp> {
        self.messages.iter().filter(|(_, variants)| !variants.others.is_empty()).map(|(id, _)| *id)
    }

    /// What is kept of the messages that a query asks for, in its order, and whether there are more.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) naming the id if one of them has two variants.
    pub fn select(&self, query: &MessageQuery) -> Result<(Vec<(Stamp, &B)>, bool)> {
        let after = query.after.map_or(Bound::Unbounded, Bound::Excluded);
        let before = query.before.map_or(Bound::Unbounded, Bound::Excluded);
        if let (Some(after), Some(before)) = (query.after, query.before)
            && after >= before
        {
            return Ok((Vec::new(), false));
        }
        let size = page_size(query.limit);
        let range = self.messages.range((after, before));
        let mut found: Vec<(&Stamp, &Variants<B>)> = if query.ids.is_empty() {
            match query.order {
                Order::OldestFirst => range.take(size + 1).collect(),
                Order::NewestFirst => range.rev().take(size + 1).collect(),
            }
        } else {
            let mut ids = query.ids.clone();
            ids.sort_unstable();
            ids.dedup();
            if query.order == Order::NewestFirst {
                ids.reverse();
            }
            ids.iter()
                .filter(|id| query.after.is_none_or(|after| **id > after))
                .filter(|id| query.before.is_none_or(|before| **id < before))
                .filter_map(|id| self.messages.get_key_value(id))
                .take(size + 1)
                .collect()
        };
        let more = found.len() > size;
        found.truncate(size);
        if let Some((id, _)) = found.iter().find(|(_, variants)| !variants.others.is_empty()) {
            return Err(conflicting(**id));
        }
        Ok((found.into_iter().map(|(id, variants)| (*id, &variants.body)).collect(), more))
    }

    /// What is known of the session as a whole; `None` if nothing was ever written.
    pub fn session(&self, id: &SessionId, updated: SystemTime) -> Option<Session> {
        let mut session = Session::new(id.clone(), self.version?, updated);
        session.head = self.messages.last_key_value().map(|(id, _)| *id);
        session.cleared = self.cleared.map(|cleared| cleared.through);
        if let Some((first, last)) = &self.acls {
            session.owner.clone_from(&first.owner);
            session.grants.clone_from(&last.grants);
        }
        session.metadata =
            self.keys.iter().filter_map(|(name, key)| Some((name.clone(), key.value.clone()?))).collect::<Metadata>();
        session.messages = Some(self.messages.len() as u64);
        Some(session)
    }
}

impl SessionSet<Message> {
    /// The whole set as records, for comparison: facts, then messages in stamp order.
    pub fn to_records(&self) -> Vec<Record> {
        let mut records = self.facts();
        records.extend(self.bodies().map(|(_, message)| Record::Message(message.clone())));
        records
    }
}
