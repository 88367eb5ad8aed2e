//! Renewing data keys: a new key for a session, and everything in it encrypted anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use craftx_core::{Context, Cursor, Error, ErrorKind, Record, Result, SessionId, Stamp, WriteOptions};
use serde::Serialize;

use crate::data_key::DataKey;
use crate::keys::Keys;
use crate::layer::Encrypted;
use crate::open::{Opener, key_of_message};
use crate::seal::Sealing;
use crate::sealed_value;
use crate::session_keys::SessionKeys;
use crate::words::Tokens;
use crate::wrap::Wrap;

const TRIES: usize = 16;
/// Records in one write.
const BATCH: usize = 100;

/// What renewing the key of a session did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Reencrypted {
    /// The generation of the newest key; 0 if the session has none.
    pub generation: u32,
    /// Messages and changes of metadata that were encrypted anew.
    pub records: u64,
    /// Older keys that nothing needs any more and that were removed.
    pub removed: u64,
    /// Older keys that were kept, because a process that still has one in memory may write with it. Call again after
    /// twice [`cache_ms`](crate::EncryptConfig::cache_ms).
    pub kept: u64,
}

/// What one data key protects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DataKeyUse {
    /// The id of the data key.
    pub id: String,
    /// How often the key of the session was renewed before, and 1.
    pub generation: u32,
    /// The keys that wrap it.
    pub wrapped_by: Vec<String>,
    /// Messages and values of metadata that it encrypts; 0 for one that was made and never used.
    pub records: u64,
}

impl Encrypted {
    /// Gives a session a new data key and encrypts everything in it anew. Messages keep their ids, times and digests; on
    /// every leg the new ciphertext takes the place of the old one.
    ///
    /// If an earlier call was interrupted, or its older keys were kept, this one finishes it and makes no new key.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] unless the caller is the system; those of reading and writing the session, naming
    /// the message that does not open.
    ///
    /// # Cancel safety
    /// May be dropped at any time; the next one goes on.
    pub async fn reencrypt(&self, cx: &Context, session: &SessionId) -> Result<Reencrypted> {
        self.renew(cx, session).await.map_err(|error| error.during("reencrypt"))
    }

    async fn renew(&self, cx: &Context, session: &SessionId) -> Result<Reencrypted> {
        cx.require_system()?;
        crate::acl::refuse_reserved(&cx.tenant)?;
        let keys = self.renewed_keys(cx, session).await?;
        let mut done = Reencrypted::default();
        let mut targets = BTreeMap::new();
        for (root, wrap) in newest_of_roots(&keys) {
            done.generation = done.generation.max(wrap.generation);
            targets.insert(root, self.shared.keys.open(cx, session, &keys, wrap.key).await?);
        }
        if targets.is_empty() {
            return Ok(done);
        }
        done.records = self.reseal(cx, session, &keys, &targets).await?;
        self.remove_old(cx, session, &targets, &mut done).await?;
        self.shared.keys.forget(cx, session);
        Ok(done)
    }

