//! The handle: forwards to the memory store, and bends what it forwards as its bug says.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use craftx_core::*;
use serde_json::Value;

use super::{Bug, Disk};

/// One handle to the store.
pub(crate) struct Handle {
    disk: Arc<Disk>,
    store: Arc<Memory>,
    bug: Bug,
    closed: AtomicBool,
    busy: AtomicBool,
    /// Messages that came back from the dead.
    zombies: Mutex<Vec<(Tenant, SessionId, Message)>>,
    /// The values of keys that arrived last.
    keys: Mutex<Vec<Arrival>>,
    /// The contents that were seen.
    seen: Mutex<String>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.bug {
            Bug::ShowsContent => write!(f, "Handle({})", self.seen.lock().unwrap()),
            _ => f.write_str("Handle"),
        }
    }
}

type Arrival = (Tenant, SessionId, String, Option<Value>);

impl Handle {
    pub(super) fn new(disk: Arc<Disk>, store: Arc<Memory>, bug: Bug) -> Self {
        Self {
            disk,
            store,
            bug,
            closed: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            zombies: Mutex::default(),
            keys: Mutex::default(),
            seen: Mutex::default(),
        }
    }

    /// The context that the store below sees, if the handle may be used.
    fn enter(&self, cx: &Context) -> Result<Context> {
        if self.bug == Bug::LeaksALockWhenDropped && self.busy.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Locked, "somebody else is at it"));
        }
        let mut cx = cx.clone();
        match self.bug {
            Bug::IgnoresDeadlines => cx.deadline = None,
            Bug::IgnoresTheInjectedClock => cx.clock = Arc::new(SystemClock),
            _ => {}
        }
        cx.check_deadline()?;
        if self.closed.load(Ordering::SeqCst) && self.bug != Bug::IgnoresClose {
            return Err(Error::new(ErrorKind::Closed, "the handle is closed"));
        }
        Ok(cx)
    }

    fn id(&self, session: &SessionId) -> SessionId {
        match self.bug {
            Bug::FoldsSessionIds => SessionId::new(session.as_str().to_lowercase()).unwrap(),
            _ => session.clone(),
        }
    }

    async fn tenants_below(&self) -> Vec<Tenant> {
        self.store.tenants(&Context::system(Tenant::default()), None).await.unwrap().items
    }

    async fn version(&self, cx: &Context, session: &SessionId) -> Option<Stamp> {
        let query = SessionQuery::new().include(Include::All).prefix(session.as_str()).limit(1);
        let page = self.store.sessions(cx, &query).await.unwrap();
        page.items.into_iter().find(|found| found.id == *session).map(|found| found.version)
    }

    /// What the bug makes of a record on its way in.
    fn bend(&self, record: &Record) -> Record {
        let Record::Message(message) = record else { return record.clone() };
        let mut message = message.clone();
        let bend: fn(&str) -> String = match self.bug {
            Bug::LosesNul => |text| text.replace('\0', ""),
            Bug::TrimsText => |text| text.trim_end().to_owned(),
            Bug::ComposesAccents => |text| text.replace("e\u{301}", "\u{e9}"),
            _ => str::to_owned,
        };
        message.content = match message.content {
            Content::Text(text) => Content::Text(bend(&text)),
            Content::Null if self.bug == Bug::TurnsNullIntoAbsent => Content::Absent,
            Content::Parts(parts) if self.bug == Bug::RoundsFloats => {
                Content::Parts(parts.into_iter().map(round).collect())
            }
            other => other,
        };
        if let Some(sealed) = &mut message.sealed {
            match self.bug {
                Bug::TakesARenewedCiphertextForAnotherContent => sealed.digest.push_str(&sealed.generation.to_string()),
                Bug::KeepsTheOlderCiphertext => sealed.generation = 0,
                _ => {}
            }
        }
        if self.bug == Bug::SortsKeys {
            let mut members: Vec<_> = std::mem::take(&mut message.metadata).into_iter().collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            message.metadata = members.into_iter().collect();
        }
        Record::Message(message)
    }

    fn overlay(&self, cx: &Context, session: &mut Session) {
        for (tenant, id, key, value) in self.keys.lock().unwrap().iter() {
            if (tenant, id) == (&cx.tenant, &session.id) {
                match value {
                    Some(value) => session.metadata.insert(key.clone(), value.clone()),
                    None => session.metadata.remove(key),
                };
            }
        }
        if self.bug == Bug::LowersTheVersion {
            session.version = session.head.unwrap_or(session.version);
        }
    }

    fn remember(&self, cx: &Context, session: &SessionId, records: &[Record], options: &WriteOptions) {
        self.disk.writes.lock().unwrap().push((cx.clone(), session.clone(), records.to_vec(), options.clone()));
        if self.bug == Bug::ShowsContent {
            let texts = records.iter().filter_map(|r| if let Record::Message(m) = r { m.text() } else { None });
            self.seen.lock().unwrap().extend(texts);
        }
        if self.bug == Bug::LastArrivalWinsKeys {
            for record in records {
                if let Record::Session { set, .. } = record {
                    let own =
                        set.iter().map(|(key, value)| (cx.tenant.clone(), session.clone(), key.clone(), value.clone()));
                    self.keys.lock().unwrap().extend(own);
                }
            }
        }
    }

    /// Brings messages back that the store below found dead.
    async fn resurrect(&self, cx: &Context, session: &SessionId, records: &[Record]) {
        let query = SessionQuery::new().include(Include::All).prefix(session.as_str()).limit(1);
        let cleared = self.store.sessions(cx, &query).await.unwrap().items.first().and_then(|found| found.cleared);
        for record in records {
            let Record::Message(message) = record else { continue };
            let by_clear = cleared.is_some_and(|through| message.id <= through);
            if by_clear == (self.bug == Bug::ForgetsClearedForLateMessages) {
                self.zombies.lock().unwrap().push((cx.tenant.clone(), session.clone(), message.clone()));
            }
        }
    }
}

