//! An open store: where calls run, and what happens when a server goes away meanwhile.
//!
//! Connections belong to a runtime of the store's own, and a call whose future is dropped goes on there ([`GoesOn`]). So it
//! leaves no transaction half-way and no reply unread: what it has begun it does to the end. It begins nothing further.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use craftx_core::{Context, Deadline, Error, ErrorKind, Freshness, Result, Tenant, Token, Uuid, Waited, async_trait};
use futures_util::future::join;
use tokio::runtime::Runtime;
use tokio::sync::RwLock;
use tokio_postgres::Row;

use crate::call::{Call, Left};
use crate::cluster::Cluster;
use crate::conn::{Conn, For};
use crate::error::{Fault, Sql, closed, late};
use crate::goes_on::GoesOn;
use crate::node::{Node, Pooled};
use crate::schema::About;
use crate::statements::{POSITION, Statements};
use crate::token::Place;
use crate::value::Value;

/// How long to wait before something is tried again: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// How many numbers of tenants are remembered.
const TENANTS: usize = 10_000;

/// An open store.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) sql: Arc<Statements>,
    pub(crate) id: Uuid,
    search: AtomicBool,
    /// The farthest position that this handle has written or read.
    seen: AtomicU64,
    tenants: Mutex<HashMap<Tenant, i32>>,
    /// Held by every call, so that closing can wait for them.
    inside: Arc<RwLock<()>>,
    runtime: OwnRuntime,
}

/// A runtime that can be dropped anywhere.
#[derive(Debug)]
pub(crate) struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    pub(crate) fn start() -> Result<Self> {
        let built = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("craftx-postgres")
            .enable_io()
            .enable_time()
            .build();
        built.map(|runtime| Self(Some(runtime))).map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the threads of the store cannot be started").because(error)
        })
    }

    pub(crate) fn handle(&self) -> Option<&tokio::runtime::Handle> {
        self.0.as_ref().map(Runtime::handle)
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        // Waiting for its threads would block, which may not be done everywhere.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Something that is read, in one snapshot.
#[async_trait]
pub(crate) trait Reading: Send + Sync + 'static {
    type Answer: Send + Sync + 'static;

    /// Reads it. Also says how far the server was, if the statement told.
    async fn read(&self, store: &Store, conn: &Conn) -> Sql<(Self::Answer, Option<u64>)>;
}

/// Something that is written, as one transaction.
#[async_trait]
pub(crate) trait Writing: Send + Sync + 'static {
    type Answer: Send + Sync + 'static;

    /// Writes it, and says how far the server was afterwards if there are replicas.
    async fn write(&self, store: &Store, conn: &Conn) -> Sql<(Self::Answer, Option<u64>)>;
}

