//! The union in SQL: what a write comes to, and how it is stored.
//!
//! What a write comes to is not decided here but by [`SessionSet`], the algebra that every backend shares, over the
//! part of the session that the batch touches. The cost does not grow with the session.

use std::collections::BTreeMap;

use craftx_core::union::{Plan, Planned, SessionSet};
use craftx_core::{Message, Record, SessionId, Stamp, Tenant, WriteOptions, Written};
use rusqlite::{Connection, OptionalExtension, params};

use crate::body::{self, Body};
use crate::error::Sql;
use crate::index::Index;
use crate::row::{AclRow, Bytes, Cleared, SessionRow, acls, value};

/// How far the store is, in the transaction that the caller has begun. All batches of the transaction go on from here, and
/// the last one leaves it behind: the row of the store is read once and written once.
#[derive(Debug)]
pub(crate) struct Position {
    /// The number of the record that arrived last.
    seq: i64,
    /// The same in the row of the store.
    stored: i64,
    /// Whether the store keeps an index for searching.
    search: bool,
}

impl Position {
    /// Reads it from the store.
    pub(crate) fn read(conn: &Connection) -> rusqlite::Result<Self> {
        conn.prepare_cached("SELECT seq, search FROM store")?.query_row([], |row| {
            let seq = row.get(0)?;
            Ok(Self { seq, stored: seq, search: row.get(1)? })
        })
    }

    /// Writes it to the store.
    pub(crate) fn write(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        if self.stored != self.seq {
            conn.prepare_cached("UPDATE store SET seq = ?1")?.execute([self.seq])?;
            self.stored = self.seq;
        }
        Ok(())
    }
}

/// What a batch comes to.
pub(crate) struct Prepared {
    plan: Plan,
    row: Option<SessionRow>,
}

/// Works out what a batch comes to, and changes nothing: whatever a caller can do wrong is refused here.
pub(crate) fn prepare(
    conn: &Connection,
    tenant: &Tenant,
    session: &SessionId,
    records: &[Record],
    options: &WriteOptions,
) -> Sql<Prepared> {
    let row = SessionRow::find(conn, tenant, session)?;
    let version = row.as_ref().map(|row| row.version);
    let touched = match &row {
        Some(row) => touched(conn, row, records)?,
        None => SessionSet::new(),
    };
    let plan = touched.plan_part(version, records, options)?;
    Ok(Prepared { plan, row })
}

/// Stores what a batch comes to, inside of the transaction that the caller has begun. `now` is in microseconds.
///
/// # Errors
/// Those of SQLite, or of stored records that cannot be read. The batch may be stored in part then, so the caller has to
/// undo the transaction.
pub(crate) fn store(
    conn: &Connection,
    position: &mut Position,
    tenant: &Tenant,
    session: &SessionId,
    prepared: Prepared,
    now: i64,
) -> Sql<Written> {
    let Prepared { plan, mut row } = prepared;
    if let Some(first) = plan.store.first() {
        let mut store = Store::begin(conn, position, tenant, session, row, first.record.stamp(), now)?;
        for planned in &plan.store {
            store.add(planned)?;
        }
        row = Some(store.finish()?);
    }
    Ok(plan
        .written()
        .with_version(row.as_ref().map(|row| row.version))
        .with_cleared(row.as_ref().and_then(|row| row.cleared).map(|cleared| cleared.through)))
}

/// The part of the session that these records can meet.
fn touched(conn: &Connection, row: &SessionRow, records: &[Record]) -> Sql<SessionSet<()>> {
    let mut set = SessionSet::new();
    let mut add = |record: Record| {
        set.replay(&record, record.identity(), |_| ());
    };
    if let Some(cleared) = row.cleared {
        add(cleared.record());
    }
    let mut acls_wanted = false;
    for record in records {
        match record {
            Record::Message(message) => {
                if let Some(stamp) = deletion(conn, row.sid, message.id)? {
                    add(Record::Deleted { id: message.id, stamp });
                } else if row.head.is_some_and(|head| message.id <= head) {
                    for body in bodies(conn, row.sid, message.id)? {
                        add(Record::Message(body.message()?));
                    }
                }
            }
            Record::Deleted { id, .. } => {
                if let Some(stamp) = deletion(conn, row.sid, *id)? {
                    add(Record::Deleted { id: *id, stamp });
                }
            }
            Record::Session { set, .. } => {
                for key in set.keys() {
                    if let Some(record) = stored_key(conn, row.sid, key)? {
                        add(record);
                    }
                }
            }
            Record::Acl { .. } => acls_wanted = true,
            _ => {}
        }
    }
    if acls_wanted {
        acls(conn, row.sid)?.into_iter().for_each(|acl| add(acl.record));
    }
    Ok(set)
}

