//! The union in SQL: what a write comes to, and how it is stored.
//!
//! What a write comes to is not decided here but by [`SessionSet`], the algebra that every backend shares, over the part of
//! the session that the batch touches. The row of the session is locked first, so nobody else writes to the session
//! meanwhile. The cost does not grow with the session.

use std::collections::BTreeMap;

use craftx_core::union::{Plan, SessionSet};
use craftx_core::{Record, Stamp, Uuid, Written};
use tokio_postgres::Row;

use crate::body::{self, stamp};
use crate::changeset::{Changeset, Stored};
use crate::conn::{Conn, For, Step};
use crate::error::{Fault, Sql, corrupted};
use crate::row::{self, AclRow, SessionRow, key_of, value};
use crate::store::{Store, find_tid};
use crate::value::Value;
use crate::write::{Write, with_position};

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// The session, locked until the end of the transaction. A transaction that only found everything known writes nothing else,
/// and its commit waits for the standbys all the same, because the lock is in the log: what it found may have been
/// committed by somebody who did not wait.
const LOCK: &str = concat!("SELECT ", row::columns!(), " FROM @.sessions s WHERE s.tid = $1 AND s.id = $2 FOR UPDATE");
/// What has to be so that the transaction makes sense.
const STORE: &str = "SELECT (SELECT search FROM @.store), (SELECT tid FROM @.tenants WHERE name = $1)";
/// Rows of a session by their ids, each looked up by itself (`OFFSET 0` keeps it so): the server knows how long sessions are
/// on average, and would read all of one that is long.
macro_rules! by_id {
    ($columns:expr, $table:literal, $id:literal) => {
        concat!(
            "SELECT r.* FROM @.sessions s, unnest($3::uuid[]) i (id), LATERAL (SELECT ",
            $columns,
            " FROM @.",
            $table,
            " WHERE tid = $1 AND sid = s.sid AND ",
            $id,
            " = i.id OFFSET 0) r WHERE s.tid = $1 AND s.id = $2"
        )
    };
}

const DELETIONS: &str = by_id!("id, stamp", "deletions", "id");
const BODIES: &str =
    concat!(by_id!(concat!(body::columns!(), ", variant"), "messages", "stamp"), " ORDER BY stamp, variant");
const KEYS: &str = "SELECT stamp, key, value FROM @.session_keys WHERE tid = $1
     AND sid = (SELECT sid FROM @.sessions WHERE tid = $1 AND id = $2) AND key = ANY ($3)";
const ACLS: &str = "SELECT seq, body FROM @.acls WHERE tid = $1
     AND sid = (SELECT sid FROM @.sessions WHERE tid = $1 AND id = $2)";
const CREATE: &str = concat!(
    "INSERT INTO @.sessions AS s
        (tid, id, version, reach, seq, recency, updated, messages, live, contested, indexed, terms)
     VALUES ($1, $2, $3, $4, 0, 0, 0, 0, false, false, 0, 0) ON CONFLICT DO NOTHING RETURNING ",
    row::columns!()
);

/// Writes a batch as a transaction.
pub(crate) async fn write(write: &Write, store: &Store, conn: &Conn) -> Sql<(Written, Option<u64>)> {
    loop {
        let tid = match store.known_tid(&write.tenant) {
            Some(tid) => tid,
            None => tid_of(write, store, conn).await?,
        };
        match in_transaction(write, store, conn, tid).await {
            Ok(Some(done)) => return Ok(done),
            // Something was not as expected; now it is known how it is.
            Ok(None) => conn.command("ROLLBACK").await?,
            Err(fault @ Fault::Lost(_)) => return Err(fault),
            Err(fault) => {
                conn.command("ROLLBACK").await?;
                return Err(fault);
            }
        }
    }
}

/// The number of a tenant, who gets one if this is the first write.
async fn tid_of(write: &Write, store: &Store, conn: &Conn) -> Sql<i32> {
    let tenant = &write.tenant;
    if find_tid(store, conn, tenant).await?.is_none() {
        let insert = store.sql.with_schema("INSERT INTO @.tenants (name) VALUES ($1) ON CONFLICT DO NOTHING");
        conn.single(For::Tenant(tenant), &insert, &[Value::Text(tenant.as_str())]).await?;
    }
    let tid = find_tid(store, conn, tenant).await?.ok_or_else(|| corrupted("a tenant has no number"))?;
    store.learn_tid(tenant, Some(tid));
    Ok(tid)
}

/// `None` if something was not as this process thought, and has to be tried again.
async fn in_transaction(write: &Write, store: &Store, conn: &Conn, tid: i32) -> Sql<Option<(Written, Option<u64>)>> {
    let wanted = Wanted::of(&write.records);
    let mut steps = conn.begin(For::Tenant(&write.tenant), BEGIN);
    let begun = steps.len();
    steps.extend(wanted.steps(store, tid, write.session.as_str()));
    // After the lock, which waits for whoever switches the index on or off.
    steps.push(Step::query(store.sql.with_schema(STORE), [Value::Text(write.tenant.as_str())]));
    let mut answers = conn.all(&steps).await?;
    let known = answers.pop().unwrap_or_default();
    let answers = answers.into_iter().skip(begun);
    let (search, found): (bool, Option<i32>) = match known.first() {
        Some(known) => (known.try_get(0)?, known.try_get(1)?),
        None => return Err(corrupted("the store does not say what it is").into()),
    };
    if search != store.searchable() || found != Some(tid) {
        store.now_searchable(search);
        store.learn_tid(&write.tenant, found);
        return Ok(None);
    }
    let Touched { row, set, stored } = Touched::read(answers)?;
    let plan = set.plan_part(row.as_ref().map(|row| row.version), &write.records, &write.options)?;
    let Some(row) = row_for(write, store, conn, tid, row, &plan).await? else { return Ok(None) };
    let Some(row) = row else {
        // There is no session, and none is needed.
        conn.command("ROLLBACK").await?;
        return Ok(Some((plan.written(), None)));
    };
    let changes = match plan.store.is_empty() {
        true => None,
        false => Some(Changeset::new(tid, &row, &plan, stored, search.then_some(tid), write.now)?),
    };
    let mut steps = changes.as_ref().map(|changes| changes.steps(store)).unwrap_or_default();
    steps.push(Step::Command("COMMIT"));
    let (answers, position) = with_position(store, conn, steps).await?;
    let (version, cleared) = match changes {
        None => (row.version, row.cleared.map(|cleared| cleared.through)),
        // The last but the commit.
        Some(_) => done(answers.iter().rev().nth(1))?,
    };
    Ok(Some((plan.written().with_version(Some(version)).with_cleared(cleared), position)))
}

