//! The backend: each call is handed to the writer or to a reader.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use craftx_core::{
    Backend, Caller, Capabilities, Changes, Compact, Compacted, Context, Cursor, Deadline, Durability, Error,
    ErrorKind, Hit, MessageQuery, Messages, Page, Prepare, Record, Result, SearchQuery, Session, SessionId,
    SessionQuery, Status, Support, Tenant, Verified, Waited, WriteOptions, Written, async_trait,
};
use futures_channel::oneshot;
use uuid::Uuid;

use crate::config::SqliteConfig;
use crate::error::{Sql, closed};
use crate::open::{self, Opened};
use crate::place::{Place, moved};
use crate::readers::Readers;
use crate::row::SessionRow;
use crate::wal::Wal;
use crate::writer::{Writer, no_thread};
use crate::{changes, compact, find, list, load, schema, verify};

/// A store in one SQLite file, which many threads and processes may use at the same time.
///
/// Building one does no I/O; [`prepare`](Backend::prepare) opens the file and starts one thread that writes and a few
/// that read. Calls run on any executor. Dropping the store without [`close`](Backend::close) loses nothing that was
/// acknowledged.
#[derive(Debug)]
pub struct Sqlite {
    config: SqliteConfig,
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    New,
    Open(Arc<Store>),
    Closed,
}

/// What an open store consists of.
#[derive(Debug)]
pub(crate) struct Store {
    id: Uuid,
    place: Arc<Place>,
    /// Whether the store kept an index when it was opened.
    searchable: bool,
    pub(crate) writer: Writer,
    readers: Readers,
}

