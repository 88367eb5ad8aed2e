//! The backend: each call is handed to the open store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use craftx_core::{
    Acknowledgement, Backend, Caller, Capabilities, Changes, Compact, Compacted, Context, Cursor, Error, Hit,
    MessageQuery, Messages, Node, Page, Prepare, Record, Result, SearchQuery, Session, SessionId, SessionQuery, Status,
    Support, Tenant, Verified, WriteOptions, Written, async_trait,
};

use crate::changes::Arrivals;
use crate::compact::{Purge, Vacuum};
use crate::config::{PostgresConfig, Servers};
use crate::error::closed;
use crate::find::{Find, switched_off};
use crate::list::{List, One, Tenants};
use crate::load::Load;
use crate::open;
use crate::row::micros;
use crate::schema;
use crate::status::Facts;
use crate::store::Store;
use crate::verify::Verify;
use crate::write::Write;

/// A store in a PostgreSQL database, which many threads and processes may use at the same time, on one server or a cluster.
///
/// Building one does no I/O; [`prepare`](Backend::prepare) finds the servers out and connects. Calls run on any executor: the
/// store has threads of its own. Dropping it without [`close`](Backend::close) loses nothing that was acknowledged.
#[derive(Debug)]
pub struct Postgres {
    config: PostgresConfig,
    servers: Servers,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    New,
    Open(Arc<Store>),
    Closed,
}

