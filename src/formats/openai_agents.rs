//! Databases of OpenAI's Agents SDK: what its `SQLiteSession` wrote.

use craftx_core::{Error, ErrorKind, Metadata, Result, Time, json};
use rusqlite::Row;
use serde_json::Value;

use super::database::{Sessions, line, rows, text, time, times_of_session, value};
use super::{
    Container, Entries, Entry, Foreign, Format, Outgoing, Sample, Source, Written, only_read, openai_responses,
};

const NAME: &str = "openai-agents";

/// The items of each session in the order in which they were added, and the sessions without items.
const QUERY: &str = "
    SELECT m.session_id, m.id, m.message_data, m.created_at, s.created_at, s.updated_at,
           (SELECT created_at FROM agent_messages l WHERE l.session_id = m.session_id ORDER BY id DESC LIMIT 1), s.rowid
    FROM agent_messages m LEFT JOIN agent_sessions s ON s.session_id = m.session_id
    UNION ALL
    SELECT session_id, NULL, NULL, NULL, created_at, updated_at, NULL, rowid
    FROM agent_sessions s WHERE NOT EXISTS (SELECT 1 FROM agent_messages m WHERE m.session_id = s.session_id)
    ORDER BY 1, 2";

/// The tables `agent_sessions` and `agent_messages`, of which each row holds an item as `openai-responses` reads it.
/// Exporting to that format gives the items back.
#[derive(Debug)]
pub(super) struct OpenAiAgents;

impl Format for OpenAiAgents {
    fn name(&self) -> &'static str {
        NAME
    }

    fn recognizes(&self, sample: &Sample) -> bool {
        sample.has_table("agent_messages") && sample.has_table("agent_sessions")
    }

    fn read(&self, source: Source) -> Result<Entries> {
        let clock = source.clock();
        let mut sessions = Sessions::default();
        rows(source.database()?, QUERY, move |row, send| {
            let line = line(row, [1, 7]);
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
    let Value::Object(members) = json::parse(&text(row, 2)?)? else {
        return Err(Error::new(ErrorKind::InvalidInput, "an item is no object"));
    };
    let mut item = openai_responses::item(members)?;
    item.message.created_at = item.message.created_at.or_else(|| time(row, 3, clock));
    Ok(item)
}

fn metadata_of_session(row: &Row<'_>) -> Result<Metadata> {
    let times = times_of_session(row, 4)?;
    Ok(match times.is_empty() {
        true => times,
        false => Metadata::from_iter([(NAME.to_owned(), Value::Object(times))]),
    })
}
