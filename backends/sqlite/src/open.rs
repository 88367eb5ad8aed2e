//! Opening the file: what may be opened, created or upgraded, and how connections are set up.

use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use craftx_core::{Deadline, Durability, Error, ErrorKind, Prepare, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use uuid::Uuid;

use crate::config::SqliteConfig;
use crate::error::{Fault, Sql, storage};
use crate::place::Place;
use crate::{index, schema};

/// Earlier releases of SQLite can corrupt a write-ahead log when it is reset.
const OLDEST_SQLITE: i32 = 3_051_003;
/// Once reset, the write-ahead log keeps this many bytes of its file.
const WAL_KEEPS: u64 = 16 << 20;
/// How long SQLite itself waits for a lock before the deadline is looked at again.
const SLICE: Duration = Duration::from_millis(50);

/// The file with its connections set up.
pub(crate) struct Opened {
    pub(crate) id: Uuid,
    pub(crate) place: Place,
    /// Whether the store keeps an index for searching.
    pub(crate) searchable: bool,
    pub(crate) writer: Connection,
    pub(crate) readers: Vec<Connection>,
}

/// Refuses a SQLite that would put the data at risk.
pub(crate) fn check_library() -> Result<()> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(Error::new(ErrorKind::ConfigInvalid, "SQLite 3.51.3 or later is needed")
            .with("linked", rusqlite::version()));
    }
    Ok(())
}

/// The path with which errors name the file.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// What lies at the path, found without changing a byte.
enum Found {
    /// There is no file, or one without anything in it.
    Nothing,
    /// A store of this schema.
    Store(u32),
}

/// Looks whether the store can be opened, and changes nothing.
///
/// The header of the file is the truth about identity and schema: a store gets both in the transaction that creates
/// it, before it has a write-ahead log, and a migration ends with a checkpoint.
pub(crate) fn check(path: &Path) -> Result<()> {
    match look(path)? {
        Found::Nothing => Err(missing(path)),
        Found::Store(found) => check_version(found, false),
    }
}

fn missing(path: &Path) -> Error {
    Error::new(ErrorKind::NotFound, "there is no such database").with("path", shown(path))
}

fn shown(path: &Path) -> String {
    format!("`{}`", path.display())
}

fn check_version(found: u32, may_upgrade: bool) -> Result<()> {
    if found > schema::VERSION {
        return Err(schema::too_new(found));
    }
    if found < schema::VERSION && !may_upgrade {
        return Err(schema::too_old(found));
    }
    Ok(())
}

fn look(path: &Path) -> Result<Found> {
    let unreadable = |error: std::io::Error| {
        Error::new(ErrorKind::Unavailable, "the database file cannot be read").with("path", shown(path)).because(error)
    };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == IoKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(unreadable(error)),
        Ok(found) if found.is_dir() => {
            let error = Error::new(ErrorKind::ConfigInvalid, "a SQLite store is a file, and this is a folder");
            return Err(error.with("path", shown(path)));
        }
        Ok(found) if found.len() == 0 => return Ok(Found::Nothing),
        Ok(_) => {}
    }
    let Header { application, version, tables } = match header(path) {
        // Power was lost while the store was being created. SQLite undoes that when it opens the file.
        Err(error) if is_damage(&error) && has_journal(path) => return Ok(Found::Nothing),
        found => found.map_err(|error| storage(error).with("path", shown(path)))?,
    };
    match application {
        schema::APPLICATION_ID => Ok(Found::Store(version)),
        // What a process leaves that is just creating the store. Looked at again before anything is changed.
        0 if version == 0 && tables == Tables::None => Ok(Found::Nothing),
        other => Err(foreign(other, tables).with("path", shown(path))),
    }
}

/// What the first page of a file says.
struct Header {
    application: i32,
    version: u32,
    tables: Tables,
}

/// Whose tables there are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tables {
    None,
    /// Those of the Python original.
    Legacy,
    Other,
}

fn header(path: &Path) -> rusqlite::Result<Header> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(immutable(path), flags)?;
    // The first page may tell of pages that are still in the log, or that another process is just writing. With this,
    // and only with this, SQLite does not call that damage.
    conn.pragma_update(None, "writable_schema", "ON")?;
    // In one transaction, so that all three are read from the same state of the page.
    conn.execute_batch("BEGIN")?;
    let (application, version) = (schema::application(&conn)?, schema::version(&conn)?);
    Ok(Header { application, version, tables: tables(&conn).unwrap_or(Tables::Other) })
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

/// Whether a rollback journal lies beside the file. Only the transactions that create a store have one.
fn has_journal(path: &Path) -> bool {
    let mut journal = path.as_os_str().to_owned();
    journal.push("-journal");
    std::fs::metadata(journal).is_ok_and(|found| found.len() > 0)
}

