//! A complete storage plugin: a journal, one text file for a whole store. Of `craftx-core` comes the hard part, the
//! union of records ([`SessionSet`]); a plugin stores them and reads them back. The first line names the store, each
//! later one is a batch: checksum, milliseconds, tenant, session and records, parted by tabs, which none contains.
use craftx_core::{Support::Yes, union::SessionSet, union::no_such_session, *};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{collections::BTreeMap, fs, fs::File, io, io::Write as _, path::Path, path::PathBuf};

/// Adds the scheme `journal`: the URL `journal:PATH`, or the table `[journal]` of a configuration.
pub fn register(registry: &mut Registry) {
    registry.register("journal", |part| Ok(Arc::new(Journal::new(part.config::<Config>()?.path))));
}

/// The options, however they were given.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    path: PathBuf,
}

/// A store in one file, used by one process at a time.
#[derive(Debug)]
pub struct Journal(PathBuf, Mutex<State>);

#[derive(Debug, Default)]
struct State {
    lock: Option<File>, // held while the journal is open
    closed: bool,       // for good
    id: String,
    sessions: BTreeMap<(Tenant, SessionId), (SessionSet<Message>, SystemTime)>, // and when each was written last
}

impl Journal {
    /// The store at `path`. Does no I/O.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into(), Mutex::default())
    }

    /// The state, for a call in time. None waits while it holds it, so that no future can be dropped half-way.
    fn state(&self, cx: &Context, open: bool) -> Result<MutexGuard<'_, State>> {
        cx.check_deadline()?;
        let state = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let open = !state.closed && (!open || state.lock.is_some());
        if open { Ok(state) } else { Err(Error::new(ErrorKind::Closed, "it is not open")) }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Journal {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default().atomic_batch(Yes).compare_and_append(Yes).detects_conflict(Yes).sealed(Yes).durable(Yes)
    }
    async fn prepare(&self, cx: &Context, mode: Prepare) -> Result<Capabilities> {
        let (mut state, mut new) = (self.state(cx, false)?, State::default());
        if state.lock.is_some() {
            return Ok(self.capabilities());
        }
        let missing = || Error::new(ErrorKind::NotFound, "there is no journal").during("prepare");
        (mode == Prepare::Migrate || self.0.exists()).then_some(()).ok_or_else(missing)?;
        let lock = File::options().create(true).append(true).open(self.0.with_extension("lock")).map_err(failed)?;
        lock.try_lock().map_err(|_| Error::new(ErrorKind::Locked, "another process uses the journal"))?;
        let empty = format!("{HEADER}{}\n", random_id());
        let bytes = if self.0.exists() { fs::read(&self.0).map_err(failed)? } else { empty.into_bytes() };
        let all = String::from_utf8_lossy(&bytes);
        // A torn last line was never acknowledged. Everything before it must be as it was written.
        let whole = all.rsplit_once('\n').unwrap_or_default().0;
        let corrupted = |line: usize| Error::new(ErrorKind::Corrupted, "not what was written").with("line", line);
        new.id = whole.strip_prefix(HEADER).ok_or_else(|| corrupted(1))?.lines().take(1).collect();
        for (index, line) in whole.lines().enumerate().skip(1) {
            let (key, updated, records) = parse(line).ok_or_else(|| corrupted(index + 1))?;
            let (set, last) = new.sessions.entry(key).or_insert_with(|| (SessionSet::new(), updated));
            records.iter().for_each(|record| set.replay(record, record.identity(), Message::clone));
            *last = updated;
        }
        if mode != Prepare::Check {
            replace(&self.0, &text(&new)).map_err(failed)?;
            *state = State { lock: Some(lock), ..new };
        }
        Ok(self.capabilities())
    }
    async fn write(&self, cx: &Context, id: &SessionId, records: &[Record], how: &WriteOptions) -> Result<Written> {
        let (mut state, key, now) = (self.state(cx, true)?, (cx.tenant.clone(), id.clone()), cx.clock.wall());
        let State { lock, sessions, .. } = &mut *state;
        let (set, updated) = sessions.entry(key.clone()).or_insert_with(|| (SessionSet::new(), now));
        let plan = set.plan(records, how).map_err(|error| error.during("write"))?;
        if !plan.store.is_empty() {
            let line = line(&key, now, plan.store.iter().map(|planned| &planned.record));
            let sync = |mut file: File| file.write_all(line.as_bytes()).and_then(|()| file.sync_data());
            let stored = File::options().append(true).open(&self.0).and_then(sync);
            *lock = lock.take().filter(|_| stored.is_ok()); // After a failure the file has to be read again.
            stored.map_err(|error| failed(error).maybe_applied().during("write"))?;
            *updated = now;
        }
        Ok(set.commit(&plan, |_, message| message.clone()))
    }
    async fn load(&self, cx: &Context, id: &SessionId, query: &MessageQuery) -> Result<Messages> {
        let state = self.state(cx, true)?;
        let session = state.sessions.get(&(cx.tenant.clone(), id.clone())).filter(|(set, _)| set.is_live());
        let (found, more) = session.ok_or_else(|| no_such_session(id).during("load"))?.0.select(query)?;
        Ok(Messages { items: found.into_iter().map(|(_, message)| message.clone()).collect(), more })
    }
    async fn records(&self, cx: &Context, id: &SessionId, from: Option<&Cursor>, _: Option<u32>) -> Result<Changes> {
        let (state, binding) = (self.state(cx, true)?, Binding::new("records", &cx.tenant, [id.as_str()]));
        from.map(|cursor| cursor.position(&binding)).transpose()?;
        // At least once: every call gives everything, so that a cursor misses nothing and never expires.
        let session = state.sessions.get(&(cx.tenant.clone(), id.clone()));
        let items = session.map_or_else(Vec::new, |(set, _)| set.to_records());
        Ok(Changes { items, next: Cursor::new(&binding, 0), done: true })
    }
    async fn session(&self, cx: &Context, id: &SessionId) -> Result<Option<Session>> {
        let page = self.sessions(cx, &SessionQuery::new().prefix(id.as_str()).limit(1)).await?;
        Ok(page.items.into_iter().find(|session| session.id == *id))
    }
    async fn sessions(&self, cx: &Context, query: &SessionQuery) -> Result<Page<Session>> {
        let state = self.state(cx, true)?;
        if query.order != SessionOrder::ById || !query.metadata.is_empty() || query.scope != Scope::All {
            return Err(Error::unsupported("this order, filter or scope", "the journal").during("sessions"));
        }
        let (binding, size) = (Binding::sessions(&cx.tenant, query), page_size(query.limit));
        let after = query.cursor.as_ref().map_or(Ok(""), |cursor| cursor.position(&binding))?;
        let fits = |id: &str| id > after && id.starts_with(query.prefix.as_deref().unwrap_or_default());
        let own = state.sessions.iter().filter(|((tenant, id), _)| *tenant == cx.tenant && fits(id.as_str()));
        let shown = own.filter(|(_, (set, _))| query.include == Include::All || set.is_live());
        let mut items: Vec<_> = shown.filter_map(|(key, (set, at))| set.session(&key.1, *at)).take(size + 1).collect();
        let rest = items.split_off(items.len().min(size));
        Ok(Page { next: items.last().filter(|_| !rest.is_empty()).map(|last| Cursor::new(&binding, &last.id)), items })
    }
    async fn search(&self, cx: &Context, _: &SearchQuery) -> Result<Page<Hit>> {
        self.state(cx, true).and(Err(Error::unsupported("search", "the journal").during("search")))
    }
    async fn tenants(&self, cx: &Context, _: Option<&Cursor>) -> Result<Page<Tenant>> {
        let state = cx.require_system().and_then(|()| self.state(cx, true))?;
        let written = state.sessions.iter().filter(|(_, (set, _))| !set.is_empty());
        let mut items: Vec<_> = written.map(|((tenant, _), _)| tenant.clone()).collect();
        items.dedup();
        Ok(Page { items, next: None })
    }
    async fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted> {
        let (mut state, mut erased) = (self.state(cx, true)?, Compacted::default());
        let old = fs::read_to_string(&self.0).map_err(failed)?;
        for ((tenant, id), (set, _)) in &mut state.sessions {
            let meant = *tenant == cx.tenant && what.session.as_ref().is_none_or(|only| only == id);
            erased.tombstones += what.purge_deleted_before.filter(|_| meant).map_or(0, |before| set.purge(before));
        }
        let (new, records) = (text(&state), |all: &str| all.matches("\t{\"v\":").count() as u64);
        erased.bytes = (old.len() as u64).saturating_sub(new.len() as u64);
        erased.bodies = records(&old).saturating_sub(records(&new) + erased.tombstones);
        replace(&self.0, &new).map_err(|error| failed(error).maybe_applied().during("compact"))?;
        Ok(erased)
    }
    async fn status(&self, cx: &Context) -> Result<Status> {
        let id = self.state(cx, true)?.id.parse().map_err(|_| Error::new(ErrorKind::Corrupted, "no store id"))?;
        Ok(Status::new(id, "journal", format!("journal:{}", self.0.display()), self.capabilities()))
    }
    async fn verify(&self, cx: &Context) -> Result<Verified> {
        let state = cx.require_system().and_then(|()| self.state(cx, true))?;
        let mut verified = Verified::new("all checksums, at opening");
        for ((_, session), (set, _)) in &state.sessions {
            set.conflicts().for_each(|id| verified.conflict(format_args!("the session {session:?}"), id));
        }
        Ok(verified)
    }
    async fn close(&self, _: &Context) -> Result<()> {
        *self.1.lock().unwrap_or_else(PoisonError::into_inner) = State { closed: true, ..State::default() };
        Ok(())
    }
}

