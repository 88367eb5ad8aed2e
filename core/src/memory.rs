//! The reference store: everything in memory, nothing durable.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use uuid::Uuid;

use crate::search::{Query, Scanned, hit, scan};
use crate::union::{SessionSet, no_such_session};
use crate::{
    Backend, Binding, Capabilities, Changes, Compact, Compacted, Context, Cursor, Error, ErrorKind, Hit, Identity,
    Include, Message, MessageQuery, Messages, Page, Prepare, Record, Result, SearchQuery, Session, SessionId,
    SessionOrder, SessionQuery, Status, Support, Tenant, Verified, WriteOptions, Written, page_size,
};

/// A store in memory: the model that the conformance kit compares others with, and a store for tests.
///
/// Each value is a store of its own; it is gone when the value is dropped.
#[derive(Debug)]
pub struct Memory {
    id: Uuid,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    tenants: BTreeMap<Tenant, BTreeMap<SessionId, Stored>>,
    position: u64,
}

#[derive(Debug)]
struct Stored {
    set: SessionSet<Message>,
    /// What was stored, in order of arrival. The index of an entry is its cursor.
    log: Vec<(Record, Identity)>,
    /// Grows when a compaction renumbers the log.
    generation: u32,
    updated: SystemTime,
    /// Orders sessions that were written at the same time.
    position: u64,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self { id: crate::random_id(), state: Mutex::default() }
    }

    /// The state, unless the deadline has passed or the store is closed. A panic leaves nothing half-changed here,
    /// because everything that can fail comes before the first change.
    fn state(&self, cx: &Context) -> Result<MutexGuard<'_, State>> {
        cx.check_deadline()?;
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err(Error::new(ErrorKind::Closed, "the store is closed"));
        }
        Ok(state)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn stored(&self, cx: &Context, session: &SessionId) -> Option<&Stored> {
        self.tenants.get(&cx.tenant)?.get(session)
    }
}

