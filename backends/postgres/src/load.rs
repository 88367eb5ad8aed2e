//! Reading messages.

use craftx_core::union::{conflicting, no_such_session};
use craftx_core::{MessageQuery, Messages, Order, SessionId, Stamp, Tenant, Uuid, async_trait, page_size};
use tokio_postgres::Row;

use crate::body;
use crate::conn::{Conn, For};
use crate::error::Sql;
use crate::reading::Reading;
use crate::store::Store;
use crate::value::Value;

/// Which of some messages replays brought in two variants.
const CONFLICTS: &str = "SELECT m.stamp FROM @.tenants t JOIN @.sessions s USING (tid)
     JOIN @.messages m ON m.tid = s.tid AND m.sid = s.sid AND m.variant > 0 AND m.stamp = ANY ($3)
     WHERE t.name = $1 AND s.id = $2";

/// A page of live messages.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) tenant: Tenant,
    pub(crate) session: SessionId,
    pub(crate) query: MessageQuery,
}

#[async_trait]
impl Reading for Load {
    type Answer = Messages;

    async fn read(&self, store: &Store, conn: &Conn) -> Sql<(Messages, Option<u64>)> {
        let size = page_size(self.query.limit);
        let rows = if self.query.ids.is_empty() {
            self.range(store, conn, size).await?
        } else {
            self.by_id(store, conn).await?
        };
        let first = rows.first().ok_or_else(|| no_such_session(&self.session))?;
        let position = first.try_get::<_, Option<i64>>(0)?.map(i64::cast_unsigned);
        let contested: bool = first.try_get(1)?;
        let mut found = Messages { items: Vec::with_capacity(rows.len()), more: false };
        for row in &rows {
            // A session without such messages answers one row without a message.
            let Some(id) = body::maybe_stamp(row, 2)? else { continue };
            if !self.query.ids.is_empty() && !self.admits(id) {
                continue;
            }
            if found.items.len() == size {
                found.more = true;
                break;
            }
            found.items.push(body::read(row, 2)?);
        }
        if contested {
            self.refuse_conflicts(store, conn, &found).await?;
        }
        Ok((found, position))
    }
}

impl Load {
    async fn range(&self, store: &Store, conn: &Conn, size: usize) -> Sql<Vec<Row>> {
        let sql = match self.query.order {
            Order::OldestFirst => &store.sql.load_forwards,
            Order::NewestFirst => &store.sql.load_backwards,
        };
        // Stamps are of version 7, so these two lie outside of all of them.
        let after = self.query.after.map_or(Uuid::nil(), Stamp::as_uuid);
        let before = self.query.before.map_or(Uuid::max(), Stamp::as_uuid);
        let values = [
            Value::Text(self.tenant.as_str()),
            Value::Text(self.session.as_str()),
            Value::Uuid(after),
            Value::Uuid(before),
            // One more than asked for, to see whether there is more.
            Value::Int8(size as i64 + 1),
        ];
        conn.single(For::Tenant(&self.tenant), sql, &values).await
    }

    async fn by_id(&self, store: &Store, conn: &Conn) -> Sql<Vec<Row>> {
        let ids: Vec<Uuid> = self.query.ids.iter().map(|id| id.as_uuid()).collect();
        let values = [Value::Text(self.tenant.as_str()), Value::Text(self.session.as_str()), Value::Uuids(&ids)];
        let mut rows = conn.single(For::Tenant(&self.tenant), &store.sql.load_ids, &values).await?;
        if self.query.order == Order::NewestFirst {
            rows.reverse();
        }
        Ok(rows)
    }

    fn admits(&self, id: Stamp) -> bool {
        self.query.after.is_none_or(|after| id > after) && self.query.before.is_none_or(|before| id < before)
    }

    /// Fails with the first message of the page that has two variants. One that was deleted since is none of them.
    async fn refuse_conflicts(&self, store: &Store, conn: &Conn, page: &Messages) -> Sql<()> {
        let ids: Vec<Uuid> = page.items.iter().map(|message| message.id.as_uuid()).collect();
        let sql = store.sql.with_schema(CONFLICTS);
        let values = [Value::Text(self.tenant.as_str()), Value::Text(self.session.as_str()), Value::Uuids(&ids)];
        let rows = conn.single(For::Tenant(&self.tenant), &sql, &values).await?;
        let conflicts = rows.iter().map(|row| body::stamp(row, 0)).collect::<Sql<Vec<_>>>()?;
        match page.items.iter().find(|message| conflicts.contains(&message.id)) {
            Some(message) => Err(conflicting(message.id).into()),
            None => Ok(()),
        }
    }
}
