//! LangChain: `[{"type": "human", "data": {"content", …}}]` of `messages_to_dict` and its histories, and what `dumpd`
//! writes. A message is data: no class is looked up by the name that a file gives.

use craftx_core::{Content, Error, Message, Result, Role};
use serde_json::{Map, Value, json};

use super::openai_chat::{lists, pretty, unlisted};
use super::turn::{
    Ids, Part, Turn, image_url, object_of, others, own, owned, parts_of, text, texts, to_image_url, unknown,
};
use super::{Container, Entries, Foreign, Format, Outgoing, Sample, Source, Unplaced, Written};

pub(super) const NAME: &str = "langchain";

/// Lists of messages.
#[derive(Debug)]
pub(super) struct LangChain;

impl Format for LangChain {
    fn name(&self) -> &'static str {
        NAME
    }

    fn recognizes(&self, sample: &Sample) -> bool {
        sample.values.first().is_some_and(|first| {
            (text(first, "type").is_some() && first.get("data").is_some_and(Value::is_object))
                || (first.get("lc").is_some() && first.get("kwargs").is_some_and(Value::is_object))
        })
    }

    fn read(&self, source: Source) -> Result<Entries> {
        lists(NAME, "messages", source, |value, _| message(value))
    }

    fn container(&self) -> Option<Container> {
        Some(Container::Files("json"))
    }

    fn write(&self, session: &Outgoing<'_>) -> Result<Written> {
        let mut unplaced = session.unplaced(NAME);
        let (mut list, mut ids) = (Vec::new(), Ids::default());
        for message in session.messages {
            match own(message, NAME) {
                Some(own) => list.push(native(message, own)),
                None => {
                    let turn = ids.turn(message);
                    turn.own.iter().for_each(|own| unplaced.add(own));
                    list.extend(messages(turn, &mut unplaced));
                }
            }
        }
        let value = unlisted(NAME, "messages", session, list, &mut unplaced);
        Ok(Written::new(pretty(&value), unplaced))
    }
}

/// Where the members of a message lie.
fn body(outer: &Map<String, Value>) -> &'static str {
    if outer.contains_key("lc") { "kwargs" } else { "data" }
}

/// A message in one of the two forms.
pub(super) fn message(value: Value) -> Result<Foreign> {
    let Value::Object(mut own) = value else { return Err(Error::invalid("message", "must be an object")) };
    let key = body(&own);
    let class = own.get("id").and_then(Value::as_array).and_then(|path| path.last()?.as_str()).unwrap_or_default();
    let outer = owned(&own, "type").unwrap_or_default();
    let kind = if key == "kwargs" {
        class.trim_end_matches("Chunk").trim_end_matches("Message").to_lowercase()
    } else {
        outer
    };
    let Some(Value::Object(data)) = own.get_mut(key) else {
        return Err(Error::invalid("data", "must be an object"));
    };
    let role = match kind.as_str() {
        "human" => Role::User,
        "ai" | "AIMessageChunk" => Role::Assistant,
        "chat" => Role::new(owned(data, "role").unwrap_or_else(|| "chat".to_owned()))?,
        other => Role::new(other)?,
    };
    let content = data.shift_remove("content").map_or(Content::Absent, Content::from);
    let id = owned(data, "id");
    Ok(Foreign::of(role, content, Map::from_iter([(NAME.to_owned(), Value::Object(own))])).with_id(id))
}

fn native(message: &Message, own: &Map<String, Value>) -> Value {
    let mut outer = own.clone();
    if let Some(Value::Object(data)) = outer.get_mut(body(own))
        && let Some(content) = message.content.clone().into_value()
    {
        data.insert("content".to_owned(), content);
    }
    Value::Object(outer)
}

/// The members that other formats have a place for, or that only say what the others mean.
const READ: [&str; 11] = [
    "type",
    "name",
    "id",
    "tool_calls",
    "invalid_tool_calls",
    "tool_call_id",
    "status",
    "role",
    "example",
    "additional_kwargs",
    "content",
];

