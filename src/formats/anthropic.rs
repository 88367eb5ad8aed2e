//! Anthropic's Messages: `{"system"?, "messages": [{"role", "content": text or blocks}]}`.
//!
//! Blocks stay as they are. Calls of tools are blocks of the assistant, their answers blocks of a message of the user,
//! several in one.

use craftx_core::{Content, Error, Message, Result, Role};
use serde_json::{Map, Value, json};

use super::openai_chat::{instructs, lists, pretty, unlisted};
use super::turn::{Ids, Part, Turn, inline, object_of, others, own, parts_of, parts_of_value, text, unknown};
use super::{Container, Entries, Entry, Foreign, Format, Item, Outgoing, Sample, Source, Unplaced, Written};

pub(super) const NAME: &str = "anthropic";
/// Says of a message that it is the `system` of the request.
const SYSTEM: &str = "system";

/// Requests and lists of messages.
#[derive(Debug)]
pub(super) struct Anthropic;

/// The members of blocks that no other format has a place for.
const OF_BLOCKS: [&str; 3] = ["signature", "citations", "cache_control"];

/// The kinds of blocks that only this format has.
const BLOCKS: [&str; 8] = [
    "tool_use",
    "tool_result",
    "thinking",
    "redacted_thinking",
    "image",
    "document",
    "server_tool_use",
    "search_result",
];

impl Format for Anthropic {
    fn name(&self) -> &'static str {
        NAME
    }

    fn recognizes(&self, sample: &Sample) -> bool {
        let has_blocks = |message: &Value| {
            let blocks = message.get("content").and_then(Value::as_array).into_iter().flatten();
            text(message, "role").is_some()
                && blocks.filter_map(|block| text(block, "type")).any(|kind| BLOCKS.contains(&kind))
        };
        sample.values.iter().any(|value| {
            let messages = value.get("messages").and_then(Value::as_array);
            let system =
                messages.is_some() && ["system", "anthropic_version"].iter().any(|key| value.get(key).is_some());
            system || has_blocks(value) || messages.is_some_and(|messages| messages.iter().any(has_blocks))
        })
    }

    fn read(&self, source: Source) -> Result<Entries> {
        let entries = lists(NAME, "messages", source, |value, _| message(value))?;
        Ok(Box::new(entries.flat_map(|entry| {
            let line = entry.line;
            match entry.item {
                Ok(Item::Session { id, mut metadata }) => {
                    let system = metadata.get_mut(NAME).and_then(Value::as_object_mut);
                    let system = system.and_then(|own| own.shift_remove(SYSTEM)).map(instructions);
                    let mut entries = vec![Entry::session(line, id, metadata)];
                    entries.extend(system.map(|system| Entry::message(line, Ok(system))));
                    entries
                }
                item => vec![Entry { item, ..entry }],
            }
        })))
    }

    fn container(&self) -> Option<Container> {
        Some(Container::Files("json"))
    }

    fn write(&self, session: &Outgoing<'_>) -> Result<Written> {
        let mut unplaced = session.unplaced(NAME);
        let (mut system, mut list, mut ids) = (None, Vec::new(), Ids::default());
        for message in session.messages {
            match own(message, NAME) {
                Some(own) if own.contains_key(SYSTEM) => system = message.content.clone().into_value(),
                Some(own) => list.push(native(message, own)),
                None => {
                    let turn = ids.turn(message);
                    turn.own.iter().for_each(|own| unplaced.add(own));
                    if instructs(&turn.role) && system.is_none() && list.is_empty() {
                        system = Some(json!(turn.text()));
                    } else {
                        add(&mut list, turn, &mut unplaced);
                    }
                }
            }
        }
        let mut request = match unlisted(NAME, "messages", session, list, &mut unplaced) {
            Value::Object(request) => request,
            list => Map::from_iter([("messages".to_owned(), list)]),
        };
        request.extend(system.map(|system| (SYSTEM.to_owned(), system)));
        Ok(Written::new(pretty(&Value::Object(request)), unplaced))
    }
}

fn message(value: Value) -> Result<Foreign> {
    let Value::Object(mut own) = value else { return Err(Error::invalid("message", "must be an object")) };
    let role = match own.shift_remove("role") {
        Some(Value::String(role)) => Role::new(role)?,
        _ => return Err(Error::invalid("role", "must be a string")),
    };
    let content = own.shift_remove("content").map_or(Content::Absent, Content::from);
    Ok(Foreign::of(role, content, Map::from_iter([(NAME.to_owned(), Value::Object(own))])))
}

/// The `system` of a request comes first.
fn instructions(system: Value) -> Foreign {
    Foreign::of(Role::System, Content::from(system), Map::from_iter([(NAME.to_owned(), json!({SYSTEM: true}))]))
}

fn native(message: &Message, own: &Map<String, Value>) -> Value {
    let mut object = Map::from_iter([("role".to_owned(), json!(message.role.as_str()))]);
    object.extend(message.content.clone().into_value().map(|content| ("content".to_owned(), content)));
    object.extend(own.clone());
    Value::Object(object)
}