/// Keeps a task from beginning anything further, when the future that waits for it is dropped.
struct Waits(Arc<Call>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Store {
    /// A store on a cluster that was looked at since it was being opened: so it has what was acknowledged before.
    pub(crate) fn new(runtime: OwnRuntime, cluster: Arc<Cluster>, sql: Arc<Statements>, about: About) -> Self {
        let position = cluster.primary().ok().and_then(|node| node.known().there().map(|seen| seen.position));
        Self {
            cluster,
            sql,
            id: about.uuid,
            search: AtomicBool::new(about.search),
            seen: AtomicU64::new(position.unwrap_or(0)),
            tenants: Mutex::default(),
            inside: Arc::default(),
            runtime,
        }
    }

    /// Whether the store keeps an index for searching, as far as this process knows.
    pub(crate) fn searchable(&self) -> bool {
        self.search.load(Ordering::Relaxed)
    }

    pub(crate) fn now_searchable(&self, search: bool) {
        self.search.store(search, Ordering::Relaxed);
    }

    /// Whether there is more than one server, so that reads can be behind writes.
    pub(crate) fn is_replicated(&self) -> bool {
        self.cluster.nodes.len() > 1
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<Tenant, i32>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a tenant, as it was last seen. Whoever uses it has to check that it is still so: the store may have
    /// been made anew.
    pub(crate) fn known_tid(&self, tenant: &Tenant) -> Option<i32> {
        self.tenants().get(tenant).copied()
    }

    pub(crate) fn learn_tid(&self, tenant: &Tenant, tid: Option<i32>) {
        let mut tenants = self.tenants();
        if tenants.len() >= TENANTS {
            tenants.clear();
        }
        match tid {
            Some(tid) => tenants.insert(tenant.clone(), tid),
            None => tenants.remove(tenant),
        };
    }

    /// Does something until the deadline. What has begun by then, or when the future is dropped, goes on on the store's own
    /// runtime.
    async fn call<T: Send + 'static, F>(
        self: &Arc<Self>,
        cx: &Context,
        job: impl FnOnce(Arc<Self>, Deadline, Arc<Call>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let (deadline, call) = (Deadline::of(cx), Arc::new(Call::new(self.timeline_of(cx))));
        let job = job(Arc::clone(self), deadline.clone(), Arc::clone(&call));
        let inside = Arc::clone(&self.inside).try_read_owned().map_err(|_| closed())?;
        let job = async move {
            let _inside = inside;
            job.await
        };
        let mut job = GoesOn::new(job, self.runtime.handle().ok_or_else(closed)?.clone());
        // Dropped before the job, so that it begins nothing further when it goes on.
        let waits = Waits(call);
        match until(&deadline, &mut job).await {
            Some(answer) => answer,
            None => {
                // That there is no server says more than that time is up.
                let error = || self.cluster.primary().err().unwrap_or_else(Deadline::error);
                Err(match waits.0.leave() {
                    Left::Nothing => error(),
                    Left::Open => error().maybe_applied(),
                    Left::Failed(error) => error,
                })
            }
        }
    }

    /// Reads something from a server that has what the caller must see.
    pub(crate) async fn read<R: Reading>(self: &Arc<Self>, cx: &Context, reading: R) -> Result<R::Answer> {
        let needs = self.needs(cx);
        self.call(cx, move |store, deadline, call| async move {
            store.read_somewhere(&reading, needs, &deadline, &call).await
        })
        .await
    }

    /// Reads something from the server that takes writes.
    pub(crate) async fn read_primary<R: Reading>(self: &Arc<Self>, cx: &Context, reading: R) -> Result<R::Answer> {
        self.call(cx, move |store, deadline, call| async move {
            store.read_somewhere(&reading, Needs::Primary, &deadline, &call).await
        })
        .await
    }

    /// Reads something that may take long, over a connection of its own to the server that takes writes.
    pub(crate) async fn read_apart<R: Reading>(self: &Arc<Self>, cx: &Context, reading: R) -> Result<R::Answer> {
        self.call(cx, move |store, deadline, call| async move {
            let node = store.cluster.find_primary(&deadline).await?;
            let conn = store.cluster.apart(node).await?;
            if !call.begin() {
                return Err(Deadline::error());
            }
            match until(&deadline, reading.read(&store, &conn)).await {
                Some(answer) => Ok(answer?.0),
                None => Err(Deadline::error()),
            }
        })
        .await
    }

    /// Writes something, on whichever server takes writes, again and again until the deadline: what was written already
    /// is known then.
    pub(crate) async fn write<W: Writing>(
        self: &Arc<Self>,
        cx: &Context,
        writing: W,
    ) -> Result<(W::Answer, Option<Token>)> {
        self.call(cx, move |store, deadline, call| async move { store.write_until(&writing, &deadline, &call).await })
            .await
    }

    /// The place that the token of a call names, if it is one of this cluster.
    fn place(&self, cx: &Context) -> Option<Place> {
        cx.token.as_ref().and_then(Place::read).filter(|place| self.cluster.is(place.system))
    }

    /// The timeline on which a server has to be that may do this call: whoever gave the token has seen it. It counts for this
    /// call only, because a token may come from anybody.
    fn timeline_of(&self, cx: &Context) -> u32 {
        self.place(cx).map_or(0, |place| place.timeline)
    }

    fn needs(&self, cx: &Context) -> Needs {
        match cx.freshness {
            Freshness::Eventual => return Needs::Nothing,
            Freshness::Latest => return Needs::Primary,
            _ => {}
        }
        let seen = self.seen.load(Ordering::Relaxed);
        match (&cx.token, self.place(cx)) {
            (None, _) => Needs::Position(seen),
            (Some(_), Some(place)) => Needs::Position(seen.max(place.position)),
            // A token of another store says nothing here; who takes writes has everything.
            (Some(_), None) => Needs::Primary,
        }
    }

    async fn read_somewhere<R: Reading>(
        &self,
        reading: &R,
        needs: Needs,
        deadline: &Deadline,
        call: &Call,
    ) -> Result<R::Answer> {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(node) = self.replica_for(needs)
                && let Some(answer) = self.read_replica(node, reading, needs, deadline, call).await
            {
                return answer;
            }
            let fault = match self.read_primary_once(reading, deadline, call).await {
                Ok(answer) => return Ok(answer),
                Err(Fault::Refused(error)) => return Err(error),
                Err(fault) => fault,
            };
            if deadline.has_passed() {
                return Err(fault.into_error());
            }
            call.failed(fault.into_error());
            rest(&mut pause, deadline).await;
        }
    }

    fn replica_for(&self, needs: Needs) -> Option<&Node> {
        match needs {
            Needs::Primary => None,
            Needs::Nothing => self.cluster.replica(0, true),
            Needs::Position(position) => self.cluster.replica(position, false),
        }
    }

    /// Reads from a replica; `None` if it lacks what is needed, or fails.
    async fn read_replica<R: Reading>(
        &self,
        node: &Node,
        reading: &R,
        needs: Needs,
        deadline: &Deadline,
        call: &Call,
    ) -> Option<Result<R::Answer>> {
        let conn = node.connection(deadline).await.ok()?;
        if !call.begin() {
            return Some(Err(Deadline::error()));
        }
        // How far it is, is sent first and so read before what is read: what follows has at least that.
        let both = join(position(&conn), self.read_with(reading, &conn));
        let Some((before, read)) = until(deadline, conn.together(both)).await else {
            drop(Pooled::take(conn));
            return Some(Err(Deadline::error()));
        };
        match (before, needs) {
            (Ok(before), Needs::Position(needed)) if before < needed => {
                // A token may speak of a position that there never was.
                node.lacks(needed.min(self.cluster.farthest()));
                return None;
            }
            (Err(_), _) => {
                drop(Pooled::take(conn));
                return None;
            }
            _ => {}
        }
        match read {
            Ok(answer) => Some(Ok(answer)),
            Err(Fault::Refused(error)) => Some(Err(error)),
            // The server that takes writes is asked then.
            Err(fault) => {
                give_back(conn, &fault);
                None
            }
        }
    }

    async fn read_primary_once<R: Reading>(&self, reading: &R, deadline: &Deadline, call: &Call) -> Sql<R::Answer> {
        let conn = self.cluster.for_writing(call.timeline(), deadline).await?;
        if !call.begin() {
            return Err(late());
        }
        match until(deadline, self.read_with(reading, &conn)).await {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(fault)) => {
                self.suspect(&fault);
                give_back(conn, &fault);
                Err(fault)
            }
            None => {
                drop(Pooled::take(conn));
                Err(Fault::Refused(Deadline::error()))
            }
        }
    }

    async fn read_with<R: Reading>(&self, reading: &R, conn: &Conn) -> Sql<R::Answer> {
        let read = reading.read(self, conn).await;
        self.saw(conn, &read).await?;
        read.map(|(answer, _)| answer)
    }

    /// Remembers how far the server was, so that nothing older is read next. Who is refused has seen something too: that
    /// there is no such session, or that its version is another one.
    async fn saw<T>(&self, conn: &Conn, done: &Sql<(T, Option<u64>)>) -> Sql<()> {
        let position = match done {
            _ if !self.is_replicated() => return Ok(()),
            Ok((_, Some(told))) => *told,
            Ok((_, None)) | Err(Fault::Refused(_)) => position(conn).await?,
            Err(_) => return Ok(()),
        };
        self.seen.fetch_max(position, Ordering::Relaxed);
        Ok(())
    }

    async fn write_until<W: Writing>(
        &self,
        writing: &W,
        deadline: &Deadline,
        call: &Call,
    ) -> Result<(W::Answer, Option<Token>)> {
        let mut pause = FIRST_PAUSE;
        // Whether something was sent of which nobody knows what became.
        let mut unknown = false;
        loop {
            let mut sent = false;
            let fault = match self.write_once(writing, deadline, call, &mut sent).await {
                Ok(written) => return Ok(written),
                Err(fault) => fault,
            };
            unknown |= sent && matches!(fault, Fault::Lost(_));
            let again = !matches!(fault, Fault::Refused(_)) && !deadline.has_passed();
            let error = fault.into_error();
            let error = if unknown { error.maybe_applied() } else { error };
            if !again {
                return Err(error);
            }
            call.failed(error);
            rest(&mut pause, deadline).await;
        }
    }

    async fn write_once<W: Writing>(
        &self,
        writing: &W,
        deadline: &Deadline,
        call: &Call,
        sent: &mut bool,
    ) -> Sql<(W::Answer, Option<Token>)> {
        let conn = self.cluster.for_writing(call.timeline(), deadline).await?;
        if !call.begin() {
            return Err(Fault::Refused(Deadline::error()));
        }
        *sent = true;
        let writes = async {
            let written = writing.write(self, &conn).await;
            self.saw(&conn, &written).await?;
            written
        };
        let Some(written) = until(deadline, writes).await else {
            // Nothing is cancelled: a commit that waits for its standby would be shown to others without it.
            drop(Pooled::take(conn));
            return Err(late());
        };
        let fault = match written {
            Ok(_) if conn.take_unconfirmed() => {
                Fault::Lost(Error::new(ErrorKind::Unavailable, "no standby has confirmed the write"))
            }
            Ok((answer, position)) => {
                return Ok((answer, position.and_then(|_| self.token(&conn))));
            }
            Err(fault) => fault,
        };
        self.suspect(&fault);
        give_back(conn, &fault);
        Err(fault)
    }

    /// What stands for everything that this handle has seen, so that the last token that it gave is enough.
    fn token(&self, conn: &Conn) -> Option<Token> {
        let (system, position) = (self.cluster.system()?, self.seen.load(Ordering::Relaxed));
        Some(Place { system, timeline: conn.timeline(), position }.token())
    }

    /// Has the servers looked at if the one that takes writes may be another one now.
    fn suspect(&self, fault: &Fault) {
        if matches!(fault, Fault::Lost(_) | Fault::NotPrimary(_)) {
            self.cluster.nodes.iter().for_each(|node| node.ask.notify_one());
        }
    }

    /// Waits until nobody is inside, then lets go of everything.
    pub(crate) async fn close(&self, cx: &Context) -> Result<()> {
        let deadline = Deadline::of(cx);
        let inside = Arc::clone(&self.inside);
        let empty = async move { Ok::<_, ()>(inside.write_owned().await) };
        let closed = match deadline.wait(empty).await {
            Waited::Answer(_) => Ok(()),
            Waited::Late | Waited::Gone => Err(Deadline::error()),
        };
        self.cluster.close();
        closed
    }
}

