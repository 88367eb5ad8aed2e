//! Rotation: wrapping data keys under another key, and knowing when that is done.

use std::collections::{BTreeMap, BTreeSet};

use craftx_core::{Compact, Context, Error, ErrorKind, Include, Problem, Record, Result, SessionId, Stamp};
use futures_util::stream::{self, StreamExt};
use serde::Serialize;

use crate::every::{Sessions, tenants};
use crate::keys::Keys;
use crate::layer::Encrypted;
use crate::provider::KeyState;
use crate::session_keys::SessionKeys;

/// How often a session is tried again because somebody else wrote to its keys.
const TRIES: usize = 16;
/// So many sessions are on their way at the same time.
const AT_ONCE: usize = 32;
/// So many problems are told one by one.
const TOLD: usize = 100;

/// What a rotation did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Rotated {
    /// Sessions that have keys.
    pub sessions: u64,
    /// Data keys that were wrapped under the primary key.
    pub rewrapped: u64,
    /// Wraps that nothing needed any more: what an interrupted rotation left, or one that raced with a shredding.
    pub removed: u64,
    /// Data keys that could not be unwrapped. They are as they were.
    pub failed: u64,
    /// The first hundred of them.
    pub problems: Vec<Problem>,
}

impl Rotated {
    fn add(&mut self, other: Self) {
        self.sessions += other.sessions;
        self.rewrapped += other.rewrapped;
        self.removed += other.removed;
        self.failed += other.failed;
        let room = TOLD.saturating_sub(self.problems.len());
        self.problems.extend(other.problems.into_iter().take(room));
    }
}

/// What each key still protects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RotationStatus {
    /// The keys of the provider, then those that only the key store knows of.
    pub keys: Vec<KeyUse>,
    /// Sessions that have keys.
    pub sessions: u64,
}

/// What one key still protects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyUse {
    /// Its id.
    pub id: String,
    /// Its state; `None` if the provider does not know it.
    pub state: Option<KeyState>,
    /// Data keys that it wraps.
    pub data_keys: u64,
    /// Sessions that have such a data key.
    pub sessions: u64,
}

impl RotationStatus {
    /// Whether the primary key alone is needed, so that all others can be retired and destroyed.
    pub fn is_complete(&self) -> bool {
        self.keys.iter().all(|key| key.state == Some(KeyState::Primary) || key.data_keys == 0)
    }
}

impl Encrypted {
    /// Wraps every data key under the primary key; messages are not touched. Then the old wraps are erased.
    ///
    /// Begins where an earlier one was interrupted: what is wrapped already is left as it is. May run at any time, in
    /// several processes at once.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] unless the caller is the system, and those of the key store. A data key that cannot
    /// be unwrapped is counted, and does not keep the others from being rotated.
    ///
    /// # Cancel safety
    /// May be dropped at any time: each data key is wrapped by the old key, by the new one, or by both.
    pub async fn rotate(&self, cx: &Context) -> Result<Rotated> {
        self.rotate_watched(cx, &|_| {}).await
    }

    /// As [`rotate`](Self::rotate); `watch` is told after each session what was done so far.
    ///
    /// # Errors
    /// As [`rotate`](Self::rotate).
    ///
    /// # Cancel safety
    /// As [`rotate`](Self::rotate).
    pub async fn rotate_watched(&self, cx: &Context, watch: &(dyn Fn(&Rotated) + Sync)) -> Result<Rotated> {
        self.rotate_all(cx, watch).await.map_err(|error| error.during("rotate"))
    }

    async fn rotate_all(&self, cx: &Context, watch: &(dyn Fn(&Rotated) + Sync)) -> Result<Rotated> {
        cx.require_system()?;
        let keys = &self.shared.keys;
        let primary = self.primary(cx).await?;
        let mut rotated = Rotated::default();
        for tenant in tenants(&keys.store, &Keys::context(cx)).await? {
            let cx = Keys::context(cx).with_tenant(tenant);
            let before = (rotated.rewrapped, rotated.removed);
            let mut sessions = Sessions::new(&keys.store, &cx, Include::Live);
            loop {
                let page = sessions.next().await?;
                if page.is_empty() {
                    break;
                }
                // Several at once, so that a store can sync them together.
                let each = page.iter().map(|session| self.rotate_session(&cx, session, &primary));
                let mut each = stream::iter(each).buffer_unordered(AT_ONCE);
                while let Some(one) = each.next().await {
                    rotated.add(one?);
                    watch(&rotated);
                }
            }
            if before != (rotated.rewrapped, rotated.removed) {
                keys.store.compact(&cx, &Compact::new()).await?;
            }
        }
        Ok(rotated)
    }

    async fn primary(&self, cx: &Context) -> Result<String> {
        let keys = self.shared.keys.provider.keys(cx).await?;
        let primary = keys.into_iter().find(|key| key.state == KeyState::Primary);
        primary.map(|key| key.id).ok_or_else(|| Error::new(ErrorKind::KeyUnavailable, "there is no primary key"))
    }

