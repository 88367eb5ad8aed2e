//! The tables, the way from each released schema to the newest, and what else is a property of the store.
//!
//! Every table holds the canonical set of records only: what a deletion covers is deleted in the same transaction. The
//! tenant comes first in every key. Payloads are `bytea`, because `text` cannot hold NUL and `jsonb` keeps neither the order
//! of keys nor the spelling of numbers.

use craftx_core::{Error, ErrorKind, Prepare, Result, Uuid, random_id};

use crate::body;
use crate::config::PostgresConfig;
use crate::conn::{Conn, For, scope};
use crate::error::{Sql, corrupted};
use crate::statements::Statements;
use crate::value::Value;

/// Step `n` leads from schema `n` to schema `n + 1`. A step that was released is never changed. `@` stands for the schema.
const STEPS: [&str; 1] = [SCHEMA_1];

/// The schema that this release reads and writes.
pub(crate) const VERSION: i32 = STEPS.len() as i32;

/// Numbers count per session, so that writers of different sessions never wait for one another: `seq` numbers the records
/// of a session in order of arrival. Which session was written last says `recency`, and lists are sorted by it: they find
/// the era in the index and sort within it, because a column with an index would have to be written to all indexes with
/// each message. `reach` is no less than any id that a record of the session speaks of: what lies above it is new.
const SCHEMA_1: &str = "
CREATE SEQUENCE @.arrivals;

CREATE TABLE @.tenants (
    tid int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE \"C\" NOT NULL UNIQUE
);

CREATE TABLE @.sessions (
    tid int NOT NULL REFERENCES @.tenants,
    sid bigint GENERATED ALWAYS AS IDENTITY,
    id text COLLATE \"C\" NOT NULL,
    version uuid NOT NULL,
    reach uuid NOT NULL,
    head uuid,
    cleared_through uuid,
    cleared_stamp uuid,
    cleared_seq bigint,
    seq bigint NOT NULL,
    recency bigint NOT NULL,
    era bigint NOT NULL GENERATED ALWAYS AS (recency >> 14) STORED,
    updated bigint NOT NULL,
    messages bigint NOT NULL,
    live boolean NOT NULL,
    contested boolean NOT NULL,
    indexed bigint NOT NULL,
    terms bigint NOT NULL,
    PRIMARY KEY (tid, id)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX sessions_by_number ON @.sessions (tid, sid);
CREATE INDEX sessions_by_recency ON @.sessions (tid, era) WHERE live;

CREATE TABLE @.messages (
    tid int NOT NULL,
    sid bigint NOT NULL,
    stamp uuid NOT NULL,
    variant smallint NOT NULL,
    seq bigint NOT NULL,
    role text COLLATE \"C\" NOT NULL,
    text bytea,
    rest bytea,
    terms text[] COLLATE \"C\",
    PRIMARY KEY (tid, sid, stamp, variant)
);
CREATE UNIQUE INDEX messages_by_arrival ON @.messages (tid, sid, seq);
CREATE INDEX messages_in_conflict ON @.messages (tid, sid, stamp) WHERE variant > 0;

CREATE TABLE @.deletions (
    tid int NOT NULL,
    sid bigint NOT NULL,
    id uuid NOT NULL,
    stamp uuid NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (tid, sid, id)
);
CREATE INDEX deletions_by_arrival ON @.deletions (tid, sid, seq);

CREATE TABLE @.session_keys (
    tid int NOT NULL,
    sid bigint NOT NULL,
    key bytea NOT NULL,
    stamp uuid NOT NULL,
    value bytea,
    seq bigint NOT NULL,
    PRIMARY KEY (tid, sid, key)
);

CREATE TABLE @.acls (
    tid int NOT NULL,
    sid bigint NOT NULL,
    seq bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (tid, sid, seq)
);

CREATE TABLE @.visible_to (
    tid int NOT NULL,
    name text COLLATE \"C\" NOT NULL,
    owner boolean NOT NULL,
    sid bigint NOT NULL,
    PRIMARY KEY (tid, name, owner, sid)
);
";

/// The row that makes a schema a store. Created last, so that it is there only with everything else.
const STORE: &str = "
CREATE TABLE @.store (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    uuid uuid NOT NULL,
    version int NOT NULL,
    search boolean NOT NULL,
    row_security boolean NOT NULL
);
";

const TERMS: &str = "CREATE INDEX messages_by_term ON @.messages USING gin (terms);";

/// The tables whose rows belong to a tenant.
const TABLES: [&str; 6] = ["sessions", "messages", "deletions", "session_keys", "acls", "visible_to"];

/// Whether text can be the name of a schema without being quoted.
pub(crate) fn is_schema_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && !text.starts_with("pg_")
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// What a store says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) uuid: Uuid,
    pub(crate) version: i32,
    pub(crate) search: bool,
    pub(crate) row_security: bool,
}

