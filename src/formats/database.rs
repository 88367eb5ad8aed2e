//! Reading the SQLite databases of other programs.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::thread;

use craftx_core::{Error, ErrorKind, Result};
use rusqlite::{Connection, OpenFlags, Row};

use super::Entry;

/// So many rows wait for whoever writes them.
const AHEAD: usize = 1_000;

/// The names of the tables of a database.
pub(super) fn tables(path: &Path) -> rusqlite::Result<Vec<String>> {
    let connection = open(path)?;
    let mut statement = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// The rows of a query, each made into items by `read`, on a thread of their own: one query reads the whole table in its
/// order, and only a few rows are in memory.
pub(super) fn rows(
    path: &Path,
    query: &'static str,
    mut read: impl FnMut(&Row<'_>, &mut dyn FnMut(Entry)) -> rusqlite::Result<()> + Send + 'static,
) -> Result<super::Entries> {
    let connection = open(path).map_err(|error| unreadable(&error))?;
    let (sender, receiver) = sync_channel(AHEAD);
    let work = move || {
        // Whoever listens may have gone away, and needs nothing more.
        let mut send = |entry: Entry| drop(sender.send(entry));
        let read_all = || -> rusqlite::Result<()> {
            let mut statement = connection.prepare(query)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                read(row, &mut send)?;
            }
            Ok(())
        };
        if let Err(error) = { read_all }() {
            send(Entry::new(0, Err(unreadable(&error))));
        }
    };
    thread::Builder::new()
        .name("craftx-import".into())
        .spawn(work)
        .map_err(|error| Error::new(ErrorKind::Unexpected, "no thread can be started").because(error))?;
    Ok(Box::new(receiver.into_iter()))
}

/// Opens a database to read it. It is not changed.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// SQLite's own words name tables and columns, never what is in them.
fn unreadable(error: &rusqlite::Error) -> Error {
    Error::new(ErrorKind::InvalidInput, "the database cannot be read").with("reason", error)
}
