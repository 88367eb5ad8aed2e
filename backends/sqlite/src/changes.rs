//! Reading records in order of arrival: what replication, migration and backup read.

use std::collections::BTreeMap;

use craftx_core::{Binding, Changes, Cursor, Error, ErrorKind, Record, SessionId, Stamp, Tenant, page_size};
use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::body::{self, Body};
use crate::error::Sql;
use crate::row::{Bytes, SessionRow, acls, value};

const MESSAGES: &str =
    concat!("SELECT seq, ", body::columns!(), " FROM messages WHERE sid = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3");

/// The records of a session that arrived after the cursor.
///
/// The arrival number of a record only grows: a record that is joined with a later one gets the number of that one.
/// So a cursor stays valid for ever, and nothing that arrives later lies before it.
pub(crate) fn records(
    conn: &Connection,
    store: Uuid,
    tenant: &Tenant,
    session: &SessionId,
    from: Option<&Cursor>,
    limit: Option<u32>,
) -> Sql<Changes> {
    let binding = Binding::new("records", tenant, [session.as_str()]);
    let start = match from {
        None => 0,
        Some(cursor) => position(conn, store, cursor.position(&binding)?)?,
    };
    let size = page_size(limit);
    let mut found = match SessionRow::find(conn, tenant, session)? {
        Some(row) => arrivals(conn, &row, start, size + 1)?,
        None => Vec::new(),
    };
    found.sort_by_key(|(seq, _)| *seq);
    let done = found.len() <= size;
    found.truncate(size);
    let next = found.last().map_or(start, |(seq, _)| *seq);
    let items = found.into_iter().map(|(_, arrival)| arrival.record()).collect::<Result<_, _>>()?;
    Ok(Changes { items, next: Cursor::new(&binding, format_args!("{store}.{next}")), done })
}

/// The arrival number in a cursor. It means nothing in another store, nor in an older copy of this one.
fn position(conn: &Connection, store: Uuid, text: &str) -> Sql<i64> {
    let expired = || Error::new(ErrorKind::Conflict, "the cursor has expired; start again");
    let seq = text
        .split_once('.')
        .filter(|(theirs, _)| *theirs == store.to_string())
        .and_then(|(_, seq)| seq.parse::<i64>().ok())
        .ok_or_else(expired)?;
    let newest: i64 = conn.prepare_cached("SELECT seq FROM store")?.query_row([], |row| row.get(0))?;
    if seq > newest { Err(expired().into()) } else { Ok(seq) }
}

/// A record as it was found; messages are decoded only if they are on the page.
enum Arrival {
    Message(Box<Body>),
    Other(Box<Record>),
}

impl Arrival {
    fn record(self) -> Result<Record, Error> {
        match self {
            Self::Message(body) => body.message().map(Record::Message),
            Self::Other(record) => Ok(*record),
        }
    }
}

/// At least the first `limit` arrivals after `start`, in no order.
fn arrivals(conn: &Connection, row: &SessionRow, start: i64, limit: usize) -> Sql<Vec<(i64, Arrival)>> {
    let (sid, limit) = (row.sid, limit as i64);
    let mut found = Vec::new();
    if row.seq <= start {
        return Ok(found);
    }
    let mut select = conn.prepare_cached(MESSAGES)?;
    let mut rows = select.query(params![sid, start, limit])?;
    while let Some(row) = rows.next()? {
        found.push((row.get(0)?, Arrival::Message(Box::new(Body::read(row, 1)?))));
    }
    let mut select =
        conn.prepare_cached("SELECT seq, id, stamp FROM deletions WHERE sid = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3")?;
    let mut rows = select.query(params![sid, start, limit])?;
    while let Some(row) = rows.next()? {
        let record = Record::Deleted { id: row.get::<_, Bytes>(1)?.0, stamp: row.get::<_, Bytes>(2)?.0 };
        found.push((row.get(0)?, Arrival::Other(Box::new(record))));
    }
    found.extend(keys(conn, sid, start)?);
    found.extend(
        acls(conn, sid)?
            .into_iter()
            .filter(|acl| acl.seq > start)
            .map(|acl| (acl.seq, Arrival::Other(Box::new(acl.record)))),
    );
    if let Some(cleared) = row.cleared.filter(|cleared| cleared.seq > start) {
        found.push((cleared.seq, Arrival::Other(Box::new(cleared.record()))));
    }
    Ok(found)
}

/// The keys that arrived in one record are one record again.
fn keys(conn: &Connection, sid: i64, start: i64) -> Sql<Vec<(i64, Arrival)>> {
    let mut select =
        conn.prepare_cached("SELECT seq, stamp, key, value FROM session_keys WHERE sid = ?1 AND seq > ?2")?;
    let mut rows = select.query(params![sid, start])?;
    let mut sets: BTreeMap<i64, (Stamp, BTreeMap<String, Option<serde_json::Value>>)> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let stamp = row.get::<_, Bytes>(1)?.0;
        let text: Option<String> = row.get(3)?;
        let (_, set) = sets.entry(row.get(0)?).or_insert_with(|| (stamp, BTreeMap::new()));
        set.insert(row.get(2)?, text.map(|text| value(&text)).transpose()?);
    }
    Ok(sets
        .into_iter()
        .map(|(seq, (stamp, set))| (seq, Arrival::Other(Box::new(Record::Session { stamp, set }))))
        .collect())
}
