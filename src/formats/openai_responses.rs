//! OpenAI's Responses and the items of its Agents SDK: a flat list of typed items.
//!
//! A message keeps role and content; the answer of a tool has its `output` as content; every other item has none, and all
//! its members lie in the metadata, so that kinds that do not exist yet come out as they went in.

use craftx_core::{Content, Error, Message, Result, Role};
use serde_json::{Map, Value, json};

use super::openai_chat::{lists, pretty, unlisted};
use super::turn::{Ids, Part, Turn, others, own, owned, parts_of, text, text_in, unknown};
use super::{Container, Entries, Foreign, Format, Outgoing, Sample, Source, Unplaced, Written};

pub(super) const NAME: &str = "openai-responses";

/// Lists of items.
#[derive(Debug)]
pub(super) struct OpenAiResponses;

/// The kinds of parts that Chat Completions has not; `input_audio` both have.
const INPUT: [&str; 4] = ["input_text", "input_image", "input_file", "output_text"];

/// The kinds of items that are neither messages nor end in `_call` or `_call_output`.
const KINDS: [&str; 4] = ["reasoning", "item_reference", "compaction", "program"];

impl Format for OpenAiResponses {
    fn name(&self) -> &'static str {
        NAME
    }

    fn recognizes(&self, sample: &Sample) -> bool {
        if sample.first().and_then(|first| first.get("input")).is_some_and(Value::is_array) {
            return true;
        }
        sample.values.iter().any(|item| match text(item, "type") {
            Some("message") => text(item, "role").is_some(),
            Some(kind) => KINDS.contains(&kind) || kind.ends_with("_call") || kind.ends_with("_call_output"),
            None => has_input_parts(item),
        })
    }

    fn read(&self, source: Source) -> Result<Entries> {
        lists(NAME, "input", source, |value, _| match value {
            Value::Object(members) => item(members),
            _ => Err(Error::invalid("item", "must be an object")),
        })
    }

    fn container(&self) -> Option<Container> {
        Some(Container::Files("json"))
    }

    fn write(&self, session: &Outgoing<'_>) -> Result<Written> {
        let mut unplaced = session.unplaced(NAME);
        let (mut items, mut ids) = (Vec::new(), Ids::default());
        for message in session.messages {
            match own(message, NAME) {
                Some(own) => items.push(native(message, own)),
                None => {
                    let turn = ids.turn(message);
                    turn.own.iter().for_each(|own| unplaced.add(own));
                    items.extend(items_of(turn, &mut unplaced));
                }
            }
        }
        let value = unlisted(NAME, "input", session, items, &mut unplaced);
        Ok(Written::new(pretty(&value), unplaced))
    }
}

fn has_input_parts(item: &Value) -> bool {
    let parts = item.get("content").and_then(Value::as_array).into_iter().flatten();
    parts.filter_map(|part| text(part, "type")).any(|kind| INPUT.contains(&kind))
}

/// An item as a message.
pub(super) fn item(mut members: Map<String, Value>) -> Result<Foreign> {
    let kind = owned(&members, "type");
    let id = owned(&members, "id");
    let (role, content) = match kind.as_deref() {
        None | Some("message") => match members.shift_remove("role") {
            Some(Value::String(role)) => (Role::new(role)?, members.shift_remove("content")),
            Some(_) => return Err(Error::invalid("role", "must be a string")),
            None => return Err(Error::invalid("role", "is missing")),
        },
        Some(kind) if kind.ends_with("_output") => (Role::Tool, members.shift_remove("output")),
        Some(_) => (Role::Assistant, None),
    };
    let metadata = Map::from_iter([(NAME.to_owned(), Value::Object(members))]);
    Ok(Foreign::of(role, content.map_or(Content::Absent, Content::from), metadata).with_id(id))
}

/// The item that a message was.
fn native(message: &Message, own: &Map<String, Value>) -> Value {
    let mut item = own.clone();
    let kind = text_in(own, "type");
    if matches!(kind, None | Some("message")) {
        item.insert("role".to_owned(), json!(message.role.as_str()));
    }
    if let Some(content) = message.content.clone().into_value() {
        let key = if kind.is_some_and(|kind| kind.ends_with("_output")) { "output" } else { "content" };
        item.insert(key.to_owned(), content);
    }
    Value::Object(item)
}

