//! The stored form of a message: the [`Columns`] that core takes it apart into, with the role as a number where every model
//! knows it.

use craftx_core::{Columns, Error, Message, Role, Stamp};
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{Row, params};

use crate::error::corrupted;
use crate::row::Bytes;

/// The roles that every model knows are stored as their number here, any other one as its text.
const ROLES: [Role; 4] = [Role::User, Role::Assistant, Role::System, Role::Tool];
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
    match Stored::of(role) {
        Stored::Known(number) => Value::Integer(number),
        Stored::Other(text) => Value::Text(text),
    }
}

impl Stored {
    fn of(role: &Role) -> Self {
        match ROLES.iter().zip(0..).find(|(known, _)| *known == role) {
            Some((_, number)) => Self::Known(number),
            None => Self::Other(role.as_str().to_owned()),
        }
    }

    /// `None` for what [`Stored::of`] never makes.
    fn role(self) -> Option<Role> {
        match self {
            Self::Known(number) => usize::try_from(number).ok().and_then(|at| ROLES.get(at).cloned()),
            Self::Other(text) => Role::new(text).ok().filter(|role| !ROLES.contains(role)),
        }
    }
}

impl Body {
    /// Takes a message apart.
    pub(crate) fn of(message: &Message) -> Self {
        let Columns { id, role, text, rest, .. } = Columns::of(message);
        Self { id, role: Stored::of(&role), text, rest }
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
        let Self { id, role, text, rest } = self;
        let message = role.role().and_then(|role| Columns { id, role, text, rest }.message());
        message.ok_or_else(|| corrupted("a stored message cannot be read").with("id", id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use craftx_core::ErrorKind;

    fn id() -> Stamp {
        Stamp::mint(5, None, 9).unwrap()
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
