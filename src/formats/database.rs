//! Reading the SQLite databases of other programs.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::thread;

use craftx_core::{Error, ErrorKind, Metadata, Result, SessionId, Time};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use serde_json::{Number, Value};

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

/// The number of a row for whoever is told of it: the first of these columns that has one.
pub(super) fn line<const N: usize>(row: &Row<'_>, columns: [usize; N]) -> u64 {
    let number = |column| row.get::<_, i64>(column).ok()?.try_into().ok();
    columns.into_iter().find_map(number).unwrap_or_default()
}

/// The value of a column, numbered from 0. JSON in it is text.
pub(super) fn value(row: &Row<'_>, column: usize) -> Result<Value> {
    let wrong = |why: &'static str| Error::new(ErrorKind::InvalidInput, why).with("column", column + 1);
    match row.get_ref(column).map_err(|error| unreadable(&error))? {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(integer) => Ok(integer.into()),
        ValueRef::Real(real) => Ok(Number::from_f64(real).ok_or_else(|| wrong("the number is infinite"))?.into()),
        ValueRef::Text(text) => {
            Ok(std::str::from_utf8(text).map_err(|_| wrong("the text is not UTF-8"))?.to_owned().into())
        }
        ValueRef::Blob(_) => Err(wrong("a blob is no text")),
    }
}

/// The text of a column that must have one, such as the JSON of a message.
pub(super) fn text(row: &Row<'_>, column: usize) -> Result<String> {
    match value(row, column)? {
        Value::String(text) => Ok(text),
        _ => Err(Error::new(ErrorKind::InvalidInput, "the row has no text").with("column", column + 1)),
    }
}

/// The time of a column. `CURRENT_TIMESTAMP` of SQLite is UTC, though it does not say so; `clock` reads all others.
pub(super) fn time(row: &Row<'_>, column: usize, clock: &impl Fn(&str) -> Option<Time>) -> Option<Time> {
    let text = text(row, column).ok()?;
    match text.split_once(' ') {
        Some((date, time)) if date.len() == 10 && time.len() == 8 => format!("{date}T{time}Z").parse().ok(),
        _ => clock(&text),
    }
}

/// The sessions of a query that is ordered by session.
#[derive(Debug, Default)]
pub(super) struct Sessions(Option<SessionId>);

impl Sessions {
    /// Says to which session a row belongs, and what is known of it when it is another one than before; `false` if it
    /// belongs to none, which has been told.
    pub(super) fn begin(
        &mut self,
        line: u64,
        name: Result<Value>,
        metadata: impl FnOnce() -> Result<Metadata>,
        send: &mut dyn FnMut(Entry),
    ) -> bool {
        let id = name.and_then(|name| match name {
            Value::String(name) => SessionId::new(name),
            Value::Number(number) => SessionId::new(number.to_string()),
            _ => Err(Error::new(ErrorKind::InvalidInput, "the row does not say to which session it belongs")),
        });
        match id {
            Ok(id) if self.0.as_ref() == Some(&id) => true,
            Ok(id) => {
                // Told before the session begins, so that it takes the place of no message.
                let metadata = metadata().unwrap_or_else(|error| {
                    send(Entry::new(line, Err(error)));
                    Metadata::new()
                });
                send(Entry::session(line, id.clone(), metadata));
                self.0 = Some(id);
                true
            }
            Err(error) => {
                self.0 = None;
                send(Entry::new(line, Err(error)));
                false
            }
        }
    }
}

/// When a session was begun and changed, as its program wrote it: the columns `created_at`, `updated_at` and the time of
/// the last message, in this order from `column` on.
///
/// `updated_at` is left out where it is the time of the last message: it says nothing more then, and an import after
/// more messages would contradict the one before.
pub(super) fn times_of_session(row: &Row<'_>, column: usize) -> Result<Metadata> {
    let mut times = Metadata::new();
    let created = value(row, column)?;
    if !created.is_null() {
        times.insert("created_at".to_owned(), created);
    }
    let at = |column| time(row, column, &|text| text.parse().ok()).map(|time| time.at());
    let apart = at(column + 1).zip(at(column + 2)).map(|(updated, last)| {
        // They were written by two statements, and a second may have passed between them.
        updated.duration_since(last).unwrap_or_else(|error| error.duration()).as_secs()
    });
    let updated = value(row, column + 1)?;
    if !updated.is_null() && apart.is_none_or(|seconds| seconds > 1) {
        times.insert("updated_at".to_owned(), updated);
    }
    Ok(times)
}
