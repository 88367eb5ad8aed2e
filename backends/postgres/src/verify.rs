//! Checking the store: reads everything, in one snapshot, and compares what can be compared.

use craftx_core::search::indexed;
use craftx_core::{Error, ErrorKind, Problem, Verified, async_trait};
use tokio_postgres::Row;

use crate::body;
use crate::changes::SNAPSHOT;
use crate::conn::{Conn, For};
use crate::error::{Fault, Sql};
use crate::reading::Reading;
use crate::row::{self, describe};
use crate::store::Store;
use crate::value::Value;

/// How many rows are read at once.
const PART: i64 = 1_000;
const RESTORE: &str = "restore the store from a backup";
const REBUILD: &str = "open it with `search=false`, then with `search=true`, which indexes everything anew";

/// The rows of a session do not add up to what its own row says. What is named is what is wrong.
const SESSIONS: &str = concat!(
    "SELECT ",
    row::described!(),
    ", t.name, s.messages <> n.messages, s.head IS DISTINCT FROM n.head,
       s.seq < greatest(n.seq, coalesce(s.cleared_seq, 0)), n.dead > 0, s.live <> n.live, s.contested <> n.contested,
       o.search AND (s.indexed <> n.indexed OR s.terms <> n.terms),
       ARRAY (SELECT name || CASE WHEN owner THEN ' owner' ELSE '' END FROM @.visible_to v
               WHERE v.tid = s.tid AND v.sid = s.sid ORDER BY 1)
  FROM @.store o, @.sessions s JOIN @.tenants t USING (tid), LATERAL (
       SELECT count(*) FILTER (WHERE variant = 0) AS messages,
              (SELECT stamp FROM @.messages h WHERE h.tid = s.tid AND h.sid = s.sid ORDER BY stamp DESC LIMIT 1) AS head,
              greatest(max(m.seq), (SELECT max(seq) FROM @.deletions d WHERE d.tid = s.tid AND d.sid = s.sid),
                       (SELECT max(seq) FROM @.session_keys k WHERE k.tid = s.tid AND k.sid = s.sid),
                       (SELECT max(seq) FROM @.acls a WHERE a.tid = s.tid AND a.sid = s.sid)) AS seq,
              count(*) FILTER (WHERE m.stamp <= s.cleared_through OR EXISTS (SELECT 1 FROM @.deletions d
                  WHERE d.tid = m.tid AND d.sid = m.sid AND d.id = m.stamp)) AS dead,
              count(*) > 0 OR EXISTS (SELECT 1 FROM @.acls a WHERE a.tid = s.tid AND a.sid = s.sid)
                  OR EXISTS (SELECT 1 FROM @.session_keys k WHERE k.tid = s.tid AND k.sid = s.sid AND value IS NOT NULL) AS live,
              count(*) FILTER (WHERE variant > 0) > 0 AS contested,
              count(*) FILTER (WHERE variant = 0 AND cardinality(m.terms) > 0) AS indexed,
              coalesce(sum(cardinality(m.terms)) FILTER (WHERE variant = 0), 0) AS terms
         FROM @.messages m WHERE m.tid = s.tid AND m.sid = s.sid) n
 WHERE s.sid > $1 ORDER BY s.sid LIMIT $2"
);
const WRONG: [&str; 6] = [
    "it counts another number of messages than it has",
    "its last message is not the one that it names",
    "a record arrived later than it knows of",
    "deleted messages are still there",
    "whether it exists is told wrongly",
    "whether a message has two contents is told wrongly",
];

const MESSAGES: &str = concat!(
    "SELECT m.seq, ",
    body::columns!("m"),
    ", m.tid, m.sid, m.variant, o.search, coalesce(m.terms, '{}'), t.name, s.id
       FROM @.store o, @.messages m LEFT JOIN @.sessions s USING (tid, sid) LEFT JOIN @.tenants t ON t.tid = s.tid
      WHERE (m.tid, m.sid, m.seq) > ($1, $2, $3) ORDER BY m.tid, m.sid, m.seq LIMIT $4"
);

/// What a check of everything found.
#[derive(Debug)]
pub(crate) struct Verify;

#[async_trait]
impl Reading for Verify {
    type Answer = Verified;

    async fn read(&self, store: &Store, conn: &Conn) -> Sql<(Verified, Option<u64>)> {
        conn.all(&conn.begin(For::System, SNAPSHOT)).await?;
        let mut verified = Verified::default();
        match everything(store, conn, &mut verified).await {
            Ok(()) => conn.command("COMMIT").await?,
            Err(fault @ Fault::Lost(_)) => return Err(fault),
            Err(fault) => {
                conn.command("ROLLBACK").await?;
                return Err(fault);
            }
        }
        Ok((verified, None))
    }
}

