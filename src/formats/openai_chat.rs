//! OpenAI's Chat Completions: `[{"role", "content", "tool_calls"?, …}]`.
//!
//! This is the shape in which craftx itself keeps messages: what is neither role nor content is metadata under its own
//! name.

use craftx_core::{Error, Message, Result, Role, SessionId};
use serde_json::{Map, Value, json};

use super::conversations::hidden;
use super::turn::{
    Ids, Part, Turn, image_url, others, own, owned, parts_of, parts_of_value, text, texts, to_image_url, unknown,
};
use super::{Container, Entries, Entry, Format, Outgoing, Sample, Source, Unplaced, Written};
use crate::conversation::{foreign, message_json};

pub(super) const NAME: &str = "openai-chat";

/// Lists of messages, and objects or lines with such a list as `messages`.
#[derive(Debug)]
pub(super) struct OpenAiChat;

/// The members of the metadata that other formats have a place for.
const READ: [&str; 4] = ["name", "tool_calls", "function_call", "tool_call_id"];

impl Format for OpenAiChat {
    fn name(&self) -> &'static str {
        NAME
    }

    fn recognizes(&self, sample: &Sample) -> bool {
        let is_message = |value: &Value| text(value, "role").is_some();
        sample.values.first().is_some_and(|first| {
            is_message(first)
                || first
                    .get("messages")
                    .and_then(Value::as_array)
                    .is_some_and(|messages| messages.iter().all(is_message))
        })
    }

    fn read(&self, source: Source) -> Result<Entries> {
        lists(NAME, "messages", source, |message, clock| match message {
            Value::Object(members) => foreign(members, &clock),
            _ => Err(Error::invalid("message", "must be an object")),
        })
    }

    fn container(&self) -> Option<Container> {
        Some(Container::Files("json"))
    }

    fn write(&self, session: &Outgoing<'_>) -> Result<Written> {
        // Of a message in this shape the metadata has the time and the parent, if it had them.
        let mut unplaced = session.unplaced_unless(is_native);
        let (mut list, mut ids) = (Vec::new(), Ids::default());
        for message in session.messages {
            if is_native(message) {
                hidden(message, &mut unplaced);
                list.push(message_json(message));
                continue;
            }
            let turn = ids.turn(message);
            turn.own.iter().for_each(|own| unplaced.add(own));
            messages(turn, &mut list, &mut unplaced);
        }
        let value = unlisted(NAME, "messages", session, list, &mut unplaced);
        Ok(Written::new(pretty(&value), unplaced))
    }
}

/// Reads a file that is one list of messages, each an element of it, or of objects that hold such lists as `key`.
///
/// What else such an object has becomes metadata of the session, under the name of the format.
pub(super) fn lists(
    format: &'static str,
    key: &'static str,
    source: Source,
    message: impl Fn(Value, &dyn Fn(&str) -> Option<craftx_core::Time>) -> Result<super::Foreign> + Send + 'static,
) -> Result<Entries> {
    let clock = source.clock();
    let session = source.session();
    let mut count = 0_u64;
    Ok(Box::new(source.values()?.flat_map(move |(line, value)| {
        count += 1;
        let mut entries = Vec::new();
        match value {
            Ok(Value::Object(mut members)) if members.get(key).is_some_and(Value::is_array) => {
                let name = owned(&members, "session_id").or_else(|| owned(&members, "id"));
                let id = name.map_or_else(|| numbered(&session, count), SessionId::new);
                let Some(Value::Array(list)) = members.shift_remove(key) else { return entries };
                match id {
                    Ok(id) => {
                        let metadata = Map::from_iter([(format.to_owned(), Value::Object(members))]);
                        entries.push(Entry::session(line, id, metadata));
                    }
                    Err(error) => return vec![Entry::new(line, Err(error))],
                }
                entries.extend(list.into_iter().map(|value| Entry::message(line, message(value, &clock))));
            }
            value => {
                if count == 1 {
                    match session_of_file(&session) {
                        Ok(id) => entries.push(Entry::session(line, id, Map::new())),
                        Err(error) => entries.push(Entry::new(line, Err(error))),
                    }
                }
                entries.push(Entry::message(line, value.and_then(|value| message(value, &clock))));
            }
        }
        entries
    })))
}

/// What [`lists`] read: the list itself, or the object that it was in.
pub(super) fn unlisted(
    format: &'static str,
    key: &'static str,
    session: &Outgoing<'_>,
    list: Vec<Value>,
    unplaced: &mut Unplaced,
) -> Value {
    session.metadata.keys().filter(|key| *key != format).for_each(|key| unplaced.add(key));
    match session.metadata.get(format) {
        Some(Value::Object(own)) => {
            let mut object = own.clone();
            object.insert(key.to_owned(), Value::Array(list));
            Value::Object(object)
        }
        _ => Value::Array(list),
    }
}

/// The name of a session that has none of its own: that of the file, and its number from the second on.
fn numbered(session: &Result<SessionId>, count: u64) -> Result<SessionId> {
    match (session_of_file(session)?, count) {
        (session, 0 | 1) => Ok(session),
        (session, count) => SessionId::new(format!("{session}-{count}")),
    }
}

/// The session of a file, or why it has none, which errors are not copied to say again.
fn session_of_file(session: &Result<SessionId>) -> Result<SessionId> {
    session.as_ref().cloned().map_err(|error| {
        // Without a file there is no name at all.
        let rule = match error.get("say") {
            Some(_) => "nothing says which session this is",
            None => "the file's name is no name of a session",
        };
        Error::invalid("session", rule).with("say", "`--session NAME`")
    })
}