const HEADER: &str = "craftx-journal 1\t";
/// The whole journal, with nothing in it that is dead.
fn text(state: &State) -> String {
    let written = state.sessions.iter().filter(|(_, (set, _))| !set.is_empty());
    let lines = written.map(|(key, (set, updated))| line(key, *updated, &set.to_records()));
    std::iter::once(format!("{HEADER}{}\n", state.id)).chain(lines).collect()
}
fn line<'a>((tenant, id): &(Tenant, SessionId), at: SystemTime, of: impl IntoIterator<Item = &'a Record>) -> String {
    let mut text = format!("{}\t{tenant}\t{id}", at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis());
    of.into_iter().for_each(|record| text.extend(["\t", record.encode().as_str()]));
    format!("{}\t{text}\n", checksum(&text))
}
fn parse(line: &str) -> Option<((Tenant, SessionId), SystemTime, Vec<Record>)> {
    let (_, rest) = line.split_once('\t').filter(|(sum, rest)| *sum == checksum(rest))?;
    let mut parts = rest.split('\t');
    let updated = UNIX_EPOCH + Duration::from_millis(parts.next()?.parse().ok()?);
    let key = (Tenant::new(parts.next()?).ok()?, SessionId::new(parts.next()?).ok()?);
    Some((key, updated, parts.map(Record::decode).collect::<Result<_>>().ok()?))
}
fn checksum(text: &str) -> String {
    let mix = |sum: u64, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3); // FNV-1a
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, mix))
}
/// Puts a new file in place of the old one: after a crash there is one or the other.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    File::create(&new).and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))?;
    fs::rename(&new, path)?;
    File::open(path.with_file_name("."))?.sync_all() // the folder
}
fn failed(error: io::Error) -> Error {
    let kind = if error.kind() == io::ErrorKind::StorageFull { ErrorKind::StorageFull } else { ErrorKind::Unavailable };
    Error::new(kind, "the journal cannot be read or written").because(error)
}
