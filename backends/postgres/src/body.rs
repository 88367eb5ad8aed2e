//! The stored form of a message: the [`Columns`] that core takes it apart into, and the terms by which it is found.

use craftx_core::search::indexed;
use craftx_core::{Columns, Message, Role, Stamp};
use tokio_postgres::Row;

use crate::error::{Sql, corrupted};

/// The columns of a message, in the order in which [`read`] reads them.
macro_rules! columns {
    () => {
        "stamp, role, text, rest"
    };
    ($table:literal) => {
        concat!($table, ".stamp, ", $table, ".role, ", $table, ".text, ", $table, ".rest")
    };
}
pub(crate) use columns;

/// Reads the columns of a message, from the one with this index on.
///
/// # Errors
/// [`Corrupted`](craftx_core::ErrorKind::Corrupted) naming the id, without any of the text.
pub(crate) fn read(row: &Row, from: usize) -> Sql<Message> {
    let id = stamp(row, from)?;
    let damaged = || corrupted("a stored message cannot be read").with("id", id);
    let role = Role::new(row.try_get::<_, &str>(from + 1)?).map_err(|_| damaged())?;
    let (text, rest) = (string(row, from + 2)?, string(row, from + 3)?);
    Ok(Columns { id, role, text, rest }.message().ok_or_else(damaged)?)
}

/// A stamp in a column.
pub(crate) fn stamp(row: &Row, column: usize) -> Sql<Stamp> {
    Ok(Stamp::try_from(row.try_get::<_, craftx_core::Uuid>(column)?)
        .map_err(|_| corrupted("a stored stamp is not one"))?)
}

/// A stamp in a column that may be empty.
pub(crate) fn maybe_stamp(row: &Row, column: usize) -> Sql<Option<Stamp>> {
    match row.try_get::<_, Option<craftx_core::Uuid>>(column)? {
        Some(_) => stamp(row, column).map(Some),
        None => Ok(None),
    }
}

/// Text in a column of bytes, which may be empty.
pub(crate) fn string(row: &Row, column: usize) -> Sql<Option<String>> {
    let bytes: Option<&[u8]> = row.try_get(column)?;
    let text = bytes.map(|bytes| std::str::from_utf8(bytes).map(str::to_owned)).transpose();
    Ok(text.map_err(|_| corrupted("a stored text is no UTF-8"))?)
}

/// A term of a tenant as the index knows it: nobody's words are mixed with those of another tenant.
pub(crate) fn token(tid: i32, term: &str) -> String {
    // The dot belongs to no term.
    format!("{tid}·{term}")
}

/// The terms of a message as the index knows them, in order, with blanks between them. No term has one in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) text: String,
    pub(crate) count: i64,
}

pub(crate) fn terms(tid: i32, message: &Message) -> Terms {
    let found = indexed(message);
    // An empty term stands where a phrase must not span.
    let tokens: Vec<String> = found.iter().map(|term| token(tid, term.as_deref().unwrap_or_default())).collect();
    Terms { text: tokens.join(" "), count: i64::try_from(tokens.len()).unwrap_or(i64::MAX) }
}

/// Messages as columns of arrays: one parameter a column, however many they are.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) stamps: Vec<craftx_core::Uuid>,
    pub(crate) roles: Vec<String>,
    pub(crate) texts: Vec<Option<Vec<u8>>>,
    pub(crate) rests: Vec<Option<Vec<u8>>>,
    pub(crate) terms: Vec<Option<String>>,
    /// How many of them have terms, and how many terms that are.
    pub(crate) indexed: i64,
    pub(crate) term_count: i64,
}

impl Batch {
    /// Adds a message; with its terms if the store keeps an index.
    pub(crate) fn push(&mut self, message: &Message, terms: Option<Terms>) {
        let Columns { id, role, text, rest } = Columns::of(message);
        self.stamps.push(id.as_uuid());
        self.roles.push(role.as_str().to_owned());
        self.texts.push(text.map(String::into_bytes));
        self.rests.push(rest.map(String::into_bytes));
        if let Some(terms) = &terms {
            self.indexed += i64::from(terms.count > 0);
            self.term_count += terms.count;
        }
        self.terms.push(terms.map(|terms| terms.text));
    }
}
