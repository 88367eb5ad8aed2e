//! What is true of the store and of its servers right now.

use craftx_core::{Acknowledgement, Node, Tenant, async_trait};

use crate::cluster::Role;
use crate::compact::bytes;
use crate::conn::{Conn, For};
use crate::error::{Sql, corrupted};
use crate::reading::Reading;
use crate::store::Store;
use crate::value::Value;

const FACTS: &str = "SELECT (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM @.arrivals),
     (SELECT count(*) FROM @.sessions s JOIN @.tenants t USING (tid) WHERE t.name = $1 AND s.live)";

/// What is counted for a status.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) tenant: Tenant,
}

/// What was counted.
#[derive(Debug)]
pub(crate) struct Counted {
    /// The number of the write that stored something last.
    pub(crate) position: u64,
    pub(crate) sessions: u64,
    pub(crate) bytes: u64,
}

#[async_trait]
impl Reading for Facts {
    type Answer = Counted;

    async fn read(&self, store: &Store, conn: &Conn) -> Sql<(Counted, Option<u64>)> {
        let sql = store.sql.with_schema(FACTS);
        let rows = conn.single(For::Tenant(&self.tenant), &sql, &[Value::Text(self.tenant.as_str())]).await?;
        let row = rows.first().ok_or_else(|| corrupted("the store does not say what it is"))?;
        let count = |column| -> Sql<u64> { Ok(u64::try_from(row.try_get::<_, i64>(column)?).unwrap_or(0)) };
        let (position, sessions) = (count(0)?, count(1)?);
        Ok((Counted { position, sessions, bytes: bytes(store, conn).await? }, None))
    }
}

impl Store {
    /// The servers, as they were last seen.
    pub(crate) fn nodes(&self) -> Vec<Node> {
        let node = |node: &crate::node::Node| {
            let known = node.known().clone();
            let role = self.cluster.role(&known);
            let mut told = Node::new(&*node.name, role.as_str());
            if let Some(seen) = &known.seen {
                let (high, low) = (seen.position >> 32, seen.position & 0xffff_ffff);
                told.position = Some(format!("{}:{high:X}/{low:X}", seen.timeline));
            }
            told.lag_ms = known.lag.map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX));
            told.problem = match role {
                Role::Outdated => Some(format!(
                    "it takes writes on a timeline that has ended, and the cluster is on {}: stop it; what is written to it is lost",
                    self.cluster.newest()
                )),
                Role::Replica if self.cluster.may_be_astray(&known) => Some(format!(
                    "it is not known to follow the cluster to timeline {}, and not read from until it is",
                    self.cluster.newest()
                )),
                Role::Foreign => Some("it belongs to another cluster".to_owned()),
                _ => known.problem.as_ref().map(|problem| problem.message().to_owned()),
            };
            told
        };
        self.cluster.nodes.iter().map(node).collect()
    }

    /// Where an acknowledged write is, while there is a server that takes any.
    pub(crate) fn acknowledgement(&self) -> Option<Acknowledgement> {
        self.cluster.acknowledgement()
    }
}

/// What a failover can lose, as a sentence.
pub(crate) fn explained(level: Acknowledgement, replicated: bool) -> String {
    let what = match level {
        Acknowledgement::PrimaryMemory => {
            "the server may lose what it acknowledged if it crashes (`fsync` or `synchronous_commit` is off)"
        }
        Acknowledgement::Primary if !replicated => "a write is acknowledged when it is on the disk of the server",
        Acknowledgement::Primary => {
            "a write is acknowledged when it is on the disk of the primary: a failover to a replica can lose the newest ones"
        }
        Acknowledgement::StandbyMemory => "a write is acknowledged when a standby has received it too",
        Acknowledgement::StandbyVisible => "a write is acknowledged when a standby shows it too",
        _ => "a write is acknowledged when it is on the disk of a standby too",
    };
    format!("{what} (acknowledgement: {})", level.as_str())
}