/// JSON for a file that people may look into.
pub(super) fn pretty(value: &Value) -> String {
    // A value always serialises.
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// Whether a message has the shape of Chat Completions: no other format has put its own members into the metadata.
fn is_native(message: &Message) -> bool {
    !super::all().iter().any(|format| own(message, format.name()).is_some())
}

/// What a message in this shape says.
pub(super) fn turn(message: &Message) -> Turn {
    let metadata = &message.metadata;
    let mut parts = parts_of(&message.content, part);
    // What a tool says is an answer, unless it says so itself.
    if matches!(message.role.as_str(), "tool" | "function")
        && !parts.iter().any(|part| matches!(part, Part::Answer { .. }))
    {
        let (call, name) = (owned(metadata, "tool_call_id"), owned(metadata, "name"));
        parts = vec![Part::Answer { call, name, content: parts, failed: false }];
    }
    let calls = metadata.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    parts.extend(calls.map(call));
    if let Some(function) = metadata.get("function_call").filter(|function| function.is_object()) {
        parts.push(call(&json!({ "function": function })));
    }
    Turn { name: owned(metadata, "name"), own: others(metadata, &READ), ..Turn::new(message.role.clone(), parts) }
}

/// A part of a content. People write the parts of every provider into messages of this shape, so all are known here.
fn part(value: &Value) -> Part {
    match text(value, "type") {
        None if value.is_string() => Part::Text(value.as_str().unwrap_or_default().to_owned()),
        Some("image_url") => image_url(value).unwrap_or_else(|| unknown(value)),
        Some("input_text" | "output_text" | "input_image") => super::openai_responses::part(value),
        Some("tool_call" | "function_call" | "tool-call") => call(value),
        Some("function_call_output" | "tool-result") => Part::Answer {
            call: ["call_id", "toolCallId"].iter().find_map(|key| text(value, key)).map(str::to_owned),
            name: None,
            content: parts_of_value(value.get("output").or_else(|| value.get("result")), part),
            failed: false,
        },
        _ => super::anthropic::block(value),
    }
}

/// A call, of which some keep name and arguments in a member of their own.
fn call(value: &Value) -> Part {
    let inner = value.get("function").filter(|inner| inner.is_object()).unwrap_or(value);
    let arguments = match ["arguments", "input", "args"].iter().find_map(|key| inner.get(key)) {
        Some(Value::String(arguments)) => arguments.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let id = ["call_id", "toolCallId", "id"].iter().find_map(|key| text(value, key)).map(str::to_owned);
    match ["name", "toolName"].iter().find_map(|key| text(inner, key)) {
        Some(name) => Part::Call { id, name: name.to_owned(), arguments },
        None => unknown(value),
    }
}

/// Adds the messages that say what a message of another format says, in its order: the answers of tools are messages of
/// their own, and calls go with what was said before them.
fn messages(turn: Turn, list: &mut Vec<Value>, unplaced: &mut Unplaced) {
    let mut said = Said { role: turn.role, name: turn.name, parts: Vec::new(), calls: Vec::new() };
    let any = !turn.parts.is_empty();
    for part in turn.parts {
        match part {
            Part::Text(text) => said.parts.push(json!({"type": "text", "text": text})),
            Part::Image { url, detail } => said.parts.push(to_image_url(url, detail)),
            Part::Call { id, name, arguments } => {
                let function = json!({"name": name, "arguments": arguments});
                said.calls.push(json!({"id": id, "type": "function", "function": function}));
            }
            Part::Answer { call, name, content, failed } => {
                said.flush(list);
                if failed {
                    unplaced.add("is_error");
                }
                if !content.iter().all(|part| matches!(part, Part::Text(_))) {
                    unplaced.add("parts_of_answers");
                }
                let mut answer =
                    Map::from_iter([("role".to_owned(), json!("tool")), ("tool_call_id".to_owned(), json!(call))]);
                answer.extend(name.map(|name| ("name".to_owned(), json!(name))));
                answer.insert("content".to_owned(), json!(texts(&content)));
                list.push(Value::Object(answer));
            }
            Part::Reasoning(_) => unplaced.add("reasoning"),
            Part::Other { kind, .. } => unplaced.add(&kind),
        }
    }
    said.flush(list);
    if !any {
        list.push(json!({"role": said.role.as_str(), "content": ""}));
    }
}

/// What goes into one message.
struct Said {
    role: Role,
    name: Option<String>,
    parts: Vec<Value>,
    calls: Vec<Value>,
}

impl Said {
    fn flush(&mut self, list: &mut Vec<Value>) {
        let (parts, calls) = (std::mem::take(&mut self.parts), std::mem::take(&mut self.calls));
        if parts.is_empty() && calls.is_empty() {
            return;
        }
        // Formats that have an item for each call mean one message by those that follow each other.
        if parts.is_empty()
            && let Some(Value::Object(last)) = list.last_mut()
            && last.get("role").and_then(Value::as_str) == Some("assistant")
        {
            let before = last.entry("tool_calls").or_insert_with(|| json!([]));
            if let Some(before) = before.as_array_mut() {
                before.extend(calls);
                return;
            }
        }
        let mut message = Map::from_iter([("role".to_owned(), json!(self.role.as_str()))]);
        message.extend(self.name.clone().map(|name| ("name".to_owned(), json!(name))));
        let content = match parts.as_slice() {
            [] => Value::Null,
            [only] if only.get("text").is_some() => only.get("text").cloned().unwrap_or_default(),
            _ => Value::Array(parts),
        };
        message.insert("content".to_owned(), content);
        if !calls.is_empty() {
            message.insert("tool_calls".to_owned(), Value::Array(calls));
        }
        list.push(Value::Object(message));
    }
}

/// The roles that give instructions.
pub(super) fn instructs(role: &Role) -> bool {
    matches!(role.as_str(), "system" | "developer")
}
