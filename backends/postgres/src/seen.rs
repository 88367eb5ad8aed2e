//! What a server says of itself.

use craftx_core::{Acknowledgement, Error, ErrorKind, Result};
use tokio_postgres::{Client, Row};

use crate::error::Sql;

/// The oldest PostgreSQL that is supported.
const OLDEST: i32 = 130_000;

/// One statement, so that all of it is true at the same time, or nearly. Of a server that replays, the name of the log
/// file that it would write cannot be asked for; so its timeline is the newest one that it is known to have: that which it
/// receives, which only members of `pg_read_all_stats` are told, or that of its last restart point, which may be some
/// minutes behind.
const ASK: &str = "
SELECT pg_is_in_recovery(),
       CASE WHEN pg_is_in_recovery()
            THEN greatest((SELECT timeline_id FROM pg_control_checkpoint()),
                          (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
                          (SELECT received_tli FROM pg_stat_wal_receiver))
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int
       END,
       (SELECT system_identifier FROM pg_control_system()),
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery()
                            THEN coalesce(pg_last_wal_replay_lsn(), '0/0')
                            ELSE pg_current_wal_insert_lsn()
                       END, '0/0')::bigint,
       current_setting('craftx.mark', true),
       current_setting('server_version_num')::int,
       current_setting('server_encoding'),
       current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off',
       current_setting('synchronous_commit'),
       current_setting('synchronous_standby_names') <> ''";

/// What a server was when it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Whether it replays what another server writes.
    pub(crate) replays: bool,
    /// Which history it is on: each promotion of a replica begins a new one.
    pub(crate) timeline: u32,
    /// Which cluster it belongs to.
    pub(crate) system: i64,
    /// How far it is in the log.
    pub(crate) position: u64,
    /// What this session was told when it began, if the server heard it.
    pub(crate) mark: Option<String>,
    pub(crate) acknowledgement: Acknowledgement,
}

impl Seen {
    /// The timeline on which the server takes writes; 0 if it takes none.
    pub(crate) fn writes_on(&self) -> u32 {
        if self.replays { 0 } else { self.timeline }
    }
}

/// Asks a server what it is.
pub(crate) async fn ask(client: &Client) -> Sql<Seen> {
    let rows = client.query_typed(ASK, &[]).await?;
    let row = rows.first().ok_or_else(nothing)?;
    let (version, encoding): (i32, String) = (row.try_get(5)?, row.try_get(6)?);
    check(version, &encoding)?;
    Ok(Seen {
        replays: row.try_get(0)?,
        timeline: row.try_get::<_, i32>(1)?.cast_unsigned(),
        system: row.try_get(2)?,
        position: row.try_get::<_, i64>(3)?.cast_unsigned(),
        mark: row.try_get(4)?,
        acknowledgement: acknowledgement(row)?,
    })
}

fn check(version: i32, encoding: &str) -> Result<()> {
    if version < OLDEST {
        let error = Error::new(ErrorKind::ConfigInvalid, "the server is older than PostgreSQL 13");
        return Err(error.with("server_version_num", version));
    }
    if encoding != "UTF8" {
        return Err(Error::new(ErrorKind::ConfigInvalid, "the encoding of the database has to be UTF8")
            .with("server_encoding", encoding));
    }
    Ok(())
}

fn acknowledgement(row: &Row) -> Sql<Acknowledgement> {
    let (synced, commit, standbys): (bool, &str, bool) = (row.try_get(7)?, row.try_get(8)?, row.try_get(9)?);
    Ok(match (synced, standbys, commit) {
        (false, ..) => Acknowledgement::PrimaryMemory,
        (_, false, _) | (_, _, "local") => Acknowledgement::Primary,
        (_, _, "remote_write") => Acknowledgement::StandbyMemory,
        (_, _, "remote_apply") => Acknowledgement::StandbyVisible,
        _ => Acknowledgement::Standby,
    })
}

fn nothing() -> Error {
    Error::new(ErrorKind::Unexpected, "the server answered nothing")
}