async fn everything(store: &Store, conn: &Conn, verified: &mut Verified) -> Sql<()> {
    sessions(store, conn, verified).await?;
    messages(store, conn, verified).await?;
    verified.unverifiable("whether a text is the one that was written: the server keeps no checksums of it");
    if store.is_replicated() {
        verified.unverifiable("the replicas: only the server that takes writes was read");
    }
    Ok(())
}

async fn sessions(store: &Store, conn: &Conn, verified: &mut Verified) -> Sql<()> {
    let sql = store.sql.with_schema(SESSIONS);
    let (mut last, mut count, mut misranked) = (i64::MIN, 0_u64, false);
    loop {
        let rows = conn.query(&sql, &[Value::Int8(last), Value::Int8(PART)]).await?;
        for row in &rows {
            last = row.try_get(0)?;
            count += 1;
            let place = place(row.try_get(15)?, row.try_get(11)?);
            for (at, what) in (16..).zip(WRONG) {
                if row.try_get::<_, Option<bool>>(at)?.unwrap_or(false) {
                    verified.problem(Problem::new(&*place, what).with_remedy(RESTORE));
                }
            }
            misranked |= row.try_get::<_, Option<bool>>(22)?.unwrap_or(false);
            tell(ownership(row), &place, verified)?;
        }
        if rows.len() < PART as usize {
            break;
        }
    }
    if misranked {
        let what = "its statistics are wrong: searches are ranked badly";
        verified.problem(Problem::new("the search index", what).with_remedy(REBUILD));
    }
    verified.checked(format!(
        "that sessions are what their messages, deletions, metadata and grants add up to (sessions: {count})"
    ));
    Ok(())
}

/// Whether the columns by which lists are limited say what the records of ownership say.
fn ownership(row: &Row) -> Sql<()> {
    let (_, session) = describe(row)?;
    let granted = session.grants.iter().filter(|grant| !grant.actions.is_empty()).map(|grant| grant.to.clone());
    let mut wanted: Vec<String> = session.owner.iter().map(|owner| format!("{owner} owner")).chain(granted).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut seen: Vec<String> = row.try_get(23)?;
    seen.sort_unstable();
    match wanted == seen {
        true => Ok(()),
        false => Err(crate::error::corrupted("who may see it is not what its records of ownership say").into()),
    }
}

async fn messages(store: &Store, conn: &Conn, verified: &mut Verified) -> Sql<()> {
    let sql = store.sql.with_schema(MESSAGES);
    let (mut tid, mut sid, mut seq) = (i32::MIN, i64::MIN, i64::MIN);
    let (mut count, mut misindexed) = (0_u64, false);
    loop {
        let after = [Value::Int4(tid), Value::Int8(sid), Value::Int8(seq), Value::Int8(PART)];
        let rows = conn.query(&sql, &after).await?;
        for row in &rows {
            count += 1;
            (seq, tid, sid) = (row.try_get(0)?, row.try_get(5)?, row.try_get(6)?);
            let place = match (row.try_get::<_, Option<&str>>(10)?, row.try_get::<_, Option<&str>>(11)?) {
                (Some(tenant), Some(session)) => place(tenant, session),
                _ => {
                    let what = "it belongs to a session that is not there";
                    verified.problem(Problem::new("a message", what).with_remedy(RESTORE));
                    continue;
                }
            };
            let variant: i16 = row.try_get(7)?;
            match body::read(row, 1) {
                Ok(message) if variant == 1 => verified.conflict(&place, message.id),
                Ok(message) if variant == 0 && row.try_get(8)? => {
                    let tokens = indexed(&message);
                    let wanted = tokens.iter().map(|term| body::token(tid, term.as_deref().unwrap_or_default()));
                    misindexed |= !wanted.eq(row.try_get::<_, Vec<String>>(9)?);
                }
                Ok(_) => {}
                Err(fault) => tell(Err(fault), &place, verified)?,
            }
        }
        if rows.len() < PART as usize {
            break;
        }
    }
    if misindexed {
        let what = "it does not hold the words of the messages: searches miss or invent some";
        verified.problem(Problem::new("the search index", what).with_remedy(REBUILD));
    }
    verified.checked(format!("that messages can be read (messages: {count})"));
    Ok(())
}

/// Turns damage that ends a part of the check into a problem, so that the other parts are checked all the same.
fn tell(part: Sql<()>, place: &str, verified: &mut Verified) -> Sql<()> {
    match part.map_err(Error::from) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::Corrupted => {
            verified.problem(Problem::new(place, error.to_string()).with_remedy(RESTORE));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn place(tenant: &str, session: &str) -> String {
    format!("the session `{session}` of the tenant `{tenant}`")
}