/// Reads what the store says of itself; `None` if there is no store in the schema.
pub(crate) async fn about(conn: &Conn, sql: &Statements) -> Sql<Option<About>> {
    const THERE: &str = "SELECT to_regclass($1) IS NOT NULL";
    let table = format!("{}.store", sql.schema);
    let rows = conn.query(THERE, &[Value::Text(&table)]).await?;
    if !rows.first().is_some_and(|row| row.try_get(0).unwrap_or(false)) {
        return Ok(None);
    }
    let rows = conn.query(&sql.about, &[]).await?;
    let row = rows.first().ok_or_else(|| corrupted("the store does not say what it is"))?;
    Ok(Some(About {
        uuid: row.try_get(0)?,
        version: row.try_get(1)?,
        search: row.try_get(2)?,
        row_security: row.try_get(3)?,
    }))
}

/// Refuses a store that `mode` does not allow to be opened as it is.
///
/// # Errors
/// As told at [`Backend::prepare`](craftx_core::Backend::prepare).
pub(crate) fn check(about: Option<About>, mode: Prepare, schema: &str) -> Result<()> {
    let with_schema = |error: Error| error.with("schema", format_args!("`{schema}`"));
    match about {
        None if mode == Prepare::Migrate => Ok(()),
        None => Err(with_schema(Error::new(ErrorKind::NotFound, "there is no store in this database"))),
        Some(about) if about.version > VERSION => Err(with_schema(
            Error::new(ErrorKind::SchemaTooNew, "the store was written by a newer version of craftx")
                .with("version", about.version)
                .with("known", VERSION),
        )),
        Some(about) if about.version < VERSION && mode != Prepare::Migrate => Err(with_schema(
            Error::new(
                ErrorKind::SchemaTooOld,
                "the store was written by an older version of craftx and must be migrated",
            )
            .with("version", about.version)
            .with("needed", VERSION),
        )),
        Some(_) => Ok(()),
    }
}

/// Whether the store is as the configuration wants it, so that nothing has to be changed.
pub(crate) fn is_as_wanted(about: Option<About>, config: &PostgresConfig) -> bool {
    about.is_some_and(|about| {
        about.version == VERSION
            && config.search.is_none_or(|search| search == about.search)
            && config.row_security.is_none_or(|on| on == about.row_security)
    })
}

/// Creates what is missing and upgrades what is older, in one transaction. Of all processes that want to at the same time one
/// does, and the others wait for it.
pub(crate) async fn migrate(conn: &Conn, sql: &Statements, config: &PostgresConfig) -> Sql<About> {
    conn.command("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    match in_transaction(conn, sql, config).await {
        Ok(about) => {
            conn.command("COMMIT").await?;
            Ok(about)
        }
        Err(fault) => {
            // The connection is dropped if even that fails.
            let _ = conn.command("ROLLBACK").await;
            Err(fault)
        }
    }
}

async fn in_transaction(conn: &Conn, sql: &Statements, config: &PostgresConfig) -> Sql<About> {
    // Any number that no other program is likely to take, and the schema: stores do not wait for one another.
    const LOCK: &str = "SELECT pg_advisory_xact_lock(x'43725831'::int, hashtext($1))";
    conn.command("SET LOCAL statement_timeout = 0").await?;
    // A store that keeps tenants apart shows nothing to whoever does not say so.
    conn.all(&[scope(For::System)]).await?;
    conn.query(LOCK, &[Value::Text(&sql.schema)]).await?;
    let mut about = about(conn, sql).await?;
    check(about, Prepare::Migrate, &sql.schema)?;
    let from = about.map_or(0, |about| about.version);
    if about.is_none() {
        conn.command(&sql.with_schema("CREATE SCHEMA IF NOT EXISTS @")).await?;
    }
    for step in STEPS.iter().skip(usize::try_from(from).unwrap_or(0)) {
        conn.command(&sql.with_schema(step)).await?;
    }
    if about.is_none() {
        conn.command(&sql.with_schema(STORE)).await?;
        let insert =
            sql.with_schema("INSERT INTO @.store (uuid, version, search, row_security) VALUES ($1, $2, false, false)");
        let uuid = random_id();
        conn.query(&insert, &[Value::Uuid(uuid), Value::Int4(VERSION)]).await?;
        about = Some(About { uuid, version: VERSION, search: false, row_security: false });
    }
    let mut about = about.ok_or_else(|| corrupted("the store does not say what it is"))?;
    if from != VERSION {
        conn.query(&sql.with_schema("UPDATE @.store SET version = $1"), &[Value::Int4(VERSION)]).await?;
        about.version = VERSION;
    }
    let search = config.search.unwrap_or(about.search || from == 0);
    if search != about.search {
        switch_search(conn, sql, search).await?;
        about.search = search;
    }
    let row_security = config.row_security.unwrap_or(about.row_security);
    if row_security != about.row_security {
        switch_row_security(conn, sql, row_security).await?;
        about.row_security = row_security;
    }
    Ok(about)
}