fn deletion(conn: &Connection, sid: i64, id: Stamp) -> Sql<Option<Stamp>> {
    let mut select = conn.prepare_cached("SELECT stamp FROM deletions WHERE sid = ?1 AND id = ?2")?;
    let found = select.query_row(params![sid, Bytes(id)], |row| row.get::<_, Bytes>(0)).optional()?;
    Ok(found.map(|bytes| bytes.0))
}

/// The stored variants of a message, in order of arrival.
fn bodies(conn: &Connection, sid: i64, id: Stamp) -> Sql<Vec<Body>> {
    const SELECT: &str =
        concat!("SELECT ", body::columns!(), " FROM messages WHERE sid = ?1 AND stamp = ?2 ORDER BY variant");
    let mut select = conn.prepare_cached(SELECT)?;
    let found = select.query_map(params![sid, Bytes(id)], |row| Body::read(row, 0))?.collect::<Result<_, _>>()?;
    Ok(found)
}

fn stored_key(conn: &Connection, sid: i64, key: &str) -> Sql<Option<Record>> {
    let mut select = conn.prepare_cached("SELECT stamp, value FROM session_keys WHERE sid = ?1 AND key = ?2")?;
    let found = select
        .query_row(params![sid, key], |row| Ok((row.get::<_, Bytes>(0)?, row.get::<_, Option<String>>(1)?)))
        .optional()?;
    let Some((stamp, text)) = found else { return Ok(None) };
    let value = text.map(|text| value(&text)).transpose()?;
    Ok(Some(Record::Session { stamp: stamp.0, set: BTreeMap::from([(key.to_owned(), value)]) }))
}

/// Some messages of a session: how they are counted and read before they leave the index, and how they are deleted.
#[derive(Clone, Copy)]
struct Which {
    count: &'static str,
    select: &'static str,
    delete: &'static str,
}

macro_rules! stored {
    ($condition:literal) => {
        Which {
            count: concat!("SELECT count(*) FROM messages WHERE sid = ?1 AND variant = 0 AND ", $condition),
            select: concat!(
                "SELECT seq, ",
                body::columns!(),
                " FROM messages WHERE sid = ?1 AND variant = 0 AND ",
                $condition
            ),
            delete: concat!("DELETE FROM messages WHERE sid = ?1 AND ", $condition, " RETURNING variant"),
        }
    };
}

/// A session to which records are being added.
struct Store<'c> {
    conn: &'c Connection,
    position: &'c mut Position,
    row: SessionRow,
    now: i64,
    /// The index for searching, if the store keeps one.
    index: Option<Index<'c>>,
}

impl<'c> Store<'c> {
    fn begin(
        conn: &'c Connection,
        position: &'c mut Position,
        tenant: &Tenant,
        session: &SessionId,
        row: Option<SessionRow>,
        first: Stamp,
        now: i64,
    ) -> Sql<Self> {
        let row = match row {
            Some(row) => row,
            None => create(conn, tenant, session, first)?,
        };
        let index = position.search.then(|| Index::new(conn, row.tid));
        Ok(Self { conn, position, row, now, index })
    }

    /// Stores what [`SessionSet::plan`] found to apply.
    fn add(&mut self, planned: &Planned) -> Sql<()> {
        self.position.seq += 1;
        self.row.version = self.row.version.max(planned.record.stamp());
        match &planned.record {
            Record::Message(message) => self.add_message(planned, message),
            Record::Session { stamp, set } => set.iter().try_for_each(|(key, value)| {
                self.add_key(*stamp, key, value.as_ref().map(serde_json::Value::to_string))
            }),
            Record::Acl { .. } => self.add_acl(planned),
            Record::Deleted { id, stamp } => self.delete(*id, *stamp),
            Record::Cleared { through, stamp } => self.clear(*through, *stamp),
            // `Record` is non-exhaustive for other crates; this release of the core has no other kind.
            _ => Err(craftx_core::Error::unsupported("this kind of record", "the sqlite backend").into()),
        }
    }