impl Sqlite {
    /// A store in the file that the configuration names. Does no I/O.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] naming the key that is wrong.
    pub fn new(config: SqliteConfig) -> Result<Self> {
        config.check()?;
        let path = open::resolved(&config.path);
        Ok(Self { config, path, state: Mutex::new(State::New) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn store(&self, cx: &Context) -> Result<Arc<Store>> {
        cx.check_deadline()?;
        match &*self.state() {
            State::Open(store) => Ok(Arc::clone(store)),
            State::New | State::Closed => Err(closed()),
        }
    }

    async fn open(&self, cx: &Context, mode: Prepare) -> Result<()> {
        cx.check_deadline()?;
        open::check_library()?;
        match &*self.state() {
            State::Open(_) if mode != Prepare::Check => return Ok(()),
            State::Closed => return Err(closed()),
            State::Open(_) | State::New => {}
        }
        let opened = self.open_on_a_thread(cx, mode).await?;
        let Some(opened) = opened else { return Ok(()) };
        let place = Arc::new(opened.place);
        let store = Store {
            id: opened.id,
            place: Arc::clone(&place),
            searchable: opened.searchable,
            writer: Writer::start(opened.writer, place, self.path.clone(), self.config.max_wal_bytes)?,
            readers: Readers::start(opened.readers)?,
        };
        match &mut *self.state() {
            State::Closed => Err(closed()),
            // Prepared twice at the same time: the first one stays, this one is let go.
            State::Open(_) => Ok(()),
            new => {
                *new = State::Open(Arc::new(store));
                Ok(())
            }
        }
    }

    /// Opens the file without blocking the executor. If the future is dropped, the thread closes what it opened.
    async fn open_on_a_thread(&self, cx: &Context, mode: Prepare) -> Result<Option<Opened>> {
        let (reply, receiver) = oneshot::channel();
        let deadline = Deadline::of(cx);
        let (path, config, until) = (self.path.clone(), self.config.clone(), deadline.clone());
        std::thread::Builder::new()
            .name("craftx-sqlite-open".into())
            .spawn(move || {
                let opened = match mode {
                    Prepare::Check => open::check(&path).map(|()| None),
                    _ => open::open(&path, &config, mode, &until).map(Some),
                };
                // The future may have been dropped; then the connections are closed here.
                let _ = reply.send(opened);
            })
            .map_err(no_thread)?;
        match deadline.wait(receiver).await {
            Waited::Answer(opened) => opened,
            Waited::Late => Err(Deadline::error().maybe_applied()),
            Waited::Gone => Err(Error::new(ErrorKind::Unexpected, "the thread that opens the database is gone")),
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        cx: &Context,
        operation: &'static str,
        mut read: impl FnMut(&rusqlite::Connection) -> Sql<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.store(cx).map_err(|error| error.during(operation))?;
        let place = Arc::clone(&store.place);
        let read = move |conn: &rusqlite::Connection| {
            if place.has_moved() {
                return Err(moved().into());
            }
            read(conn)
        };
        store.readers.run(Deadline::of(cx), read).await.map_err(|error| error.during(operation))
    }
}

/// A row of SQLite takes a thousand million bytes; some of them are not the record's.
const MAX_RECORD_BYTES: u64 = 999_999_000;

fn capabilities(durability: Durability, search: Support) -> Capabilities {
    Capabilities::default()
        .atomic_batch(Support::Yes)
        .compare_and_append(Support::Yes)
        .detects_conflict(Support::Yes)
        .sealed(Support::Yes)
        .recent_first(Support::Yes)
        .metadata_filter(Support::Yes)
        .scope(Support::Yes)
        .search(search)
        .shared(Support::Yes)
        .max_record_bytes(MAX_RECORD_BYTES)
        .durable(durability.is_durable())
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Sqlite {
    fn capabilities(&self) -> Capabilities {
        let search = match (&*self.state(), self.config.search) {
            (_, Some(false)) => Support::No,
            (State::Open(store), _) if store.searchable => Support::Yes,
            (State::Open(_), _) => Support::No,
            (State::New | State::Closed, _) => Support::Probe,
        };
        capabilities(self.config.durability, search)
    }

    async fn prepare(&self, cx: &Context, mode: Prepare) -> Result<Capabilities> {
        self.open(cx, mode).await.map_err(|error| error.during("prepare"))?;
        Ok(self.capabilities())
    }

    async fn write(
        &self,
        cx: &Context,
        session: &SessionId,
        records: &[Record],
        options: &WriteOptions,
    ) -> Result<Written> {
        let store = self.store(cx).map_err(|error| error.during("write"))?;
        store.writer.write(cx, session, records, options).await.map_err(|error| error.during("write"))
    }

    async fn load(&self, cx: &Context, session: &SessionId, query: &MessageQuery) -> Result<Messages> {
        let (tenant, session, query) = (cx.tenant.clone(), session.clone(), query.clone());
        self.read(cx, "load", move |conn| load::messages(conn, &tenant, &session, &query)).await
    }

    async fn records(
        &self,
        cx: &Context,
        session: &SessionId,
        from: Option<&Cursor>,
        limit: Option<u32>,
    ) -> Result<Changes> {
        let id = self.store(cx).map_err(|error| error.during("records"))?.id;
        let (tenant, session, from) = (cx.tenant.clone(), session.clone(), from.cloned());
        self.read(cx, "records", move |conn| changes::records(conn, id, &tenant, &session, from.as_ref(), limit)).await
    }

    async fn session(&self, cx: &Context, session: &SessionId) -> Result<Option<Session>> {
        let (tenant, session) = (cx.tenant.clone(), session.clone());
        self.read(cx, "session", move |conn| match SessionRow::find(conn, &tenant, &session)?.filter(|row| row.live) {
            Some(row) => row.describe(conn, session.clone()).map(Some),
            None => Ok(None),
        })
        .await
    }

    async fn sessions(&self, cx: &Context, query: &SessionQuery) -> Result<Page<Session>> {
        let (tenant, query) = (cx.tenant.clone(), query.clone());
        self.read(cx, "sessions", move |conn| list::sessions(conn, &tenant, &query)).await
    }

    async fn search(&self, cx: &Context, query: &SearchQuery) -> Result<Page<Hit>> {
        self.store(cx).map_err(|error| error.during("search"))?;
        if self.config.search == Some(false) {
            return Err(find::switched_off().during("search"));
        }
        let (tenant, query) = (cx.tenant.clone(), query.clone());
        self.read(cx, "search", move |conn| find::messages(conn, &tenant, &query)).await
    }

    async fn tenants(&self, cx: &Context, from: Option<&Cursor>) -> Result<Page<Tenant>> {
        cx.require_system().map_err(|error| error.during("tenants"))?;
        let from = from.cloned();
        self.read(cx, "tenants", move |conn| list::tenants(conn, from.as_ref())).await
    }

    async fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted> {
        let store = self.store(cx).map_err(|error| error.during("compact"))?;
        let (tenant, what, deadline) = (cx.tenant.clone(), what.clone(), Deadline::of(cx));
        let until = deadline.clone();
        store
            .writer
            .run(deadline, move |conn| compact::compact(conn, &tenant, &what, &until))
            .await
            .map_err(|error| error.during("compact"))
    }

    async fn status(&self, cx: &Context) -> Result<Status> {
        const POSITION: &str = "SELECT seq, page_count * page_size FROM store, pragma_page_count, pragma_page_size";
        const SESSIONS: &str = "SELECT count(*) FROM sessions JOIN tenants USING (tid) WHERE name = ?1 AND live";
        let id = self.store(cx).map_err(|error| error.during("status"))?.id;
        let tenant = cx.tenant.clone();
        let (position, bytes, schema, sessions) = self
            .read(cx, "status", move |conn| {
                let (position, bytes) =
                    conn.query_row(POSITION, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
                let sessions = conn.query_row(SESSIONS, [tenant.as_str()], |row| row.get::<_, i64>(0))?;
                Ok((position, bytes, schema::version(conn)?, sessions))
            })
            .await?;
        let name = format!("sqlite:{}", self.path.display());
        let mut status = Status::new(id, "sqlite", name, self.capabilities());
        status.position = u64::try_from(position).ok();
        status.schema = Some(schema);
        status.sessions = u64::try_from(sessions).ok();
        if cx.caller == Caller::System {
            let log = Wal::new(self.path.clone(), self.config.max_wal_bytes).bytes();
            status.bytes = u64::try_from(bytes).ok().map(|bytes| bytes + log);
        }
        Ok(status)
    }

    async fn verify(&self, cx: &Context) -> Result<Verified> {
        cx.require_system().map_err(|error| error.during("verify"))?;
        let mut log = Wal::new(self.path.clone(), self.config.max_wal_bytes);
        let check = self.read(cx, "verify", verify::verify);
        verify::giving_way(check, || log.bytes() > log.max() / 2).await.map_err(|error| error.during("verify"))
    }

    async fn close(&self, cx: &Context) -> Result<()> {
        let before = std::mem::replace(&mut *self.state(), State::Closed);
        let State::Open(store) = before else { return Ok(()) };
        let deadline = Deadline::of(cx);
        let readers = store.readers.close(&deadline).await;
        let writer = store.writer.close(&deadline).await;
        readers.and(writer).map_err(|error| error.during("close"))
    }
}
