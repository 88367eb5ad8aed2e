//! The tables, and the way from each released schema to the newest.
//!
//! Every table holds the canonical set of records only: what a deletion covers is deleted in the same transaction.
//! One counter, `store.seq`, numbers all records in order of arrival; so one cursor covers all tables.

use craftx_core::{Error, ErrorKind, random_id};
use rusqlite::{Connection, params};

use crate::error::Sql;

/// `application_id` of the file: `CrX1`.
pub(crate) const APPLICATION_ID: i32 = 0x4372_5831;

/// Step `n` leads from schema `n` to schema `n + 1`. A step that was released is never changed.
const STEPS: [&str; 2] = [SCHEMA_1, SEARCH];

/// The schema that this release reads and writes, as `user_version`.
pub(crate) const VERSION: u32 = STEPS.len() as u32;

const SCHEMA_1: &str = "
CREATE TABLE store (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    uuid BLOB NOT NULL,
    seq INTEGER NOT NULL
) STRICT;

CREATE TABLE tenants (
    tid INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE sessions (
    sid INTEGER PRIMARY KEY,
    tid INTEGER NOT NULL REFERENCES tenants (tid),
    id TEXT NOT NULL,
    version BLOB NOT NULL,
    head BLOB,
    cleared_through BLOB,
    cleared_stamp BLOB,
    cleared_seq INTEGER,
    seq INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    live INTEGER NOT NULL,
    UNIQUE (tid, id)
) STRICT;
CREATE INDEX sessions_by_recency ON sessions (tid, live, seq);

CREATE TABLE messages (
    seq INTEGER PRIMARY KEY,
    sid INTEGER NOT NULL REFERENCES sessions (sid),
    stamp BLOB NOT NULL,
    variant INTEGER NOT NULL,
    role ANY NOT NULL,
    text TEXT,
    rest TEXT
) STRICT;
CREATE UNIQUE INDEX messages_by_stamp ON messages (sid, stamp, variant);
CREATE INDEX messages_by_arrival ON messages (sid);
CREATE INDEX messages_in_conflict ON messages (sid, stamp) WHERE variant > 0;

CREATE TABLE deletions (
    sid INTEGER NOT NULL REFERENCES sessions (sid),
    id BLOB NOT NULL,
    stamp BLOB NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (sid, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX deletions_by_arrival ON deletions (sid, seq);

CREATE TABLE session_keys (
    sid INTEGER NOT NULL REFERENCES sessions (sid),
    key TEXT NOT NULL,
    stamp BLOB NOT NULL,
    value TEXT,
    seq INTEGER NOT NULL,
    PRIMARY KEY (sid, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE acls (
    seq INTEGER PRIMARY KEY,
    sid INTEGER NOT NULL REFERENCES sessions (sid),
    body TEXT NOT NULL
) STRICT;
CREATE INDEX acls_by_session ON acls (sid);

CREATE TABLE visible_to (
    name TEXT NOT NULL,
    owner INTEGER NOT NULL,
    sid INTEGER NOT NULL REFERENCES sessions (sid),
    PRIMARY KEY (name, owner, sid)
) STRICT, WITHOUT ROWID;
";

/// The index for searching. Whether it is kept is a matter of the store, and not of who opens it: whoever writes keeps it
/// up to date or, if `store.search` is 0, leaves it empty.
const SEARCH: &str = "
ALTER TABLE store ADD COLUMN search INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tenants ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tenants ADD COLUMN terms INTEGER NOT NULL DEFAULT 0;
CREATE VIRTUAL TABLE message_index USING fts5 (terms, content = '', tokenize = 'ascii');
INSERT INTO message_index (message_index, rank) VALUES ('secure-delete', 1);
CREATE VIRTUAL TABLE message_terms USING fts5vocab ('message_index', 'instance');
";

/// The schema of the file; 0 if it is empty.
pub(crate) fn version(conn: &Connection) -> rusqlite::Result<u32> {
    conn.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).map(|found| u32::try_from(found).unwrap_or(0))
}

/// The mark of the program that the file belongs to; 0 if there is none.
pub(crate) fn application(conn: &Connection) -> rusqlite::Result<i32> {
    conn.query_row("PRAGMA application_id", [], |row| row.get(0))
}

/// Leads the file from schema `from` to the newest, inside of the transaction that the caller has begun.
pub(crate) fn migrate(conn: &Connection, from: u32) -> Sql<()> {
    for (step, sql) in (0u32..).zip(STEPS).skip(from as usize) {
        conn.execute_batch(sql)?;
        if step == 0 {
            conn.execute("INSERT INTO store (id, uuid, seq) VALUES (1, ?1, 0)", params![random_id().as_bytes()])?;
            conn.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
    }
    conn.pragma_update(None, "user_version", VERSION)?;
    Ok(())
}

/// The error for a schema that this release does not know yet.
pub(crate) fn too_new(found: u32) -> Error {
    Error::new(ErrorKind::SchemaTooNew, "the database was written by a newer version of craftx")
        .with("schema", found)
        .with("known", VERSION)
}

/// The error for a schema that has to be migrated first.
pub(crate) fn too_old(found: u32) -> Error {
    Error::new(ErrorKind::SchemaTooOld, "the database was written by an older version of craftx and must be migrated")
        .with("schema", found)
        .with("needed", VERSION)
}
