//! An open store: where calls run, and what happens when a server goes away meanwhile.
//!
//! Connections belong to a runtime of the store's own, and a call whose future is dropped goes on there ([`GoesOn`]). So it
//! leaves no transaction half-way and no reply unread: what it has begun it does to the end. It begins nothing further.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use craftx_core::{Context, Deadline, Result, Tenant, Uuid, Waited};
use tokio::sync::RwLock;
use tokio_postgres::Row;

use crate::call::{Call, Left};
use crate::cluster::Cluster;
use crate::conn::{Conn, For};
use crate::error::{Fault, Sql, closed};
use crate::goes_on::GoesOn;
use crate::node::Pooled;
use crate::runtime::OwnRuntime;
use crate::schema::About;
use crate::statements::{POSITION, Statements};
use crate::token::Place;
use crate::value::Value;

/// How long to wait before something is tried again: at first, and at most.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(10);
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
    pub(crate) seen: AtomicU64,
    tenants: Mutex<HashMap<Tenant, i32>>,
    /// Held by every call, so that closing can wait for them.
    inside: Arc<RwLock<()>>,
    runtime: OwnRuntime,
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
    pub(crate) async fn call<T: Send + 'static, F>(
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

    /// The place that the token of a call names, if it is one of this cluster.
    pub(crate) fn place(&self, cx: &Context) -> Option<Place> {
        cx.token.as_ref().and_then(Place::read).filter(|place| self.cluster.is(place.system))
    }

    /// The timeline on which a server has to be that may do this call: whoever gave the token has seen it. It counts for this
    /// call only, because a token may come from anybody.
    pub(crate) fn timeline_of(&self, cx: &Context) -> u32 {
        self.place(cx).map_or(0, |place| place.timeline)
    }

    /// Remembers how far the server was, so that nothing older is read next. Who is refused has seen something too: that
    /// there is no such session, or that its version is another one.
    pub(crate) async fn saw<T>(&self, conn: &Conn, done: &Sql<(T, Option<u64>)>) -> Sql<()> {
        let position = match done {
            _ if !self.is_replicated() => return Ok(()),
            Ok((_, Some(told))) => *told,
            Ok((_, None)) | Err(Fault::Refused(_)) => position(conn).await?,
            Err(_) => return Ok(()),
        };
        self.seen.fetch_max(position, Ordering::Relaxed);
        Ok(())
    }

    /// Has the servers looked at if the one that takes writes may be another one now.
    pub(crate) fn suspect(&self, fault: &Fault) {
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

/// How far in the log the server is.
pub(crate) async fn position(conn: &Conn) -> Sql<u64> {
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
pub(crate) async fn until<T>(deadline: &Deadline, future: impl Future<Output = T>) -> Option<T> {
    let answer = async { Ok::<_, ()>(future.await) };
    match deadline.wait(answer).await {
        Waited::Answer(answer) => Some(answer),
        Waited::Late | Waited::Gone => None,
    }
}

/// Lets go of a connection after a fault: for ever, unless the server itself has said what is wrong.
pub(crate) fn give_back(conn: Pooled, fault: &Fault) {
    if matches!(fault, Fault::Lost(_) | Fault::NotPrimary(_)) {
        drop(Pooled::take(conn));
    }
}

pub(crate) async fn rest(pause: &mut Duration, deadline: &Deadline) {
    // Not all at the same time.
    let time = pause.mul_f64(0.5 + fastrand::f64() / 2.0).min(deadline.remaining());
    tokio::time::sleep(time).await;
    *pause = (*pause * 2).min(LONGEST_PAUSE);
}
