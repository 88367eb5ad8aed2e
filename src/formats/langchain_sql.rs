//! Databases of LangChain: what its `SQLChatMessageHistory` wrote.

use craftx_core::{Metadata, Result, json};

use super::database::{Sessions, line, rows, text, value};
use super::{Container, Entries, Entry, Format, Outgoing, Sample, Source, Written, langchain, only_read};

const NAME: &str = "langchain-sql";

const QUERY: &str = "SELECT id, session_id, message FROM message_store ORDER BY session_id, id";

/// The table `message_store`, of which each row holds a message as `langchain` reads it. Exporting to that format gives
/// the messages back.
#[derive(Debug)]
pub(super) struct LangChainSql;

impl Format for LangChainSql {
    fn name(&self) -> &'static str {
        NAME
    }

    fn recognizes(&self, sample: &Sample) -> bool {
        sample.has_table("message_store")
    }

    fn read(&self, source: Source) -> Result<Entries> {
        let mut sessions = Sessions::default();
        rows(source.database()?, QUERY, move |row, send| {
            let line = line(row, [0]);
            if sessions.begin(line, value(row, 1), || Ok(Metadata::new()), send) {
                let message = text(row, 2).and_then(|text| langchain::message(json::parse(&text)?));
                send(Entry::message(line, message));
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
