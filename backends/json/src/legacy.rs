//! Files of CraftX.py, the Python original: `<session>.json`, one array of messages.
//!
//! They are read in place and never changed. Their messages have no ids, so each gets a stamp that follows from its
//! time and its place in the file: whoever reads the file finds the same stamps.

use std::ops::Range;
use std::time::UNIX_EPOCH;

use craftx_core::{Content, Error, ErrorKind, Message, Metadata, Result, Role, SessionId, Stamp, Time, json};
use serde_json::{Map, Value};

/// A message of the file, and where it lies in it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) message: Message,
    pub(crate) span: Range<usize>,
}

/// Reads a whole file.
///
/// # Errors
/// [`ErrorKind::Corrupted`] saying why and at which entry, counted from 1. The caller adds the name of the file.
pub(crate) fn parse(session: &SessionId, bytes: &[u8]) -> Result<Vec<Entry>> {
    let text = text(bytes)?;
    let mut entries = Vec::new();
    let mut millis = 0;
    for (index, span) in elements(text).map_err(wrong)?.into_iter().enumerate() {
        let at_entry = |error: Error| error.with("entry", index + 1);
        let members = object(text.get(span.clone()).unwrap_or_default()).map_err(at_entry)?;
        let position = u32::try_from(index + 1).map_err(|_| wrong("the file has too many messages"))?;
        // Order is by position: a time that goes back does not move a message.
        millis = millis_of(&members).unwrap_or(0).max(millis);
        let id = Stamp::imported(millis, position, Stamp::source_hash("position", session, &index.to_string()))
            .map_err(at_entry)?;
        entries.push(Entry { message: to_message(id, members).map_err(at_entry)?, span });
    }
    Ok(entries)
}

/// Reads one message again, whose stamp is known.
pub(crate) fn parse_one(id: Stamp, bytes: &[u8]) -> Result<Message> {
    to_message(id, object(text(bytes)?)?)
}

fn wrong(why: &'static str) -> Error {
    Error::new(ErrorKind::Corrupted, why)
}

fn text(bytes: &[u8]) -> Result<&str> {
    if bytes.is_empty() {
        return Err(wrong("the file is empty: a save of its program was interrupted"));
    }
    std::str::from_utf8(bytes).map_err(|error| wrong("the file is not UTF-8").with("byte", error.valid_up_to()))
}

fn object(text: &str) -> Result<Map<String, Value>> {
    match json::parse(text) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(wrong("a message is no object")),
        Err(error) => Err(Error::new(ErrorKind::Corrupted, error.message().to_owned())),
    }
}

/// Where the elements of the top-level array lie. What lies there is parsed later, strictly.
fn elements(text: &str) -> Result<Vec<Range<usize>>, &'static str> {
    let bytes = text.as_bytes();
    let byte = |at: usize| bytes.get(at).copied();
    let skip_blanks = |mut at: usize| {
        while matches!(byte(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            at += 1;
        }
        at
    };
    let mut at = skip_blanks(0);
    if byte(at) != Some(b'[') {
        return Err("the file is no array of messages");
    }
    at = skip_blanks(at + 1);
    let mut found = Vec::new();
    if byte(at) == Some(b']') {
        at += 1;
    } else {
        loop {
            let start = skip_blanks(at);
            at =
                end_of_element(bytes, start).ok_or("the file ends too early: a save of its program was interrupted")?;
            found.push(start..at);
            at += 1;
            if byte(at - 1) == Some(b']') {
                break;
            }
        }
    }
    if skip_blanks(at) == bytes.len() { Ok(found) } else { Err("something follows the array of messages") }
}

