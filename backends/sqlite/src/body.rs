//! The stored form of a message: its role, its text, and whatever else it has.
//!
//! Most messages are a role and a text. These are columns of their own, as they are, so that they take no more space
//! than they need and can be searched; the rest of a message, if it has any, is a canonical JSON object.

use craftx_core::{Content, Error, Message, Record, Role, Stamp};
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{Row, params};

use crate::error::corrupted;
use crate::row::Bytes;

/// The roles that every model knows are stored as their number here, any other one as its text.
const ROLES: [Role; 4] = [Role::User, Role::Assistant, Role::System, Role::Tool];
/// How the canonical encoding of a message begins, up to its id.
const HEAD: &str = r#"{"v":1,"record":"message","id":""#;
/// What follows the id where the role is `system`.
const ROLE: &str = r#"","role":"system""#;
/// The characters of an id.
const ID: usize = 36;

/// A message as it is stored; `columns!` in the same order.
pub(crate) struct Body {
    id: Stamp,
    role: Stored,
    text: Option<String>,
    rest: Option<String>,
}

/// The columns of a [`Body`].
macro_rules! columns {
    () => {
        "stamp, role, text, rest"
    };
}
pub(crate) use columns;

/// A role in a column.
enum Stored {
    Known(i64),
    Other(String),
}

impl ToSql for Stored {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Known(number) => ToSqlOutput::from(*number),
            Self::Other(text) => ToSqlOutput::from(text.as_str()),
        })
    }
}

impl FromSql for Stored {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Integer(number) => Ok(Self::Known(number)),
            other => String::column_result(other).map(Self::Other),
        }
    }
}

/// A role as it is stored.
pub(crate) fn stored_role(role: &Role) -> Value {
    match ROLES.iter().zip(0..).find(|(known, _)| *known == role) {
        Some((_, number)) => Value::Integer(number),
        None => Value::Text(role.as_str().to_owned()),
    }
}

impl Body {
    /// Takes a message apart.
    pub(crate) fn of(message: &Message) -> Self {
        let role = match ROLES.iter().zip(0..).find(|(role, _)| **role == message.role) {
            Some((_, number)) => Stored::Known(number),
            None => Stored::Other(message.role.as_str().to_owned()),
        };
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
        Self { id: message.id, role, text, rest: shorten(rest) }
    }

    /// Adds the message to a session.
    pub(crate) fn insert(&self, conn: &rusqlite::Connection, seq: i64, sid: i64, variant: i64) -> rusqlite::Result<()> {
        const INSERT: &str = "INSERT INTO messages (seq, sid, stamp, variant, role, text, rest)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        conn.prepare_cached(INSERT)?
            .execute(params![seq, sid, Bytes(self.id), variant, self.role, self.text, self.rest])
            .map(|_| ())
    }

    /// Reads the columns of a row from the one with this index on.
    pub(crate) fn read(row: &Row<'_>, from: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get::<_, Bytes>(from)?.0,
            role: row.get(from + 1)?,
            text: row.get(from + 2)?,
            rest: row.get(from + 3)?,
        })
    }

    /// Puts the message together again.
    ///
    /// # Errors
    /// [`Corrupted`](craftx_core::ErrorKind::Corrupted) naming the id, without any of the text.
    pub(crate) fn message(self) -> Result<Message, Error> {
        let id = self.id;
        let damaged = || corrupted("a stored message cannot be read").with("id", id);
        let role = match self.role {
            Stored::Known(number) => usize::try_from(number).ok().and_then(|at| ROLES.get(at).cloned()),
            Stored::Other(text) => Role::new(text).ok().filter(|role| !ROLES.contains(role)),
        };
        let mut message = match &self.rest {
            Some(rest) => lengthen(id, rest).ok_or_else(damaged)?,
            None => Message::new(id, Role::System, Content::Absent),
        };
        message.role = role.ok_or_else(damaged)?;
        match self.text {
            Some(text) if message.content.is_absent() => message.content = Content::Text(text),
            Some(_) => return Err(damaged()),
            None => {}
        }
        Ok(message)
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
    use craftx_core::{ErrorKind, Sealed};
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
                    assert_eq!(Body::of(&message).message().unwrap(), message);
                }
            }
        }
        let plain = Body::of(&Message::new(id(), Role::User, "hi"));
        assert_eq!((plain.text.as_deref(), plain.rest), (Some("hi"), None));
    }

    #[test]
    fn damaged_bodies_are_errors_without_their_text() {
        let body = |role, text: Option<&str>, rest: Option<&str>| Body {
            id: id(),
            role,
            text: text.map(str::to_owned),
            rest: rest.map(str::to_owned),
        };
        for body in [
            body(Stored::Known(9), Some("a"), None),
            body(Stored::Known(-1), Some("a"), None),
            body(Stored::Other("user".into()), Some("a"), None),
            body(Stored::Other(String::new()), Some("a"), None),
            body(Stored::Known(0), Some("secret"), Some(r#"{"content":"secret"}"#)),
            body(Stored::Known(0), None, Some("")),
            body(Stored::Known(0), None, Some("{}")),
            body(Stored::Known(0), None, Some(r#"{"secret":1}"#)),
            body(Stored::Known(0), None, Some(r#"{"role":"user"}"#)),
            body(Stored::Known(0), None, Some(r#"{"content":1} "secret""#)),
        ] {
            let error = body.message().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupted);
            assert!(!format!("{error:?}").contains("secret"));
        }
    }
}
