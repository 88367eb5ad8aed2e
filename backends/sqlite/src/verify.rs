//! Checking the database: its pages, its references, and whether the tables say the same of each session.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use craftx_core::{Clock, Error, ErrorKind, Problem, Result, SystemClock, Verified};
use rusqlite::{Connection, Rows};

use crate::body::{self, Body};
use crate::error::Sql;
use crate::index::{Fingerprint, is_on, statistics, stored};
use crate::row::{self, Bytes, SessionRow, acls, value};

/// What builds the index for searching anew.
const REBUILD: &str = "open the store once with `search=false` and once with `search=true`: the index is built anew";
/// What helps where rows were lost.
const RESTORE: &str = "restore the store from a backup, or export what can be read and import it into a new store";

/// How often a check looks whether it hinders those who write.
const LOOKS: Duration = Duration::from_millis(500);

/// By whom a session is seen, and whether as its owner.
type Seen = BTreeSet<(String, bool)>;

/// Waits for a check, and drops it, which interrupts it, as soon as it is `in_the_way`: the log cannot be cut while the
/// snapshot of a reader needs it, and writes are refused once it is too large.
pub(crate) async fn giving_way<T>(
    check: impl Future<Output = Result<T>>,
    mut in_the_way: impl FnMut() -> bool,
) -> Result<T> {
    let mut check = pin!(check);
    loop {
        // The log grows in the time of this machine, whatever the clock of the caller says.
        let mut look = SystemClock.sleep(LOOKS);
        let done = poll_fn(|task| match check.as_mut().poll(task) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => look.as_mut().poll(task).map(|()| None),
        });
        match done.await {
            Some(done) => return done,
            None if in_the_way() => {
                let why = "too much is written for a check at the same time: check at a quieter time, or a copy";
                return Err(Error::new(ErrorKind::Unavailable, why));
            }
            None => {}
        }
    }
}

/// Checks everything, on one snapshot of the database.
pub(crate) fn verify(conn: &Connection) -> Sql<Verified> {
    let mut verified = Verified::default();
    pages(conn, &mut verified)?;
    references(conn, &mut verified)?;
    sessions(conn, &mut verified)?;
    messages(conn, &mut verified)?;
    verified.unverifiable("whether a text is the one that was written: SQLite keeps no checksums of it");
    Ok(verified)
}

/// Turns damage that ends a part of the check into a problem, so that the other parts are checked all the same.
fn tell(part: Sql<()>, place: &str, verified: &mut Verified) -> Sql<()> {
    let Err(fault) = part else { return Ok(()) };
    match Error::from(fault) {
        error if error.kind() == ErrorKind::Corrupted => {
            verified.problem(Problem::new(place, error.to_string()).with_remedy(RESTORE));
            Ok(())
        }
        error => Err(error.into()),
    }
}

fn pages(conn: &Connection, verified: &mut Verified) -> Sql<()> {
    let mut check = || {
        let mut check = conn.prepare("PRAGMA integrity_check")?;
        let mut rows = check.query([])?;
        while let Some(row) = rows.next()? {
            let text: String = row.get(0)?;
            if text == "ok" {
                continue;
            }
            // SQLite has its indexes for searching checked too, and names the table.
            verified.problem(match text.contains("FTS5") {
                true => Problem::new("the search index", text).with_remedy(REBUILD),
                false => Problem::new("the database file", text).with_remedy(RESTORE),
            });
        }
        Ok(())
    };
    let checked = check();
    tell(checked, "the database file", verified)?;
    verified.checked("the pages and indexes of the database (`PRAGMA integrity_check`)");
    Ok(())
}

fn references(conn: &Connection, verified: &mut Verified) -> Sql<()> {
    let mut check = || {
        let mut check = conn.prepare("PRAGMA foreign_key_check")?;
        let mut rows = check.query([])?;
        let mut lost: BTreeMap<(String, String), u64> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            *lost.entry((row.get(0)?, row.get(2)?)).or_default() += 1;
        }
        for ((table, parent), count) in lost {
            let what = format!("{count} rows belong to rows of `{parent}` that are not there");
            verified.problem(Problem::new(format!("the table `{table}`"), what).with_remedy(RESTORE));
        }
        Ok(())
    };
    let checked = check();
    tell(checked, "the references between tables", verified)?;
    verified.checked("the references between tables (`PRAGMA foreign_key_check`)");
    Ok(())
}

/// What the rows of a session add up to, in the order of the columns.
struct Counted {
    messages: i64,
    head: Option<Bytes>,
    newest: Option<Bytes>,
    latest: Option<i64>,
    /// Messages that a deletion or the clear covers.
    dead: i64,
    live: bool,
}