fn tables(conn: &Connection) -> rusqlite::Result<Tables> {
    const COUNT: &str =
        "SELECT count(*), count(*) FILTER (WHERE name IN ('conversations', 'sessions')) FROM sqlite_schema";
    let (all, legacy): (i64, i64) = conn.query_row(COUNT, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(match (all, legacy) {
        (0, _) => Tables::None,
        (_, 2) => Tables::Legacy,
        _ => Tables::Other,
    })
}

fn foreign(application: i32, tables: Tables) -> Error {
    let message = match (application, tables) {
        (0, Tables::Legacy) => "the database was written by CraftX.py; import it into a new store",
        _ => "the SQLite database belongs to another program",
    };
    Error::new(ErrorKind::ConfigInvalid, message).with("application_id", application)
}

/// A name under which SQLite reads the bytes of the file as they are: without locks, journals and files beside it.
///
/// The file is not simply opened and read, because closing it would release every lock that SQLite holds on it in
/// this process: POSIX locks belong to the process, and SQLite takes care of that only among its own connections.
fn immutable(path: &Path) -> String {
    use std::fmt::Write;
    let mut name = String::from("file:");
    let bytes = path.as_os_str().as_encoded_bytes();
    if !bytes.starts_with(b"/") {
        name.push('/');
    }
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'/' | b':' => name.push(char::from(*byte)),
            b'\\' if cfg!(windows) => name.push('/'),
            // Writing to a string cannot fail.
            _ => write!(name, "%{byte:02x}").unwrap_or(()),
        }
    }
    name.push_str("?immutable=1");
    name
}

/// Opens the file, creates or upgrades it if `mode` says so, and connects a writer and the readers.
pub(crate) fn open(path: &Path, config: &SqliteConfig, mode: Prepare, deadline: &Deadline) -> Result<Opened> {
    let migrate = mode == Prepare::Migrate;
    match look(path)? {
        Found::Nothing if migrate => create_folder(path)?,
        Found::Nothing => return Err(missing(path)),
        Found::Store(found) => check_version(found, migrate)?,
    }
    let opened = patiently(deadline, || connect(path, config, migrate));
    opened.map_err(|fault| Error::from(fault).with("path", shown(path)))
}

fn create_folder(path: &Path) -> Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(folder).map_err(|error| {
        Error::new(ErrorKind::Unavailable, "the folder of the database cannot be created")
            .with("path", shown(folder))
            .because(error)
    })
}

/// Repeats what another connection is in the way of, until the deadline.
pub(crate) fn patiently<T>(deadline: &Deadline, mut attempt: impl FnMut() -> Sql<T>) -> Sql<T> {
    loop {
        match attempt() {
            Err(fault) if fault.is_busy() && !deadline.has_passed() => std::thread::sleep(Duration::from_millis(5)),
            result => return result,
        }
    }
}

fn connect(path: &Path, config: &SqliteConfig, migrate: bool) -> Sql<Opened> {
    let create = if migrate { OpenFlags::SQLITE_OPEN_CREATE } else { OpenFlags::empty() };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut writer = Connection::open_with_flags(path, flags | create)?;
    set_up(&writer)?;
    bring_up_to_date(&mut writer, migrate, config.search)?;
    // A hint that is refused while another process looks at the file; then it is tried again.
    if switch_the_log_on(&writer)? != "wal" {
        return Err(Fault::Sqlite(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            None,
        )));
    }
    writer.pragma_update(
        None,
        "synchronous",
        match config.durability {
            Durability::PowerLoss => "FULL",
            Durability::ProcessCrash => "NORMAL",
        },
    )?;
    // Where `fsync` does not reach the platter (macOS), this does; elsewhere it changes nothing.
    writer.pragma_update(None, "fullfsync", config.durability == Durability::PowerLoss)?;
    writer.pragma_update(None, "secure_delete", "ON")?;
    writer.pragma_update(None, "journal_size_limit", WAL_KEEPS.min(config.max_wal_bytes / 2) as i64)?;
    let id = identity(&writer)?;
    let searchable = index::is_on(&writer)?;
    let mut readers = Vec::new();
    for _ in 0..config.readers {
        let reader = Connection::open_with_flags(path, flags)?;
        set_up(&reader)?;
        reader.pragma_update(None, "query_only", "ON")?;
        readers.push(reader);
    }
    if config.durability == Durability::PowerLoss {
        sync_names(path)?;
    }
    Ok(Opened { id, place: Place::of(path), searchable, writer, readers })
}

/// Brings the names of the database and of its log to the disk. The log stays until the last connection is closed.
///
/// SQLite does so too when it first syncs the log, but it takes no notice if that fails.
fn sync_names(path: &Path) -> Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let path = resolved(path);
    let folder = path.parent().unwrap_or(&path);
    match std::fs::File::open(folder).and_then(|folder| folder.sync_all()) {
        // The file system has no such call: its names need none.
        Err(error) if matches!(error.kind(), IoKind::InvalidInput | IoKind::Unsupported) => Ok(()),
        synced => synced.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the folder of the database cannot be synced")
                .with("folder", shown(folder))
                .because(error)
        }),
    }
}

