//! A message that has no stamp yet.

use std::fmt;

use craftx_core::{Content, Message, Metadata, Role, Stamp, Time};
use serde_json::Value;

/// A message to append. Its stamp is minted when it is written.
///
/// ```
/// use craftx::NewMessage;
/// let message = NewMessage::user("What is a UUID?").metadata("lang", "en");
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct NewMessage {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Content,
    /// The message that this one answers, where a conversation has branches.
    pub parent: Option<Stamp>,
    /// When it was said, if that was not now.
    pub created_at: Option<Time>,
    /// Everything else.
    pub metadata: Metadata,
}

impl NewMessage {
    /// A message by `role`.
    pub fn new(role: Role, content: impl Into<Content>) -> Self {
        Self { role, content: content.into(), parent: None, created_at: None, metadata: Metadata::new() }
    }

    /// A message by the user.
    pub fn user(content: impl Into<Content>) -> Self {
        Self::new(Role::User, content)
    }

    /// A message by the model.
    pub fn assistant(content: impl Into<Content>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// Instructions.
    pub fn system(content: impl Into<Content>) -> Self {
        Self::new(Role::System, content)
    }

    /// The result of a tool call.
    pub fn tool(content: impl Into<Content>) -> Self {
        Self::new(Role::Tool, content)
    }

    /// Sets the message that this one answers.
    #[must_use]
    pub fn parent(mut self, parent: Stamp) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Sets when it was said.
    #[must_use]
    pub fn created_at(mut self, time: Time) -> Self {
        self.created_at = Some(time);
        self
    }

    /// Sets one entry of the metadata.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    pub(crate) fn stamped(self, id: Stamp) -> Message {
        let mut message = Message::new(id, self.role, self.content);
        message.parent = self.parent;
        message.created_at = self.created_at;
        message.metadata = self.metadata;
        message
    }
}

impl From<Message> for NewMessage {
    /// The same message without its stamp.
    fn from(message: Message) -> Self {
        Self {
            role: message.role,
            content: message.content,
            parent: message.parent,
            created_at: message.created_at,
            metadata: message.metadata,
        }
    }
}

impl fmt::Debug for NewMessage {
    /// Shows everything but the content and the values of the metadata.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewMessage")
            .field("role", &self.role.as_str())
            .field("content", &self.content)
            .field("parent", &self.parent)
            .field("created_at", &self.created_at)
            .field("metadata_keys", &self.metadata.len())
            .finish()
    }
}
