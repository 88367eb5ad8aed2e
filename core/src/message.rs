//! A message: what was said, by whom, and what else is known of it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::{Role, Sealed, Stamp, Time};

/// Free data about a message or a session; the order of its keys is kept and is part of its identity.
pub type Metadata = serde_json::Map<String, Value>;

/// One message of a conversation. It never changes once written; its identity is its stamp.
///
/// `Debug` shows everything but the content and the values of the metadata.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Message {
    /// Identity within the session, and place in the conversation.
    pub id: Stamp,
    /// Who speaks.
    pub role: Role,
    /// What is said.
    #[serde(default, skip_serializing_if = "Content::is_absent")]
    pub content: Content,
    /// The message that this one answers or continues, where a conversation has branches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Stamp>,
    /// When it was said, if another program knew; else see [`Stamp::time`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
    /// Everything else, such as tool calls, authors' names, or ids of other systems.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// Content and metadata as ciphertext; the message has neither otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Box<Sealed>>,
}

impl Message {
    /// A message without parent, time and metadata.
    pub fn new(id: Stamp, role: Role, content: impl Into<Content>) -> Self {
        Self {
            id,
            role,
            content: content.into(),
            parent: None,
            created_at: None,
            metadata: Metadata::new(),
            sealed: None,
        }
    }

    /// Sets the message that this one answers.
    #[must_use]
    pub fn with_parent(mut self, parent: Stamp) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Sets when it was said.
    #[must_use]
    pub fn with_created_at(mut self, time: Time) -> Self {
        self.created_at = Some(time);
        self
    }

    /// Puts a ciphertext in place of content and metadata.
    #[must_use]
    pub fn with_sealed(mut self, sealed: Sealed) -> Self {
        self.content = Content::Absent;
        self.metadata = Metadata::new();
        self.sealed = Some(Box::new(sealed));
        self
    }

    /// Sets one entry of the metadata.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// The text, if the content is text.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("role", &self.role.as_str())
            .field("content", &self.content)
            .field("parent", &self.parent)
            .field("created_at", &self.created_at)
            .field("metadata_keys", &self.metadata.len())
            .field("sealed", &self.sealed)
            .finish()
    }
}

/// What is said in a message: any JSON, or nothing at all.
///
/// Each JSON value has one form here, so that equal contents are equal values, and `null`, `""` and `[]` differ.
///
/// ```
/// use craftx_core::Content;
/// use serde_json::json;
/// assert_eq!(Content::from("hi"), Content::from(json!("hi")));
/// assert_ne!(Content::from(json!(null)), Content::from(json!([])));
/// assert_eq!(Content::from(json!([{"type": "text"}])).into_value(), Some(json!([{"type": "text"}])));
/// ```
#[derive(Clone, Default, PartialEq)]
pub enum Content {
    /// There is none: another program's message had no such member.
    #[default]
    Absent,
    /// JSON `null`, as in an assistant's message that only calls tools.
    Null,
    /// A string.
    Text(String),
    /// A list of parts, such as text and images.
    Parts(Vec<Value>),
    /// An object.
    Object(serde_json::Map<String, Value>),
    /// A number.
    Number(Number),
    /// `true` or `false`.
    Bool(bool),
}

impl Content {
    /// Whether there is no content at all.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The JSON value; `None` if absent.
    pub fn into_value(self) -> Option<Value> {
        Some(match self {
            Self::Absent => return None,
            Self::Null => Value::Null,
            Self::Text(text) => Value::String(text),
            Self::Parts(parts) => Value::Array(parts),
            Self::Object(object) => Value::Object(object),
            Self::Number(number) => Value::Number(number),
            Self::Bool(bool) => Value::Bool(bool),
        })
    }
}

impl fmt::Debug for Content {
    /// Shows the kind and the size, never what is said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("Absent"),
            Self::Null => f.write_str("Null"),
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Parts(parts) => write!(f, "Parts({})", parts.len()),
            Self::Object(object) => write!(f, "Object({} keys)", object.len()),
            Self::Number(_) => f.write_str("Number"),
            Self::Bool(_) => f.write_str("Bool"),
        }
    }
}

impl From<Value> for Content {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::String(text) => Self::Text(text),
            Value::Array(parts) => Self::Parts(parts),
            Value::Object(object) => Self::Object(object),
            Value::Number(number) => Self::Number(number),
            Value::Bool(bool) => Self::Bool(bool),
        }
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<Value>> for Content {
    fn from(parts: Vec<Value>) -> Self {
        Self::Parts(parts)
    }
}

impl Serialize for Content {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent | Self::Null => serializer.serialize_unit(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Parts(parts) => parts.serialize(serializer),
            Self::Object(object) => object.serialize(serializer),
            Self::Number(number) => number.serialize(serializer),
            Self::Bool(bool) => serializer.serialize_bool(*bool),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}
