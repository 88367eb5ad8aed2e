//! The statements of the store, with the name of its schema in them.

use tokio_postgres::types::Type;

use crate::body;

/// Appends messages that are newer than everything in the session, as one statement: it does nothing and answers no row
/// unless that is so. Whoever writes to the session at the same time waits for its row, and sees the condition anew.
macro_rules! append {
    ($messages:literal) => {
        concat!(
            "
WITH s AS (
    INSERT INTO @.sessions AS s (tid, id, version, reach, head, seq, recency, updated, messages, live, contested, indexed, terms)
    SELECT t.tid, $3, $5, $5, $5, $6, nextval('@.arrivals'), $7, $6, true, false, $8, $9
      FROM @.tenants t, @.store o WHERE t.tid = $1 AND t.name = $2 AND o.search = $10
    ON CONFLICT (tid, id) DO UPDATE SET
        version = greatest(s.version, excluded.version), reach = excluded.reach, head = excluded.head,
        seq = s.seq + excluded.seq, recency = excluded.recency, updated = excluded.updated,
        messages = s.messages + excluded.messages, live = true,
        indexed = s.indexed + excluded.indexed, terms = s.terms + excluded.terms
      WHERE s.reach < $4
    RETURNING s.tid, s.sid, s.seq, s.version, s.cleared_through
), m AS (
    INSERT INTO @.messages (tid, sid, stamp, variant, seq, role, text, rest, terms)
    ",
            $messages,
            "
)
SELECT true, version, cleared_through FROM s"
        )
    };
}

const APPEND_MANY: &str = append!(
    "SELECT s.tid, s.sid, u.stamp, 0, s.seq - $6 + u.n, u.role, u.text, u.rest, string_to_array(u.terms, ' ')
      FROM s, unnest($11::uuid[], $12::text[], $13::bytea[], $14::bytea[], $15::text[])
              WITH ORDINALITY u (stamp, role, text, rest, terms, n)"
);

/// One message has a statement of its own: nobody knows how long an array will be, so the server takes a plan that holds
/// for all of them for a worse one, and plans each call anew. That takes longer than all the rest.
const APPEND_ONE: &str = append!("SELECT s.tid, s.sid, $5, 0, s.seq, $11, $12, $13, string_to_array($14, ' ') FROM s");

/// The types of the parameters of [`Statements::append_one`].
pub(crate) const APPEND_ONE_TYPES: [Type; 14] = [
    Type::INT4,
    Type::TEXT,
    Type::TEXT,
    Type::UUID,
    Type::UUID,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::BOOL,
    Type::TEXT,
    Type::BYTEA,
    Type::BYTEA,
    Type::TEXT,
];

/// How far in the log the server is, as a number. As a part of another statement, it is no less than what that one sees.
pub(crate) const POSITION: &str = "SELECT pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
    ELSE pg_current_wal_insert_lsn() END, '0/0')::bigint";

/// A page of messages of a session. One row without a message if there are none, so that a session without messages can be
/// told from none.
macro_rules! load {
    ($order:literal) => {
        concat!(
            "SELECT $position, s.contested, ",
            body::columns!("m"),
            " FROM @.tenants t JOIN @.sessions s USING (tid) LEFT JOIN LATERAL (
                 SELECT ",
            body::columns!(),
            " FROM @.messages
                  WHERE tid = s.tid AND sid = s.sid AND stamp > $3 AND stamp < $4 AND variant = 0
                  ORDER BY stamp ",
            $order,
            " LIMIT $5) m ON true
              WHERE t.name = $1 AND s.id = $2 AND s.live ORDER BY m.stamp ",
            $order
        )
    };
}

/// The types of the parameters of the statements that load a page.
pub(crate) const LOAD_TYPES: [Type; 5] = [Type::TEXT, Type::TEXT, Type::UUID, Type::UUID, Type::INT8];

/// Each is looked up by itself: the server knows how long sessions are on average, and would read all of one that is long.
const LOAD_IDS: &str = concat!(
    "SELECT $position, s.contested, ",
    body::columns!("m"),
    " FROM @.tenants t JOIN @.sessions s USING (tid) LEFT JOIN LATERAL (
         SELECT r.* FROM (SELECT DISTINCT unnest($3::uuid[])) i (id), LATERAL (
             SELECT ",
    body::columns!(),
    " FROM @.messages WHERE tid = s.tid AND sid = s.sid AND stamp = i.id AND variant = 0 LIMIT 1) r
      ) m ON true
      WHERE t.name = $1 AND s.id = $2 AND s.live ORDER BY m.stamp"
);

/// The statements of one store.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) schema: String,
    pub(crate) about: String,
    /// Several messages; [`append_one`](Self::append_one) takes one.
    pub(crate) append_many: String,
    pub(crate) append_one: String,
    pub(crate) load_forwards: String,
    pub(crate) load_backwards: String,
    pub(crate) load_ids: String,
}

impl Statements {
    /// The statements for a schema, whose name needs no quotes. Of a single server nobody asks how far it is.
    pub(crate) fn new(schema: &str, replicated: bool) -> Self {
        let position = if replicated { format!("({POSITION})") } else { "NULL::bigint".to_owned() };
        let put = |sql: &str| with_schema(sql, schema).replace("$position", &position);
        Self {
            schema: schema.to_owned(),
            about: put("SELECT uuid, version, search, row_security FROM @.store"),
            append_many: put(APPEND_MANY),
            append_one: put(APPEND_ONE),
            load_forwards: put(load!("ASC")),
            load_backwards: put(load!("DESC")),
            load_ids: put(LOAD_IDS),
        }
    }

    /// Puts the name of the schema into a statement, where it has an `@`.
    pub(crate) fn with_schema(&self, sql: &str) -> String {
        with_schema(sql, &self.schema)
    }
}

/// Only names that [`is_schema_name`](crate::schema::is_schema_name) admits get here; and `@.` stands in no statement for
/// anything else.
fn with_schema(sql: &str, schema: &str) -> String {
    sql.replace("@.", &format!("{schema}."))
        .replace("SCHEMA IF NOT EXISTS @", &format!("SCHEMA IF NOT EXISTS {schema}"))
}
