//! Conversations as most programs write them: `{"session_id", "messages": [{"role", "content", …}]}`.

use std::fmt;

use craftx_core::{Content, Error, Message, Metadata, Record, Result, Role, SessionId, Time};
use serde_json::{Map, Value};

use crate::NewMessage;
use crate::formats::Foreign;
use crate::stamper::Stamper;

/// A conversation of another program.
///
/// Every field survives: `role` and `content` have a place of their own, all other members of a message become its
/// metadata, and all other members of the conversation become metadata of the session. `created_at` or `timestamp`,
/// and `parent_id`, are understood as well as kept.
///
/// ```
/// use craftx::Conversation;
/// let line = r#"{"session_id":"a","lang":"en","messages":[{"id":"m0","role":"user","content":"hi"}]}"#;
/// let conversation = Conversation::parse(line)?;
/// let records = conversation.records()?;
/// assert_eq!(records.len(), 2); // the metadata of the session, and a message
/// assert_eq!(records, Conversation::parse(line)?.records()?); // the same stamps every time
/// # Ok::<(), craftx::Error>(())
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Conversation {
    /// Its name.
    pub session: SessionId,
    /// What is known of it as a whole.
    pub metadata: Metadata,
    /// The messages, as they were written.
    messages: Vec<Map<String, Value>>,
}

impl Conversation {
    /// Reads one conversation.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) naming the field or the message that is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        Self::from_value(craftx_core::json::parse(text)?)
    }

    /// As [`Conversation::parse`], of JSON that has been parsed and checked.
    pub(crate) fn from_value(value: Value) -> Result<Self> {
        let Value::Object(mut members) = value else {
            return Err(Error::invalid("line", "must be an object"));
        };
        let session = match members.shift_remove("session_id") {
            Some(Value::String(name)) => SessionId::new(name)?,
            Some(_) => return Err(Error::invalid("session_id", "must be a string")),
            None => return Err(Error::invalid("session_id", "is missing")),
        };
        let Some(Value::Array(items)) = members.shift_remove("messages") else {
            return Err(Error::invalid("messages", "must be a list"));
        };
        let messages = items
            .into_iter()
            .enumerate()
            .map(|(index, item)| match item {
                Value::Object(message) => Ok(message),
                _ => Err(Error::invalid("messages", "must contain objects").with("message", index)),
            })
            .collect::<Result<_>>()?;
        Ok(Self { session, metadata: members, messages })
    }

    /// How many messages it has.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether it has no message.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The records of the conversation, metadata first. The same conversation always gives the same records, so that
    /// importing it a second time changes nothing.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) naming the message and the field that is wrong.
    pub fn records(&self) -> Result<Vec<Record>> {
        let mut stamper = Stamper::new(self.session.clone());
        let mut records = Vec::with_capacity(self.messages.len() + 1);
        if !self.metadata.is_empty() {
            // What was known when the conversation began.
            let first = self.messages.first().and_then(|first| created_at(first, &|text| text.parse().ok()));
            records.push(stamper.metadata(&self.metadata, first.as_ref())?);
        }
        for (index, message) in self.foreign(|text| text.parse().ok()).enumerate() {
            let stamped = message.and_then(|message| message.stamped(&mut stamper));
            records.push(Record::Message(stamped.map_err(|error| error.with("message", index))?));
        }
        Ok(records)
    }

    /// The messages without stamps, to be appended as new ones.
    ///
    /// # Errors
    /// As [`Conversation::records`].
    pub fn new_messages(&self) -> Result<Vec<NewMessage>> {
        let messages = self.foreign(|text| text.parse().ok()).enumerate();
        messages
            .map(|(index, message)| Ok(message.map_err(|error: Error| error.with("message", index))?.message))
            .collect()
    }

    /// The messages as formats know them; `time` reads a time.
    pub(crate) fn foreign(&self, time: impl Fn(&str) -> Option<Time>) -> impl Iterator<Item = Result<Foreign>> {
        self.messages.iter().map(move |source| foreign(source.clone(), &time))
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Conversation({:?}, {} messages)", self.session, self.messages.len())
    }
}

/// A message in the shape of Chat Completions, which most programs write: what is neither role nor content is metadata
/// under its own name.
pub(crate) fn foreign(mut source: Map<String, Value>, time: &impl Fn(&str) -> Option<Time>) -> Result<Foreign> {
    let role = match source.shift_remove("role") {
        Some(Value::String(role)) => Role::new(role)?,
        Some(_) => return Err(Error::invalid("role", "must be a string")),
        None => return Err(Error::invalid("role", "is missing")),
    };
    let content = source.shift_remove("content").map_or(Content::Absent, Content::from);
    let created_at = created_at(&source, time);
    let text = |key: &str| source.get(key).and_then(Value::as_str).map(str::to_owned);
    let (id, parent) = (text("id"), text("parent_id"));
    Ok(Foreign::of(role, content, source).with_id(id).with_parent(parent).with_time(created_at))
}

/// Times that cannot be read stay in the metadata, where they are kept like everything else.
fn created_at(source: &Map<String, Value>, time: &impl Fn(&str) -> Option<Time>) -> Option<Time> {
    ["created_at", "timestamp"].iter().find_map(|key| time(source.get(*key)?.as_str()?))
}

/// The members of a message and of a session that its metadata has no say in.
pub(crate) const OF_MESSAGE: [&str; 3] = ["id", "role", "content"];
pub(crate) const OF_SESSION: [&str; 2] = ["session_id", "messages"];

/// A session as a conversation of other programs. Metadata that is called like a member of its own, such as `role`, is left out: the reverse of [`Conversation::parse`].
pub fn conversation_json(session: &SessionId, metadata: &Metadata, messages: &[Message]) -> Value {
    let mut line = Map::new();
    line.insert("session_id".to_owned(), Value::from(session.as_str()));
    let metadata = metadata.iter().filter(|(key, _)| !OF_SESSION.contains(&key.as_str()));
    line.extend(metadata.map(|(key, value)| (key.clone(), value.clone())));
    line.insert("messages".to_owned(), messages.iter().map(message_json).collect());
    Value::Object(line)
}

pub(crate) fn message_json(message: &Message) -> Value {
    let mut object = Map::new();
    // First, as most programs write it; a message that came without an id leaves without one.
    if let Some(id) = message.metadata.get("id") {
        object.insert("id".to_owned(), id.clone());
    }
    object.insert("role".to_owned(), Value::from(message.role.as_str()));
    if let Some(content) = message.content.clone().into_value() {
        object.insert("content".to_owned(), content);
    }
    if let Some(time) = &message.created_at
        && !message.metadata.contains_key("created_at")
        && !message.metadata.contains_key("timestamp")
    {
        object.insert("created_at".to_owned(), Value::from(time.to_string()));
    }
    // Metadata of these names must not take the place of what was said.
    for (key, value) in message.metadata.iter().filter(|(key, _)| !OF_MESSAGE.contains(&key.as_str())) {
        object.insert(key.clone(), value.clone());
    }
    Value::Object(object)
}