/// Where the `,` or `]` after an element lies.
fn end_of_element(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in bytes.iter().enumerate().skip(start) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b',' | b']' if depth == 0 => return Some(at),
            b']' | b'}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

fn time_of(members: &Map<String, Value>) -> Option<Time> {
    members.get("timestamp")?.as_str()?.parse().ok()
}

fn millis_of(members: &Map<String, Value>) -> Option<u64> {
    let since = time_of(members)?.at().duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

fn to_message(id: Stamp, members: Map<String, Value>) -> Result<Message> {
    craftx_py_message(id, members).map_err(|error| Error::new(ErrorKind::Corrupted, error.message().to_owned()))
}

/// Reads a message of CraftX.py, the Python original: an entry of the array that is `<session>.json`, of any generation.
///
/// This is how a folder that is opened in place reads it, for whoever imports one: the content is `message` or `content`,
/// whatever JSON it is; `created_at` is `timestamp` as it is spelled, which stays in the metadata if it is no time; what
/// no generation of the program wrote goes to the metadata too.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] if it has no role.
///
/// ```
/// use craftx_core::Stamp;
/// use serde_json::{Value, json};
/// let Value::Object(entry) = json!({"timestamp": "2025-06-28T00:33:47", "role": "user", "message": "hi"}) else { return };
/// let message = craftx_json::craftx_py_message(Stamp::mint(1, None, 0).unwrap(), entry).unwrap();
/// assert_eq!((message.text(), message.metadata.len()), (Some("hi"), 0));
/// ```
pub fn craftx_py_message(id: Stamp, mut members: Map<String, Value>) -> Result<Message> {
    let wrong = |why: &'static str| Error::new(ErrorKind::InvalidInput, why);
    let role = match members.shift_remove("role") {
        Some(Value::String(role)) => Role::new(&role).map_err(|_| wrong("the role of a message is no role"))?,
        _ => return Err(wrong("a message has no role")),
    };
    let content = members.shift_remove("message").or_else(|| members.shift_remove("content"));
    let time = time_of(&members);
    if time.is_some() {
        members.shift_remove("timestamp");
    }
    let mut metadata = match members.shift_remove("metadata") {
        Some(Value::Object(metadata)) => metadata,
        None | Some(Value::Null) => Metadata::new(),
        Some(other) => Metadata::from_iter([("metadata".to_owned(), other)]),
    };
    // What no generation of the program wrote is kept all the same, under a name that is free.
    for (mut key, value) in members {
        while metadata.contains_key(&key) {
            key.insert_str(0, "record.");
        }
        metadata.insert(key, value);
    }
    let mut message = Message::new(id, role, content.map_or(Content::Absent, Content::from));
    message.created_at = time;
    message.metadata = metadata;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: impl AsRef<[u8]>) -> Result<Vec<Message>> {
        let session = SessionId::new("s").unwrap();
        Ok(parse(&session, text.as_ref())?.into_iter().map(|entry| entry.message).collect())
    }

    #[test]
    fn every_generation_is_read() {
        let messages = read(
            r#" [
  {"timestamp": "2025-06-28T00:33:47.214584", "role": "user", "message": "[\"}, {\\"},
  {"timestamp": "2025-06-29T10:00:00Z", "role": "assistant", "message": null, "metadata": {"a": [1, null]}},
  {"timestamp": "2025-06-29T09:00:00.757579Z", "role": "developer", "message": 5, "metadata": null, "model": "m"},
  {"timestamp": "yesterday", "role": "tool", "content": {"k": 1}, "metadata": {"timestamp": 1}}
] "#,
        )
        .unwrap();
        assert_eq!(messages[0].text(), Some("[\"}, {\\"));
        assert_eq!(messages[0].created_at.as_ref().unwrap().to_string(), "2025-06-28T00:33:47.214584");
        assert_eq!(messages[1].content, Content::Null);
        assert_eq!(messages[1].metadata["a"], json!([1, null]));
        assert_eq!(messages[2].content, Content::from(json!(5)));
        assert_eq!(messages[2].metadata["model"], "m");
        assert_eq!(messages[3].content, Content::from(json!({"k": 1})));
        assert_eq!(
            Value::Object(messages[3].metadata.clone()),
            json!({"timestamp": 1, "record.timestamp": "yesterday"})
        );
        assert!(messages.windows(2).all(|pair| pair[0].id < pair[1].id), "order is by position");
        assert_eq!(messages[2].id.millis(), messages[1].id.millis(), "a time that goes back changes nothing");
    }

    #[test]
    fn the_stamps_are_fixed() {
        let first =
            &read(r#"[{"timestamp": "2026-11-22T21:04:16.757579Z", "role": "user", "message": "x"}]"#).unwrap()[0];
        assert_eq!(first.id.to_string(), "01a20512-ef75-7000-8000-06e3f12fd5e9");
        let without_time = &read(r#"[{"role": "user", "message": "x"}]"#).unwrap()[0];
        assert_eq!((without_time.id.millis(), &without_time.created_at), (0, &None));
    }

    #[test]
    fn one_message_is_read_as_the_whole_file_is() {
        let text = r#"[{"role":"a","message":"1"}, {"role":"b","message":"2","extra":[1.5]}]"#;
        for entry in parse(&SessionId::new("s").unwrap(), text.as_bytes()).unwrap() {
            assert_eq!(parse_one(entry.message.id, text.get(entry.span).unwrap().as_bytes()).unwrap(), entry.message);
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (text, why) in [
            (&b""[..], "empty"),
            (b"[", "too early"),
            (b"[{\"role\": \"user\", \"mess", "too early"),
            (b"{}", "no array"),
            (b"\xff[]", "not UTF-8"),
            (b"[] []", "follows"),
            (b"[1]", "no object"),
            (b"[{\"role\":\"a\",\"message\":NaN}]", "not JSON"),
            (b"[{\"role\":\"a\",\"message\":Infinity}]", "not JSON"),
            (b"[{\"role\":\"a\",\"message\":\"\\ud800\"}]", "not JSON"),
            (b"[{\"role\":\"a\",\"message\":1e999}]", "cannot be held exactly"),
            (b"[{\"role\":\"a\",}]", "not JSON"),
            (b"[{\"role\":\"a\"},]", "too early"),
            (b"[{\"message\":\"a\"}]", "no role"),
            (b"[{\"role\":\"\"}]", "no role"),
            (b"[}]", ""),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupted);
            assert!(error.message().contains(why), "{}: {error}", String::from_utf8_lossy(text));
        }
        assert!(read("[]").unwrap().is_empty());
        assert_eq!(read("[{\"role\":\"a\"}, 1]").unwrap_err().get("entry"), Some("2"));
    }
}