/// Indexes every message, or forgets the index. Nobody writes meanwhile: all who do begin with the row of a session, and this
/// lock lets nobody change or lock one.
async fn switch_search(conn: &Conn, sql: &Statements, on: bool) -> Sql<()> {
    conn.command(&sql.with_schema("LOCK TABLE @.sessions IN EXCLUSIVE MODE")).await?;
    if !on {
        conn.command(&sql.with_schema(
            "DROP INDEX @.messages_by_term;
             UPDATE @.messages SET terms = NULL;
             UPDATE @.sessions SET indexed = 0, terms = 0;
             UPDATE @.store SET search = false",
        ))
        .await?;
        return Ok(());
    }
    index_all(conn, sql).await?;
    conn.command(&sql.with_schema(TERMS)).await?;
    conn.command(&sql.with_schema(
        "UPDATE @.sessions s SET indexed = n.indexed, terms = n.terms
           FROM (SELECT tid, sid, count(*) FILTER (WHERE cardinality(terms) > 0) AS indexed, sum(cardinality(terms)) AS terms
                   FROM @.messages WHERE variant = 0 GROUP BY tid, sid) n
          WHERE n.tid = s.tid AND n.sid = s.sid;
         UPDATE @.store SET search = true",
    ))
    .await
}

/// Stores the terms of every message, some thousand at a time.
async fn index_all(conn: &Conn, sql: &Statements) -> Sql<()> {
    let read = sql.with_schema(concat!(
        "SELECT tid, sid, seq, ",
        body::columns!(),
        " FROM @.messages WHERE variant = 0 AND (tid, sid, stamp) > ($1, $2, $3) ORDER BY tid, sid, stamp LIMIT 2000"
    ));
    let write = sql.with_schema(
        "UPDATE @.messages m SET terms = string_to_array(u.terms, ' ')
           FROM unnest($1::int[], $2::bigint[], $3::uuid[], $4::text[]) u (tid, sid, stamp, terms)
          WHERE m.tid = u.tid AND m.sid = u.sid AND m.stamp = u.stamp AND m.variant = 0",
    );
    let (mut tid, mut sid, mut stamp) = (i32::MIN, i64::MIN, Uuid::nil());
    loop {
        let rows = conn.query(&read, &[Value::Int4(tid), Value::Int8(sid), Value::Uuid(stamp)]).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let (mut tids, mut sids, mut stamps, mut terms) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for row in &rows {
            (tid, sid) = (row.try_get(0)?, row.try_get(1)?);
            let message = body::read(row, 3)?;
            stamp = message.id.as_uuid();
            tids.push(tid);
            sids.push(sid);
            stamps.push(stamp);
            terms.push(body::terms(tid, &message).text);
        }
        conn.query(&write, &[Value::Int4s(&tids), Value::Int8s(&sids), Value::Uuids(&stamps), Value::Texts(&terms)])
            .await?;
    }
}

/// Has the server show rows only to who says for which tenant, or to everybody again.
async fn switch_row_security(conn: &Conn, sql: &Statements, on: bool) -> Sql<()> {
    let system = "current_setting('craftx.system', true) = 'on'";
    let own = "current_setting('craftx.tenant', true)";
    let mut text = String::new();
    let mut policy = |table: &str, condition: &str| {
        text.push_str(&match on {
            true => format!(
                "ALTER TABLE @.{table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
                 CREATE POLICY tenant ON @.{table} USING ({condition} OR {system});\n"
            ),
            false => format!(
                "DROP POLICY tenant ON @.{table};
                 ALTER TABLE @.{table} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;\n"
            ),
        });
    };
    policy("tenants", &format!("name = {own}"));
    for table in TABLES {
        policy(table, &format!("tid = (SELECT tid FROM @.tenants WHERE name = {own})"));
    }
    text.push_str(&format!("UPDATE @.store SET row_security = {on}"));
    conn.command(&sql.with_schema(&text)).await
}