/// What an item says.
pub(super) fn turn(message: &Message, own: &Map<String, Value>) -> Turn {
    let kind = text_in(own, "type");
    let parts = match kind {
        None | Some("message") => parts_of(&message.content, part),
        Some("function_call" | "custom_tool_call") => vec![Part::Call {
            id: owned(own, "call_id"),
            name: owned(own, "name").unwrap_or_default(),
            arguments: owned(own, "arguments").or_else(|| owned(own, "input")).unwrap_or_default(),
        }],
        Some(kind) if kind.ends_with("_output") => vec![Part::Answer {
            call: owned(own, "call_id"),
            name: None,
            content: parts_of(&message.content, part),
            failed: false,
        }],
        Some("reasoning") => {
            let summary = own.get("summary").and_then(Value::as_array).into_iter().flatten();
            let summary: Vec<_> = summary.filter_map(|part| text(part, "text")).collect();
            vec![Part::Reasoning(summary.join("\n"))]
        }
        Some(_) => vec![unknown(&Value::Object(own.clone()))],
    };
    // Which kind it is has been said, and names of items are of no use elsewhere.
    let read = ["type", "id", "call_id", "name", "arguments", "input", "summary", "status"];
    Turn { own: others(own, &read), ..Turn::new(message.role.clone(), parts) }
}

/// A part of a message or of an answer.
pub(super) fn part(value: &Value) -> Part {
    match text(value, "type") {
        Some("input_text" | "output_text" | "text") => {
            text(value, "text").map_or_else(|| unknown(value), |text| Part::Text(text.to_owned()))
        }
        Some("input_image") => text(value, "image_url").map_or_else(
            || unknown(value),
            |url| Part::Image { url: url.to_owned(), detail: text(value, "detail").map(str::to_owned) },
        ),
        _ => unknown(value),
    }
}

/// The items that say what a message of another format says, in its order.
fn items_of(turn: Turn, unplaced: &mut Unplaced) -> Vec<Value> {
    let (assistant, any) = (turn.role == Role::Assistant, !turn.parts.is_empty());
    if turn.name.is_some() && !matches!(turn.role, Role::Tool) {
        unplaced.add("name");
    }
    let mut items = Vec::new();
    let mut content = Vec::new();
    let said = |content: &mut Vec<Value>, items: &mut Vec<Value>| {
        if !content.is_empty() {
            let content = std::mem::take(content);
            items.push(json!({"type": "message", "role": turn.role.as_str(), "content": content}));
        }
    };
    for part in turn.parts {
        let item = match part {
            Part::Text(text) if assistant => {
                content.push(json!({"type": "output_text", "text": text, "annotations": []}));
                continue;
            }
            Part::Text(text) => {
                content.push(json!({"type": "input_text", "text": text}));
                continue;
            }
            Part::Image { url, detail } => {
                content.push(json!({"type": "input_image", "image_url": url, "detail": detail.unwrap_or_else(|| "auto".to_owned())}));
                continue;
            }
            Part::Reasoning(text) => json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": text}]}),
            Part::Call { id, name, arguments } => {
                json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments})
            }
            Part::Answer { call, content, failed, .. } => {
                if failed {
                    unplaced.add("is_error");
                }
                json!({"type": "function_call_output", "call_id": call, "output": output(content, unplaced)})
            }
            Part::Other { kind, .. } => {
                unplaced.add(&kind);
                continue;
            }
        };
        said(&mut content, &mut items);
        items.push(item);
    }
    said(&mut content, &mut items);
    if items.is_empty() && !any {
        items.push(json!({"type": "message", "role": turn.role.as_str(), "content": ""}));
    }
    items
}

/// The answer of a tool: a text, or parts.
fn output(content: Vec<Part>, unplaced: &mut Unplaced) -> Value {
    if content.iter().all(|part| matches!(part, Part::Text(_))) {
        return json!(super::turn::texts(&content));
    }
    let mut parts = Vec::new();
    for part in content {
        match part {
            Part::Text(text) => parts.push(json!({"type": "input_text", "text": text})),
            Part::Image { url, .. } => parts.push(json!({"type": "input_image", "image_url": url, "detail": "auto"})),
            Part::Other { kind, .. } => unplaced.add(&kind),
            _ => unplaced.add("parts_of_answers"),
        }
    }
    Value::Array(parts)
}