const COUNTED: &str = "
    (SELECT count(*) FROM messages m WHERE m.sid = s.sid AND variant = 0),
    (SELECT max(stamp) FROM messages m WHERE m.sid = s.sid),
    (SELECT max(stamp) FROM (SELECT max(stamp) AS stamp FROM messages m WHERE m.sid = s.sid
        UNION ALL SELECT max(stamp) FROM deletions d WHERE d.sid = s.sid
        UNION ALL SELECT max(stamp) FROM session_keys k WHERE k.sid = s.sid
        UNION ALL SELECT s.cleared_stamp)),
    (SELECT max(seq) FROM messages m WHERE m.sid = s.sid),
    (SELECT count(*) FROM messages m WHERE m.sid = s.sid AND m.stamp <= s.cleared_through)
        + (SELECT count(*) FROM deletions d JOIN messages m ON m.sid = d.sid AND m.stamp = d.id WHERE d.sid = s.sid),
    EXISTS (SELECT 1 FROM messages m WHERE m.sid = s.sid) OR EXISTS (SELECT 1 FROM acls a WHERE a.sid = s.sid)
        OR EXISTS (SELECT 1 FROM session_keys k WHERE k.sid = s.sid AND value IS NOT NULL)";

fn sessions(conn: &Connection, verified: &mut Verified) -> Sql<()> {
    let mut count = 0_u64;
    let mut check = || {
        let arrived: i64 = conn.query_row("SELECT seq FROM store", [], |row| row.get(0))?;
        let mut select_visible = conn.prepare(Visible::SORTED)?;
        let mut visible = Visible::new(select_visible.query([])?)?;
        let mut select = conn.prepare(&format!(
            "SELECT {}, t.name, s.id, {COUNTED} FROM sessions s JOIN tenants t USING (tid) ORDER BY s.sid",
            row::columns!()
        ))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            count += 1;
            let place = session_place(&row.get::<_, String>(11)?, &row.get::<_, String>(12)?);
            let stored = match SessionRow::read(row) {
                Ok(stored) => stored,
                Err(error) => {
                    tell(Err(error.into()), &place, verified)?;
                    continue;
                }
            };
            let counted = Counted {
                messages: row.get(13)?,
                head: row.get(14)?,
                newest: row.get(15)?,
                latest: row.get(16)?,
                dead: row.get(17)?,
                live: row.get(18)?,
            };
            for what in differences(&stored, &counted, arrived) {
                verified.problem(Problem::new(&*place, what).with_remedy(RESTORE));
            }
            let seen = visible.of(stored.sid)?;
            let rest = metadata(conn, stored.sid).and_then(|()| ownership(conn, stored.sid, &seen));
            tell(rest.map_err(Into::into), &place, verified)?;
        }
        Ok(())
    };
    let checked = check();
    tell(checked, "the table `sessions`", verified)?;
    verified.checked(format!(
        "that sessions are what their messages, deletions, metadata and grants add up to (sessions: {count})"
    ));
    Ok(())
}

fn differences(stored: &SessionRow, counted: &Counted, arrived: i64) -> Vec<String> {
    let mut found = Vec::new();
    if stored.messages != counted.messages {
        found.push(format!("it counts {} messages and has {}", stored.messages, counted.messages));
    }
    if stored.head != counted.head.map(|head| head.0) {
        found.push("its last message is not the one that it names".to_owned());
    }
    if counted.newest.is_some_and(|newest| newest.0 > stored.version) {
        found.push("its version is behind its records".to_owned());
    }
    if counted.latest.unwrap_or(0).max(stored.seq) > arrived {
        found.push("a record arrived later than the store knows of".to_owned());
    }
    if counted.dead > 0 {
        found.push(format!("{} deleted messages are still there", counted.dead));
    }
    if stored.live != counted.live {
        found.push("whether it exists is told wrongly".to_owned());
    }
    found
}

/// By whom sessions are seen, in the order of their numbers. SQLite sorts, in a file if there are many: all of them need
/// not fit into memory.
struct Visible<'a> {
    rows: Rows<'a>,
    /// The first row that was not asked for yet.
    next: Option<(i64, (String, bool))>,
}

impl<'a> Visible<'a> {
    const SORTED: &'static str = "SELECT sid, name, owner FROM visible_to ORDER BY sid";

    fn new(rows: Rows<'a>) -> Sql<Self> {
        let mut visible = Self { rows, next: None };
        visible.advance()?;
        Ok(visible)
    }

    fn advance(&mut self) -> Sql<()> {
        self.next = match self.rows.next()? {
            Some(row) => Some((row.get(0)?, (row.get(1)?, row.get(2)?))),
            None => None,
        };
        Ok(())
    }