const CAPABILITIES: fn() -> Capabilities = || {
    Capabilities::default()
        .atomic_batch(Support::Yes)
        .compare_and_append(Support::Yes)
        .detects_conflict(Support::Yes)
        .sealed(Support::Yes)
        .recent_first(Support::Yes)
        .metadata_filter(Support::Yes)
        .scope(Support::Yes)
        .search(Support::Yes)
};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Memory {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES()
    }

    async fn prepare(&self, cx: &Context, _mode: Prepare) -> Result<Capabilities> {
        let _state = self.state(cx).map_err(|error| error.during("prepare"))?;
        Ok(self.capabilities())
    }

    async fn write(
        &self,
        cx: &Context,
        session: &SessionId,
        records: &[Record],
        options: &WriteOptions,
    ) -> Result<Written> {
        let mut state = self.state(cx).map_err(|error| error.during("write"))?;
        let empty = SessionSet::new();
        let set = state.stored(cx, session).map_or(&empty, |stored| &stored.set);
        let plan = set.plan(records, options).map_err(|error| error.during("write"))?;
        if plan.store.is_empty() {
            return Ok(set.clone().commit(&plan, |_, message| message.clone()));
        }
        state.position += 1;
        let position = state.position;
        let stored = state.tenants.entry(cx.tenant.clone()).or_default().entry(session.clone()).or_insert_with(|| {
            Stored { set: SessionSet::new(), log: Vec::new(), generation: 0, updated: cx.clock.wall(), position }
        });
        stored.updated = cx.clock.wall();
        stored.position = position;
        stored.log.extend(plan.store.iter().map(|planned| (planned.record.clone(), planned.identity())));
        Ok(stored.set.commit(&plan, |_, message| message.clone()))
    }

    async fn load(&self, cx: &Context, session: &SessionId, query: &MessageQuery) -> Result<Messages> {
        let state = self.state(cx).map_err(|error| error.during("load"))?;
        let stored = state
            .stored(cx, session)
            .filter(|stored| stored.set.is_live())
            .ok_or_else(|| no_such_session(session).during("load"))?;
        let (found, more) = stored.set.select(query).map_err(|error| error.during("load"))?;
        Ok(Messages { items: found.into_iter().map(|(_, message)| message.clone()).collect(), more })
    }

    async fn records(
        &self,
        cx: &Context,
        session: &SessionId,
        from: Option<&Cursor>,
        limit: Option<u32>,
    ) -> Result<Changes> {
        let state = self.state(cx).map_err(|error| error.during("records"))?;
        let stored = state.stored(cx, session);
        let generation = stored.map_or(0, |stored| stored.generation);
        let binding = Binding::new("records", &cx.tenant, [session.as_str()]);
        let start = match from {
            None => 0,
            Some(cursor) => {
                let position = cursor.position(&binding).map_err(|error| error.during("records"))?;
                match position.split_once('.') {
                    Some((theirs, index)) if theirs == generation.to_string() => index.parse::<usize>().unwrap_or(0),
                    _ => return Err(Error::new(ErrorKind::Conflict, "the cursor has expired").during("records")),
                }
            }
        };
        let log = stored.map_or(&[][..], |stored| stored.log.get(start..).unwrap_or_default());
        let part = log.len().min(page_size(limit));
        let items = stored.map_or_else(Vec::new, |stored| {
            log.iter().take(part).filter_map(|(record, identity)| stored.set.canonical(record, identity)).collect()
        });
        Ok(Changes {
            items,
            next: Cursor::new(&binding, format_args!("{generation}.{}", start + part)),
            done: part == log.len(),
        })
    }

    async fn session(&self, cx: &Context, session: &SessionId) -> Result<Option<Session>> {
        let state = self.state(cx).map_err(|error| error.during("session"))?;
        Ok(state
            .stored(cx, session)
            .filter(|stored| stored.set.is_live())
            .and_then(|stored| stored.set.session(session, stored.updated)))
    }

    async fn sessions(&self, cx: &Context, query: &SessionQuery) -> Result<Page<Session>> {
        let state = self.state(cx).map_err(|error| error.during("sessions"))?;
        let binding = Binding::sessions(&cx.tenant, query);
        let mut found: Vec<(u64, Session)> = state
            .tenants
            .get(&cx.tenant)
            .into_iter()
            .flatten()
            .filter(|(id, _)| query.prefix.as_deref().is_none_or(|prefix| id.as_str().starts_with(prefix)))
            .filter(|(_, stored)| query.include == Include::All || stored.set.is_live())
            .filter_map(|(id, stored)| Some((stored.position, stored.set.session(id, stored.updated)?)))
            .filter(|(_, session)| query.admits(session))
            .collect();
        if query.order == SessionOrder::RecentFirst {
            found.sort_by_key(|(position, _)| std::cmp::Reverse(*position));
        }
        if let Some(cursor) = &query.cursor {
            let after = cursor.position(&binding).map_err(|error| error.during("sessions"))?;
            match query.order {
                SessionOrder::ById => found.retain(|(_, session)| session.id.as_str() > after),
                SessionOrder::RecentFirst => {
                    let after = after.parse::<u64>().unwrap_or(0);
                    found.retain(|(position, _)| *position < after);
                }
            }
        }
        let size = page_size(query.limit);
        let more = found.len() > size;
        found.truncate(size);
        let next = found.last().filter(|_| more).map(|(position, session)| match query.order {
            SessionOrder::ById => Cursor::new(&binding, &session.id),
            SessionOrder::RecentFirst => Cursor::new(&binding, position),
        });
        Ok(Page { items: found.into_iter().map(|(_, session)| session).collect(), next })
    }

    async fn search(&self, cx: &Context, query: &SearchQuery) -> Result<Page<Hit>> {
        let state = self.state(cx).map_err(|error| error.during("search"))?;
        let binding = Binding::search(&cx.tenant, query);
        let offset = match &query.cursor {
            Some(cursor) => cursor.position(&binding).map_err(|error| error.during("search"))?.parse().unwrap_or(0),
            None => 0,
        };
        let sessions: Vec<Scanned<'_>> = state
            .tenants
            .get(&cx.tenant)
            .into_iter()
            .flatten()
            .map(|(id, stored)| {
                let session = stored.set.session(id, stored.updated);
                let admits = |found: &Session| query.scope.admits(found.owner.as_deref(), &found.grants);
                let messages = stored.set.bodies().map(|(_, message)| message).collect();
                Scanned { id, in_scope: session.as_ref().is_some_and(admits), messages }
            })
            .collect();
        let found = scan(&sessions, query);
        let size = page_size(query.limit);
        let words = Query::parse(&query.text);
        let items: Vec<Hit> = found
            .iter()
            .skip(offset)
            .take(size)
            .map(|(score, session, message)| hit((*session).clone(), (*message).clone(), *score, &words))
            .collect();
        let more = size > 0 && found.len() > offset.saturating_add(size);
        Ok(Page { items, next: more.then(|| Cursor::new(&binding, offset + size)) })
    }

    async fn tenants(&self, cx: &Context, from: Option<&Cursor>) -> Result<Page<Tenant>> {
        cx.require_system().map_err(|error| error.during("tenants"))?;
        let state = self.state(cx).map_err(|error| error.during("tenants"))?;
        let binding = Binding::new("tenants", &Tenant::default(), []);
        let after = match from {
            Some(cursor) => Bound::Excluded(cursor.position(&binding).map_err(|error| error.during("tenants"))?),
            None => Bound::Unbounded,
        };
        let mut items: Vec<Tenant> = state
            .tenants
            .range::<str, _>((after, Bound::Unbounded))
            .map(|(tenant, _)| tenant.clone())
            .take(page_size(None) + 1)
            .collect();
        let more = items.len() > page_size(None);
        items.truncate(page_size(None));
        let next = items.last().filter(|_| more).map(|tenant| Cursor::new(&binding, tenant));
        Ok(Page { items, next })
    }

    async fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted> {
        let mut state = self.state(cx).map_err(|error| error.during("compact"))?;
        let mut total = Compacted::default();
        for (id, stored) in state.tenants.get_mut(&cx.tenant).into_iter().flatten() {
            if what.session.as_ref().is_none_or(|only| only == id) {
                total += stored.compact(what);
            }
        }
        Ok(total)
    }

    async fn status(&self, cx: &Context) -> Result<Status> {
        let state = self.state(cx).map_err(|error| error.during("status"))?;
        let mut status = Status::new(self.id, "memory", "memory:", self.capabilities());
        status.position = Some(state.position);
        let live = state.tenants.get(&cx.tenant).into_iter().flatten().filter(|(_, stored)| stored.set.is_live());
        status.sessions = Some(live.count() as u64);
        Ok(status)
    }

    async fn verify(&self, cx: &Context) -> Result<Verified> {
        let state = cx.require_system().and_then(|()| self.state(cx)).map_err(|error| error.during("verify"))?;
        let mut verified = Verified::default();
        for (tenant, sessions) in &state.tenants {
            for (session, stored) in sessions {
                let place = format!("the session {:?} of the tenant {:?}", session.as_str(), tenant.as_str());
                stored.set.conflicts().for_each(|id| verified.conflict(&place, id));
            }
        }
        verified.unverifiable("anything: memory has no copy to compare with");
        Ok(verified)
    }

    async fn close(&self, _cx: &Context) -> Result<()> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        Ok(())
    }
}

impl Stored {
    fn compact(&mut self, what: &Compact) -> Compacted {
        let tombstones = what.purge_deleted_before.map_or(0, |before| self.set.purge(before));
        let before = self.log.len() as u64;
        let size = |log: &[(Record, Identity)]| -> u64 {
            log.iter().map(|(record, _)| record.encode().as_str().len() as u64).sum()
        };
        let bytes = size(&self.log);
        let mut log: Vec<(Record, Identity)> = Vec::new();
        for (record, identity) in &self.log {
            if let Some(record) = self.set.canonical(record, identity) {
                let entry = (record.clone(), record.identity());
                if !log.contains(&entry) {
                    log.push(entry);
                }
            }
        }
        if log == self.log {
            return Compacted::new(0, 0, tombstones);
        }
        self.log = log;
        self.generation += 1;
        let bodies = (before - self.log.len() as u64).saturating_sub(tombstones);
        Compacted::new(bytes.saturating_sub(size(&self.log)), bodies, tombstones)
    }
}
