//! ShareGPT: `[{"id", "conversations": [{"from", "value"}]}]`.

use craftx_core::{Content, Error, Message, Result, Role};
use serde_json::{Map, Value, json};

use super::openai_chat::{lists, unlisted};
use super::turn::{Part, Turn, object_of, others, own, text, text_in, texts, unknown};
use super::{Container, Entries, Foreign, Format, Outgoing, Sample, Source, Unplaced, Written};

pub(super) const NAME: &str = "sharegpt";

/// Lists of conversations, or one on each line.
#[derive(Debug)]
pub(super) struct ShareGpt;

impl Format for ShareGpt {
    fn name(&self) -> &'static str {
        NAME
    }

    fn recognizes(&self, sample: &Sample) -> bool {
        sample.first().and_then(|first| first.get("conversations")).is_some_and(Value::is_array)
    }

    fn read(&self, source: Source) -> Result<Entries> {
        lists(NAME, "conversations", source, |value, _| message(value))
    }

    fn container(&self) -> Option<Container> {
        Some(Container::Array)
    }

    fn write(&self, session: &Outgoing<'_>) -> Result<Written> {
        let mut unplaced = session.unplaced(NAME);
        let mut list = Vec::new();
        for message in session.messages {
            match own(message, NAME) {
                Some(own) => list.push(native(message, own)),
                None => list.extend(said(Turn::of(message), &mut unplaced)),
            }
        }
        let conversation = match unlisted(NAME, "conversations", session, list, &mut unplaced) {
            // From another format.
            Value::Array(list) => json!({"id": session.id.as_str(), "conversations": list}),
            conversation => conversation,
        };
        Ok(Written::new(conversation.to_string(), unplaced))
    }
}

fn message(value: Value) -> Result<Foreign> {
    let Value::Object(mut own) = value else { return Err(Error::invalid("message", "must be an object")) };
    let role = match text_in(&own, "from") {
        Some("human" | "user") => Role::User,
        Some("gpt" | "chatgpt" | "assistant" | "function_call" | "tool_call") => Role::Assistant,
        Some("observation" | "tool") => Role::Tool,
        Some(other) => Role::new(other)?,
        None => return Err(Error::invalid("from", "must be a string")),
    };
    let content = own.shift_remove("value").map_or(Content::Absent, Content::from);
    Ok(Foreign::of(role, content, Map::from_iter([(NAME.to_owned(), Value::Object(own))])))
}

fn native(message: &Message, own: &Map<String, Value>) -> Value {
    let mut object = own.clone();
    if let Some(value) = message.content.clone().into_value() {
        object.insert("value".to_owned(), value);
    }
    Value::Object(object)
}

/// What a message in this shape says.
pub(super) fn turn(message: &Message, own: &Map<String, Value>) -> Turn {
    let said = match &message.content {
        Content::Text(text) => text.clone(),
        other => other.clone().into_value().map(|value| value.to_string()).unwrap_or_default(),
    };
    let part = match text_in(own, "from") {
        Some("function_call" | "tool_call") => call(&said),
        Some("observation" | "tool") => {
            Part::Answer { call: None, name: None, content: vec![Part::Text(said)], failed: false }
        }
        _ => Part::Text(said),
    };
    Turn { own: others(own, &["from"]), ..Turn::new(message.role.clone(), vec![part]) }
}

/// A call that training tools write as JSON with `name` and `arguments`.
fn call(said: &str) -> Part {
    let Some(value) = object_of(said) else { return Part::Text(said.to_owned()) };
    let Some(name) = text(&value, "name") else { return unknown(&value) };
    let arguments = match value.get("arguments") {
        Some(Value::String(arguments)) => arguments.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    Part::Call { id: None, name: name.to_owned(), arguments }
}

/// A message of another format: one for each call and each answer, and one for what is said.
fn said(turn: Turn, unplaced: &mut Unplaced) -> Vec<Value> {
    turn.own.iter().for_each(|own| unplaced.add(own));
    if turn.name.is_some() {
        unplaced.add("name");
    }
    let from = match &turn.role {
        Role::User => "human",
        Role::Assistant => "gpt",
        Role::Tool => "observation",
        other if super::openai_chat::instructs(other) => "system",
        other => other.as_str(),
    };
    let mut list: Vec<Value> = Vec::new();
    let any = !turn.parts.is_empty();
    // Texts that follow each other are one value.
    let mut texts_so_far: Vec<String> = Vec::new();
    let flush = |texts: &mut Vec<String>, list: &mut Vec<Value>| {
        if !texts.is_empty() {
            list.push(json!({"from": from, "value": std::mem::take(texts).join("\n")}));
        }
    };
    for part in turn.parts {
        if let Part::Text(text) = part {
            texts_so_far.push(text);
            continue;
        }
        flush(&mut texts_so_far, &mut list);
        match part {
            Part::Text(_) => {}
            Part::Call { id, name, arguments } => {
                if id.is_some() {
                    unplaced.add("id_of_call");
                }
                let arguments = object_of(&arguments).unwrap_or(Value::String(arguments));
                let value = json!({"name": name, "arguments": arguments}).to_string();
                list.push(json!({"from": "function_call", "value": value}));
            }
            Part::Answer { content, failed, .. } => {
                if failed {
                    unplaced.add("is_error");
                }
                list.push(json!({"from": "observation", "value": texts(&content)}));
            }
            Part::Image { .. } => unplaced.add("image"),
            Part::Reasoning(_) => unplaced.add("reasoning"),
            Part::Other { kind, .. } => unplaced.add(&kind),
        }
    }
    flush(&mut texts_so_far, &mut list);
    if !any {
        list.push(json!({"from": from, "value": ""}));
    }
    list
}
