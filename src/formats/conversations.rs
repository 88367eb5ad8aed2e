//! One conversation on each line: `{"session_id": …, "messages": [{"role", "content", …}]}`.

use craftx_core::{Message, Result};
use serde_json::Value;

use super::{Container, Entries, Entry, Format, Outgoing, Sample, Source, Unplaced, Written};
use crate::conversation::{OF_MESSAGE, OF_SESSION};
use crate::{Conversation, conversation_json};

/// Counts metadata that is called like what a message has anyway.
pub(super) fn hidden(message: &Message, unplaced: &mut Unplaced) {
    let names = OF_MESSAGE.iter().filter(|name| **name != "id" && message.metadata.contains_key(**name));
    names.for_each(|name| unplaced.add(name));
}

/// Conversations as most programs write them; every other member is kept.
#[derive(Debug)]
pub(super) struct Conversations;

impl Format for Conversations {
    fn name(&self) -> &'static str {
        "conversations"
    }

    fn recognizes(&self, sample: &Sample) -> bool {
        let first = sample.first();
        first
            .is_some_and(|first| first.contains_key("session_id") && first.get("messages").is_some_and(Value::is_array))
    }

    fn read(&self, source: Source) -> Result<Entries> {
        let clock = source.clock();
        Ok(Box::new(source.values()?.flat_map(move |(line, value)| match value.and_then(Conversation::from_value) {
            Ok(conversation) => {
                let messages = conversation.foreign(&clock).map(|message| Entry::message(line, message));
                let messages: Vec<_> = messages.collect();
                let begin = Entry::session(line, conversation.session, conversation.metadata);
                [vec![begin], messages].into_iter().flatten()
            }
            Err(error) => [vec![Entry::new(line, Err(error))], Vec::new()].into_iter().flatten(),
        })))
    }

    fn container(&self) -> Option<Container> {
        Some(Container::Lines)
    }

    fn write(&self, session: &Outgoing<'_>) -> Result<Written> {
        let json = conversation_json(session.id, session.metadata, session.messages);
        let mut unplaced = Unplaced::default();
        OF_SESSION.iter().filter(|key| session.metadata.contains_key(**key)).for_each(|key| unplaced.add(key));
        session.messages.iter().for_each(|message| hidden(message, &mut unplaced));
        Ok(Written::new(json.to_string(), unplaced))
    }
}
