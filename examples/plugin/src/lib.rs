//! A complete storage plugin in one file: a journal, one text file for a whole store. It depends on `craftx-core`
//! alone, which brings the hard part, the union of records ([`SessionSet`]); a plugin stores, and reads back.
//!
//! The first line names the store. Each line after it is one batch: checksum, milliseconds, tenant, session and
//! records, parted by tabs, which neither names nor encoded records contain. All of it is held in memory too, and
//! files are used without a thread for them: fine for an example, not for a busy server. What the journal does not
//! claim (order by time, filters, scopes, search) it refuses.
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use craftx_core::union::{SessionSet, no_such_session};
use craftx_core::*;

/// Adds the scheme `journal:PATH`.
pub fn register(registry: &mut Registry) {
    registry.register("journal", |location| Ok(Arc::new(Journal::new(location.path()))));
}

/// A store in one file, used by one process at a time.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// The open store, or why it cannot be used.
    state: Mutex<Result<Open, ErrorKind>>,
}

#[derive(Debug)]
struct Open {
    file: File,
    _lock: File,
    status: Status,
    /// Each session with the time of its last write.
    sessions: BTreeMap<Key, (SessionSet<Message>, SystemTime)>,
}

type Key = (Tenant, SessionId);

impl Journal {
    /// The store at `path`. Does no I/O.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), state: Mutex::new(Err(ErrorKind::Closed)) }
    }

    /// Runs one call on the open store. Nothing in here waits, so no future can be dropped half-way.
    fn with<T>(&self, cx: &Context, call: &'static str, run: impl FnOnce(&mut Open) -> Result<T>) -> Result<T> {
        cx.check_deadline().map_err(|error| error.during(call))?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = state.as_mut().map_err(|why| Error::new(*why, "the journal is not open")).and_then(run);
        if result.as_ref().is_err_and(|error| error.outcome() == Outcome::Unknown) {
            // What a failed write left in the file is known only once it is read again.
            *state = Err(ErrorKind::Unavailable);
        }
        result.map_err(|error| error.during(call))
    }

    fn open(&self, mode: Prepare) -> Result<Open> {
        if mode != Prepare::Migrate {
            fs::metadata(&self.path).map_err(failed)?;
        }
        let options = File::options().create(true).append(true).clone();
        let lock = options.open(self.path.with_extension("lock")).map_err(failed)?;
        lock.try_lock().map_err(|_| Error::new(ErrorKind::Locked, "another process uses the journal"))?;
        if !self.path.exists() {
            replace(&self.path, &format!("{HEADER}{}\n", random_id())).map_err(failed)?;
        }
        let (file, bytes) = (options.open(&self.path).map_err(failed)?, fs::read(&self.path).map_err(failed)?);
        let text = String::from_utf8_lossy(&bytes);
        let id = text.lines().next().and_then(|line| line.strip_prefix(HEADER)?.parse().ok());
        let id = id.ok_or_else(|| corrupted(1))?;
        let mut sessions = BTreeMap::new();
        // A torn last line was never acknowledged. Everything before it must be as it was written.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        for (number, line) in text.get(..whole).unwrap_or_default().lines().enumerate().skip(1) {
            let (key, updated, records) = parse(line).ok_or_else(|| corrupted(number + 1))?;
            let session = sessions.entry(key).or_insert_with(|| (SessionSet::new(), updated));
            session.1 = updated;
            records.iter().for_each(|record| session.0.replay(record, record.encode().digest(), body(record)));
        }
        if whole < text.len() && mode != Prepare::Check {
            file.set_len(whole as u64).and_then(|()| file.sync_all()).map_err(failed)?;
        }
        let name = format!("journal:{}", self.path.display());
        Ok(Open { file, _lock: lock, status: Status::new(id, "journal", name, self.capabilities()), sessions })
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Journal {
    fn capabilities(&self) -> Capabilities {
        let yes = Support::Yes;
        Capabilities::default().atomic_batch(yes).compare_and_append(yes).detects_conflict(yes).durable(yes)
    }

    async fn prepare(&self, cx: &Context, mode: Prepare) -> Result<Capabilities> {
        cx.check_deadline().map_err(|error| error.during("prepare"))?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_err() {
            let open = self.open(mode).map_err(|error| error.during("prepare"))?;
            *state = if mode == Prepare::Check { Err(ErrorKind::Closed) } else { Ok(open) };
        }
        Ok(self.capabilities())
    }

    async fn write(&self, cx: &Context, id: &SessionId, records: &[Record], how: &WriteOptions) -> Result<Written> {
        self.with(cx, "write", |open| {
            let (key, now) = ((cx.tenant.clone(), id.clone()), cx.clock.wall());
            let (set, updated) = open.sessions.entry(key.clone()).or_insert_with(|| (SessionSet::new(), now));
            let plan = set.plan(records, how)?;
            if !plan.store.is_empty() {
                let line = line(&key, now, plan.store.iter().map(|planned| &planned.record));
                let stored = open.file.write_all(line.as_bytes()).and_then(|()| open.file.sync_data());
                stored.map_err(|error| failed(error).maybe_applied())?;
                *updated = now;
            }
            Ok(set.commit(&plan, |_, planned| body(&planned.record)))
        })
    }

    async fn load(&self, cx: &Context, id: &SessionId, query: &MessageQuery) -> Result<Messages> {
        self.with(cx, "load", |open| {
            let set = open.set(cx, id).filter(|set| set.is_live()).ok_or_else(|| no_such_session(id))?;
            let (found, more) = set.select(query)?;
            Ok(Messages { items: found.into_iter().map(|(_, message)| message.clone()).collect(), more })
        })
    }

    async fn records(&self, cx: &Context, id: &SessionId, from: Option<&Cursor>, _: Option<u32>) -> Result<Changes> {
        self.with(cx, "records", |open| {
            let binding = Binding::new("records", &cx.tenant, [id.as_str()]);
            let mut items = open.set(cx, id).map_or_else(Vec::new, SessionSet::to_records);
            // The cursor is a checksum of everything; if anything has changed since, everything is given again.
            let now = checksum(&line(&(cx.tenant.clone(), id.clone()), UNIX_EPOCH, &items));
            if from.map(|cursor| cursor.position(&binding)).transpose()? == Some(&now) {
                items.clear();
            }
            Ok(Changes { items, next: Cursor::new(&binding, now), done: true })
        })
    }

    async fn session(&self, cx: &Context, id: &SessionId) -> Result<Option<Session>> {
        let query = SessionQuery::new().prefix(id.as_str()).limit(1);
        let page = self.sessions(cx, &query).await.map_err(|error| error.during("session"))?;
        Ok(page.items.into_iter().find(|session| session.id == *id))
    }

    async fn sessions(&self, cx: &Context, query: &SessionQuery) -> Result<Page<Session>> {
        self.with(cx, "sessions", |open| {
            if query.order != SessionOrder::ById || !query.metadata.is_empty() || query.scope != Scope::All {
                return Err(Error::unsupported("this order, filter or scope", "the journal"));
            }
            let binding = Binding::sessions(&cx.tenant, query);
            let after = query.cursor.as_ref().map_or(Ok(""), |cursor| cursor.position(&binding))?;
            let (prefix, size) = (query.prefix.as_deref().unwrap_or_default(), page_size(query.limit));
            let own = open.sessions.iter().filter(|((tenant, _), _)| *tenant == cx.tenant);
            let mut items: Vec<Session> = own
                .filter(|((_, id), _)| id.as_str() > after && id.as_str().starts_with(prefix))
                .filter(|(_, (set, _))| query.include == Include::All || set.is_live())
                .filter_map(|((_, id), (set, updated))| set.session(id, *updated))
                .take(size + 1)
                .collect();
            let more = items.len() > size;
            items.truncate(size);
            Ok(Page { next: items.last().filter(|_| more).map(|last| Cursor::new(&binding, &last.id)), items })
        })
    }

    async fn search(&self, cx: &Context, _: &SearchQuery) -> Result<Page<Hit>> {
        self.with(cx, "search", |_| Err(Error::unsupported("search", "the journal")))
    }

    async fn tenants(&self, cx: &Context, _: Option<&Cursor>) -> Result<Page<Tenant>> {
        cx.require_system().map_err(|error| error.during("tenants"))?;
        self.with(cx, "tenants", |open| {
            let written = open.sessions.iter().filter(|(_, (set, _))| !set.is_empty());
            let mut items: Vec<_> = written.map(|((tenant, _), _)| tenant.clone()).collect();
            items.dedup();
            Ok(Page { items, next: None })
        })
    }

    async fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted> {
        self.with(cx, "compact", |open| {
            let (old, mut new) =
                (fs::read_to_string(&self.path).map_err(failed)?, format!("{HEADER}{}\n", open.status.store));
            let mut erased = Compacted::default();
            for (key, (set, updated)) in &mut open.sessions {
                if key.0 == cx.tenant && what.session.as_ref().is_none_or(|only| *only == key.1) {
                    erased.tombstones += what.purge_deleted_before.map_or(0, |before| set.purge(before));
                }
                new.push_str(&line(key, *updated, &set.to_records()));
            }
            if new != old {
                open.file = replace(&self.path, &new).map_err(|error| failed(error).maybe_applied())?;
                let records =
                    |text: &str| text.lines().skip(1).map(|line| line.matches('\t').count() as u64 - 3).sum::<u64>();
                erased.bytes = (old.len() as u64).saturating_sub(new.len() as u64);
                erased.bodies = (records(&old) - records(&new)).saturating_sub(erased.tombstones);
            }
            Ok(erased)
        })
    }

    async fn status(&self, cx: &Context) -> Result<Status> {
        self.with(cx, "status", |open| Ok(open.status.clone()))
    }

    async fn close(&self, _: &Context) -> Result<()> {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Err(ErrorKind::Closed);
        Ok(())
    }
}

