//! The baseline for SQLite: the same rows in the same tables with the same indexes, by hand.
//!
//! The file is one that craftx has created, and the connection is set up like its writer; statements are prepared once.
//! What is left out is everything that craftx does besides: threads, futures, checks, looking for what is there already.

use std::path::Path;
use std::sync::mpsc;

use craftx::{Stamp, random_bits};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, params};

use crate::Outcome;
use crate::messages;

/// A connection that writes and reads by hand.
#[derive(Debug)]
pub(crate) struct Raw {
    conn: Connection,
    seq: i64,
}

/// What a reader gets of a message.
pub(crate) type Row = ([u8; 16], i64, Option<String>, Option<String>);

impl Raw {
    /// Opens a file that craftx has created and closed.
    pub(crate) fn open(path: &Path) -> Outcome<Self> {
        let conn = Connection::open(path)?;
        conn.set_prepared_statement_cache_capacity(64);
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        for (pragma, value) in [
            ("foreign_keys", "ON"),
            ("trusted_schema", "OFF"),
            ("cell_size_check", "ON"),
            ("temp_store", "MEMORY"),
            ("synchronous", "FULL"),
            ("secure_delete", "ON"),
        ] {
            conn.pragma_update(None, pragma, value)?;
        }
        let journal: String = conn.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        assert_eq!(journal, "wal");
        conn.execute("INSERT INTO tenants (name) VALUES ('default') ON CONFLICT DO NOTHING", [])?;
        let seq = conn.query_row("SELECT seq FROM store", [], |row| row.get(0))?;
        Ok(Self { conn, seq })
    }

    /// Adds a session and returns its number.
    pub(crate) fn add_session(&self, name: &str) -> Outcome<i64> {
        let sql = "INSERT INTO sessions (tid, id, version, seq, updated, messages, live)
                   SELECT tid, ?1, zeroblob(16), 0, 0, 0, 1 FROM tenants RETURNING sid";
        Ok(self.conn.prepare_cached(sql)?.query_row([name], |row| row.get(0))?)
    }

    /// Appends messages by their number, in one transaction with one sync.
    pub(crate) fn append(&mut self, sid: i64, numbers: impl Iterator<Item = usize>) -> Outcome<()> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        self.write(sid, numbers.map(|n| (Stamp::mint(now.as_millis() as u64, None, random_bits()), n)))
    }

    /// Writes messages of the past by their number, in one transaction with one sync.
    pub(crate) fn import(&mut self, sid: i64, numbers: impl Iterator<Item = usize>) -> Outcome<()> {
        self.write(sid, numbers.map(|n| (Ok(messages::stamp(n)), n)))
    }

    fn write(&mut self, sid: i64, messages: impl Iterator<Item = (craftx::Result<Stamp>, usize)>) -> Outcome<()> {
        let conn = &self.conn;
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut insert = conn.prepare_cached(
            "INSERT INTO messages (seq, sid, stamp, variant, role, text, rest) VALUES (?1, ?2, ?3, 0, ?4, ?5, NULL)",
        )?;
        let mut count = 0i64;
        let mut head = Stamp::MIN;
        for (stamp, n) in messages {
            head = stamp?;
            count += 1;
            self.seq += 1;
            insert.execute(params![self.seq, sid, head.as_bytes(), messages::role(n).1, messages::text(n)])?;
        }
        conn.prepare_cached(
            "UPDATE sessions SET version = ?2, head = ?2, seq = ?3, updated = ?4, messages = messages + ?5 WHERE sid = ?1",
        )?
        .execute(params![sid, head.as_bytes(), self.seq, head.millis() as i64 * 1_000, count])?;
        conn.prepare_cached("UPDATE store SET seq = ?1")?.execute([self.seq])?;
        conn.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    /// The last messages of a session, newest first, with the SQL that craftx uses and in one transaction as there.
    pub(crate) fn last(&self, session: &str, count: usize) -> Outcome<Vec<Row>> {
        let conn = &self.conn;
        conn.prepare_cached("BEGIN")?.execute([])?;
        let sid: i64 = conn
            .prepare_cached(
                "SELECT s.sid FROM sessions s JOIN tenants t USING (tid) WHERE t.name = 'default' AND s.id = ?1",
            )?
            .query_row([session], |row| row.get(0))?;
        let rows = conn
            .prepare_cached(
                "SELECT stamp, role, text, rest FROM messages WHERE sid = ?1 AND stamp > x'' AND stamp < ?2 AND variant = 0
                 ORDER BY stamp DESC LIMIT ?3",
            )?
            .query_map(params![sid, [0xff_u8; 17], count as i64 + 1], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?
            .collect::<Result<Vec<Row>, _>>()?;
        conn.prepare_cached("COMMIT")?.execute([])?;
        Ok(rows)
    }
}

/// The same on a thread of its own, which is asked and answers through channels: what every library has to do that does not
/// block the thread of its caller.
#[derive(Debug)]
pub(crate) struct RawThread {
    ask: mpsc::Sender<Work>,
    answer: mpsc::Receiver<Vec<Row>>,
}

type Work = Box<dyn FnOnce(&mut Raw) -> Outcome<Vec<Row>> + Send>;

impl RawThread {
    pub(crate) fn new(mut raw: Raw) -> Self {
        let (ask, asked) = mpsc::channel::<Work>();
        let (reply, answer) = mpsc::channel();
        std::thread::spawn(move || {
            for work in asked {
                if reply.send(work(&mut raw).expect("the work succeeds")).is_err() {
                    break;
                }
            }
        });
        Self { ask, answer }
    }

    /// As [`Raw::last`].
    pub(crate) fn last(&self, session: &str, count: usize) -> Outcome<Vec<Row>> {
        let session = session.to_owned();
        self.run(Box::new(move |raw| raw.last(&session, count)))
    }

    /// As [`Raw::append`], of one message.
    pub(crate) fn append(&self, sid: i64, n: usize) -> Outcome<()> {
        self.run(Box::new(move |raw| raw.append(sid, std::iter::once(n)).map(|()| Vec::new()))).map(drop)
    }

    fn run(&self, work: Work) -> Outcome<Vec<Row>> {
        self.ask.send(work).map_err(|_| "the thread is gone")?;
        Ok(self.answer.recv()?)
    }
}