    fn add_message(&mut self, planned: &Planned, message: &Message) -> Sql<()> {
        let id = message.id;
        let mut variant = 0;
        if self.row.head.is_some_and(|head| id <= head) {
            for stored in bodies(self.conn, self.row.sid, id)? {
                let stored = stored.message()?;
                if Record::Message(stored.clone()).identity().is_renewed_by(&planned.identity()) {
                    return self.renew(&stored, message, variant);
                }
                variant += 1;
            }
        }
        Body::of(message).insert(self.conn, self.position.seq, self.row.sid, variant)?;
        if variant == 0 {
            self.row.messages += 1;
            self.row.head = self.row.head.max(Some(id));
            if let Some(index) = &mut self.index {
                index.add(self.position.seq, message)?;
            }
        }
        Ok(())
    }

    /// Puts a ciphertext in the place of an older one. It is new to whoever reads by arrival, and its words may be others.
    fn renew(&mut self, old: &Message, new: &Message, variant: i64) -> Sql<()> {
        let seq = self
            .conn
            .prepare_cached("DELETE FROM messages WHERE sid = ?1 AND stamp = ?2 AND variant = ?3 RETURNING seq")?
            .query_row(params![self.row.sid, Bytes(old.id), variant], |row| row.get(0))?;
        Body::of(new).insert(self.conn, self.position.seq, self.row.sid, variant)?;
        if let (0, Some(index)) = (variant, &mut self.index) {
            index.remove(seq, old)?;
            index.add(self.position.seq, new)?;
        }
        Ok(())
    }

