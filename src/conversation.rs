//! Conversations as most programs write them: `{"session_id", "messages": [{"role", "content", …}]}`.

use std::collections::HashMap;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use craftx_core::{Content, Error, Message, Metadata, Record, Result, Role, SessionId, Stamp, Time};
use serde_json::{Map, Value};

use crate::NewMessage;

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
        let Value::Object(mut members) = craftx_core::json::parse(text)? else {
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
        let messages = self.stamped()?;
        let mut records = Vec::with_capacity(messages.len() + 1);
        if !self.metadata.is_empty() {
            let ms = messages.first().map_or(0, |message| message.id.millis());
            // Below the first message: metadata is what was known when the conversation began.
            let stamp = Stamp::imported(ms, 0, self.hash("metadata", ""))?;
            let set = self.metadata.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
            records.push(Record::Session { stamp, set });
        }
        records.extend(messages.into_iter().map(Record::Message));
        Ok(records)
    }

    /// The messages without stamps, to be appended as new ones.
    ///
    /// # Errors
    /// As [`Conversation::records`].
    pub fn new_messages(&self) -> Result<Vec<NewMessage>> {
        // Parents are named by the stamps of the import, which the new messages will not have.
        let unlinked = |message: Message| NewMessage { parent: None, ..NewMessage::from(message) };
        Ok(self.stamped()?.into_iter().map(unlinked).collect())
    }

    /// The messages with the stamps that they always get: time, then position, then a hash of where they come from.
    fn stamped(&self) -> Result<Vec<Message>> {
        let mut ids: HashMap<&str, Stamp> = HashMap::new();
        let mut ms = 0;
        let mut stamped = Vec::with_capacity(self.messages.len());
        for (index, source) in self.messages.iter().enumerate() {
            let wrong = |error: Error| error.with("message", index);
            let time = created_at(source);
            // Order is by position: a time that runs backwards does not move a message.
            ms = time.as_ref().map_or(0, |time| millis(time.at())).max(ms);
            let own_id = source.get("id").and_then(Value::as_str);
            let hash = match own_id {
                Some(own_id) => self.hash("id", own_id),
                None => self.hash("position", &index.to_string()),
            };
            let position =
                u32::try_from(index + 1).map_err(|_| wrong(Error::invalid("messages", "there are too many")))?;
            let id = Stamp::imported(ms, position, hash).map_err(wrong)?;
            let mut message = message(id, source).map_err(wrong)?;
            message.created_at = time;
            message.parent =
                source.get("parent_id").and_then(Value::as_str).and_then(|parent| ids.get(parent)).copied();
            if let Some(own_id) = own_id {
                ids.insert(own_id, id);
            }
            stamped.push(message);
        }
        Ok(stamped)
    }

    fn hash(&self, kind: &str, item: &str) -> u64 {
        Stamp::source_hash(kind, &self.session, item)
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Conversation({:?}, {} messages)", self.session, self.messages.len())
    }
}

fn message(id: Stamp, source: &Map<String, Value>) -> Result<Message> {
    let role = match source.get("role") {
        Some(Value::String(role)) => Role::new(role)?,
        Some(_) => return Err(Error::invalid("role", "must be a string")),
        None => return Err(Error::invalid("role", "is missing")),
    };
    let content = source.get("content").cloned().map_or(Content::Absent, Content::from);
    let mut message = Message::new(id, role, content);
    message.metadata = source
        .iter()
        .filter(|(key, _)| *key != "role" && *key != "content")
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Ok(message)
}

/// Times that cannot be read stay in the metadata, where they are kept like everything else.
fn created_at(source: &Map<String, Value>) -> Option<Time> {
    ["created_at", "timestamp"].iter().find_map(|key| source.get(*key)?.as_str()?.parse().ok())
}

fn millis(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A session as a conversation of other programs: the reverse of [`Conversation::parse`].
pub fn conversation_json(session: &SessionId, metadata: &Metadata, messages: &[Message]) -> Value {
    let mut line = Map::new();
    line.insert("session_id".to_owned(), Value::from(session.as_str()));
    line.extend(metadata.iter().map(|(key, value)| (key.clone(), value.clone())));
    line.insert("messages".to_owned(), messages.iter().map(message_json).collect());
    Value::Object(line)
}

fn message_json(message: &Message) -> Value {
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
    for (key, value) in message.metadata.iter().filter(|(key, _)| *key != "id") {
        object.insert(key.clone(), value.clone());
    }
    Value::Object(object)
}