/// What a message in this shape says.
pub(super) fn turn(message: &Message, own: &Map<String, Value>) -> Turn {
    let empty = Map::new();
    let data = own.get(body(own)).and_then(Value::as_object).unwrap_or(&empty);
    let mut parts = parts_of(&message.content, part);
    if message.role == Role::Tool {
        let failed = owned(data, "status").is_some_and(|status| status == "error");
        parts =
            vec![Part::Answer { call: owned(data, "tool_call_id"), name: owned(data, "name"), content: parts, failed }];
    }
    // The text that the model wrote, where it was kept beside the object that was read from it.
    let written = data.get("additional_kwargs").and_then(|more| more.get("tool_calls")).and_then(Value::as_array);
    let written = |id: &Option<String>| {
        let call = written?.iter().find(|call| id.is_some() && text(call, "id") == id.as_deref())?;
        text(call.get("function")?, "arguments").map(str::to_owned)
    };
    for key in ["tool_calls", "invalid_tool_calls"] {
        for call in data.get(key).and_then(Value::as_array).into_iter().flatten() {
            let id = text(call, "id").map(str::to_owned);
            let arguments = written(&id).or_else(|| match call.get("args") {
                Some(Value::String(args)) => Some(args.clone()),
                args => args.map(Value::to_string),
            });
            let name = text(call, "name").unwrap_or_default().to_owned();
            parts.push(Part::Call { id, name, arguments: arguments.unwrap_or_default() });
        }
    }
    let name = if message.role == Role::Tool { None } else { owned(data, "name") };
    Turn { name, own: others(data, &READ), ..Turn::new(message.role.clone(), parts) }
}

fn part(value: &Value) -> Part {
    if let Some(text) = value.as_str() {
        return Part::Text(text.to_owned());
    }
    let part = match text(value, "type") {
        Some("text") => text(value, "text").map(|text| Part::Text(text.to_owned())),
        Some("reasoning") => text(value, "reasoning").map(|text| Part::Reasoning(text.to_owned())),
        Some("image_url") => image_url(value),
        Some("image") => match (text(value, "url"), text(value, "base64"), text(value, "mime_type")) {
            (Some(url), ..) => Some(Part::Image { url: url.to_owned(), detail: None }),
            (_, Some(data), Some(kind)) => {
                Some(Part::Image { url: format!("data:{kind};base64,{data}"), detail: None })
            }
            _ => None,
        },
        _ => None,
    };
    part.unwrap_or_else(|| unknown(value))
}

/// The messages that say what a message of another format says: each answer of a tool is one of its own.
fn messages(turn: Turn, unplaced: &mut Unplaced) -> Vec<Value> {
    let mut list = Vec::new();
    let (mut content, mut calls, mut invalid, mut written) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for part in turn.parts {
        match part {
            Part::Text(text) => content.push(json!({"type": "text", "text": text})),
            Part::Image { url, detail } => content.push(to_image_url(url, detail)),
            Part::Reasoning(text) => content.push(json!({"type": "reasoning", "reasoning": text})),
            Part::Call { id, name, arguments } => {
                match object_of(&arguments) {
                    Some(args) => calls.push(json!({"name": name, "args": args, "id": id, "type": "tool_call"})),
                    None => invalid.push(json!({
                        "name": name, "args": arguments, "id": id, "error": null, "type": "invalid_tool_call",
                    })),
                }
                written.push(json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}));
            }
            Part::Answer { call, name, content, failed } => {
                if !content.iter().all(|part| matches!(part, Part::Text(_))) {
                    unplaced.add("parts_of_answers");
                }
                let status = if failed { "error" } else { "success" };
                list.push(json!({"type": "tool", "data": {
                    "content": texts(&content), "additional_kwargs": {}, "response_metadata": {}, "type": "tool",
                    "name": name, "id": null, "tool_call_id": call, "artifact": null, "status": status,
                }}));
            }
            Part::Other { kind, .. } => unplaced.add(&kind),
        }
    }
    if content.is_empty() && written.is_empty() && !list.is_empty() {
        return list;
    }
    let kind = match &turn.role {
        Role::User => "human",
        Role::Assistant => "ai",
        other if super::openai_chat::instructs(other) => "system",
        _ => "chat",
    };
    let content = match content.as_slice() {
        [] => json!(""),
        [only] if text(only, "type") == Some("text") => only.get("text").cloned().unwrap_or_default(),
        _ => Value::Array(content),
    };
    let mut data = Map::new();
    data.insert("content".to_owned(), content);
    // The arguments as the model spelled them, which the objects do not keep.
    let more = if written.is_empty() { json!({}) } else { json!({ "tool_calls": written }) };
    data.insert("additional_kwargs".to_owned(), more);
    data.insert("response_metadata".to_owned(), json!({}));
    data.insert("type".to_owned(), json!(kind));
    data.insert("name".to_owned(), json!(turn.name));
    data.insert("id".to_owned(), Value::Null);
    match kind {
        "ai" => {
            data.insert("tool_calls".to_owned(), Value::Array(calls));
            data.insert("invalid_tool_calls".to_owned(), Value::Array(invalid));
            data.insert("usage_metadata".to_owned(), Value::Null);
        }
        "chat" => drop(data.insert("role".to_owned(), json!(turn.role.as_str()))),
        _ => {}
    }
    list.push(json!({"type": kind, "data": data}));
    list
}
