//! One server of the cluster: its connections, and what is known of it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use craftx_core::{Deadline, Error, ErrorKind};
use deadpool::managed::{self, Metrics, PoolError, RecycleError, RecycleResult, TimeoutType, Timeouts};
use futures_util::future::{join_all, try_join3};
use tokio::sync::Notify;

use crate::conn::{Conn, Reach};
use crate::error::{Fault, Sql};
use crate::seen::Seen;
use crate::statements::{APPEND_ONE_TYPES, LOAD_TYPES, POSITION, Statements};

/// A connection that goes back to its pool when it is dropped.
pub(crate) type Pooled = managed::Object<Connector>;

/// A server.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: Arc<str>,
    pub(crate) reach: Reach,
    pool: managed::Pool<Connector>,
    known: Mutex<Known>,
    /// A replica that lacked something is not asked again before it is there.
    lacked: AtomicU64,
    /// Wakes who asks the server what it is.
    pub(crate) ask: Notify,
}

/// What is known of a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// As it was when it last answered.
    pub(crate) seen: Option<Seen>,
    /// Why it does not answer, if it does not.
    pub(crate) problem: Option<Arc<Error>>,
    /// How far behind it is, of a replica.
    pub(crate) lag: Option<Duration>,
}

impl Known {
    /// Whether it was asked what it is, and answered or failed to.
    pub(crate) fn was_asked(&self) -> bool {
        self.seen.is_some() || self.problem.is_some()
    }

    /// As it is, if it answers.
    pub(crate) fn there(&self) -> Option<&Seen> {
        self.seen.as_ref().filter(|_| self.problem.is_none())
    }
}

/// Makes connections for the pool, and says which of them are still good.
#[derive(Debug)]
pub(crate) struct Connector {
    pub(crate) reach: Reach,
    pub(crate) sql: Arc<Statements>,
    /// The newest timeline that any server was seen on.
    pub(crate) newest: Arc<AtomicU32>,
    pub(crate) row_security: Arc<AtomicBool>,
}

impl managed::Manager for Connector {
    type Type = Conn;
    type Error = Fault;

    async fn create(&self) -> Sql<Conn> {
        let (conn, _) = Conn::open(&self.reach).await?;
        // So that the first call takes no longer than those after it; and what asks how far the server is must be sent
        // before what follows it.
        let kept = try_join3(
            conn.keep(POSITION, &[]),
            conn.keep(&self.sql.append_one, &APPEND_ONE_TYPES),
            conn.keep(&self.sql.load_backwards, &LOAD_TYPES),
        );
        kept.await?;
        Ok(conn.with_row_security(self.row_security.load(Ordering::Relaxed)))
    }

    async fn recycle(&self, conn: &mut Conn, _: &Metrics) -> RecycleResult<Fault> {
        let outdated = (1..self.newest.load(Ordering::Relaxed)).contains(&conn.timeline());
        match conn.is_closed() || outdated {
            true => Err(RecycleError::message("of no more use")),
            false => Ok(()),
        }
    }
}

impl Node {
    pub(crate) fn new(
        name: String,
        reach: Reach,
        connections: usize,
        connector: Connector,
    ) -> craftx_core::Result<Self> {
        let pool = managed::Pool::builder(connector)
            .max_size(connections)
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .map_err(|_| Error::new(ErrorKind::Unexpected, "no pool of connections could be made"))?;
        let known = Mutex::default();
        Ok(Self { name: name.into(), reach, pool, known, lacked: AtomicU64::new(0), ask: Notify::new() })
    }

    /// Nothing in here is left half-changed by a panic.
    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection. One that has to be made first is made whole even if the deadline passes meanwhile, and is there for the
    /// next call then.
    pub(crate) async fn connection(&self, deadline: &Deadline) -> Sql<Pooled> {
        // Connecting has a limit of its own.
        let limits = Timeouts { wait: Some(deadline.remaining()), create: None, recycle: None };
        match self.pool.timeout_get(&limits).await {
            Ok(conn) => Ok(conn),
            Err(PoolError::Backend(fault)) => {
                self.ask.notify_one();
                Err(fault)
            }
            Err(PoolError::Timeout(TimeoutType::Wait)) => {
                Err(Fault::Refused(Error::new(ErrorKind::Timeout, "no connection became free before the deadline")))
            }
            Err(_) => Err(Fault::Refused(crate::error::closed())),
        }
    }

    /// Has connections made before anybody needs them.
    pub(crate) async fn warm(&self, connections: usize) {
        let limits = Timeouts { wait: Some(Duration::ZERO), create: None, recycle: None };
        let made: Vec<_> = join_all((0..connections).map(|_| self.pool.timeout_get(&limits))).await;
        drop(made);
    }

    /// Whether the replica may have what is needed. One that lacked something is not tried before it was seen to have that.
    pub(crate) fn may_have(&self, needed: u64) -> bool {
        let lacked = self.lacked.load(Ordering::Relaxed);
        let position = self.known().there().map_or(0, |seen| seen.position);
        if lacked != 0 && position >= lacked {
            self.lacked.store(0, Ordering::Relaxed);
        }
        position >= lacked.min(needed)
    }

    /// Remembers that the replica lacked something.
    pub(crate) fn lacks(&self, needed: u64) {
        self.lacked.store(needed, Ordering::Relaxed);
    }

    pub(crate) fn close(&self) {
        self.pool.close();
    }
}
