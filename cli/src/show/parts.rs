//! What a message consists of, in the shapes that programs write: texts, calls of tools, their results.

use craftx::{Content, Message, Role};
use serde_json::Value;

/// The keys of metadata that are shown as parts.
pub(super) const SHOWN: [&str; 3] = ["tool_calls", "function_call", "tool_call_id"];

/// A part of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    /// A tool is called.
    Call {
        name: String,
        arguments: String,
    },
    /// A tool answers.
    Answer {
        to: Option<String>,
        text: String,
    },
    /// Anything else, such as an image.
    Other {
        kind: String,
        value: String,
    },
}

/// The parts of a message, in their order.
pub(super) fn parts(message: &Message) -> Vec<Part> {
    let mut parts = match &message.content {
        Content::Absent | Content::Null => Vec::new(),
        Content::Text(text) => vec![Part::Text(text.clone())],
        other => match other.clone().into_value() {
            Some(Value::Array(items)) => items.iter().map(part).collect(),
            Some(item @ Value::Object(_)) => vec![part(&item)],
            Some(value) => vec![Part::Other { kind: "json".to_owned(), value: value.to_string() }],
            None => Vec::new(),
        },
    };
    if message.role == Role::Tool {
        let to = text_of(message.metadata.get("tool_call_id"));
        parts = parts.into_iter().map(|part| answer(part, &to)).collect();
    }
    let calls = message.metadata.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    parts.extend(calls.chain(message.metadata.get("function_call")).map(call));
    parts
}

/// What a tool says is an answer.
fn answer(part: Part, to: &Option<String>) -> Part {
    match part {
        Part::Text(text) => Part::Answer { to: to.clone(), text },
        other => other,
    }
}

fn part(item: &Value) -> Part {
    let kind = match item {
        Value::String(text) => return Part::Text(text.clone()),
        _ => item.get("type").and_then(Value::as_str).unwrap_or("json"),
    };
    match (kind, item.get("text")) {
        ("text" | "input_text" | "output_text", Some(Value::String(text))) => Part::Text(text.clone()),
        ("tool_use" | "tool_call" | "function_call" | "tool-call", _) => call(item),
        ("tool_result" | "function_call_output" | "tool-result", _) => Part::Answer {
            to: ["tool_use_id", "call_id", "toolCallId"].iter().find_map(|key| text_of(item.get(key))),
            text: ["content", "output", "result"].iter().find_map(|key| item.get(key)).map(plain).unwrap_or_default(),
        },
        (kind, _) => Part::Other { kind: kind.to_owned(), value: item.to_string() },
    }
}

/// The texts of a content in order, or its JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(|item| item.get("text")?.as_str()).collect();
            texts.map_or_else(|| value.to_string(), |texts| texts.join("\n"))
        }
        other => other.to_string(),
    }
}

fn call(call: &Value) -> Part {
    // Some keep name and arguments in a member of their own.
    let inner = call.get("function").filter(|inner| inner.is_object()).unwrap_or(call);
    let Some(name) = ["name", "toolName"].iter().find_map(|key| text_of(inner.get(key))) else {
        return Part::Other { kind: "tool call".to_owned(), value: call.to_string() };
    };
    let arguments = ["arguments", "input", "args"].iter().find_map(|key| inner.get(key)).map(plain);
    Part::Call { name, arguments: arguments.unwrap_or_default() }
}

fn text_of(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use craftx::Stamp;
    use serde_json::json;

    fn of(role: Role, content: Value) -> Vec<Part> {
        parts(&Message::new(Stamp::MIN, role, Content::from(content)))
    }

    #[test]
    fn calls_are_recognised_in_every_common_shape() {
        let wanted = Part::Call { name: "f".to_owned(), arguments: r#"{"a":1}"#.to_owned() };
        for call in [
            json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}),
            json!({"type": "tool_call", "name": "f", "args": {"a": 1}, "id": "1"}),
            json!({"name": "f", "arguments": {"a": 1}}),
        ] {
            let message =
                Message::new(Stamp::MIN, Role::Assistant, Content::Null).with_metadata("tool_calls", json!([call]));
            assert_eq!(parts(&message), [Part::Call { name: "f".to_owned(), arguments: r#"{"a":1}"#.to_owned() }]);
        }
        let found = of(Role::Assistant, json!([{"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}}]));
        assert_eq!(found, [wanted]);
        let strange =
            Message::new(Stamp::MIN, Role::Assistant, Content::Null).with_metadata("tool_calls", json!([{"x": 1}]));
        assert!(matches!(parts(&strange).as_slice(), [Part::Other { .. }]), "nothing is left out");
    }

    #[test]
    fn answers_are_recognised_in_every_common_shape() {
        let answer = |to: Option<&str>| Part::Answer { to: to.map(str::to_owned), text: "ok".to_owned() };
        assert_eq!(of(Role::Tool, json!("ok")), [answer(None)]);
        let block = json!([{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "ok"}]}]);
        assert_eq!(of(Role::User, block), [answer(Some("1"))]);
        assert_eq!(
            of(Role::User, json!([{"type": "function_call_output", "call_id": "1", "output": "ok"}])),
            [answer(Some("1"))]
        );
    }

    #[test]
    fn what_is_not_known_is_kept() {
        let image = json!({"type": "image_url", "image_url": {"url": "x"}});
        let found = of(Role::User, json!(["a", {"type": "text", "text": "b"}, image, 5]));
        let other = |kind: &str, value: &str| Part::Other { kind: kind.to_owned(), value: value.to_owned() };
        assert_eq!(
            found,
            [
                Part::Text("a".to_owned()),
                Part::Text("b".to_owned()),
                other("image_url", &image.to_string()),
                other("json", "5")
            ]
        );
    }
}
