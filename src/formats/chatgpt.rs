//! The export of ChatGPT: `conversations.json`, each conversation a tree of nodes.
//!
//! Every branch is read. Nodes come in the order of the file, but never before their parent; which branch was shown is
//! `current_node` in the metadata of the session.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use craftx_core::{Content, Error, Message, Result, Role, SessionId, Time};
use serde_json::{Map, Value, json};

use super::turn::{Part, Turn, owned, parts_of, text, unknown};
use super::{Container, Entries, Entry, Foreign, Format, Outgoing, Sample, Source, Written, only_read};

pub(super) const NAME: &str = "chatgpt";

/// An export, which is only read.
#[derive(Debug)]
pub(super) struct ChatGpt;

impl Format for ChatGpt {
    fn name(&self) -> &'static str {
        NAME
    }

    fn recognizes(&self, sample: &Sample) -> bool {
        sample.first().and_then(|first| first.get("mapping")).is_some_and(Value::is_object)
    }

    fn read(&self, source: Source) -> Result<Entries> {
        let clock = source.clock();
        Ok(Box::new(source.values()?.flat_map(move |(line, value)| match value.and_then(begin) {
            Ok((id, metadata, nodes)) => {
                let mut entries = vec![Entry::session(line, id, metadata)];
                entries.extend(messages(nodes, &clock).into_iter().map(|message| Entry::message(line, message)));
                entries
            }
            Err(error) => vec![Entry::new(line, Err(error))],
        })))
    }

    fn container(&self) -> Option<Container> {
        None
    }

    fn write(&self, _: &Outgoing<'_>) -> Result<Written> {
        Err(only_read(NAME))
    }
}

type Nodes = Map<String, Value>;

/// The name of a conversation, what is known of it, and its nodes.
fn begin(value: Value) -> Result<(SessionId, Map<String, Value>, Nodes)> {
    let Value::Object(mut own) = value else { return Err(Error::invalid("conversation", "must be an object")) };
    let Some(Value::Object(nodes)) = own.shift_remove("mapping") else {
        return Err(Error::invalid("mapping", "must be an object"));
    };
    let name = owned(&own, "conversation_id").or_else(|| owned(&own, "id"));
    let id = SessionId::new(name.ok_or_else(|| Error::invalid("id", "is missing"))?)?;
    let mut metadata = Map::new();
    metadata
        .extend(own.get("title").filter(|title| title.is_string()).map(|title| ("title".to_owned(), title.clone())));
    metadata.insert(NAME.to_owned(), Value::Object(own));
    Ok((id, metadata, nodes))
}

/// The messages of all nodes, parents first.
fn messages(nodes: Nodes, clock: &impl Fn(&str) -> Option<Time>) -> Vec<Result<Foreign>> {
    let parents: HashMap<String, String> =
        nodes.iter().filter_map(|(id, node)| Some((id.clone(), text(node, "parent")?.to_owned()))).collect();
    let all: HashSet<String> = nodes.keys().cloned().collect();
    let is_empty = |node: &Value| node.get("message").is_none_or(Value::is_null);
    let empty: HashSet<String> = nodes.iter().filter(|(_, node)| is_empty(node)).map(|(id, _)| id.clone()).collect();
    let mut waiting: HashMap<String, Vec<(usize, String, Value)>> = HashMap::new();
    let mut done: HashSet<String> = HashSet::new();
    let mut messages = Vec::new();
    for (index, (id, node)) in nodes.into_iter().enumerate() {
        let parent = parents.get(&id);
        if let Some(parent) = parent.filter(|parent| all.contains(*parent) && !done.contains(*parent)) {
            waiting.entry(parent.clone()).or_default().push((index, id, node));
            continue;
        }
        let mut ready = vec![(index, id, node)];
        while let Some((_, id, node)) = ready.pop() {
            // The first of those that waited comes next.
            ready.extend(waiting.remove(&id).into_iter().flatten().rev());
            if !empty.contains(&id) {
                messages.push(message(&id, node, said_before(&id, &parents, &empty), clock));
            }
            done.insert(id);
        }
    }
    // Nodes whose parents are their own descendants: each is a message all the same.
    let mut circles: Vec<_> = waiting.into_values().flatten().collect();
    circles.sort_by_key(|(index, ..)| *index);
    for (_, id, node) in circles {
        if !empty.contains(&id) {
            messages.push(message(&id, node, None, clock));
        }
    }
    messages
}

/// The nearest node above that has a message.
fn said_before(id: &str, parents: &HashMap<String, String>, empty: &HashSet<String>) -> Option<String> {
    let mut at = parents.get(id)?;
    for _ in 0..parents.len() {
        if !empty.contains(at) {
            return Some(at.clone());
        }
        at = parents.get(at)?;
    }
    None
}

