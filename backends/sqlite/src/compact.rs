//! Erasing the bytes of what is dead.
//!
//! What a deletion covers is deleted, and overwritten in the pages of the database (`secure_delete`), when the
//! deletion is written. Old pages in the write-ahead log still show it, so a compaction empties the log, and gives free
//! pages back to the file system.

use std::time::Duration;

use craftx_core::{Compact, Compacted, Deadline, Stamp, Tenant};
use rusqlite::{Connection, params};

use crate::error::Sql;
use crate::row::Bytes;
use crate::writer::immediately;

/// Compacts the sessions of a tenant.
pub(crate) fn compact(conn: &mut Connection, tenant: &Tenant, what: &Compact, deadline: &Deadline) -> Sql<Compacted> {
    let before = bytes(conn)?;
    let tombstones = match what.purge_deleted_before {
        Some(limit) => immediately(conn, deadline, |conn| purge(conn, tenant, what, limit))?,
        None => 0,
    };
    let mut free = i64::MAX;
    // Ends without free pages, or where a file that somebody rebuilt does not let go of them.
    while (1..free).contains(&free_pages(conn)?) {
        free = free_pages(conn)?;
        immediately(conn, deadline, give_back)?;
        empty_the_log(conn, deadline)?;
    }
    empty_the_log(conn, deadline)?;
    Ok(Compacted::new(before.saturating_sub(bytes(conn)?), 0, tombstones))
}

fn free_pages(conn: &Connection) -> Sql<i64> {
    Ok(conn.query_row("PRAGMA freelist_count", [], |row| row.get(0))?)
}

/// Gives some free pages back to the file system: so few that the log stays small.
fn give_back(conn: &Connection) -> Sql<()> {
    let mut vacuum = conn.prepare("PRAGMA incremental_vacuum(4096)")?;
    let mut rows = vacuum.query([])?;
    // Each step frees one page.
    while rows.next()?.is_some() {}
    Ok(())
}

fn bytes(conn: &Connection) -> Sql<u64> {
    const BYTES: &str = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    let bytes: i64 = conn.query_row(BYTES, [], |row| row.get(0))?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}

/// Forgets deletions of messages and removals of keys with stamps before `limit`. The clear stays, and so does
/// whatever carries the version of its session, so that the version never decreases.
fn purge(conn: &Connection, tenant: &Tenant, what: &Compact, limit: Stamp) -> Sql<u64> {
    const DELETIONS: &str = "DELETE FROM deletions WHERE stamp < ?3 AND sid IN (
        SELECT s.sid FROM sessions s JOIN tenants t USING (tid)
        WHERE t.name = ?1 AND (?2 IS NULL OR s.id = ?2) AND s.version <> deletions.stamp)";
    const KEYS: &str = "DELETE FROM session_keys WHERE value IS NULL AND stamp < ?3 AND sid IN (
        SELECT s.sid FROM sessions s JOIN tenants t USING (tid)
        WHERE t.name = ?1 AND (?2 IS NULL OR s.id = ?2) AND s.version <> session_keys.stamp)";
    let only = what.session.as_ref().map(|session| session.as_str());
    let mut purged = 0;
    for sql in [DELETIONS, KEYS] {
        purged += conn.execute(sql, params![tenant.as_str(), only, Bytes(limit)])? as u64;
    }
    Ok(purged)
}

/// Waits for readers that still need the log, until the deadline.
fn empty_the_log(conn: &Connection, deadline: &Deadline) -> Sql<()> {
    loop {
        let busy: bool = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if !busy {
            return Ok(());
        }
        if deadline.has_passed() {
            return Err(craftx_core::Error::new(
                craftx_core::ErrorKind::Locked,
                "a reader holds the write-ahead log, so what was deleted may still be in it",
            )
            .into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
