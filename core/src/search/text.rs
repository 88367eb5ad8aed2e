//! The text of a message that can be searched.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::{Content, Message};

/// How deep texts inside of texts are looked for.
const DEEPEST: usize = 8;

/// The text of a message, as it is searched and shown in snippets: the content if it is a string; of parts and objects,
/// every string in the members `text`, `content` and `parts`, a line each. Calls of tools, names of files, addresses of
/// pictures and metadata are no text.
pub fn text(message: &Message) -> Cow<'_, str> {
    let mut lines = Vec::new();
    match &message.content {
        Content::Text(text) => return Cow::Borrowed(text),
        Content::Parts(parts) => parts.iter().for_each(|part| collect(part, DEEPEST, &mut lines)),
        Content::Object(object) => members(object, DEEPEST, &mut lines),
        Content::Absent | Content::Null | Content::Number(_) | Content::Bool(_) => {}
    }
    match lines.as_slice() {
        [] => Cow::Borrowed(""),
        [line] => Cow::Borrowed(line),
        lines => Cow::Owned(lines.join("\n")),
    }
}

/// The author's name, `name` in the metadata: it is searched with the text, because people ask who said what.
pub fn author(message: &Message) -> Option<&str> {
    message.metadata.get("name").and_then(Value::as_str)
}

fn collect<'a>(value: &'a Value, depth: usize, lines: &mut Vec<&'a str>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match value {
        Value::String(text) => lines.push(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, depth, lines)),
        Value::Object(object) => members(object, depth, lines),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn members<'a>(object: &'a Map<String, Value>, depth: usize, lines: &mut Vec<&'a str>) {
    for (key, value) in object {
        if matches!(key.as_str(), "text" | "content" | "parts") {
            collect(value, depth, lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Role, Stamp};
    use serde_json::json;

    #[test]
    fn texts_are_found_in_every_shape_of_content() {
        for (content, wanted) in [
            (json!("plain"), "plain"),
            (json!(null), ""),
            (json!(5), ""),
            (json!([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}, "b"]), "a\nb"),
            (json!([{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "r"}]}]), "r"),
            (json!([{"type": "tool_use", "id": "t", "name": "f", "input": {"text": "no"}}]), ""),
            (json!({"content_type": "text", "parts": ["a", "b"]}), "a\nb"),
        ] {
            let message = Message::new(Stamp::MIN, Role::User, content.clone());
            assert_eq!(text(&message), wanted, "{content}");
        }
    }
}
