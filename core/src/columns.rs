//! A message as columns: its role, its text, and whatever else it has. For media that keep messages in tables.
//!
//! Most messages are a role and a text. These are columns of their own, as they are, so that they take no more space
//! than they need; the rest of a message, if it has any, is a canonical JSON object.

use crate::{Content, Message, Record, Role, Stamp};

/// How the canonical encoding of a message begins, up to its id.
const HEAD: &str = r#"{"v":1,"record":"message","id":""#;
/// What follows the id where the role is `system`.
const ROLE: &str = r#"","role":"system""#;
/// The characters of an id.
const ID: usize = 36;

/// A message taken apart.
///
/// ```
/// use craftx_core::{Columns, Message, Role, Stamp};
/// let message = Message::new(Stamp::MIN, Role::User, "hello").with_metadata("name", "ann");
/// let columns = Columns::of(&message);
/// assert_eq!(columns.text.as_deref(), Some("hello"));
/// assert_eq!(columns.rest.as_deref(), Some(r#"{"metadata":{"name":"ann"}}"#));
/// assert_eq!(columns.message(), Some(message));
/// ```
#[derive(Clone)]
pub struct Columns {
    /// The id of the message.
    pub id: Stamp,
    /// Its role.
    pub role: Role,
    /// Its content, if that is a text.
    pub text: Option<String>,
    /// All its other members as a canonical JSON object; `None` if it has none.
    pub rest: Option<String>,
}

impl Columns {
    /// Takes a message apart.
    pub fn of(message: &Message) -> Self {
        let mut rest = Message::new(message.id, Role::System, Content::Absent);
        rest.parent = message.parent;
        rest.created_at.clone_from(&message.created_at);
        rest.metadata.clone_from(&message.metadata);
        rest.sealed.clone_from(&message.sealed);
        let text = match &message.content {
            Content::Text(text) => Some(text.clone()),
            other => {
                rest.content.clone_from(other);
                None
            }
        };
        Self { id: message.id, role: message.role.clone(), text, rest: shorten(rest) }
    }

    /// Puts the message together again; `None` if the columns are not what [`Columns::of`] makes of any message.
    pub fn message(self) -> Option<Message> {
        let mut message = match &self.rest {
            Some(rest) => lengthen(self.id, rest)?,
            None => Message::new(self.id, Role::System, Content::Absent),
        };
        message.role = self.role;
        match self.text {
            Some(text) if message.content.is_absent() => message.content = Content::Text(text),
            Some(_) => return None,
            None => {}
        }
        Some(message)
    }
}

impl std::fmt::Debug for Columns {
    /// Shows sizes, never what is said.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        write!(f, "Columns({}, {} and {} bytes)", self.id, bytes(&self.text), bytes(&self.rest))
    }
}

/// The members of a message but `v`, `record`, `id` and `role`, as a JSON object; `None` if there are none.
fn shorten(rest: Message) -> Option<String> {
    // Most messages have none, and need not be encoded to see it.
    if rest == Message::new(rest.id, Role::System, Content::Absent) {
        return None;
    }
    let encoded = Record::Message(rest).encode();
    let members = encoded.as_str().get(HEAD.len() + ID + ROLE.len() + 1..)?;
    (!members.is_empty()).then(|| format!("{{{members}"))
}

fn lengthen(id: Stamp, rest: &str) -> Option<Message> {
    let members = rest.strip_prefix('{')?;
    match Record::decode(&format!("{HEAD}{id}{ROLE},{members}")) {
        Ok(Record::Message(message)) if message.id == id => Some(message),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sealed;
    use serde_json::json;

    fn id() -> Stamp {
        Stamp::mint(5, None, 9).unwrap()
    }

    #[test]
    fn a_message_comes_back_as_it_went_in() {
        let contents =
            [Content::Absent, Content::Null, "".into(), "a\0\u{10ffff}\"}".into(), json!([{"n": 1.0}]).into()];
        for content in contents {
            for role in [Role::User, Role::System, Role::Tool, Role::new("User").unwrap()] {
                let plain = Message::new(id(), role, content.clone());
                let full = plain
                    .clone()
                    .with_parent(Stamp::MIN)
                    .with_created_at("2026-01-02T03:04:05Z".parse().unwrap())
                    .with_metadata("k\0", json!({"b": 1, "a": u64::MAX}));
                let sealed = full.clone().with_sealed(Sealed::new(7, "digest", "envelope"));
                for message in [plain, full, sealed] {
                    assert_eq!(Columns::of(&message).message().unwrap(), message);
                }
            }
        }
        let plain = Columns::of(&Message::new(id(), Role::User, "hi"));
        assert_eq!((plain.text.as_deref(), plain.rest), (Some("hi"), None));
    }

    #[test]
    fn what_no_message_gives_is_none() {
        let columns = |text: Option<&str>, rest: Option<&str>| Columns {
            id: id(),
            role: Role::User,
            text: text.map(str::to_owned),
            rest: rest.map(str::to_owned),
        };
        for columns in [
            columns(Some("a"), Some(r#"{"content":"b"}"#)),
            columns(None, Some("")),
            columns(None, Some("{}")),
            columns(None, Some(r#"{"unknown":1}"#)),
            columns(None, Some(r#"{"role":"user"}"#)),
            columns(None, Some(r#"{"content":1} "b""#)),
        ] {
            assert_eq!(columns.message(), None);
        }
    }
}
