//! Which server is what: found out again and again, and never assumed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use craftx_core::{Acknowledgement, Deadline, Error, ErrorKind, Result};
use tokio::sync::watch;

use crate::conn::{Conn, Reach};
use crate::error::{Fault, Sql};
use crate::node::{Connector, Known, Node, Pooled};
use crate::seen::Seen;
use crate::statements::Statements;

/// How often servers are asked while none takes writes.
const URGENT: Duration = Duration::from_millis(100);
/// A server is not asked again sooner, however often somebody wants to know.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a server may take to say what it is.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many positions of the primary are remembered, to tell how far replicas are behind.
const REMEMBERED: usize = 120;

/// The servers.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    /// The newest timeline that any server was seen on: a server that takes writes on an older one was replaced.
    newest: Arc<AtomicU32>,
    /// Which cluster it is; 0 while that is not known.
    system: AtomicI64,
    /// Whether the server keeps tenants apart.
    row_security: Arc<AtomicBool>,
    changed: watch::Sender<u64>,
    /// Where the primary was when.
    positions: Mutex<VecDeque<(Instant, u64)>>,
    turn: AtomicUsize,
    every: Duration,
    max_lag: Duration,
}

/// What a server is to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Primary,
    Replica,
    /// It takes writes, and another server has taken its place: what is written to it will be lost.
    Outdated,
    /// It belongs to another cluster.
    Foreign,
    Away,
}

impl Role {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
            Self::Outdated => "outdated",
            Self::Foreign => "foreign",
            Self::Away => "away",
        }
    }
}

impl Cluster {
    pub(crate) fn new(
        servers: Vec<(String, Reach)>,
        sql: &Arc<Statements>,
        connections: usize,
        every: Duration,
        max_lag: Duration,
    ) -> Result<Self> {
        let newest = Arc::new(AtomicU32::new(0));
        let row_security = Arc::new(AtomicBool::new(false));
        let node = |(name, reach): (String, Reach)| {
            let connector = Connector {
                reach: reach.clone(),
                sql: Arc::clone(sql),
                newest: Arc::clone(&newest),
                row_security: Arc::clone(&row_security),
            };
            Node::new(name, reach, connections, connector)
        };
        Ok(Self {
            nodes: servers.into_iter().map(node).collect::<Result<_>>()?,
            newest,
            system: AtomicI64::new(0),
            row_security,
            changed: watch::Sender::new(0),
            positions: Mutex::default(),
            turn: AtomicUsize::new(0),
            every,
            max_lag,
        })
    }

    /// Has every server asked what it is, at once and then again and again, for as long as the runtime lasts.
    pub(crate) fn watch(self: &Arc<Self>, runtime: &tokio::runtime::Handle) {
        for at in 0..self.nodes.len() {
            let cluster = Arc::clone(self);
            runtime.spawn(async move {
                if let Some(node) = cluster.nodes.get(at) {
                    cluster.watch_one(node).await;
                }
            });
        }
    }

    async fn watch_one(&self, node: &Node) {
        // A connection of its own, so that a full pool does not make a server look as if it were away.
        let mut own: Option<Conn> = None;
        loop {
            let looked = tokio::time::timeout(PATIENCE + reach_time(node), look(&mut own, node)).await;
            let found = looked.unwrap_or_else(|_| {
                own = None;
                Err(Fault::Lost(Error::new(ErrorKind::Unavailable, "the server does not answer")))
            });
            self.learn(node, found);
            let wait = if self.primary().is_err() { URGENT.min(self.every) } else { self.every };
            tokio::time::sleep(PAUSE).await;
            let asked = tokio::time::timeout(wait.saturating_sub(PAUSE), node.ask.notified());
            let _ = asked.await;
        }
    }

    fn learn(&self, node: &Node, found: Sql<Seen>) {
        match found {
            Ok(seen) => {
                // The first one that answers says which cluster it is.
                let _ = self.system.compare_exchange(0, seen.system, Ordering::Relaxed, Ordering::Relaxed);
                if seen.system == self.system.load(Ordering::Relaxed) {
                    self.newest.fetch_max(seen.timeline, Ordering::Relaxed);
                }
                let lag = if seen.replays { self.lag(seen.position) } else { self.remember(&seen) };
                *node.known() = Known { seen: Some(seen), problem: None, lag };
            }
            Err(fault) => {
                let mut known = node.known();
                known.problem = Some(Arc::new(Error::from(fault)));
                known.lag = None;
            }
        }
        self.changed.send_modify(|changes| *changes += 1);
    }

