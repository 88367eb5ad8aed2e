//! What a message says, in terms that every format has: the bridge between formats.
//!
//! A message of some format is read into a [`Turn`] by the file of that format, and written by the file of the other. Only
//! what crosses from one format to another goes through here; what goes back to its own does not.

use std::collections::VecDeque;
use std::fmt;

use craftx_core::{Content, Message, Metadata, Role};
use serde_json::{Map, Value, json};

use super::{anthropic, chatgpt, claude, langchain, openai_chat, openai_responses, sharegpt};

/// What one message says, whichever program it came from.
///
/// ```
/// use craftx::formats::{Part, Turn};
/// use craftx::{Message, Role, Stamp};
/// use serde_json::json;
/// let block = json!([{"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}}]);
/// let turn = Turn::of(&Message::new(Stamp::MIN, Role::Assistant, block));
/// assert!(matches!(&turn.parts[..], [Part::Call { name, .. }] if name == "f"));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Turn {
    /// Who says it.
    pub role: Role,
    /// The author's name.
    pub name: Option<String>,
    /// What is said, in its order.
    pub parts: Vec<Part>,
    /// The names of what only the message's own format has a place for.
    pub own: Vec<String>,
}

/// A part of a message. `Debug` shows its kind and never what is said.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Part {
    /// A text.
    Text(String),
    /// A picture.
    Image {
        /// Its address, which may be `data:` with the picture itself.
        url: String,
        /// How closely a model shall look at it.
        detail: Option<String>,
    },
    /// What a model thought, as far as it may be read.
    Reasoning(String),
    /// A tool is called.
    Call {
        /// What the answer names.
        id: Option<String>,
        /// The tool.
        name: String,
        /// JSON as the model wrote it, or what it took for JSON.
        arguments: String,
    },
    /// A tool answers.
    Answer {
        /// The id of the call.
        call: Option<String>,
        /// The tool.
        name: Option<String>,
        /// What it says.
        content: Vec<Part>,
        /// Whether it failed.
        failed: bool,
    },
    /// Anything else.
    Other {
        /// What its format calls it.
        kind: String,
        /// The part as its format has it.
        value: Value,
    },
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text",
            Self::Image { .. } => "Image",
            Self::Reasoning(_) => "Reasoning",
            Self::Call { .. } => "Call",
            Self::Answer { .. } => "Answer",
            Self::Other { .. } => "Other",
        })
    }
}

impl Turn {
    pub(super) fn new(role: Role, parts: Vec<Part>) -> Self {
        Self { role, name: None, parts, own: Vec::new() }
    }

    /// What a message says. Nothing of its content is left out.
    pub fn of(message: &Message) -> Self {
        let own = |format: &str| own(message, format);
        if let Some(own) = own(openai_responses::NAME) {
            openai_responses::turn(message, own)
        } else if let Some(own) = own(anthropic::NAME) {
            anthropic::turn(message, own)
        } else if let Some(own) = own(claude::NAME) {
            claude::turn(message, own)
        } else if let Some(own) = own(langchain::NAME) {
            langchain::turn(message, own)
        } else if let Some(own) = own(sharegpt::NAME) {
            sharegpt::turn(message, own)
        } else if let Some(own) = own(chatgpt::NAME) {
            chatgpt::turn(message, own)
        } else {
            openai_chat::turn(message)
        }
    }

    /// All text, a line break between parts.
    pub fn text(&self) -> String {
        texts(&self.parts)
    }
}

/// What lies under the name of a format in the metadata of a message in the shape of that format. A message that has
/// other metadata besides is in another shape, and only happens to have a member of this name.
pub(super) fn own<'a>(message: &'a Message, format: &str) -> Option<&'a Map<String, Value>> {
    let only = message.metadata.keys().all(|key| key == format || key == "name");
    message.metadata.get(format).filter(|_| only)?.as_object()
}

/// Ids for calls that have none in their own format, and for the answers to them, in their order.
#[derive(Debug, Default)]
pub(super) struct Ids {
    made: usize,
    open: VecDeque<String>,
}

impl Ids {
    /// What a message says, each call with an id.
    pub(super) fn turn(&mut self, message: &Message) -> Turn {
        let mut turn = Turn::of(message);
        for part in &mut turn.parts {
            match part {
                Part::Call { id: id @ None, .. } => {
                    self.made += 1;
                    let made = format!("call_{}", self.made);
                    self.open.push_back(made.clone());
                    *id = Some(made);
                }
                Part::Answer { call: call @ None, .. } => *call = self.open.pop_front(),
                _ => {}
            }
        }
        turn
    }
}

/// The text among some parts, a line break between them.
pub(super) fn texts(parts: &[Part]) -> String {
    let texts: Vec<_> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    texts.join("\n")
}

/// The parts of a content: a text, or each of a list as `part` reads it.
pub(super) fn parts_of(content: &Content, part: impl Fn(&Value) -> Part) -> Vec<Part> {
    match content {
        Content::Absent | Content::Null => Vec::new(),
        Content::Text(text) => vec![Part::Text(text.clone())],
        Content::Parts(parts) => parts.iter().map(part).collect(),
        other => other.clone().into_value().into_iter().map(|value| unknown(&value)).collect(),
    }
}

/// The parts of a value that is a content.
pub(super) fn parts_of_value(value: Option<&Value>, part: impl Fn(&Value) -> Part) -> Vec<Part> {
    value.map_or_else(Vec::new, |value| parts_of(&Content::from(value.clone()), part))
}

/// A part that no other format knows.
pub(super) fn unknown(value: &Value) -> Part {
    let kind = text(value, "type").unwrap_or("json");
    Part::Other { kind: kind.to_owned(), value: value.clone() }
}

/// A member that is text.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

/// A member of an object that is text.
pub(super) fn text_in<'a>(members: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    members.get(key)?.as_str()
}

/// As [`text_in`], to keep.
pub(super) fn owned(members: &Map<String, Value>, key: &str) -> Option<String> {
    text_in(members, key).map(str::to_owned)
}

/// A picture as OpenAI and LangChain write it; some programs write the address itself.
pub(super) fn image_url(value: &Value) -> Option<Part> {
    let image = value.get("image_url")?;
    let url = image.as_str().or_else(|| text(image, "url"))?;
    Some(Part::Image { url: url.to_owned(), detail: text(image, "detail").map(str::to_owned) })
}

/// The reverse of [`image_url`].
pub(super) fn to_image_url(url: String, detail: Option<String>) -> Value {
    let mut image = Map::from_iter([("url".to_owned(), Value::String(url))]);
    image.extend(detail.map(|detail| ("detail".to_owned(), Value::String(detail))));
    json!({"type": "image_url", "image_url": image})
}

/// The names of members that hold something, less those that have been read.
pub(super) fn others(members: &Metadata, read: &[&str]) -> Vec<String> {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    let others = members.iter().filter(|(key, value)| !read.contains(&key.as_str()) && !empty(value));
    others.map(|(key, _)| key.clone()).collect()
}

/// Arguments as an object; `None` if the model wrote none.
pub(super) fn object_of(arguments: &str) -> Option<Value> {
    craftx_core::json::parse(arguments).ok().filter(Value::is_object)
}

/// The media type and the data of an address that holds the picture itself, in base64.
pub(super) fn inline(url: &str) -> Option<(&str, &str)> {
    url.strip_prefix("data:")?.split_once(";base64,")
}