/// What the last statement of a transaction answers: the version and up to where the session is cleared.
fn done(rows: Option<&Vec<Row>>) -> Sql<(Stamp, Option<Stamp>)> {
    let row = rows.and_then(|rows| rows.first()).ok_or_else(|| corrupted("a session that is locked is gone"))?;
    Ok((stamp(row, 0)?, body::maybe_stamp(row, 1)?))
}

/// The row of the session, made if something has to be stored in it; inner `None` if there is no session and need not be,
/// outer `None` if somebody else has just made it.
async fn row_for(
    write: &Write,
    store: &Store,
    conn: &Conn,
    tid: i32,
    row: Option<SessionRow>,
    plan: &Plan,
) -> Sql<Option<Option<SessionRow>>> {
    let Some(first) = plan.store.first().filter(|_| row.is_none()) else { return Ok(Some(row)) };
    let create = store.sql.with_schema(CREATE);
    let version = first.record.stamp().as_uuid();
    let values = [
        Value::Int4(tid),
        Value::Text(write.session.as_str()),
        Value::Uuid(version),
        Value::Uuid(Stamp::MIN.as_uuid()),
    ];
    let rows = conn.query(&create, &values).await?;
    rows.first().map(|row| SessionRow::read(row).map(Some)).transpose()
}

/// The part of a session that a batch can meet.
struct Touched {
    row: Option<SessionRow>,
    set: SessionSet<()>,
    stored: Stored,
}

impl Touched {
    /// Reads what [`Wanted::steps`] answer.
    fn read(mut answers: impl Iterator<Item = Vec<Row>>) -> Sql<Self> {
        let mut next = || answers.next().unwrap_or_default();
        let (rows, deletions, bodies, keys, acls) = (next(), next(), next(), next(), next());
        let row = rows.first().map(SessionRow::read).transpose()?;
        let mut set = SessionSet::new();
        let mut stored = Stored::default();
        let mut add = |record: &Record| set.replay(record, record.identity(), |_| ());
        if let Some(cleared) = row.as_ref().and_then(|row| row.cleared) {
            add(&cleared.record());
        }
        for row in &deletions {
            add(&Record::Deleted { id: stamp(row, 0)?, stamp: stamp(row, 1)? });
        }
        for row in &bodies {
            let record = Record::Message(body::read(row, 0)?);
            add(&record);
            stored.variants.entry(record.stamp()).or_default().push(record.identity());
        }
        for row in &keys {
            add(&stored_key(row)?);
        }
        for row in &acls {
            let acl = AclRow::read(row.try_get(1)?)?;
            add(&acl.record);
            stored.acls.push((row.try_get(0)?, acl));
        }
        Ok(Self { row, set, stored })
    }
}

fn stored_key(row: &Row) -> Sql<Record> {
    let (key, text): (&[u8], Option<&[u8]>) = (row.try_get(1)?, row.try_get(2)?);
    let set = BTreeMap::from([(key_of(key)?, text.map(value).transpose()?)]);
    Ok(Record::Session { stamp: stamp(row, 0)?, set })
}

/// What records can meet.
#[derive(Default)]
struct Wanted {
    ids: Vec<Uuid>,
    keys: Vec<Vec<u8>>,
    acls: bool,
}

impl Wanted {
    fn of(records: &[Record]) -> Self {
        let mut wanted = Self::default();
        for record in records {
            match record {
                Record::Message(message) => wanted.ids.push(message.id.as_uuid()),
                Record::Deleted { id, .. } => wanted.ids.push(id.as_uuid()),
                Record::Session { set, .. } => wanted.keys.extend(set.keys().map(|key| key.as_bytes().to_vec())),
                Record::Acl { .. } => wanted.acls = true,
                _ => {}
            }
        }
        wanted
    }

    /// Locks the session, and reads what is wanted of it. What need not be asked for is answered with nothing.
    fn steps<'a>(&'a self, store: &Store, tid: i32, session: &'a str) -> [Step<'a>; 5] {
        let step = |wanted: bool, sql: &str, last: Option<Value<'a>>| match wanted {
            true => {
                let values: Vec<_> = [Value::Int4(tid), Value::Text(session)].into_iter().chain(last).collect();
                Step::query(store.sql.with_schema(sql), values)
            }
            false => Step::Command(""),
        };
        let ids = Some(Value::Uuids(&self.ids));
        [
            step(true, LOCK, None),
            step(!self.ids.is_empty(), DELETIONS, ids),
            step(!self.ids.is_empty(), BODIES, ids),
            step(!self.keys.is_empty(), KEYS, Some(Value::Bytes(&self.keys))),
            step(self.acls, ACLS, None),
        ]
    }
}
