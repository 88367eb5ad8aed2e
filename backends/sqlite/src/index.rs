//! The index for searching: which messages have which terms.
//!
//! It is a contentless FTS5 table, one row a message that has any term, changed in the transaction that changes the
//! message. What terms are is decided by [`craftx_core::search`]; FTS5 gets them separated by blanks, and its tokenizer
//! `ascii` neither splits nor changes them again. Each term begins with the number of its tenant, so nobody's words are
//! mixed with those of another tenant.

use std::hash::{DefaultHasher, Hash, Hasher};

use craftx_core::Message;
use craftx_core::search::indexed;
use rusqlite::{Connection, params};

use crate::body::{self, Body};
use crate::error::Sql;

/// How many rows and terms an index gained, for the statistics of its tenant.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gained {
    messages: i64,
    terms: i64,
}

/// The index of one tenant, inside of the transaction that the caller has begun.
pub(crate) struct Index<'c> {
    conn: &'c Connection,
    tid: i64,
    gained: Gained,
}

impl<'c> Index<'c> {
    pub(crate) fn new(conn: &'c Connection, tid: i64) -> Self {
        Self { conn, tid, gained: Gained::default() }
    }

    /// Adds the message that arrived as number `seq`.
    pub(crate) fn add(&mut self, seq: i64, message: &Message) -> Sql<()> {
        const ADD: &str = "INSERT INTO message_index (rowid, terms) VALUES (?1, ?2)";
        self.change(ADD, seq, message, 1)
    }

    /// Removes a message. FTS5 has to be told the terms that it has to forget.
    pub(crate) fn remove(&mut self, seq: i64, message: &Message) -> Sql<()> {
        const REMOVE: &str = "INSERT INTO message_index (message_index, rowid, terms) VALUES ('delete', ?1, ?2)";
        self.change(REMOVE, seq, message, -1)
    }

    fn change(&mut self, sql: &str, seq: i64, message: &Message, sign: i64) -> Sql<()> {
        let (text, terms) = encode(self.tid, message);
        if terms > 0 {
            self.conn.prepare_cached(sql)?.execute(params![seq, text])?;
            self.gained.messages += sign;
            self.gained.terms += sign * terms;
        }
        Ok(())
    }

    /// Brings the statistics of the tenant up to date.
    pub(crate) fn finish(self) -> Sql<()> {
        const COUNT: &str = "UPDATE tenants SET indexed = indexed + ?2, terms = terms + ?3 WHERE tid = ?1";
        if self.gained.messages != 0 || self.gained.terms != 0 {
            let Gained { messages, terms } = self.gained;
            self.conn.prepare_cached(COUNT)?.execute(params![self.tid, messages, terms])?;
        }
        Ok(())
    }
}

/// A term of a tenant as FTS5 knows it.
pub(crate) fn token(tid: i64, term: &str) -> String {
    // The dot belongs to no term, and to the tokenizer it is a letter like any other.
    format!("{tid}·{term}")
}

/// The row of a message, and how many terms it has.
fn encode(tid: i64, message: &Message) -> (String, i64) {
    let tokens = tokens(tid, message);
    (tokens.join(" "), i64::try_from(tokens.len()).unwrap_or(i64::MAX))
}

/// The terms of a message as FTS5 knows them, by their position.
fn tokens(tid: i64, message: &Message) -> Vec<String> {
    // An empty term stands where a phrase must not span.
    indexed(message).iter().map(|term| token(tid, term.as_deref().unwrap_or_default())).collect()
}

/// Whether the store keeps an index, complete and up to date.
pub(crate) fn is_on(conn: &Connection) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT search FROM store")?.query_row([], |row| row.get(0))
}

/// Indexes every message, or forgets the index, inside of the transaction that the caller has begun.
pub(crate) fn switch(conn: &Connection, on: bool) -> Sql<()> {
    if is_on(conn)? == on {
        return Ok(());
    }
    conn.execute("INSERT INTO message_index (message_index) VALUES ('delete-all')", [])?;
    conn.execute("UPDATE tenants SET indexed = 0, terms = 0", [])?;
    if on {
        build(conn)?;
    }
    conn.execute("UPDATE store SET search = ?1", [on])?;
    Ok(())
}

fn build(conn: &Connection) -> Sql<()> {
    const MESSAGES: &str = concat!(
        "SELECT tid, messages.seq, ",
        body::columns!(),
        " FROM tenants JOIN sessions USING (tid) JOIN messages USING (sid) WHERE variant = 0 ORDER BY tid, messages.seq"
    );
    let mut select = conn.prepare(MESSAGES)?;
    let mut rows = select.query([])?;
    let mut index: Option<Index<'_>> = None;
    while let Some(row) = rows.next()? {
        let tid = row.get(0)?;
        let message = Body::read(row, 2)?.message()?;
        let mut current = match index.take() {
            Some(current) if current.tid == tid => current,
            other => {
                other.map_or(Ok(()), Index::finish)?;
                Index::new(conn, tid)
            }
        };
        current.add(row.get(1)?, &message)?;
        index = Some(current);
    }
    index.map_or(Ok(()), Index::finish)
}

/// What an index holds, whatever the order in which it is read: so that an index of any size can be compared with the
/// messages without holding either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) messages: i64,
    pub(crate) terms: i64,
    sum: u64,
}

impl Fingerprint {
    /// Adds the message that arrived as number `seq`.
    pub(crate) fn add(&mut self, tid: i64, seq: i64, message: &Message) {
        let tokens = tokens(tid, message);
        self.messages += i64::from(!tokens.is_empty());
        for (position, token) in (0..).zip(&tokens) {
            self.add_term(seq, position, token);
        }
    }

    /// What both hold.
    pub(crate) fn plus(self, other: &Self) -> Self {
        Self {
            messages: self.messages + other.messages,
            terms: self.terms + other.terms,
            sum: self.sum.wrapping_add(other.sum),
        }
    }

    /// Whether these are the same terms at the same places.
    pub(crate) fn same_terms(&self, other: &Self) -> bool {
        (self.terms, self.sum) == (other.terms, other.sum)
    }

    fn add_term(&mut self, seq: i64, position: i64, token: &str) {
        let mut hasher = DefaultHasher::new();
        (seq, position, token).hash(&mut hasher);
        self.terms += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
    }
}

/// The fingerprint of what the index holds.
pub(crate) fn stored(conn: &Connection) -> Sql<Fingerprint> {
    let mut stored = Fingerprint::default();
    let mut select = conn.prepare("SELECT doc, \"offset\", term FROM message_terms")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        stored.add_term(row.get(0)?, row.get(1)?, &row.get::<_, String>(2)?);
    }
    Ok(stored)
}

/// The statistics of each tenant: how many messages and terms of it are said to be in the index.
pub(crate) fn statistics(conn: &Connection) -> Sql<Vec<(i64, i64, i64)>> {
    let mut select = conn.prepare("SELECT tid, indexed, terms FROM tenants")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
