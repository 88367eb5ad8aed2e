//! The row of a session, and what is read together with it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use craftx_core::{Digest, Error, Grant, Metadata, Record, Result, Session, SessionId, Stamp};
use tokio_postgres::Row;

use crate::body::{maybe_stamp, stamp};
use crate::error::{Sql, corrupted};

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
    pub(crate) version: Stamp,
    /// No less than any id that a record speaks of.
    pub(crate) reach: Stamp,
    pub(crate) head: Option<Stamp>,
    pub(crate) cleared: Option<Cleared>,
    /// The number of the record that arrived last.
    pub(crate) seq: i64,
    /// Greater than that of every session that was written before.
    pub(crate) recency: i64,
    /// Microseconds since 1970.
    pub(crate) updated: i64,
    pub(crate) messages: i64,
}

/// The columns of a [`SessionRow`], in its order.
macro_rules! columns {
    () => {
        "s.sid, s.version, s.reach, s.head, s.cleared_through, s.cleared_stamp, s.cleared_seq, s.seq, s.recency, s.updated, s.messages"
    };
}
pub(crate) use columns;

/// What a session is described by besides its row: owner, grants and live metadata, as arrays, after [`columns!`].
macro_rules! described {
    () => {
        concat!(
            row::columns!(),
            ", s.id,
             ARRAY (SELECT body FROM @.acls a WHERE a.tid = s.tid AND a.sid = s.sid),
             ARRAY (SELECT key FROM @.session_keys k WHERE k.tid = s.tid AND k.sid = s.sid AND value IS NOT NULL ORDER BY key),
             ARRAY (SELECT value FROM @.session_keys k WHERE k.tid = s.tid AND k.sid = s.sid AND value IS NOT NULL ORDER BY key)"
        )
    };
}
pub(crate) use described;

impl SessionRow {
    pub(crate) fn read(row: &Row) -> Sql<Self> {
        let cleared = match (maybe_stamp(row, 4)?, maybe_stamp(row, 5)?, row.try_get(6)?) {
            (Some(through), Some(stamp), Some(seq)) => Some(Cleared { through, stamp, seq }),
            _ => None,
        };
        Ok(Self {
            sid: row.try_get(0)?,
            version: stamp(row, 1)?,
            reach: stamp(row, 2)?,
            head: maybe_stamp(row, 3)?,
            cleared,
            seq: row.try_get(7)?,
            recency: row.try_get(8)?,
            updated: row.try_get(9)?,
            messages: row.try_get(10)?,
        })
    }
}

/// What a caller is told of a session: reads the columns of [`described!`].
pub(crate) fn describe(row: &Row) -> Sql<(SessionRow, Session)> {
    let found = SessionRow::read(row)?;
    let id =
        SessionId::new(row.try_get::<_, &str>(11)?).map_err(|_| corrupted("a stored name of a session is not one"))?;
    let mut session = Session::new(id, found.version, time(found.updated));
    session.head = found.head;
    session.cleared = found.cleared.map(|cleared| cleared.through);
    session.messages = u64::try_from(found.messages).ok();
    let mut acls = row.try_get::<_, Vec<&[u8]>>(12)?.into_iter().map(AclRow::read).collect::<Result<Vec<_>>>()?;
    acls.sort_by_key(AclRow::rank);
    if let (Some(first), Some(last)) = (acls.first(), acls.last()) {
        session.owner = first.owner.clone();
        session.grants = last.grants.clone();
    }
    session.metadata = metadata(row.try_get(13)?, row.try_get(14)?)?;
    Ok((found, session))
}

fn metadata(keys: Vec<&[u8]>, values: Vec<&[u8]>) -> Result<Metadata> {
    keys.into_iter().zip(values).map(|(key, bytes)| Ok((key_of(key)?, value(bytes)?))).collect()
}

/// A key of metadata that was stored as bytes.
pub(crate) fn key_of(bytes: &[u8]) -> Result<String> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| corrupted("a stored key of metadata is no UTF-8"))
}

/// The value of a key that was stored as text.
pub(crate) fn value(bytes: &[u8]) -> Result<serde_json::Value> {
    serde_json::from_slice(bytes).map_err(|_| corrupted("a stored value of metadata cannot be read"))
}

/// Microseconds since 1970 of a wall clock; times before 1970 become 0.
pub(crate) fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn time(micros: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// One of the at most two records that say who owns a session and who else may do what.
#[derive(Clone, Debug)]
pub(crate) struct AclRow {
    pub(crate) record: Record,
    pub(crate) digest: Digest,
    pub(crate) owner: Option<String>,
    pub(crate) grants: Vec<Grant>,
}

impl AclRow {
    /// Reads what was stored.
    pub(crate) fn read(body: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(body).map_err(|_| wrong_acl())?;
        Self::of(Record::decode(text).map_err(|error| wrong_acl().because(error))?)
    }

    pub(crate) fn of(record: Record) -> Result<Self> {
        let Record::Acl { owner, grants, .. } = &record else { return Err(wrong_acl()) };
        let (owner, grants, digest) = (owner.clone(), grants.clone(), record.encode().digest());
        Ok(Self { record, digest, owner, grants })
    }

    /// By stamp, then, though two stamps never are equal, by something that is the same everywhere.
    pub(crate) fn rank(&self) -> (Stamp, Digest) {
        (self.record.stamp(), self.digest)
    }
}

fn wrong_acl() -> Error {
    corrupted("a stored record of ownership cannot be read")
}