/// Returns the journal mode that is on then.
fn switch_the_log_on(conn: &Connection) -> Sql<String> {
    let mut switch = conn.prepare("PRAGMA journal_mode = WAL")?;
    let mut rows = switch.query([])?;
    let mode = rows.next()?.map(|row| row.get(0)).transpose()?.unwrap_or_default();
    // The file is changed, and can fail to be, only after the mode has been told: when the statement ends. A
    // connection that did not notice would go on with a rollback journal, which promises less.
    while rows.next()?.is_some() {}
    Ok(mode)
}

fn set_up(conn: &Connection) -> Sql<()> {
    conn.busy_timeout(SLICE)?;
    conn.set_prepared_statement_cache_capacity(64);
    // Otherwise SQLite looks at what is bound to choose its plan, and compiles a prepared statement anew whenever
    // something else is bound: that takes longer than most statements here.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    for (pragma, value) in [("foreign_keys", "ON"), ("trusted_schema", "OFF"), ("cell_size_check", "ON")] {
        conn.pragma_update(None, pragma, value)?;
    }
    // What SQLite sorts or sets aside never reaches another file.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}

/// Creates or upgrades the tables in one transaction, which decides between processes that do so at the same time.
fn bring_up_to_date(conn: &mut Connection, migrate: bool, search: Option<bool>) -> Sql<()> {
    if schema::version(conn)? == schema::VERSION {
        return match search {
            Some(search) if migrate => switch_search(conn, search),
            _ => Ok(()),
        };
    }
    if schema::version(conn)? == 0 && migrate {
        // Pages that a compaction frees go back to the file system. Has to come before the first table.
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    let old = {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found = schema::version(&transaction)?;
        if found == 0 && !migrate {
            // What was being created when a crash undid it.
            return Err(Error::new(ErrorKind::NotFound, "there is no such database").into());
        }
        let tables = tables(&transaction)?;
        if found == 0 && tables != Tables::None {
            return Err(foreign(schema::application(&transaction)?, tables).into());
        }
        check_version(found, migrate)?;
        schema::migrate(&transaction, found)?;
        index::switch(&transaction, search.unwrap_or(true))?;
        transaction.commit()?;
        found
    };
    if old > 0 {
        // So that the header of the file tells the new schema.
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    Ok(())
}

/// Indexes all messages or forgets the index, if the store is not that way already.
fn switch_search(conn: &mut Connection, on: bool) -> Sql<()> {
    if index::is_on(conn)? == on {
        return Ok(());
    }
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    index::switch(&transaction, on)?;
    transaction.commit()?;
    Ok(())
}

fn identity(conn: &Connection) -> Sql<Uuid> {
    let bytes: [u8; 16] = conn.query_row("SELECT uuid FROM store", [], |row| row.get(0))?;
    Ok(Uuid::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use craftx_core::{Context, Tenant};

    fn pragma(conn: &Connection, name: &str) -> String {
        let value: rusqlite::types::Value = conn.pragma_query_value(None, name, |row| row.get(0)).unwrap();
        match value {
            rusqlite::types::Value::Text(text) => text,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn connections_are_set_up_as_promised() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let deadline = Deadline::of(&Context::new(Tenant::default()));
        for (durability, synchronous) in [(Durability::PowerLoss, 2), (Durability::ProcessCrash, 1)] {
            let config = SqliteConfig::new(&path).durability(durability).readers(2);
            let opened = open(&path, &config, Prepare::Migrate, &deadline).unwrap();
            for (name, value) in [
                ("journal_mode", "wal".to_owned()),
                ("synchronous", format!("Integer({synchronous})")),
                ("auto_vacuum", "Integer(2)".to_owned()),
                ("secure_delete", "Integer(1)".to_owned()),
                ("foreign_keys", "Integer(1)".to_owned()),
                ("trusted_schema", "Integer(0)".to_owned()),
                ("query_only", "Integer(0)".to_owned()),
            ] {
                assert_eq!(pragma(&opened.writer, name), value, "{name}");
            }
            assert_eq!(opened.readers.len(), 2);
            for reader in &opened.readers {
                assert_eq!(pragma(reader, "query_only"), "Integer(1)");
                assert!(reader.execute("DELETE FROM messages", []).is_err());
            }
        }
    }

    #[test]
    fn lists_and_pages_are_read_from_indexes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let deadline = Deadline::of(&Context::new(Tenant::default()));
        let opened = open(&path, &SqliteConfig::new(&path), Prepare::Migrate, &deadline).unwrap();
        for sql in [
            "SELECT * FROM messages WHERE sid = 1 AND stamp > x'' AND variant = 0 ORDER BY stamp DESC LIMIT 50",
            "SELECT * FROM messages WHERE sid = 1 AND seq > 7 ORDER BY seq LIMIT 50",
            "SELECT * FROM deletions WHERE sid = 1 AND seq > 7 ORDER BY seq LIMIT 50",
            "SELECT * FROM sessions WHERE tid = 1 AND live = 1 ORDER BY seq DESC",
            "SELECT * FROM sessions WHERE tid = 1 AND live = 1 AND id >= 'a' ORDER BY id",
        ] {
            let mut explain = opened.writer.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let plan: Vec<String> = explain.query_map([], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
            assert!(plan.iter().all(|step| step.starts_with("SEARCH")), "{sql}: {plan:?}");
        }
    }
}
