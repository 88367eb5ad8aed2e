//! Databases of CraftX.py, the Python original: what `SQLiteStorage` wrote, of any of its generations.

use craftx_core::{Content, Error, ErrorKind, Metadata, Result, Role, Time, json};
use rusqlite::Row;
use serde_json::Value;

use super::database::{Sessions, line, rows, text, time, times_of_session, value};
use super::{Container, Entries, Entry, Foreign, Format, Outgoing, Sample, Source, Written, only_read};

const NAME: &str = "craftx-py-sqlite";

/// The messages of each session by their row, since the time has no fractions and says nothing of the order; then the
/// sessions without messages. Both come sorted from an index, so that the first row is there at once.
const QUERY: &str = "
    SELECT m.session_id, m.id, m.role, m.message, m.timestamp, m.metadata, s.metadata, s.created_at, s.updated_at,
           (SELECT timestamp FROM conversations l WHERE l.session_id = m.session_id ORDER BY id DESC LIMIT 1), s.rowid
    FROM conversations m LEFT JOIN sessions s ON s.session_id = m.session_id
    UNION ALL
    SELECT session_id, NULL, NULL, NULL, NULL, NULL, metadata, created_at, updated_at, NULL, rowid
    FROM sessions s WHERE NOT EXISTS (SELECT 1 FROM conversations m WHERE m.session_id = s.session_id)
    ORDER BY 1, 2";

/// The tables `conversations` and `sessions`.
///
/// A time is UTC to the second, which SQLite itself wrote: it gets the `Z` that it lacks. Metadata that is no JSON is kept
/// as text.
#[derive(Debug)]
pub(super) struct CraftxPySqlite;

impl Format for CraftxPySqlite {
    fn name(&self) -> &'static str {
        NAME
    }

    fn recognizes(&self, sample: &Sample) -> bool {
        sample.has_table("conversations") && sample.has_table("sessions")
    }

    fn read(&self, source: Source) -> Result<Entries> {
        let clock = source.clock();
        let mut sessions = Sessions::default();
        rows(source.database()?, QUERY, move |row, send| {
            let line = line(row, [1, 10]);
            let belongs = sessions.begin(line, value(row, 0), || metadata_of_session(row), send);
            if belongs && row.get::<_, Option<i64>>(1)?.is_some() {
                send(Entry::message(line, message(row, &clock)));
            }
            Ok(())
        })
    }

    fn container(&self) -> Option<Container> {
        None
    }

    fn write(&self, _: &Outgoing<'_>) -> Result<Written> {
        Err(only_read(NAME))
    }
}

fn message(row: &Row<'_>, clock: &impl Fn(&str) -> Option<Time>) -> Result<Foreign> {
    let role = Role::new(text(row, 2)?)
        .map_err(|_| Error::new(ErrorKind::InvalidInput, "the role of a message is no role"))?;
    let time = time(row, 4, clock);
    let mut metadata = metadata(value(row, 5)?, "metadata");
    let timestamp = value(row, 4)?;
    if time.is_none() && !timestamp.is_null() {
        let mut key = "timestamp".to_owned();
        while metadata.contains_key(&key) {
            key.insert_str(0, "record.");
        }
        metadata.insert(key, timestamp);
    }
    Ok(Foreign::of(role, Content::from(value(row, 3)?), metadata).with_time(time))
}

fn metadata_of_session(row: &Row<'_>) -> Result<Metadata> {
    let mut metadata = metadata(value(row, 6)?, NAME);
    let times = times_of_session(row, 7)?;
    match metadata.get_mut(NAME) {
        Some(Value::Object(own)) => own.extend(times),
        // What the database has under that name, or text that is no JSON.
        Some(other) => {
            let other = std::mem::take(other);
            let own = [("metadata".to_owned(), other)].into_iter().chain(times).collect();
            metadata.insert(NAME.to_owned(), Value::Object(own));
        }
        None if times.is_empty() => {}
        None => drop(metadata.insert(NAME.to_owned(), Value::Object(times))),
    }
    Ok(metadata)
}

/// What is no object, and no JSON that can be kept exactly, is kept as it is under `other`.
fn metadata(value: Value, other: &str) -> Metadata {
    let value = match value {
        Value::String(text) => json::parse(&text).unwrap_or(Value::String(text)),
        value => value,
    };
    match value {
        Value::Object(metadata) => metadata,
        Value::Null => Metadata::new(),
        value => Metadata::from_iter([(other.to_owned(), value)]),
    }
}