/// What a reader must have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Needs {
    Nothing,
    Position(u64),
    Primary,
}

/// How far in the log the server is.
async fn position(conn: &Conn) -> Sql<u64> {
    position_in(&conn.query(POSITION, &[]).await?)
}

/// Reads what [`POSITION`] answers.
pub(crate) fn position_in(rows: &[Row]) -> Sql<u64> {
    let position: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
    Ok(position.cast_unsigned())
}

/// The number of a tenant; `None` if nothing was ever written for it.
pub(crate) async fn find_tid(store: &Store, conn: &Conn, tenant: &Tenant) -> Sql<Option<i32>> {
    let sql = store.sql.with_schema("SELECT tid FROM @.tenants WHERE name = $1");
    let rows = conn.single(For::Tenant(tenant), &sql, &[Value::Text(tenant.as_str())]).await?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
}

/// Waits for something until the deadline.
async fn until<T>(deadline: &Deadline, future: impl Future<Output = T>) -> Option<T> {
    let answer = async { Ok::<_, ()>(future.await) };
    match deadline.wait(answer).await {
        Waited::Answer(answer) => Some(answer),
        Waited::Late | Waited::Gone => None,
    }
}

/// Lets go of a connection after a fault: for ever, unless the server itself has said what is wrong.
fn give_back(conn: Pooled, fault: &Fault) {
    if matches!(fault, Fault::Lost(_) | Fault::NotPrimary(_)) {
        drop(Pooled::take(conn));
    }
}

async fn rest(pause: &mut Duration, deadline: &Deadline) {
    // Not all at the same time.
    let time = pause.mul_f64(0.5 + fastrand::f64() / 2.0).min(deadline.remaining());
    tokio::time::sleep(time).await;
    *pause = (*pause * 2).min(LONGEST_PAUSE);
}