impl Open {
    fn set(&self, cx: &Context, id: &SessionId) -> Option<&SessionSet<Message>> {
        self.sessions.get(&(cx.tenant.clone(), id.clone())).map(|(set, _)| set)
    }
}

const HEADER: &str = "craftx-journal 1\t";

fn line<'a>((tenant, id): &Key, updated: SystemTime, records: impl IntoIterator<Item = &'a Record>) -> String {
    let millis = updated.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let mut rest = format!("{millis}\t{tenant}\t{id}");
    records.into_iter().for_each(|record| rest.extend(["\t", record.encode().as_str()]));
    format!("{}\t{rest}\n", checksum(&rest))
}

fn parse(line: &str) -> Option<(Key, SystemTime, Vec<Record>)> {
    let (_, rest) = line.split_once('\t').filter(|(sum, rest)| *sum == checksum(rest))?;
    let mut parts = rest.split('\t');
    let updated = UNIX_EPOCH + Duration::from_millis(parts.next()?.parse().ok()?);
    let key = (Tenant::new(parts.next()?).ok()?, SessionId::new(parts.next()?).ok()?);
    Some((key, updated, parts.map(Record::decode).collect::<Result<_>>().ok()?))
}

/// What the set keeps of a record: the message. It knows by itself what it needs of the others.
fn body(record: &Record) -> Message {
    match record {
        Record::Message(message) => message.clone(),
        other => Message::new(other.stamp(), Role::System, ""),
    }
}

/// FNV-1a: enough to see that a line is not what was written.
fn checksum(text: &str) -> String {
    let mix = |sum: u64, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, mix))
}

/// Puts a new file in place of the old one: after a crash there is one or the other.
fn replace(path: &Path, text: &str) -> io::Result<File> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all())?;
    fs::rename(&new, path)?;
    File::open(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(file)
}

fn failed(error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::StorageFull => ErrorKind::StorageFull,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, "the journal cannot be read or written").because(error)
}

fn corrupted(line: usize) -> Error {
    Error::new(ErrorKind::Corrupted, "a line of the journal is not what was written").with("line", line)
}