fn message(id: &str, node: Value, parent: Option<String>, clock: &impl Fn(&str) -> Option<Time>) -> Result<Foreign> {
    let Value::Object(mut node) = node else { return Err(Error::invalid("node", "must be an object")) };
    let Some(Value::Object(message)) = node.get_mut("message") else {
        return Err(Error::invalid("message", "must be an object"));
    };
    let author = message.get("author");
    let Some(role) = author.and_then(|author| text(author, "role")) else {
        return Err(Error::invalid("role", "is missing"));
    };
    let role = Role::new(role)?;
    let name = author.and_then(|author| text(author, "name")).map(str::to_owned);
    let time = message.get("create_time").and_then(|at| time(at, clock));
    let content = match message.get("content") {
        Some(content) if is_text(content) => {
            let content = plain(content);
            message.shift_remove("content");
            content
        }
        // Of the other kinds all stays as it is: there are many, and new ones come.
        Some(_) => Content::from(message.shift_remove("content").unwrap_or_default()),
        None => Content::Absent,
    };
    let mut metadata = Map::new();
    metadata.extend(name.map(|name| ("name".to_owned(), json!(name))));
    metadata.insert(NAME.to_owned(), Value::Object(node));
    Ok(Foreign::of(role, content, metadata).with_id(Some(id)).with_parent(parent).with_time(time))
}

/// Whether a content is nothing but texts, with or without attached pictures.
fn is_text(content: &Value) -> bool {
    matches!(text(content, "content_type"), Some("text" | "multimodal_text"))
        && content.as_object().is_some_and(|content| content.len() == 2)
        && content.get("parts").is_some_and(Value::is_array)
}

fn plain(content: &Value) -> Content {
    let parts = content.get("parts").and_then(Value::as_array).cloned().unwrap_or_default();
    match parts.as_slice() {
        [Value::String(text)] => Content::Text(text.clone()),
        _ => Content::Parts(
            parts
                .into_iter()
                .map(|part| match part {
                    Value::String(text) => json!({"type": "text", "text": text}),
                    other => other,
                })
                .collect(),
        ),
    }
}

/// Seconds since 1970 with a fraction, or text.
fn time(value: &Value, clock: &impl Fn(&str) -> Option<Time>) -> Option<Time> {
    if let Some(text) = value.as_str() {
        return text.parse::<f64>().ok().and_then(seconds).or_else(|| clock(text));
    }
    seconds(value.as_f64()?)
}

fn seconds(seconds: f64) -> Option<Time> {
    // No clock shows more than microseconds, and a double of today holds no more.
    let micros = (seconds * 1e6).round();
    let since = Duration::try_from_secs_f64(seconds).ok().map(|_| Duration::from_micros(micros as u64))?;
    Time::try_from(SystemTime::UNIX_EPOCH.checked_add(since)?).ok()
}

/// What a message of an export says.
pub(super) fn turn(message: &Message, own: &Map<String, Value>) -> Turn {
    let node = own.get("message");
    let recipient = node.and_then(|node| text(node, "recipient")).filter(|recipient| *recipient != "all");
    let mut parts = match &message.content {
        Content::Object(content) => object(content),
        content => parts_of(content, part),
    };
    let name = owned(&message.metadata, "name");
    match recipient {
        Some(tool) if message.role == Role::Assistant => {
            let said = super::turn::texts(&parts);
            parts = vec![Part::Call { id: None, name: tool.to_owned(), arguments: said }];
        }
        _ if message.role == Role::Tool => {
            parts = vec![Part::Answer { call: None, name: name.clone(), content: parts, failed: false }];
        }
        _ => {}
    }
    Turn { name: name.filter(|_| message.role != Role::Tool), ..Turn::new(message.role.clone(), parts) }
}

fn part(value: &Value) -> Part {
    match text(value, "type") {
        Some("text") => Part::Text(text(value, "text").unwrap_or_default().to_owned()),
        _ => Part::Other { kind: text(value, "content_type").unwrap_or("json").to_owned(), value: value.clone() },
    }
}

fn object(content: &Map<String, Value>) -> Vec<Part> {
    let value = || Value::Object(content.clone());
    let strings = |key: &str| {
        let parts = content.get(key).and_then(Value::as_array).into_iter().flatten();
        parts.map(|part| part.as_str().map_or_else(|| self::part(part), |text| Part::Text(text.to_owned()))).collect()
    };
    match content.get("content_type").and_then(Value::as_str) {
        Some("text" | "multimodal_text") => strings("parts"),
        Some("code" | "execution_output" | "system_error") => {
            owned(content, "text").map_or_else(|| vec![unknown(&value())], |text| vec![Part::Text(text)])
        }
        Some("thoughts") => {
            let thoughts = content.get("thoughts").and_then(Value::as_array).into_iter().flatten();
            let thoughts: Vec<_> = thoughts.filter_map(|thought| text(thought, "content")).collect();
            vec![Part::Reasoning(thoughts.join("\n"))]
        }
        Some("reasoning_recap") => vec![Part::Reasoning(owned(content, "content").unwrap_or_default())],
        kind => vec![Part::Other { kind: kind.unwrap_or("json").to_owned(), value: value() }],
    }
}
