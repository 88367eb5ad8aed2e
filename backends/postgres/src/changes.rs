//! Reading records in order of arrival: what replication, migration and backup read.

use std::collections::BTreeMap;

use craftx_core::{
    Binding, Changes, Cursor, Error, ErrorKind, Record, SessionId, Stamp, Tenant, async_trait, page_size,
};
use tokio_postgres::Row;

use crate::body::{self, stamp};
use crate::conn::{Conn, For, Step};
use crate::error::Sql;
use crate::reading::Reading;
use crate::row::{self, AclRow, SessionRow, key_of, value};
use crate::store::Store;
use crate::value::Value;

/// All statements of a page see the same snapshot.
pub(crate) const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

const SESSION: &str = concat!(
    "SELECT ",
    row::columns!(),
    " FROM @.tenants t JOIN @.sessions s USING (tid) WHERE t.name = $1 AND s.id = $2"
);

macro_rules! of_session {
    ($columns:expr, $table:literal, $order:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM @.tenants t JOIN @.sessions s USING (tid) JOIN @.",
            $table,
            " r ON r.tid = s.tid AND r.sid = s.sid AND r.seq > $3 WHERE t.name = $1 AND s.id = $2 ",
            $order
        )
    };
}

const MESSAGES: &str = of_session!(concat!("r.seq, ", body::columns!("r")), "messages", "ORDER BY r.seq LIMIT $4");
const DELETIONS: &str = of_session!("r.seq, r.id, r.stamp", "deletions", "ORDER BY r.seq LIMIT $4");
const KEYS: &str = of_session!("r.seq, r.stamp, r.key, r.value", "session_keys", "");
const ACLS: &str = of_session!("r.seq, r.body", "acls", "");

/// The records of a session that arrived after a cursor.
///
/// The arrival number of a record only grows: a record that is joined with a later one gets the number of that one. And
/// writers of a session wait for one another, so nothing that is seen later has a smaller number. So a cursor stays valid
/// for ever, and nothing that arrives later lies before it.
#[derive(Debug)]
pub(crate) struct Arrivals {
    pub(crate) tenant: Tenant,
    pub(crate) session: SessionId,
    pub(crate) from: Option<Cursor>,
    pub(crate) limit: Option<u32>,
}

#[async_trait]
impl Reading for Arrivals {
    type Answer = Changes;

    async fn read(&self, store: &Store, conn: &Conn) -> Sql<(Changes, Option<u64>)> {
        let binding = Binding::new("records", &self.tenant, [self.session.as_str()]);
        let start = match &self.from {
            None => 0,
            Some(cursor) => position(store, cursor.position(&binding)?)?,
        };
        let size = page_size(self.limit);
        let place = [Value::Text(self.tenant.as_str()), Value::Text(self.session.as_str())];
        let step = |sql: &str, further: usize| {
            let further = [Value::Int8(start), Value::Int8(size as i64 + 1)].into_iter().take(further);
            Step::query(store.sql.with_schema(sql), place.into_iter().chain(further).collect::<Vec<_>>())
        };
        let mut steps = conn.begin(For::Tenant(&self.tenant), SNAPSHOT);
        let begun = steps.len();
        steps.extend([
            step(SESSION, 0),
            step(MESSAGES, 2),
            step(DELETIONS, 2),
            step(KEYS, 1),
            step(ACLS, 1),
            Step::Command("COMMIT"),
        ]);
        let mut answers = match conn.all(&steps).await {
            Ok(answers) => answers.into_iter().skip(begun),
            Err(fault) => return Err(fault),
        };
        let mut next = || answers.next().unwrap_or_default();
        let row = next().first().map(SessionRow::read).transpose()?;
        if row.as_ref().map_or(0, |row| row.seq) < start {
            return Err(expired().into());
        }
        let mut found = Vec::new();
        for row in next() {
            found.push((row.try_get(0)?, Arrival::Message(row)));
        }
        for row in next() {
            found.push((
                row.try_get(0)?,
                Arrival::Other(Record::Deleted { id: stamp(&row, 1)?, stamp: stamp(&row, 2)? }),
            ));
        }
        found.extend(keys(&next())?.into_iter().map(|(seq, record)| (seq, Arrival::Other(record))));
        for row in next() {
            found.push((row.try_get(0)?, Arrival::Other(AclRow::read(row.try_get(1)?)?.record)));
        }
        if let Some(cleared) = row.and_then(|row| row.cleared).filter(|cleared| cleared.seq > start) {
            found.push((cleared.seq, Arrival::Other(cleared.record())));
        }
        found.sort_by_key(|(seq, _)| *seq);
        let done = found.len() <= size;
        found.truncate(size);
        let last = found.last().map_or(start, |(seq, _)| *seq);
        let items = found.into_iter().map(|(_, arrival)| arrival.record()).collect::<Sql<_>>()?;
        Ok((Changes { items, next: Cursor::new(&binding, format_args!("{}.{last}", store.id)), done }, None))
    }
}

/// The arrival number in a cursor. It means nothing in another store.
fn position(store: &Store, text: &str) -> Sql<i64> {
    let theirs = text.split_once('.').filter(|(theirs, _)| *theirs == store.id.to_string());
    Ok(theirs.and_then(|(_, seq)| seq.parse::<i64>().ok()).ok_or_else(expired)?)
}

fn expired() -> Error {
    Error::new(ErrorKind::Conflict, "the cursor has expired; start again")
}

/// A record as it was found; messages are decoded only if they are on the page.
enum Arrival {
    Message(Row),
    Other(Record),
}

impl Arrival {
    fn record(self) -> Sql<Record> {
        match self {
            Self::Message(row) => body::read(&row, 1).map(Record::Message),
            Self::Other(record) => Ok(record),
        }
    }
}

/// The keys that arrived in one record are one record again.
fn keys(rows: &[Row]) -> Sql<Vec<(i64, Record)>> {
    let mut sets: BTreeMap<i64, (Stamp, BTreeMap<String, Option<serde_json::Value>>)> = BTreeMap::new();
    for row in rows {
        let at = stamp(row, 1)?;
        let text: Option<&[u8]> = row.try_get(3)?;
        let (_, set) = sets.entry(row.try_get(0)?).or_insert_with(|| (at, BTreeMap::new()));
        set.insert(key_of(row.try_get(2)?)?, text.map(value).transpose()?);
    }
    Ok(sets.into_iter().map(|(seq, (stamp, set))| (seq, Record::Session { stamp, set })).collect())
}