    fn add_key(&self, stamp: Stamp, key: &str, value: Option<String>) -> Sql<()> {
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO session_keys (sid, key, stamp, value, seq) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![self.row.sid, key, Bytes(stamp), value, self.position.seq])?;
        Ok(())
    }

    /// Keeps the first and the last one only.
    fn add_acl(&self, planned: &Planned) -> Sql<()> {
        let sid = self.row.sid;
        let before = acls(self.conn, sid)?;
        self.conn.prepare_cached("INSERT INTO acls (seq, sid, body) VALUES (?1, ?2, ?3)")?.execute(params![
            self.position.seq,
            sid,
            planned.encoded().as_str()
        ])?;
        let after = acls(self.conn, sid)?;
        if let [_, middle @ .., _] = after.as_slice() {
            for AclRow { seq, .. } in middle {
                self.conn.prepare_cached("DELETE FROM acls WHERE seq = ?1")?.execute([seq])?;
            }
        }
        self.show("DELETE FROM visible_to WHERE name = ?1 AND owner = ?2 AND sid = ?3", &before)?;
        self.show("INSERT OR IGNORE INTO visible_to (name, owner, sid) VALUES (?1, ?2, ?3)", &after)
    }

    /// Keeps `visible_to`, which says in columns by whom the session is seen, in step with the two records.
    fn show(&self, sql: &str, acls: &[AclRow]) -> Sql<()> {
        let (Some(first), Some(last)) = (acls.first(), acls.last()) else { return Ok(()) };
        let mut change = self.conn.prepare_cached(sql)?;
        if let Some(owner) = first.owner()? {
            change.execute(params![owner, true, self.row.sid])?;
        }
        for grant in last.grants()?.iter().filter(|grant| !grant.actions.is_empty()) {
            change.execute(params![grant.to, false, self.row.sid])?;
        }
        Ok(())
    }

    fn delete(&mut self, id: Stamp, stamp: Stamp) -> Sql<()> {
        self.remove_messages(stored!("stamp = ?2"), id)?;
        match &mut self.row.cleared {
            Some(cleared) if id <= cleared.through => {
                cleared.stamp = cleared.stamp.max(stamp);
                cleared.seq = self.position.seq;
            }
            _ => {
                self.conn
                    .prepare_cached(
                        "INSERT INTO deletions (sid, id, stamp, seq) VALUES (?1, ?2, ?3, ?4)
                         ON CONFLICT (sid, id) DO UPDATE SET stamp = excluded.stamp, seq = excluded.seq",
                    )?
                    .execute(params![self.row.sid, Bytes(id), Bytes(stamp), self.position.seq])?;
            }
        }
        Ok(())
    }

    fn clear(&mut self, through: Stamp, stamp: Stamp) -> Sql<()> {
        let (mut through, mut stamp) = (through, stamp);
        if let Some(known) = self.row.cleared {
            through = through.max(known.through);
            stamp = stamp.max(known.stamp);
        }
        let sid = self.row.sid;
        let absorbed: Option<Bytes> = self
            .conn
            .prepare_cached("SELECT max(stamp) FROM deletions WHERE sid = ?1 AND id <= ?2")?
            .query_row(params![sid, Bytes(through)], |row| row.get(0))?;
        stamp = stamp.max(absorbed.map_or(stamp, |bytes| bytes.0));
        self.row.cleared = Some(Cleared { through, stamp, seq: self.position.seq });
        self.remove_messages(stored!("stamp <= ?2"), through)?;
        for sql in [
            "DELETE FROM deletions WHERE sid = ?1 AND id <= ?2",
            "DELETE FROM session_keys WHERE sid = ?1 AND stamp <= ?2",
        ] {
            self.conn.prepare_cached(sql)?.execute(params![sid, Bytes(through)])?;
        }
        Ok(())
    }

    /// Deletes messages, and finds the head again if it was among them.
    fn remove_messages(&mut self, which: Which, up_to: Stamp) -> Sql<()> {
        if self.row.messages == 0 {
            return Ok(());
        }
        let sid = self.row.sid;
        if let Some(index) = &mut self.index {
            let mut count = self.conn.prepare_cached(which.count)?;
            let many = index.is_many(count.query_row(params![sid, Bytes(up_to)], |row| row.get(0))?)?;
            if many {
                index.begin_many()?;
            }
            let mut select = self.conn.prepare_cached(which.select)?;
            let mut rows = select.query(params![sid, Bytes(up_to)])?;
            while let Some(row) = rows.next()? {
                index.remove(row.get(0)?, &Body::read(row, 1)?.message()?)?;
            }
            if many {
                index.end_of_many()?;
            }
        }
        let mut delete = self.conn.prepare_cached(which.delete)?;
        let mut rows = delete.query(params![sid, Bytes(up_to)])?;
        while let Some(row) = rows.next()? {
            self.row.messages -= i64::from(row.get::<_, i64>(0)? == 0);
        }
        if self.row.head.is_some_and(|head| head <= up_to) {
            let head = self
                .conn
                .prepare_cached("SELECT stamp FROM messages WHERE sid = ?1 ORDER BY stamp DESC, variant DESC LIMIT 1")?
                .query_row([sid], |row| row.get::<_, Bytes>(0))
                .optional()?;
            self.row.head = head.map(|bytes| bytes.0);
        }
        Ok(())
    }

    fn finish(mut self) -> Sql<SessionRow> {
        self.index.take().map_or(Ok(()), Index::finish)?;
        self.row.seq = self.position.seq;
        self.row.updated = self.now;
        self.row.live = self.row.messages > 0 || self.has_more_than_messages()?;
        let row = &self.row;
        let cleared = row.cleared;
        self.conn
            .prepare_cached(
                "UPDATE sessions SET version = ?2, head = ?3, cleared_through = ?4, cleared_stamp = ?5, cleared_seq = ?6,
                     seq = ?7, updated = ?8, messages = ?9, live = ?10 WHERE sid = ?1",
            )?
            .execute(params![
                row.sid,
                Bytes(row.version),
                row.head.map(Bytes),
                cleared.map(|cleared| Bytes(cleared.through)),
                cleared.map(|cleared| Bytes(cleared.stamp)),
                cleared.map(|cleared| cleared.seq),
                row.seq,
                row.updated,
                row.messages,
                row.live,
            ])?;
        Ok(self.row)
    }

    fn has_more_than_messages(&self) -> Sql<bool> {
        const MORE: &str = "SELECT EXISTS (SELECT 1 FROM acls WHERE sid = ?1)
             OR EXISTS (SELECT 1 FROM session_keys WHERE sid = ?1 AND value IS NOT NULL)";
        Ok(self.conn.prepare_cached(MORE)?.query_row([self.row.sid], |row| row.get(0))?)
    }
}

/// The row of a session that is written for the first time.
fn create(conn: &Connection, tenant: &Tenant, session: &SessionId, first: Stamp) -> Sql<SessionRow> {
    conn.prepare_cached("INSERT INTO tenants (name) VALUES (?1) ON CONFLICT DO NOTHING")?.execute([tenant.as_str()])?;
    let (sid, tid) = conn
        .prepare_cached(
            "INSERT INTO sessions (tid, id, version, seq, updated, messages, live)
             SELECT tid, ?2, ?3, 0, 0, 0, 0 FROM tenants WHERE name = ?1 RETURNING sid, tid",
        )?
        .query_row(params![tenant.as_str(), session.as_str(), Bytes(first)], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(SessionRow { sid, tid, version: first, head: None, cleared: None, seq: 0, updated: 0, messages: 0, live: false })
}
