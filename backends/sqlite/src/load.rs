//! Reading messages.

use craftx_core::union::{conflicting, no_such_session};
use craftx_core::{Message, MessageQuery, Messages, Order, SessionId, Tenant, page_size};
use rusqlite::{Connection, OptionalExtension, params};

use crate::body::{self, Body};
use crate::error::Sql;
use crate::row::{Bytes, SessionRow};

const FORWARDS: &str = concat!(
    "SELECT ",
    body::columns!(),
    " FROM messages WHERE sid = ?1 AND stamp > ?2 AND stamp < ?3 AND variant = 0 ORDER BY stamp LIMIT ?4"
);
const BACKWARDS: &str = concat!(
    "SELECT ",
    body::columns!(),
    " FROM messages WHERE sid = ?1 AND stamp > ?2 AND stamp < ?3 AND variant = 0 ORDER BY stamp DESC LIMIT ?4"
);
const ONE: &str = concat!("SELECT ", body::columns!(), " FROM messages WHERE sid = ?1 AND stamp = ?2 AND variant = 0");
const CONFLICTS: &str = "SELECT stamp FROM messages
     WHERE sid = ?1 AND stamp BETWEEN ?2 AND ?3 AND variant > 0 ORDER BY stamp";

/// A bound that lies outside of all stamps, because it is shorter or longer than any.
const BEFORE_ALL: &[u8] = &[];
const AFTER_ALL: &[u8] = &[0xff; 17];

/// A page of live messages.
pub(crate) fn messages(conn: &Connection, tenant: &Tenant, session: &SessionId, query: &MessageQuery) -> Sql<Messages> {
    let row =
        SessionRow::find(conn, tenant, session)?.filter(|row| row.live).ok_or_else(|| no_such_session(session))?;
    let size = page_size(query.limit);
    let found =
        if query.ids.is_empty() { range(conn, row.sid, query, size)? } else { by_id(conn, row.sid, query, size)? };
    refuse_conflicts(conn, row.sid, &found.items)?;
    Ok(found)
}

fn range(conn: &Connection, sid: i64, query: &MessageQuery, size: usize) -> Sql<Messages> {
    let after = query.after.as_ref().map_or(BEFORE_ALL, |stamp| stamp.as_bytes());
    let before = query.before.as_ref().map_or(AFTER_ALL, |stamp| stamp.as_bytes());
    let sql = match query.order {
        Order::OldestFirst => FORWARDS,
        Order::NewestFirst => BACKWARDS,
    };
    let mut select = conn.prepare_cached(sql)?;
    // One more than asked for, to see whether there is more.
    let mut rows = select.query(params![sid, after, before, size as i64 + 1])?;
    // A page is a few dozen messages, or as many as there are.
    let mut found = Messages { items: Vec::with_capacity(size.min(64)), more: false };
    while let Some(row) = rows.next()? {
        if found.items.len() == size {
            found.more = true;
            break;
        }
        found.items.push(Body::read(row, 0)?.message()?);
    }
    Ok(found)
}

fn by_id(conn: &Connection, sid: i64, query: &MessageQuery, size: usize) -> Sql<Messages> {
    let mut ids = query.ids.clone();
    ids.sort_unstable();
    ids.dedup();
    if query.order == Order::NewestFirst {
        ids.reverse();
    }
    ids.retain(|id| query.after.is_none_or(|after| *id > after) && query.before.is_none_or(|before| *id < before));
    let mut select = conn.prepare_cached(ONE)?;
    let mut found = Messages { items: Vec::new(), more: false };
    for id in ids {
        let Some(body) = select.query_row(params![sid, Bytes(id)], |row| Body::read(row, 0)).optional()? else {
            continue;
        };
        if found.items.len() == size {
            found.more = true;
            break;
        }
        found.items.push(body.message()?);
    }
    Ok(found)
}

/// Fails with the first message of the page that replays brought in two variants.
fn refuse_conflicts(conn: &Connection, sid: i64, page: &[Message]) -> Sql<()> {
    let (Some(first), Some(last)) = (page.first(), page.last()) else { return Ok(()) };
    let (first, last) = (first.id, last.id);
    let mut select = conn.prepare_cached(CONFLICTS)?;
    let rows =
        select.query_map(params![sid, Bytes(first.min(last)), Bytes(first.max(last))], |row| row.get::<_, Bytes>(0))?;
    let conflicts = rows.collect::<Result<Vec<Bytes>, _>>()?;
    if conflicts.is_empty() {
        return Ok(());
    }
    match page.iter().find(|message| conflicts.binary_search(&Bytes(message.id)).is_ok()) {
        Some(message) => Err(conflicting(message.id).into()),
        None => Ok(()),
    }
}
