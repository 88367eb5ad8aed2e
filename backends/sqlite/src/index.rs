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

/// Fewer messages are always removed one by one.
const MANY: i64 = 100;

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

    /// Whether to remove so many messages at once is faster.
    ///
    /// One by one, FTS5 looks for the place of each term and cuts it out there: up to two milliseconds a message in a
    /// large store. At once, it notes what is gone and then writes the whole index anew, about a microsecond a message that
    /// is left.
    pub(crate) fn is_many(&self, messages: i64) -> Sql<bool> {
        const INDEXED: &str = "SELECT coalesce(sum(indexed), 0) FROM tenants";
        if messages < MANY {
            return Ok(false);
        }
        let indexed: i64 = self.conn.prepare_cached(INDEXED)?.query_row([], |row| row.get(0))?;
        Ok(messages > indexed / 1_000)
    }

    /// Has FTS5 note what is removed instead of cutting it out, until [`Index::end_of_many`].
    pub(crate) fn begin_many(&self) -> Sql<()> {
        self.command("secure-delete", 0)
    }

    /// Writes the index anew, without what was removed.
    pub(crate) fn end_of_many(&self) -> Sql<()> {
        self.conn.prepare_cached("INSERT INTO message_index (message_index) VALUES ('optimize')")?.execute([])?;
        self.command("secure-delete", 1)
    }

    fn command(&self, name: &str, value: i64) -> Sql<()> {
        const COMMAND: &str = "INSERT INTO message_index (message_index, rank) VALUES (?1, ?2)";
        self.conn.prepare_cached(COMMAND)?.execute(params![name, value])?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Durability, Sqlite, SqliteConfig};
    use craftx_core::{Backend, Context, Deadline, Prepare, Record, Role, SessionId, Stamp, Tenant, WriteOptions};
    use futures_executor::block_on;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn records(numbers: std::ops::Range<u64>) -> Vec<Record> {
        let text = |n: u64| (0..8).map(|i| format!("w{} ", (n * 31 + i * 17) % 997)).collect::<String>();
        let stamp = |n| Stamp::mint(n + 1, None, 0).unwrap();
        numbers.map(|n| Record::Message(Message::new(stamp(n), Role::User, text(n)))).collect()
    }

    /// A store whose writer counts the steps of SQLite's machine, those of FTS5 included.
    struct Counted<'a> {
        store: Sqlite,
        path: &'a Path,
        steps: Arc<AtomicU64>,
        cx: Context,
    }

    impl<'a> Counted<'a> {
        fn open(path: &'a Path) -> Self {
            let cx = Context::new(Tenant::default());
            let store = Sqlite::new(SqliteConfig::new(path).durability(Durability::ProcessCrash)).unwrap();
            let steps = Arc::new(AtomicU64::new(0));
            block_on(store.prepare(&cx, Prepare::Migrate)).unwrap();
            let counter = Arc::clone(&steps);
            let count = move || {
                counter.fetch_add(1, Ordering::Relaxed);
                false
            };
            let counted = Self { store, path, steps, cx };
            counted.on_writer(|conn| Ok(conn.progress_handler(1, Some(count))?));
            // The log grows by what each commit writes, and begins anew only when it is told to.
            counted.on_writer(|conn| Ok(conn.pragma_update(None, "wal_autocheckpoint", 0)?));
            counted
        }

        fn on_writer(&self, task: impl FnOnce(&mut Connection) -> Sql<()> + Send + 'static) {
            let store = self.store.store(&self.cx).unwrap();
            block_on(store.writer.run(Deadline::of(&self.cx), task)).unwrap();
        }

        fn write(&self, session: &str, records: &[Record]) {
            let session = SessionId::new(session).unwrap();
            block_on(self.store.write(&self.cx, &session, records, &WriteOptions::fresh())).unwrap();
        }

        /// What it costs to append messages one by one: steps of the machine, and bytes that are written.
        fn cost(&self, session: &str, numbers: std::ops::Range<u64>) -> (u64, u64) {
            self.on_writer(|conn| Ok(conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?));
            self.steps.store(0, Ordering::Relaxed);
            for record in records(numbers) {
                self.write(session, &[record]);
            }
            let log = std::fs::metadata(self.path.with_extension("db-wal")).unwrap().len();
            (self.steps.load(Ordering::Relaxed), log)
        }
    }

    #[test]
    fn an_append_costs_the_same_in_a_long_session_of_a_large_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let counted = Counted::open(&path);
        // Enough appends that what FTS5 merges now and then is in both.
        let (few, many) = (128, 20_000);
        counted.write("a", &records(0..few));
        let (steps, bytes) = counted.cost("a", few..2 * few);
        for begin in (2 * few..many).step_by(1_000) {
            counted.write("a", &records(begin..many.min(begin + 1_000)));
        }
        let (more_steps, more_bytes) = counted.cost("a", many..many + few);
        // The trees are deeper by a level, and FTS5 has more to merge; nothing grows with the number of messages.
        assert!(steps > 100 * few && more_steps * 4 < steps * 5, "{steps} steps became {more_steps}");
        assert!(bytes > 4_096 * few && more_bytes * 2 < bytes * 3, "{bytes} bytes became {more_bytes}");
        block_on(counted.store.close(&counted.cx)).unwrap();
    }

    #[test]
    fn after_a_clear_that_fails_halfway_a_deletion_is_cut_out_as_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let counted = Counted::open(&path);
        let stamp = |n| Stamp::mint(n, None, 0).unwrap();
        counted.write("a", &records(0..300));
        counted.write("b", &[Record::Message(Message::new(stamp(1), Role::User, "zquokka"))]);
        // Interrupted a few thousand steps later, each time a little later, until it succeeds.
        let clear = [Record::Cleared { through: stamp(1_000), stamp: stamp(1_001) }];
        let mut interrupted = 0;
        for steps in (2_000..).step_by(2_000) {
            let mut left = steps as i64;
            let stop = move || {
                left -= 1;
                left == 0
            };
            counted.on_writer(move |conn| Ok(conn.progress_handler(1, Some(stop))?));
            let session = SessionId::new("a").unwrap();
            let cleared = block_on(counted.store.write(&counted.cx, &session, &clear, &WriteOptions::fresh()));
            counted.on_writer(|conn| Ok(conn.progress_handler(0, None::<fn() -> bool>)?));
            match cleared {
                Ok(_) => break,
                Err(_) => interrupted += 1,
            }
            let word = format!("zqu{steps}x");
            let message = Message::new(stamp(steps), Role::User, word.clone());
            counted.write("b", &[Record::Message(message)]);
            assert_eq!(blocks_with(&path, &word), 1);
            counted.write("b", &[Record::Deleted { id: stamp(steps), stamp: stamp(1_000_000) }]);
            assert_eq!(blocks_with(&path, &word), 0, "after {steps} steps");
        }
        assert!(interrupted > 3, "{interrupted} clears failed");
        assert_eq!(blocks_with(&path, "zquokka"), 1);
        block_on(counted.store.close(&counted.cx)).unwrap();
    }

    /// In how many blocks of the index a word stands.
    fn blocks_with(path: &Path, word: &str) -> i64 {
        let conn = Connection::open(path).unwrap();
        let sql = "SELECT count(*) FROM message_index_data WHERE instr(block, CAST(?1 AS BLOB))";
        // The beginning that it shares with the word before it is not repeated.
        conn.query_row(sql, [word.strip_prefix("zqu").unwrap()], |row| row.get(0)).unwrap()
    }
}
