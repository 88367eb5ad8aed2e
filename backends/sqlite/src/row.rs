//! The row of a session, and what is read together with it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use craftx_core::{Digest, Error, Grant, Metadata, Record, Result, Session, SessionId, Stamp, Tenant};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::{Sql, corrupted};

/// A stamp in a column: its 16 bytes, whose order is the order of the stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bytes(pub(crate) Stamp);

impl ToSql for Bytes {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.0.as_bytes())))
    }
}

impl FromSql for Bytes {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes = <[u8; 16]>::column_result(value)?;
        Stamp::from_bytes(bytes).map(Bytes).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

/// The clear of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cleared {
    pub(crate) through: Stamp,
    pub(crate) stamp: Stamp,
    /// When it arrived.
    pub(crate) seq: i64,
}

impl Cleared {
    pub(crate) fn record(self) -> Record {
        Record::Cleared { through: self.through, stamp: self.stamp }
    }
}

/// The row of a session.
#[derive(Clone, Debug)]
pub(crate) struct SessionRow {
    pub(crate) sid: i64,
    /// Its tenant.
    pub(crate) tid: i64,
    pub(crate) version: Stamp,
    /// The greatest stamp of a live message.
    pub(crate) head: Option<Stamp>,
    pub(crate) cleared: Option<Cleared>,
    /// When its newest record arrived.
    pub(crate) seq: i64,
    /// Microseconds since 1970.
    pub(crate) updated: i64,
    /// How many live messages it has.
    pub(crate) messages: i64,
    pub(crate) live: bool,
}

/// The columns of a [`SessionRow`], in its order.
macro_rules! columns {
    () => {
        "s.sid, s.tid, s.version, s.head, s.cleared_through, s.cleared_stamp, s.cleared_seq, s.seq, s.updated, s.messages, s.live"
    };
}
pub(crate) use columns;

impl SessionRow {
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let stamp = |column| row.get::<_, Option<Bytes>>(column).map(|found| found.map(|bytes| bytes.0));
        let cleared = match (stamp(4)?, stamp(5)?, row.get(6)?) {
            (Some(through), Some(stamp), Some(seq)) => Some(Cleared { through, stamp, seq }),
            _ => None,
        };
        Ok(Self {
            sid: row.get(0)?,
            tid: row.get(1)?,
            version: row.get::<_, Bytes>(2)?.0,
            head: stamp(3)?,
            cleared,
            seq: row.get(7)?,
            updated: row.get(8)?,
            messages: row.get(9)?,
            live: row.get(10)?,
        })
    }

    /// The row of a session of this tenant, `None` if nothing was ever written to it.
    pub(crate) fn find(conn: &Connection, tenant: &Tenant, session: &SessionId) -> Sql<Option<Self>> {
        const FIND: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM sessions s JOIN tenants t USING (tid) WHERE t.name = ?1 AND s.id = ?2"
        );
        let mut find = conn.prepare_cached(FIND)?;
        Ok(find.query_row(params![tenant.as_str(), session.as_str()], Self::read).optional()?)
    }

    /// What a caller is told of the session.
    pub(crate) fn describe(&self, conn: &Connection, id: SessionId) -> Sql<Session> {
        let mut session = Session::new(id, self.version, time(self.updated));
        session.head = self.head;
        session.cleared = self.cleared.map(|cleared| cleared.through);
        session.messages = u64::try_from(self.messages).ok();
        session.metadata = live_keys(conn, self.sid)?;
        let acls = acls(conn, self.sid)?;
        if let (Some(first), Some(last)) = (acls.first(), acls.last()) {
            session.owner = first.owner()?;
            session.grants = last.grants()?;
        }
        Ok(session)
    }
}

/// Microseconds since 1970 of a wall clock; times before 1970 become 0.
pub(crate) fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn time(micros: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

fn live_keys(conn: &Connection, sid: i64) -> Sql<Metadata> {
    const LIVE: &str = "SELECT key, value FROM session_keys WHERE sid = ?1 AND value IS NOT NULL ORDER BY key";
    let mut live = conn.prepare_cached(LIVE)?;
    let mut rows = live.query([sid])?;
    let mut metadata = Metadata::new();
    while let Some(row) = rows.next()? {
        metadata.insert(row.get(0)?, value(&row.get::<_, String>(1)?)?);
    }
    Ok(metadata)
}

/// The value of a key that was stored as text.
pub(crate) fn value(text: &str) -> Result<serde_json::Value> {
    serde_json::from_str(text).map_err(|_| corrupted("a stored value of metadata cannot be read"))
}

/// One of the at most two records that say who owns a session and who else may do what.
#[derive(Clone, Debug)]
pub(crate) struct AclRow {
    pub(crate) seq: i64,
    pub(crate) record: Record,
    pub(crate) digest: Digest,
}

impl AclRow {
    /// By stamp, then, though two stamps never are equal, by something that is the same everywhere.
    pub(crate) fn rank(&self) -> (Stamp, Digest) {
        (self.record.stamp(), self.digest)
    }

    pub(crate) fn owner(&self) -> Result<Option<String>> {
        match &self.record {
            Record::Acl { owner, .. } => Ok(owner.clone()),
            _ => Err(wrong_acl()),
        }
    }

    pub(crate) fn grants(&self) -> Result<Vec<Grant>> {
        match &self.record {
            Record::Acl { grants, .. } => Ok(grants.clone()),
            _ => Err(wrong_acl()),
        }
    }
}

fn wrong_acl() -> Error {
    corrupted("a stored record of ownership cannot be read")
}

/// The records of ownership, the smallest rank first.
pub(crate) fn acls(conn: &Connection, sid: i64) -> Sql<Vec<AclRow>> {
    let mut select = conn.prepare_cached("SELECT seq, body FROM acls WHERE sid = ?1")?;
    let mut rows = select.query([sid])?;
    let mut acls = Vec::new();
    while let Some(row) = rows.next()? {
        let record = Record::decode(&row.get::<_, String>(1)?).map_err(|error| wrong_acl().because(error))?;
        let digest = record.encode().digest();
        acls.push(AclRow { seq: row.get(0)?, record, digest });
    }
    acls.sort_by_key(AclRow::rank);
    Ok(acls)
}