impl Postgres {
    /// A store on the servers that the configuration names. Does no I/O.
    ///
    /// # Errors
    /// [`ConfigInvalid`](craftx_core::ErrorKind::ConfigInvalid) naming the key that is wrong.
    pub fn new(config: PostgresConfig) -> Result<Self> {
        let servers = config.check()?;
        Ok(Self { config, servers, state: Mutex::new(State::New) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self, cx: &Context) -> Result<Arc<Store>> {
        cx.check_deadline()?;
        match &*self.state() {
            State::Open(store) => Ok(Arc::clone(store)),
            State::New | State::Closed => Err(closed()),
        }
    }

    async fn open(&self, cx: &Context, mode: Prepare) -> Result<()> {
        cx.check_deadline()?;
        match &*self.state() {
            State::Open(_) if mode != Prepare::Check => return Ok(()),
            State::Closed => return Err(closed()),
            State::Open(_) | State::New => {}
        }
        let opened = open::open(&self.config, &self.servers, cx, mode).await?;
        if mode == Prepare::Check {
            return Ok(());
        }
        match &mut *self.state() {
            State::Closed => Err(closed()),
            // Prepared twice at the same time: the first one stays, this one is let go.
            State::Open(_) => Ok(()),
            new => {
                *new = State::Open(Arc::new(opened));
                Ok(())
            }
        }
    }

    /// Reads from a server that has what the caller must see.
    async fn read<R: crate::reading::Reading>(
        &self,
        cx: &Context,
        operation: &'static str,
        reading: R,
    ) -> Result<R::Answer> {
        let read = async { self.store(cx)?.read(cx, reading).await };
        read.await.map_err(|error: Error| error.during(operation))
    }
}

/// The greatest value of a column is 1 GiB; the server doubles what it copies.
const MAX_RECORD_BYTES: u64 = 256 << 20;

/// What is true of every store, and what is known only of an open one.
fn capabilities(
    search: Support,
    acknowledgement: Option<Acknowledgement>,
    durable: Support,
    mirrored: bool,
) -> Capabilities {
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
        .durable(durable)
        .mirrored_later(mirrored)
        .acknowledgement(acknowledgement)
        .max_record_bytes(MAX_RECORD_BYTES)
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Postgres {
    fn capabilities(&self) -> Capabilities {
        let State::Open(store) = &*self.state() else {
            let search = if self.config.search == Some(false) { Support::No } else { Support::Probe };
            return capabilities(search, None, Support::Probe, false);
        };
        let search = if store.searchable() { Support::Yes } else { Support::No };
        let acknowledgement = store.acknowledgement();
        let durable = match acknowledgement {
            Some(Acknowledgement::PrimaryMemory) => Support::No,
            // While no server takes writes, none is acknowledged that could be lost.
            _ => Support::Yes,
        };
        let alone = acknowledgement.is_none_or(|level| level <= Acknowledgement::Primary);
        capabilities(search, acknowledgement, durable, store.is_replicated() && alone)
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
        let write = Write {
            tenant: cx.tenant.clone(),
            session: session.clone(),
            records: records.to_vec(),
            options: options.clone(),
            now: micros(cx.clock.wall()),
        };
        let written = async { self.store(cx)?.write(cx, write).await };
        let (written, token) = written.await.map_err(|error: Error| error.during("write"))?;
        Ok(written.with_token(token))
    }

    async fn load(&self, cx: &Context, session: &SessionId, query: &MessageQuery) -> Result<Messages> {
        let load = Load { tenant: cx.tenant.clone(), session: session.clone(), query: query.clone() };
        self.read(cx, "load", load).await
    }

    async fn records(
        &self,
        cx: &Context,
        session: &SessionId,
        from: Option<&Cursor>,
        limit: Option<u32>,
    ) -> Result<Changes> {
        let arrivals = Arrivals { tenant: cx.tenant.clone(), session: session.clone(), from: from.cloned(), limit };
        self.read(cx, "records", arrivals).await
    }

    async fn session(&self, cx: &Context, session: &SessionId) -> Result<Option<Session>> {
        self.read(cx, "session", One { tenant: cx.tenant.clone(), session: session.clone() }).await
    }

    async fn sessions(&self, cx: &Context, query: &SessionQuery) -> Result<Page<Session>> {
        self.read(cx, "sessions", List { tenant: cx.tenant.clone(), query: query.clone() }).await
    }

    async fn search(&self, cx: &Context, query: &SearchQuery) -> Result<Page<Hit>> {
        self.store(cx).map_err(|error| error.during("search"))?;
        if self.config.search == Some(false) {
            return Err(switched_off().during("search"));
        }
        self.read(cx, "search", Find { tenant: cx.tenant.clone(), query: query.clone() }).await
    }

    async fn tenants(&self, cx: &Context, from: Option<&Cursor>) -> Result<Page<Tenant>> {
        cx.require_system().map_err(|error| error.during("tenants"))?;
        self.read(cx, "tenants", Tenants { from: from.cloned() }).await
    }

    async fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted> {
        let compact = async {
            let store = self.store(cx)?;
            let (tombstones, _) = match what.purge_deleted_before {
                Some(_) => store.write(cx, Purge { tenant: cx.tenant.clone(), what: what.clone() }).await?,
                None => (0, None),
            };
            let mut compacted = store.read_apart(cx, Vacuum).await?;
            compacted.tombstones = tombstones;
            Ok(compacted)
        };
        compact.await.map_err(|error: Error| error.during("compact"))
    }

    async fn status(&self, cx: &Context) -> Result<Status> {
        let status = async {
            let store = self.store(cx)?;
            let facts = store.read_primary(cx, Facts { tenant: cx.tenant.clone() }).await?;
            let mut status = Status::new(store.id, "postgres", self.name(), self.capabilities());
            status.position = Some(facts.position);
            status.schema = u32::try_from(schema::VERSION).ok();
            status.sessions = Some(facts.sessions);
            status.bytes = (cx.caller == Caller::System).then_some(facts.bytes);
            status.nodes = store.nodes();
            Ok(status)
        };
        status.await.map_err(|error: Error| error.during("status"))
    }

    async fn verify(&self, cx: &Context) -> Result<Verified> {
        cx.require_system().map_err(|error| error.during("verify"))?;
        let verify = async {
            let store = self.store(cx)?;
            let mut verified = store.read_apart(cx, Verify).await?;
            for node in store.nodes() {
                verified.note(told(&node));
            }
            if let Some(level) = store.acknowledgement() {
                verified.note(crate::status::explained(level, store.is_replicated()));
            }
            Ok(verified)
        };
        verify.await.map_err(|error: Error| error.during("verify"))
    }

    async fn close(&self, cx: &Context) -> Result<()> {
        let before = std::mem::replace(&mut *self.state(), State::Closed);
        let State::Open(store) = before else { return Ok(()) };
        store.close(cx).await.map_err(|error| error.during("close"))
    }
}

impl Postgres {
    /// Where the store is, without user and password.
    fn name(&self) -> String {
        let hosts: Vec<String> = self.servers.hosts.iter().map(ToString::to_string).collect();
        let database = self.servers.database.as_deref().map(|name| format!("/{name}")).unwrap_or_default();
        format!("postgres://{}{database}?schema={}", hosts.join(","), self.config.schema)
    }
}

/// A server as a sentence.
fn told(node: &Node) -> String {
    let lag = node.lag_ms.map(|lag| format!(", {lag} ms behind")).unwrap_or_default();
    let problem = node.problem.as_ref().map(|problem| format!(": {problem}")).unwrap_or_default();
    let position = node.position.as_ref().map(|position| format!(" at {position}")).unwrap_or_default();
    format!("{} is {}{position}{lag}{problem}", node.name, node.role)
}