    /// The keys of a session, each lineage with a new one, unless it has one that is not alone yet.
    async fn renewed_keys(&self, cx: &Context, session: &SessionId) -> Result<Arc<SessionKeys>> {
        let store = &self.shared.keys;
        let context = Keys::context(cx);
        for _ in 0..TRIES {
            let keys = store.read(&context, session).await?;
            let newest = newest_of_roots(&keys);
            if keys.wraps().any(|wrap| newest.get(&wrap.root).is_some_and(|newest| newest.key != wrap.key)) {
                return Ok(keys);
            }
            let (mut records, mut last) = (Vec::new(), keys.version);
            for (root, wrap) in newest {
                let old = store.open(&context, session, &keys, wrap.key).await?;
                let id = cx.mint(last)?;
                last = Some(id);
                let new = old.renewed(id)?;
                records.push(store.wrap(&context, session, &new, id, root).await?.record()?);
            }
            if records.is_empty() {
                return Ok(keys);
            }
            match store.put(&context, session, &keys, &records).await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Conflict => continue,
                Err(error) => return Err(error.with("session", format!("{session:?}"))),
            }
            // What is used must be what everybody sees.
            return store.read(&context, session).await;
        }
        Err(Error::new(ErrorKind::Unavailable, "the keys were changed by others all the time"))
    }

    /// Encrypts anew what an older key of its lineage has encrypted, with the same stamps: whatever was deleted meanwhile
    /// stays deleted.
    async fn reseal(
        &self,
        cx: &Context,
        session: &SessionId,
        keys: &SessionKeys,
        targets: &BTreeMap<Stamp, Arc<DataKey>>,
    ) -> Result<u64> {
        let tokens = self.tokens(cx).await?.map(Arc::new);
        let roots: BTreeMap<Stamp, Stamp> = keys.wraps().map(|wrap| (wrap.key, wrap.root)).collect();
        let (mut resealed, mut from): (u64, Option<Cursor>) = (0, None);
        loop {
            let part = self.inner.records(cx, session, from.as_ref(), None).await?;
            let mut opener = Opener::new(self, cx, session);
            let mut batch = Vec::new();
            for record in part.items {
                let target = |key: Stamp| targets.get(roots.get(&key)?).filter(|target| target.id != key);
                if let Some(record) = self.resealed(cx, session, record, &mut opener, tokens.as_ref(), target).await? {
                    batch.push(record);
                }
            }
            for batch in batch.chunks(BATCH) {
                self.inner.write(cx, session, batch, &WriteOptions::replay()).await?;
                resealed += batch.len() as u64;
            }
            if part.done {
                return Ok(resealed);
            }
            from = Some(part.next);
        }
    }

    /// The record under the key that `target` says for the one that encrypted it; `None` if it is as it should be.
    async fn resealed<'a>(
        &self,
        cx: &Context,
        session: &SessionId,
        record: Record,
        opener: &mut Opener<'_>,
        tokens: Option<&Arc<Tokens>>,
        target: impl Fn(Stamp) -> Option<&'a Arc<DataKey>>,
    ) -> Result<Option<Record>> {
        let sealing = |key: &Arc<DataKey>| {
            let (key, tokens) = (Arc::clone(key), tokens.map(Arc::clone));
            Sealing { layer: self, cx, session, key, tokens }
        };
        match record {
            Record::Message(message) => {
                let Some(key) = target(key_of_message(&message)?) else { return Ok(None) };
                // What is in sight must stay as it is, or this would not be the same record.
                let (opened, hidden) = opener.message_and_role(message.clone()).await?;
                let hidden = hidden.then_some(&opened.role);
                sealing(key).shown_as(&message.role, hidden, &opened).map(|message| Some(Record::Message(message)))
            }
            Record::Session { stamp, set } => {
                let mut renewed = BTreeMap::new();
                for (name, value) in set.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
                    let Some(key) = target(sealed_value::key(value)?) else { continue };
                    let opened = opener.value(name, value).await?;
                    renewed.insert(name.clone(), Some(sealing(key).value(stamp, name, &opened)?));
                }
                Ok((!renewed.is_empty()).then_some(Record::Session { stamp, set: renewed }))
            }
            _ => Ok(None),
        }
    }

    /// Removes older keys, if nothing needs them and nobody can still have them in memory.
    async fn remove_old(
        &self,
        cx: &Context,
        session: &SessionId,
        targets: &BTreeMap<Stamp, Arc<DataKey>>,
        done: &mut Reencrypted,
    ) -> Result<()> {
        let context = Keys::context(cx);
        let keys = self.shared.keys.read(&context, session).await?;
        let old: Vec<&Wrap> = keys
            .wraps()
            .filter(|wrap| targets.get(&wrap.root).is_some_and(|target| wrap.generation < target.generation))
            .collect();
        if old.is_empty() {
            return Ok(());
        }
        let now = cx.clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        let settled = self.shared.config.cache().saturating_mul(2);
        let young = targets.values().any(|target| Duration::from_millis(target.id.millis()) + settled > now);
        let uses = self.count_uses(cx, session).await?;
        if young || old.iter().any(|wrap| uses.get(&wrap.key).is_some_and(|records| *records > 0)) {
            done.kept = old.len() as u64;
            return Ok(());
        }
        let (mut records, mut last) = (Vec::new(), keys.version);
        for wrap in &old {
            let stamp = cx.mint(last)?;
            last = Some(stamp);
            records.push(Record::Deleted { id: wrap.id, stamp });
        }
        self.shared.keys.put(&context, session, &keys, &records).await?;
        done.removed = old.len() as u64;
        Ok(())
    }

    /// What each data key of a session protects.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] unless the caller is the system, and those of both stores.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn data_keys(&self, cx: &Context, session: &SessionId) -> Result<Vec<DataKeyUse>> {
        let count = async {
            cx.require_system()?;
            let keys = SessionKeys::read(&self.shared.keys.store, &Keys::context(cx), session).await?;
            let uses = self.count_uses(cx, session).await?;
            let mut found: BTreeMap<Stamp, DataKeyUse> = BTreeMap::new();
            for wrap in keys.wraps() {
                let entry = found.entry(wrap.key).or_insert_with(|| DataKeyUse {
                    id: wrap.key.to_string(),
                    generation: wrap.generation,
                    wrapped_by: Vec::new(),
                    records: uses.get(&wrap.key).copied().unwrap_or(0),
                });
                entry.wrapped_by.push(wrap.wrapped.key.clone());
            }
            Ok(found.into_values().collect())
        };
        count.await.map_err(|error: Error| error.during("data keys"))
    }

    async fn count_uses(&self, cx: &Context, session: &SessionId) -> Result<BTreeMap<Stamp, u64>> {
        let (mut uses, mut from): (BTreeMap<Stamp, u64>, Option<Cursor>) = (BTreeMap::new(), None);
        loop {
            let part = self.inner.records(cx, session, from.as_ref(), None).await?;
            for record in &part.items {
                match record {
                    Record::Message(message) => {
                        *uses.entry(key_of_message(message)?).or_default() += 1;
                    }
                    Record::Session { set, .. } => {
                        for value in set.values().flatten() {
                            *uses.entry(sealed_value::key(value)?).or_default() += 1;
                        }
                    }
                    _ => {}
                }
            }
            if part.done {
                return Ok(uses);
            }
            from = Some(part.next);
        }
    }
}

/// The newest key of each lineage.
pub(crate) fn newest_of_roots(keys: &SessionKeys) -> BTreeMap<Stamp, Wrap> {
    let mut newest: BTreeMap<Stamp, Wrap> = BTreeMap::new();
    for wrap in keys.wraps() {
        let better = |known: &Wrap| {
            (known.generation, std::cmp::Reverse(known.key)) < (wrap.generation, std::cmp::Reverse(wrap.key))
        };
        if newest.get(&wrap.root).is_none_or(better) {
            newest.insert(wrap.root, wrap.clone());
        }
    }
    newest
}