    fn remember(&self, seen: &Seen) -> Option<Duration> {
        let mut positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        positions.push_back((Instant::now(), seen.position));
        if positions.len() > REMEMBERED {
            positions.pop_front();
        }
        None
    }

    /// How far behind a server at this position is: since when the primary has been further, as far as that was seen. Takes
    /// no clock of any server at its word.
    fn lag(&self, position: u64) -> Option<Duration> {
        let positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        if positions.is_empty() {
            return None;
        }
        let ahead = positions.iter().find(|(_, primary)| *primary > position);
        Some(ahead.map_or(Duration::ZERO, |(since, _)| since.elapsed()))
    }

    /// From now on connections say for which tenant they are, or no longer.
    pub(crate) fn keep_tenants_apart(&self, on: bool) {
        self.row_security.store(on, Ordering::Relaxed);
    }

    /// Which cluster it is, once that is known.
    pub(crate) fn system(&self) -> Option<i64> {
        Some(self.system.load(Ordering::Relaxed)).filter(|system| *system != 0)
    }

    pub(crate) fn is(&self, system: i64) -> bool {
        self.system() == Some(system)
    }

    pub(crate) fn newest(&self) -> u32 {
        self.newest.load(Ordering::Relaxed)
    }

    pub(crate) fn role(&self, known: &Known) -> Role {
        match known.there() {
            None => Role::Away,
            Some(seen) if seen.system != self.system.load(Ordering::Relaxed) => Role::Foreign,
            Some(seen) if seen.replays => Role::Replica,
            Some(seen) if seen.timeline < self.newest() => Role::Outdated,
            Some(_) => Role::Primary,
        }
    }

    /// The server that takes writes.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) if there is none, or more than one: then nobody can say whose writes will
    /// be lost.
    pub(crate) fn primary(&self) -> Result<&Node> {
        let primaries: Vec<&Node> =
            self.nodes.iter().filter(|node| self.role(&node.known()) == Role::Primary).collect();
        match primaries.as_slice() {
            [one] => Ok(one),
            [] if self.nodes.iter().all(|node| self.role(&node.known()) == Role::Away) => {
                Err(self.explain("no server of the cluster can be reached"))
            }
            [] => Err(self.explain("no server of the cluster takes writes")),
            _ => Err(self.explain("two servers take writes on the same timeline; stop the one that should not")),
        }
    }

    fn explain(&self, message: &'static str) -> Error {
        let mut error = Error::new(ErrorKind::Unavailable, message);
        for node in &self.nodes {
            let known = node.known();
            let role = self.role(&known);
            // The only server's own words say more than that there is none.
            if let (Some(problem), [_]) = (&known.problem, self.nodes.as_slice()) {
                let kind = problem.kind();
                error = Error::new(kind, problem.message().to_owned());
                for (key, value) in problem.context() {
                    error = error.with(key, value);
                }
                return error.with("server", &node.name);
            }
            let why = known.problem.as_ref().map(|problem| format!(" ({})", problem.message())).unwrap_or_default();
            error = error.with("server", format_args!("{} is {}{why}", node.name, role.as_str()));
        }
        error
    }