    async fn rotate_session(&self, cx: &Context, session: &SessionId, primary: &str) -> Result<Rotated> {
        for _ in 0..TRIES {
            let keys = self.shared.keys.read(cx, session).await?;
            let mut plan = Plan::default();
            self.plan(cx, session, primary, &keys, &mut plan).await?;
            if !plan.records.is_empty() {
                match self.shared.keys.put(cx, session, &keys, &plan.records).await {
                    Ok(()) => self.shared.keys.forget(cx, session),
                    // Somebody else wrote to the keys since they were read.
                    Err(error) if error.kind() == ErrorKind::Conflict => continue,
                    Err(error) => return Err(error.with("session", format!("{session:?}"))),
                }
            }
            let Plan { rewrapped, removed, problems, .. } = plan;
            return Ok(Rotated { sessions: 1, rewrapped, removed, failed: problems.len() as u64, problems });
        }
        let error = Error::new(ErrorKind::Unavailable, "the keys were changed by others all the time");
        Err(error.with("session", format!("{session:?}")))
    }

    /// What has to be written so that only the primary key is needed. New wraps and the deletion of the old ones are one
    /// batch.
    async fn plan(
        &self,
        cx: &Context,
        session: &SessionId,
        primary: &str,
        keys: &SessionKeys,
        plan: &mut Plan,
    ) -> Result<()> {
        plan.last = keys.version;
        let mut kept: BTreeSet<Stamp> = BTreeSet::new();
        for wrap in keys.wraps().filter(|wrap| wrap.wrapped.key == primary) {
            if kept.contains(&wrap.key) {
                plan.delete(cx, wrap.id)?;
                plan.removed += 1;
                continue;
            }
            // Another wrap of the key goes because of this one only if this one opens: a key of the same name in
            // another keyring may have made it.
            if keys.wraps().any(|other| other.key == wrap.key && other.id != wrap.id)
                && let Err(error) = self.shared.keys.unwrap(cx, session, wrap).await
            {
                plan.problem(cx, session, &error);
                continue;
            }
            kept.insert(wrap.key);
        }
        for wrap in keys.wraps().filter(|wrap| wrap.wrapped.key != primary) {
            if kept.contains(&wrap.key) {
                plan.delete(cx, wrap.id)?;
                plan.removed += 1;
                continue;
            }
            match self.shared.keys.open(cx, session, keys, wrap.key).await {
                Ok(key) => {
                    let id = plan.mint(cx)?;
                    let new = self.shared.keys.wrap(cx, session, &key, id, wrap.root).await?;
                    plan.records.push(new.record()?);
                    plan.delete(cx, wrap.id)?;
                    plan.rewrapped += 1;
                    kept.insert(wrap.key);
                }
                Err(error) => plan.problem(cx, session, &error),
            }
        }
        for stray in keys.strays() {
            plan.delete(cx, stray.id)?;
            plan.removed += 1;
        }
        Ok(())
    }

    /// Counts what each key still protects. A key that protects nothing can be retired and destroyed: what it wrapped once
    /// is erased, though copies of the key store that are older than that need it still.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] unless the caller is the system, and those of the key store and the provider.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn rotation_status(&self, cx: &Context) -> Result<RotationStatus> {
        self.count(cx).await.map_err(|error| error.during("rotation status"))
    }

    async fn count(&self, cx: &Context) -> Result<RotationStatus> {
        cx.require_system()?;
        let store = &self.shared.keys.store;
        let known = self.shared.keys.provider.keys(cx).await?;
        let mut uses: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let mut sessions_with_keys = 0;
        for tenant in tenants(store, &Keys::context(cx)).await? {
            let cx = Keys::context(cx).with_tenant(tenant);
            let mut sessions = Sessions::new(store, &cx, Include::Live);
            loop {
                let page = sessions.next().await?;
                if page.is_empty() {
                    break;
                }
                for session in page {
                    let keys = SessionKeys::read(store, &cx, &session).await?;
                    let mut by: BTreeMap<&str, BTreeSet<Stamp>> = BTreeMap::new();
                    for wrap in keys.wraps() {
                        by.entry(&wrap.wrapped.key).or_default().insert(wrap.key);
                    }
                    sessions_with_keys += u64::from(!by.is_empty());
                    for (id, data_keys) in by {
                        let (all, sessions) = uses.entry(id.to_owned()).or_default();
                        *all += data_keys.len() as u64;
                        *sessions += 1;
                    }
                }
            }
        }
        let known = known.into_iter().map(|key| (key.id, Some(key.state))).collect::<Vec<_>>();
        let unknown = uses.keys().filter(|id| known.iter().all(|(known, _)| known != *id)).cloned();
        let unknown: Vec<_> = unknown.map(|id| (id, None)).collect();
        let keys = known.into_iter().chain(unknown).map(|(id, state)| {
            let (data_keys, sessions) = uses.get(&id).copied().unwrap_or_default();
            KeyUse { id, state, data_keys, sessions }
        });
        Ok(RotationStatus { keys: keys.collect(), sessions: sessions_with_keys })
    }
}

/// What is to be written to the keys of one session.
#[derive(Default)]
struct Plan {
    records: Vec<Record>,
    /// The greatest stamp so far.
    last: Option<Stamp>,
    rewrapped: u64,
    removed: u64,
    problems: Vec<Problem>,
}

impl Plan {
    fn mint(&mut self, cx: &Context) -> Result<Stamp> {
        let stamp = cx.mint(self.last)?;
        self.last = Some(stamp);
        Ok(stamp)
    }

    fn problem(&mut self, cx: &Context, session: &SessionId, error: &Error) {
        let place = format!("the session {:?} of the tenant {:?}", session.as_str(), cx.tenant.as_str());
        self.problems.push(Problem::new(place, error.to_string()));
    }

    fn delete(&mut self, cx: &Context, id: Stamp) -> Result<()> {
        let stamp = self.mint(cx)?;
        self.records.push(Record::Deleted { id, stamp });
        Ok(())
    }
}