/// What a message in this shape says.
pub(super) fn turn(message: &Message, own: &Map<String, Value>) -> Turn {
    let parts = parts_of(&message.content, block);
    let mut others = others(own, &[SYSTEM]);
    let blocks = message.content.clone().into_value().unwrap_or_default();
    for block in blocks.as_array().into_iter().flatten() {
        let signed = OF_BLOCKS.iter().filter(|key| block.get(**key).is_some_and(|value| !value.is_null()));
        others.extend(signed.map(|key| (*key).to_owned()));
    }
    Turn { own: others, ..Turn::new(message.role.clone(), parts) }
}

/// What a block says.
pub(super) fn block(block: &Value) -> Part {
    let member = |key: &str| text(block, key).map(str::to_owned);
    let part = match text(block, "type") {
        Some("text") => member("text").map(Part::Text),
        Some("thinking") => member("thinking").map(Part::Reasoning),
        Some("image") => block.get("source").and_then(image),
        Some("tool_use") => member("name").map(|name| Part::Call {
            id: member("id"),
            name,
            arguments: block.get("input").map(Value::to_string).unwrap_or_default(),
        }),
        Some("tool_result") => Some(Part::Answer {
            call: member("tool_use_id"),
            name: None,
            content: parts_of_value(block.get("content"), self::block),
            failed: block.get("is_error").and_then(Value::as_bool).unwrap_or(false),
        }),
        _ => None,
    };
    part.unwrap_or_else(|| unknown(block))
}

fn image(source: &Value) -> Option<Part> {
    let url = match text(source, "type")? {
        "base64" => format!("data:{};base64,{}", text(source, "media_type")?, text(source, "data")?),
        "url" => text(source, "url")?.to_owned(),
        _ => return None,
    };
    Some(Part::Image { url, detail: None })
}

/// Adds a message of another format. The answers of tools are blocks of a message of the user, and those that follow each
/// other are in one.
fn add(list: &mut Vec<Value>, turn: Turn, unplaced: &mut Unplaced) {
    if turn.name.is_some() && turn.role != Role::Tool {
        unplaced.add("name");
    }
    let role = match &turn.role {
        Role::Assistant => "assistant",
        Role::System => "system",
        other if instructs(other) => "system",
        _ => "user",
    };
    let answers = !turn.parts.is_empty() && turn.parts.iter().all(|part| matches!(part, Part::Answer { .. }));
    let any = !turn.parts.is_empty();
    let blocks = blocks(turn.parts, unplaced);
    if blocks.is_empty() && any {
        // Only what had no place.
        return;
    }
    if answers
        && let Some(Value::Object(last)) = list.last_mut()
        && let Some(Value::Array(before)) = last.get_mut("content")
        && !before.is_empty()
        && before.iter().all(|block| text(block, "type") == Some("tool_result"))
    {
        before.extend(blocks);
        return;
    }
    let content = match blocks.as_slice() {
        [] => json!(""),
        [only] if text(only, "type") == Some("text") => only.get("text").cloned().unwrap_or_default(),
        _ => Value::Array(blocks),
    };
    list.push(json!({"role": role, "content": content}));
}

fn blocks(parts: Vec<Part>, unplaced: &mut Unplaced) -> Vec<Value> {
    let mut blocks = Vec::new();
    let several = parts.len() > 1;
    for part in parts {
        match part {
            // Such as that of a message that only calls; no block may be empty.
            Part::Text(text) if text.is_empty() && several => {}
            Part::Text(text) => blocks.push(json!({"type": "text", "text": text})),
            Part::Image { url, detail } => {
                if detail.is_some() {
                    unplaced.add("detail");
                }
                let source = match inline(&url) {
                    Some((media_type, data)) => json!({"type": "base64", "media_type": media_type, "data": data}),
                    None => json!({"type": "url", "url": url}),
                };
                blocks.push(json!({"type": "image", "source": source}));
            }
            // Anthropic takes back only what it has signed itself.
            Part::Reasoning(_) => unplaced.add("reasoning"),
            Part::Call { id, name, arguments } => {
                // Without arguments the model means none.
                let input = if arguments.is_empty() { Some(json!({})) } else { object_of(&arguments) };
                let input = input.unwrap_or_else(|| {
                    unplaced.add("arguments_that_are_no_object");
                    json!({"arguments": arguments})
                });
                blocks.push(json!({"type": "tool_use", "id": id, "name": name, "input": input}));
            }
            Part::Answer { call, content, failed, .. } => {
                let mut answer = Map::from_iter([
                    ("type".to_owned(), json!("tool_result")),
                    ("tool_use_id".to_owned(), json!(call)),
                ]);
                let content = match content.as_slice() {
                    [Part::Text(text)] => json!(text),
                    _ => Value::Array(self::blocks(content, unplaced)),
                };
                answer.insert("content".to_owned(), content);
                if failed {
                    answer.insert("is_error".to_owned(), json!(true));
                }
                blocks.push(Value::Object(answer));
            }
            Part::Other { kind, .. } => unplaced.add(&kind),
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_an_address_elsewhere() {
        let source = json!({"type": "base64", "media_type": "image/png", "data": "AA=="});
        let url = "data:image/png;base64,AA==".to_owned();
        assert_eq!(image(&source), Some(Part::Image { url, detail: None }));
    }
}