    /// The server that takes writes, as soon as there is one.
    pub(crate) async fn find_primary(&self, deadline: &Deadline) -> Result<&Node> {
        let mut changes = self.changed.subscribe();
        loop {
            changes.mark_unchanged();
            let problem = match self.primary() {
                Ok(node) => return Ok(node),
                // What only a person can mend is not waited for.
                Err(error) if !matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::RateLimited) => {
                    return Err(error);
                }
                Err(error) => error,
            };
            self.nodes.iter().for_each(|node| node.ask.notify_one());
            let wait = tokio::time::timeout(deadline.remaining(), changes.changed());
            if wait.await.is_err() || deadline.has_passed() {
                return Err(problem);
            }
        }
    }

    /// Waits until every server has been asked once. One that takes writes may have been replaced, and who replaced it may
    /// be slower to answer.
    pub(crate) async fn first_look(&self, deadline: &Deadline) {
        let mut changes = self.changed.subscribe();
        let looked = async {
            while self.nodes.iter().any(|node| !node.known().was_asked()) {
                changes.mark_unchanged();
                if changes.changed().await.is_err() {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(deadline.remaining(), looked).await;
    }

    /// How far in the log the server that takes writes was last seen.
    pub(crate) fn farthest(&self) -> u64 {
        let positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        positions.back().map_or(0, |(_, position)| *position)
    }

    /// A connection to the server that takes writes, on the newest timeline, and at least on this one.
    pub(crate) async fn for_writing(&self, at_least: u32, deadline: &Deadline) -> Sql<Pooled> {
        loop {
            let node = self.find_primary(deadline).await?;
            let conn = node.connection(deadline).await?;
            if conn.timeline() == 0 {
                // Made while the server was a replica.
                conn.look().await?;
            }
            match conn.timeline() {
                0 => {
                    node.ask.notify_one();
                    let error =
                        Error::new(ErrorKind::Unavailable, "the server takes no writes").with("server", &node.name);
                    return Err(Fault::NotPrimary(error));
                }
                timeline if timeline < self.newest() => drop(Pooled::take(conn)),
                timeline if timeline < at_least => {
                    node.ask.notify_one();
                    let message = "the server that takes writes was replaced, and its successor is not to be seen";
                    let error = Error::new(ErrorKind::Unavailable, message).with("server", &node.name);
                    return Err(Fault::NotPrimary(error));
                }
                timeline => {
                    self.newest.fetch_max(timeline, Ordering::Relaxed);
                    return Ok(conn);
                }
            }
            if deadline.has_passed() {
                return Err(crate::error::late());
            }
        }
    }

    /// A connection outside of the pool, whose statements may take as long as they take.
    pub(crate) async fn apart(&self, node: &Node) -> Sql<Conn> {
        let reach = Reach { statement_timeout: Duration::ZERO, ..node.reach.clone() };
        let (conn, _) = Conn::open(&reach).await?;
        Ok(conn.with_row_security(self.row_security.load(Ordering::Relaxed)))
    }

    /// Whether a replica may have another history than the cluster: how far it is says nothing then. It may replay what
    /// a primary writes that was replaced.
    pub(crate) fn may_be_astray(&self, known: &Known) -> bool {
        known.there().is_some_and(|seen| seen.replays && seen.timeline < self.newest())
    }

    /// A replica that may have what is needed, each in its turn. With `anyhow`, also one that is far behind.
    pub(crate) fn replica(&self, needed: u64, anyhow: bool) -> Option<&Node> {
        let near = |node: &&Node| {
            let known = node.known();
            self.role(&known) == Role::Replica
                && !self.may_be_astray(&known)
                && (anyhow || known.lag.is_some_and(|lag| lag <= self.max_lag && !self.max_lag.is_zero()))
        };
        let fit: Vec<&Node> = self.nodes.iter().filter(near).filter(|node| anyhow || node.may_have(needed)).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        fit.get(turn.checked_rem(fit.len())?).copied()
    }

    pub(crate) fn acknowledgement(&self) -> Option<Acknowledgement> {
        let primary = self.primary().ok()?;
        primary.known().there().map(|seen| seen.acknowledgement)
    }

    pub(crate) fn close(&self) {
        self.nodes.iter().for_each(Node::close);
    }
}

/// Connecting has a limit of its own.
fn reach_time(node: &Node) -> Duration {
    node.reach.config.get_connect_timeout().copied().unwrap_or_default()
}

async fn look(own: &mut Option<Conn>, node: &Node) -> Sql<Seen> {
    if let Some(conn) = own {
        match conn.look().await {
            Ok(seen) => return Ok(seen),
            Err(_) => *own = None,
        }
    }
    let (conn, seen) = Conn::open(&node.reach).await?;
    *own = Some(conn);
    Ok(seen)
}