    /// By whom this session is seen. Sessions have to be asked for in the order of their numbers.
    fn of(&mut self, session: i64) -> Sql<Seen> {
        let mut seen = Seen::new();
        while let Some((sid, _)) = self.next
            && sid <= session
        {
            // A row of a session that is not there is told with the references.
            seen.extend(self.next.take().filter(|_| sid == session).map(|(_, by)| by));
            self.advance()?;
        }
        Ok(seen)
    }
}

fn metadata(conn: &Connection, sid: i64) -> Result<()> {
    let read = || -> Sql<()> {
        let mut select = conn.prepare_cached("SELECT value FROM session_keys WHERE sid = ?1 AND value IS NOT NULL")?;
        let mut rows = select.query([sid])?;
        while let Some(row) = rows.next()? {
            value(&row.get::<_, String>(0)?)?;
        }
        Ok(())
    };
    Ok(read()?)
}

/// Whether the columns by which lists are limited say what the records of ownership say.
fn ownership(conn: &Connection, sid: i64, seen: &Seen) -> Result<()> {
    let acls = acls(conn, sid)?;
    let mut wanted = Seen::new();
    if let (Some(first), Some(last)) = (acls.first(), acls.last()) {
        wanted.extend(first.owner()?.map(|owner| (owner, true)));
        let grants = last.grants()?.into_iter().filter(|grant| !grant.actions.is_empty());
        wanted.extend(grants.map(|grant| (grant.to, false)));
    }
    match wanted == *seen {
        true => Ok(()),
        false => Err(crate::error::corrupted("who may see it is not what its records of ownership say")),
    }
}

/// Reads every message, and compares the index for searching with what it should hold.
fn messages(conn: &Connection, verified: &mut Verified) -> Sql<()> {
    let mut wanted: BTreeMap<i64, Fingerprint> = BTreeMap::new();
    let (mut count, mut unreadable) = (0_u64, 0_u64);
    let mut check = || {
        const MESSAGES: &str = concat!(
            "SELECT tid, seq, variant, name, id, ",
            body::columns!(),
            " FROM (SELECT tid, m.seq, variant, t.name, s.id, ",
            body::columns!(),
            " FROM tenants t JOIN sessions s USING (tid) JOIN messages m USING (sid))"
        );
        let indexed = is_on(conn)?;
        let mut select = conn.prepare(MESSAGES)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            count += 1;
            let (tid, seq, variant): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let session =
                || Ok::<_, rusqlite::Error>(session_place(&row.get::<_, String>(3)?, &row.get::<_, String>(4)?));
            match Body::read(row, 5).map_err(crate::error::storage).and_then(Body::message) {
                Ok(message) if variant == 0 && indexed => wanted.entry(tid).or_default().add(tid, seq, &message),
                Ok(message) if variant == 1 => verified.conflict(session()?, message.id),
                Ok(_) => {}
                Err(error) => {
                    unreadable += 1;
                    tell(Err(error.into()), &session()?, verified)?;
                }
            }
        }
        Ok(())
    };
    let checked = check();
    tell(checked, "the table `messages`", verified)?;
    verified.checked(format!("that messages can be read (messages: {count})"));
    if unreadable > 0 {
        verified.unverifiable("the search index: what it should hold cannot be read");
        return Ok(());
    }
    let checked = index(conn, &wanted, verified);
    tell(checked, "the search index", verified)
}

fn index(conn: &Connection, wanted: &BTreeMap<i64, Fingerprint>, verified: &mut Verified) -> Sql<()> {
    let problem = |what: &str| Problem::new("the search index", what).with_remedy(REBUILD);
    if !wanted.values().fold(Fingerprint::default(), Fingerprint::plus).same_terms(&stored(conn)?) {
        verified.problem(problem("it does not hold the words of the messages: searches miss or invent some"));
    }
    for (tid, messages, terms) in statistics(conn)? {
        let wanted = wanted.get(&tid).copied().unwrap_or_default();
        if (messages, terms) != (wanted.messages, wanted.terms) {
            verified.problem(problem("its statistics are wrong: searches are ranked badly"));
            break;
        }
    }
    verified.checked(match is_on(conn)? {
        true => "that the search index holds the words of all messages and no others",
        false => "that the search index, which is switched off, is empty",
    });
    Ok(())
}

fn session_place(tenant: &str, session: &str) -> String {
    format!("the session {session:?} of the tenant {tenant:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_check_gives_way_to_those_who_write() {
        let looks = Cell::new(0);
        let in_the_way = || {
            looks.set(looks.get() + 1);
            looks.get() == 2
        };
        let for_ever = std::future::pending::<Result<()>>();
        let error = futures_executor::block_on(giving_way(for_ever, in_the_way)).unwrap_err();
        assert_eq!((error.kind(), looks.get()), (ErrorKind::Unavailable, 2));
        let done = futures_executor::block_on(giving_way(async { Ok(7) }, || true));
        assert_eq!(done.unwrap(), 7, "what is done is done");
    }
}
