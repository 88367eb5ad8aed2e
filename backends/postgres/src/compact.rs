//! Forgetting deletions, and giving back the space of what is dead.
//!
//! What a deletion covers is deleted when the deletion is written. PostgreSQL keeps the old rows until they are vacuumed; and
//! their bytes may lie in pages, in the log and in its archive for longer, which no statement can help.

use craftx_core::{Compact, Compacted, Tenant, async_trait};

use crate::conn::{Conn, For, Step};
use crate::error::Sql;
use crate::reading::Reading;
use crate::statements::POSITION;
use crate::store::{Store, position_in};
use crate::value::Value;
use crate::writing::Writing;

/// The clear stays, and so does whatever carries the version of its session, so that the version never decreases.
const DELETIONS: &str = "DELETE FROM @.deletions d USING @.tenants t, @.sessions s
     WHERE t.name = $1 AND s.tid = t.tid AND ($2 = '' OR s.id = $2) AND d.tid = s.tid AND d.sid = s.sid
       AND d.stamp < $3 AND d.stamp <> s.version RETURNING 1";
const KEYS: &str = "DELETE FROM @.session_keys k USING @.tenants t, @.sessions s
     WHERE t.name = $1 AND s.tid = t.tid AND ($2 = '' OR s.id = $2) AND k.tid = s.tid AND k.sid = s.sid
       AND k.value IS NULL AND k.stamp < $3 AND k.stamp <> s.version RETURNING 1";

/// Forgets deletions of messages and removals of keys that are older than a stamp.
#[derive(Debug)]
pub(crate) struct Purge {
    pub(crate) tenant: Tenant,
    pub(crate) what: Compact,
}

#[async_trait]
impl Writing for Purge {
    type Answer = u64;

    async fn write(&self, store: &Store, conn: &Conn) -> Sql<(u64, Option<u64>)> {
        let Some(before) = self.what.purge_deleted_before else { return Ok((0, None)) };
        let only = self.what.session.as_ref().map_or("", |session| session.as_str());
        let values: [Value<'_>; 3] =
            [Value::Text(self.tenant.as_str()), Value::Text(only), Value::Uuid(before.as_uuid())];
        let mut steps = conn.begin(For::Tenant(&self.tenant), "BEGIN ISOLATION LEVEL READ COMMITTED");
        steps.extend([DELETIONS, KEYS].map(|sql| Step::query(store.sql.with_schema(sql), values)));
        steps.extend([Step::Command("COMMIT"), Step::query(POSITION, [])]);
        let mut answers = conn.all(&steps).await?;
        let position = position_in(&answers.pop().unwrap_or_default())?;
        let purged = answers.iter().flatten().filter(|row| row.len() == 1).count();
        Ok((purged as u64, Some(position)))
    }
}

/// The bytes of the whole store.
const BYTES: &str = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
     WHERE c.relkind = 'r' AND c.relnamespace = to_regnamespace($1)";

/// How many bytes the store takes.
pub(crate) async fn bytes(store: &Store, conn: &Conn) -> Sql<u64> {
    let rows = conn.query(BYTES, &[Value::Text(&store.sql.schema)]).await?;
    let bytes: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}

/// Has the server take the space of dead rows for new ones, of all tenants: the tables are theirs together.
#[derive(Debug)]
pub(crate) struct Vacuum;

#[async_trait]
impl Reading for Vacuum {
    type Answer = Compacted;

    async fn read(&self, store: &Store, conn: &Conn) -> Sql<(Compacted, Option<u64>)> {
        let tables = ["messages", "sessions", "deletions", "session_keys", "acls", "visible_to"];
        let tables = tables.map(|table| format!("{}.{table}", store.sql.schema)).join(", ");
        conn.command(&format!("VACUUM (INDEX_CLEANUP ON, TRUNCATE ON) {tables}")).await?;
        // The server keeps the space for new rows. What it gives back to the system depends on what else is under way.
        Ok((Compacted::new(0, 0, 0), None))
    }
}