fn round(value: Value) -> Value {
    match value.as_f64() {
        Some(float) if value.is_f64() => Value::from(f64::from(float as f32)),
        _ => value,
    }
}

#[async_trait]
impl Backend for Handle {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.store.capabilities().durable(Support::Yes).shared(Support::Yes);
        match self.bug {
            Bug::IgnoresUnclaimedFilters => {
                capabilities = capabilities.metadata_filter(Support::No).recent_first(Support::No).scope(Support::No);
            }
            Bug::AnswersUnclaimedSearchWithNothing => capabilities = capabilities.search(Support::No),
            _ => {}
        }
        capabilities
    }

    async fn prepare(&self, cx: &Context, mode: Prepare) -> Result<Capabilities> {
        self.store.prepare(&self.enter(cx)?, mode).await?;
        Ok(self.capabilities())
    }

    async fn write(
        &self,
        cx: &Context,
        session: &SessionId,
        records: &[Record],
        options: &WriteOptions,
    ) -> Result<Written> {
        let mut cx = self.enter(cx)?;
        let session = &self.id(session);
        let mut options = options.clone();
        let mut records: Vec<Record> = records.iter().map(|record| self.bend(record)).collect();
        match self.bug {
            Bug::DropsTheLastOfABatch if records.len() > 1 => drop(records.pop()),
            Bug::IgnoresTheTenantInWrites => cx.tenant = Tenant::default(),
            Bug::IgnoresExpectations => options.expect = Expect::Anything,
            Bug::Panics => {
                let empty = |r: &Record| matches!(r, Record::Message(m) if m.text() == Some(""));
                assert!(!records.iter().any(empty), "nobody says nothing");
            }
            Bug::LeaksALockWhenDropped => {
                self.busy.store(true, Ordering::SeqCst);
                tokio::task::yield_now().await;
                self.busy.store(false, Ordering::SeqCst);
            }
            Bug::ChecksExpectationsOfKnownBatches | Bug::ChecksExpectationsTooEarly => {
                union::check_expectation(self.version(&cx, session).await, &records, options.expect)?;
                if self.bug == Bug::ChecksExpectationsTooEarly {
                    tokio::task::yield_now().await;
                    options.expect = Expect::Anything;
                }
            }
            Bug::WritesBatchesInParts if options.expect == Expect::Anything => {
                let mut total = Written::counted(0, 0, 0);
                for record in &records {
                    let one = self.store.write(&cx, session, std::slice::from_ref(record), &options).await?;
                    let sum = |a: Option<u32>, b: Option<u32>| a.zip(b).map(|(a, b)| a + b);
                    (total.version, total.cleared) = (one.version, one.cleared);
                    total.applied = sum(total.applied, one.applied);
                    total.known = sum(total.known, one.known);
                    total.dead = sum(total.dead, one.dead);
                    tokio::task::yield_now().await;
                }
                return Ok(total);
            }
            _ => {}
        }
        self.remember(&cx, session, &records, &options);
        let result = self.store.write(&cx, session, &records, &options).await;
        match (self.bug, result) {
            (Bug::PicksAWinner, Err(error)) if error.get("id").is_some() => {
                Ok(Written::counted(0, records.len() as u32, 0).with_version(self.version(&cx, session).await))
            }
            (Bug::LeavesHalfOfARefusedBatch, Err(error)) if error.get("id").is_some() => {
                self.store.write(&cx, session, &records[..1], &options).await?;
                Err(error)
            }
            (Bug::MiscountsWhatIsKnown, Ok(mut written)) => {
                written.applied = written.applied.zip(written.known).map(|(applied, known)| applied + known);
                written.known = Some(0);
                Ok(written)
            }
            (Bug::ResurrectsDeletedMessages | Bug::ForgetsClearedForLateMessages, Ok(written)) => {
                if written.dead > Some(0) {
                    self.resurrect(&cx, session, &records).await;
                }
                Ok(written)
            }
            (_, result) => result,
        }
    }

    async fn load(&self, cx: &Context, session: &SessionId, query: &MessageQuery) -> Result<Messages> {
        let cx = self.enter(cx)?;
        let session = &self.id(session);
        let mut query = query.clone();
        let newest_first = query.order == Order::NewestFirst;
        if self.bug == Bug::FirstNForLastN {
            query.order = Order::OldestFirst;
        }
        let mut page = match self.store.load(&cx, session, &query).await {
            Err(error) if error.kind() == ErrorKind::NotFound => match self.bug {
                Bug::FindsMissingSessionsEmpty => Messages::default(),
                Bug::IgnoresTheTenantInLoads => {
                    for tenant in self.tenants_below().await {
                        let other = cx.clone().with_tenant(tenant);
                        if let Ok(page) = self.store.load(&other, session, &query).await {
                            return Ok(page);
                        }
                    }
                    return Err(error);
                }
                _ => return Err(error),
            },
            page => page?,
        };
        match self.bug {
            Bug::FirstNForLastN if newest_first => page.items.reverse(),
            Bug::ReversesMessages => page.items.reverse(),
            Bug::DuplicatesAMessage => page.items.extend(page.items.first().cloned()),
            Bug::NeverSaysMore => page.more = false,
            Bug::IncludesTheBound if query.after.is_some() && !newest_first => {
                let bound = MessageQuery::oldest_first().ids(query.after);
                let found = self.store.load(&cx, session, &bound).await?.items;
                page.items.splice(0..0, found);
            }
            Bug::ResurrectsDeletedMessages | Bug::ForgetsClearedForLateMessages => {
                let zombies = self.zombies.lock().unwrap();
                let own = zombies.iter().filter(|(tenant, id, _)| (tenant, id) == (&cx.tenant, session));
                page.items.extend(own.map(|(_, _, message)| message.clone()));
                page.items.sort_by_key(|message| message.id);
                if newest_first {
                    page.items.reverse();
                }
            }
            _ => {}
        }
        Ok(page)
    }

    async fn records(
        &self,
        cx: &Context,
        session: &SessionId,
        from: Option<&Cursor>,
        limit: Option<u32>,
    ) -> Result<Changes> {
        let cx = self.enter(cx)?;
        let session = &self.id(session);
        if self.bug == Bug::FollowsStampsInRecords {
            let binding = Binding::new("by stamp", &cx.tenant, [session.as_str()]);
            let after = from.map(|cursor| cursor.position(&binding)).transpose()?;
            let after: Option<Stamp> = after.and_then(|after| after.parse().ok());
            let mut items = self.store.records(&cx, session, None, Some(MAX_PAGE)).await?.items;
            items.retain(|record| Some(record.stamp()) > after);
            let next = items.iter().map(Record::stamp).max().or(after).unwrap_or(Stamp::MIN);
            return Ok(Changes { items, next: Cursor::new(&binding, next), done: true });
        }
        let mut changes = self.store.records(&cx, session, from, limit).await?;
        match self.bug {
            Bug::OmitsTombstonesFromRecords => changes.items.retain(|record| !record.is_tombstone()),
            Bug::GivesDeadRecords if from.is_none() => {
                let writes = self.disk.writes.lock().unwrap();
                let own = writes.iter().filter(|(of, id, ..)| (&of.tenant, id) == (&cx.tenant, session));
                changes.items = own.flat_map(|(_, _, records, _)| records.iter().cloned()).collect();
            }
            _ => {}
        }
        Ok(changes)
    }

    async fn session(&self, cx: &Context, session: &SessionId) -> Result<Option<Session>> {
        let cx = self.enter(cx)?;
        let mut found = self.store.session(&cx, &self.id(session)).await?;
        if let Some(found) = &mut found {
            self.overlay(&cx, found);
        }
        Ok(found)
    }

    async fn sessions(&self, cx: &Context, query: &SessionQuery) -> Result<Page<Session>> {
        let cx = self.enter(cx)?;
        let mut query = query.clone();
        let prefix = query.prefix.clone().unwrap_or_default();
        match self.bug {
            Bug::IgnoresUnclaimedFilters => {
                query.metadata.clear();
                (query.order, query.scope) = (SessionOrder::ById, Scope::All);
            }
            Bug::HidesClearedSessions => query.include = Include::Live,
            Bug::MatchesPrefixesWithoutCase => query.prefix = None,
            _ => {}
        }
        let mut page = match self.store.sessions(&cx, &query).await {
            Err(_) if self.bug == Bug::AcceptsForeignCursors && query.cursor.is_some() => {
                self.store.sessions(&cx, &query.clone().cursor(None)).await?
            }
            page => page?,
        };
        if self.bug == Bug::IgnoresTheTenantInLists {
            page.items.clear();
            for tenant in self.tenants_below().await {
                page.items.extend(self.store.sessions(&cx.clone().with_tenant(tenant), &query).await?.items);
            }
        }
        if self.bug == Bug::MatchesPrefixesWithoutCase {
            page.items.retain(|session| session.id.as_str().to_lowercase().starts_with(&prefix.to_lowercase()));
        }
        for session in &mut page.items {
            self.overlay(&cx, session);
        }
        Ok(page)
    }

    async fn search(&self, cx: &Context, query: &SearchQuery) -> Result<Page<Hit>> {
        let cx = self.enter(cx)?;
        match self.bug {
            Bug::AnswersUnclaimedSearchWithNothing => Ok(Page::default()),
            Bug::SearchesInOneTenantOnly => self.store.search(&cx.with_tenant(Tenant::default()), query).await,
            Bug::IgnoresFiltersOfSearches => {
                let mut query = query.clone();
                query.roles.clear();
                (query.after, query.before) = (None, None);
                self.store.search(&cx, &query).await
            }
            Bug::FindsOnePageOnly => self.store.search(&cx, query).await.map(|page| Page { next: None, ..page }),
            Bug::MarksBesideTheWords => {
                let mut page = self.store.search(&cx, query).await?;
                for mark in page.items.iter_mut().flat_map(|hit| &mut hit.marks) {
                    *mark = mark.start.saturating_sub(1)..mark.end - 1;
                }
                Ok(page)
            }
            Bug::SplitsNoScripts | Bug::FindsExactWordsOnly => {
                // The words as they are, and whole ones.
                let mut page = self.store.search(&cx, query).await?;
                page.items.retain(|hit| {
                    let said = hit.message.text().unwrap_or_default();
                    let mut words = said.split(|c: char| !c.is_alphanumeric() && c != '\u{301}');
                    match self.bug {
                        Bug::SplitsNoScripts => query.text.is_ascii() || words.any(|word| word == query.text),
                        _ => !query.text.is_ascii() || words.any(|word| query.text.contains(word)),
                    }
                });
                Ok(page)
            }
            _ => self.store.search(&cx, query).await,
        }
    }

    async fn tenants(&self, cx: &Context, from: Option<&Cursor>) -> Result<Page<Tenant>> {
        let mut cx = self.enter(cx)?;
        if self.bug == Bug::ListsTenantsToAnybody {
            cx = cx.with_caller(Caller::System);
        }
        self.store.tenants(&cx, from).await
    }

    async fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted> {
        let cx = self.enter(cx)?;
        let mut what = what.clone();
        match self.bug {
            Bug::PurgesTooMuch => what.purge_deleted_before = Some(Stamp::MAX),
            Bug::Hangs => std::future::pending::<()>().await,
            _ => {}
        }
        self.store.compact(&cx, &what).await
    }

    async fn status(&self, cx: &Context) -> Result<Status> {
        let cx = self.enter(cx)?;
        let mut status = self.store.status(&cx).await?;
        status.capabilities = self.capabilities();
        match self.bug {
            Bug::ChangesItsIdentity => status.store = random_id(),
            Bug::CountsOtherTenants => {
                let mut count = 0;
                for tenant in self.tenants_below().await {
                    count += self.store.status(&cx.clone().with_tenant(tenant)).await?.sessions.unwrap_or(0);
                }
                status.sessions = Some(count);
            }
            _ => {}
        }
        Ok(status)
    }

    async fn verify(&self, cx: &Context) -> Result<Verified> {
        let mut cx = self.enter(cx)?;
        if self.bug == Bug::VerifiesForAnybody {
            cx = cx.with_caller(Caller::System);
        }
        let mut verified = self.store.verify(&cx).await?;
        if self.bug == Bug::FindsProblemsThatAreNone {
            verified.problem(Problem::new("the index", "it is larger than it was"));
        }
        if self.bug == Bug::HidesConflicts {
            verified.notes.clear();
        }
        Ok(verified)
    }

    async fn close(&self, _cx: &Context) -> Result<()> {
        self.closed.store(true, Ordering::SeqCst);
        self.disk.synced.store(self.disk.writes.lock().unwrap().len(), Ordering::SeqCst);
        Ok(())
    }
}
