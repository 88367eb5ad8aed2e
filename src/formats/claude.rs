//! The export of Claude.ai: conversations with `chat_messages`, of which the blocks are those of Anthropic's Messages.

use craftx_core::{Content, Error, Message, Result, Role, SessionId, Time};
use serde_json::{Map, Value};

use super::turn::{Turn, others, owned, parts_of};
use super::{Container, Entries, Entry, Foreign, Format, Outgoing, Sample, Source, Written, anthropic, only_read};

pub(super) const NAME: &str = "claude";

/// An export, which is only read.
#[derive(Debug)]
pub(super) struct Claude;

impl Format for Claude {
    fn name(&self) -> &'static str {
        NAME
    }

    fn recognizes(&self, sample: &Sample) -> bool {
        sample.first().and_then(|first| first.get("chat_messages")).is_some_and(Value::is_array)
    }

    fn read(&self, source: Source) -> Result<Entries> {
        let clock = source.clock();
        Ok(Box::new(source.values()?.flat_map(move |(line, value)| match value.and_then(begin) {
            Ok((id, metadata, messages)) => {
                let messages = messages.into_iter().map(|value| Entry::message(line, message(value, &clock)));
                std::iter::once(Entry::session(line, id, metadata)).chain(messages).collect::<Vec<_>>()
            }
            Err(error) => vec![Entry::new(line, Err(error))],
        })))
    }

    fn container(&self) -> Option<Container> {
        None
    }

    fn write(&self, _: &Outgoing<'_>) -> Result<Written> {
        Err(only_read(NAME))
    }
}

fn begin(value: Value) -> Result<(SessionId, Map<String, Value>, Vec<Value>)> {
    let Value::Object(mut own) = value else { return Err(Error::invalid("conversation", "must be an object")) };
    let Some(Value::Array(messages)) = own.shift_remove("chat_messages") else {
        return Err(Error::invalid("chat_messages", "must be a list"));
    };
    let id = SessionId::new(owned(&own, "uuid").ok_or_else(|| Error::invalid("uuid", "is missing"))?)?;
    let title = owned(&own, "name").or_else(|| owned(&own, "title"));
    let mut metadata = Map::new();
    metadata.extend(title.map(|title| ("title".to_owned(), Value::String(title))));
    metadata.insert(NAME.to_owned(), Value::Object(own));
    Ok((id, metadata, messages))
}

fn message(value: Value, clock: &impl Fn(&str) -> Option<Time>) -> Result<Foreign> {
    let Value::Object(mut own) = value else { return Err(Error::invalid("message", "must be an object")) };
    let role = match owned(&own, "sender").as_deref() {
        Some("human") => Role::User,
        Some(other) => Role::new(other)?,
        None => return Err(Error::invalid("sender", "must be a string")),
    };
    let has_blocks = own.get("content").and_then(Value::as_array).is_some_and(|blocks| !blocks.is_empty());
    // The text and the blocks can disagree: what is not the content is kept beside it.
    let content = own.shift_remove(if has_blocks { "content" } else { "text" });
    let time = owned(&own, "created_at").and_then(|at| clock(&at));
    let (id, parent) = (owned(&own, "uuid"), owned(&own, "parent_message_uuid"));
    let metadata = Map::from_iter([(NAME.to_owned(), Value::Object(own))]);
    let message = Foreign::of(role, content.map_or(Content::Absent, Content::from), metadata);
    Ok(message.with_id(id).with_parent(parent).with_time(time))
}

/// What a message of an export says.
pub(super) fn turn(message: &Message, own: &Map<String, Value>) -> Turn {
    let read = ["uuid", "sender", "text", "content", "parent_message_uuid", "created_at", "updated_at"];
    Turn { own: others(own, &read), ..Turn::new(message.role.clone(), parts_of(&message.content, anthropic::block)) }
}
