//! Searching: looks the phrases up in the index, ranks what has them, and shows a page of it.
//!
//! The server says which messages have which phrases how often, and how long they are; all of these are ranked by
//! themselves, and the best of them exactly, together with their neighbours in the session. What a neighbour adds is computed
//! here and not stored. The analyzer and the ranking are those of core, so every medium finds the same.

use std::cmp::Ordering;
use std::collections::HashMap;

use craftx_core::search::{self, NEIGHBOURS, Query, Ranker};
use craftx_core::{
    Binding, Cursor, Error, Hit, Page, SearchQuery, SessionId, Stamp, Tenant, Uuid, async_trait, page_size,
};

use crate::body::{self, stamp, token};
use crate::changes::SNAPSHOT;
use crate::conn::{Conn, For, Step};
use crate::error::{Fault, Sql, corrupted};
use crate::list::{names, visible};
use crate::reading::Reading;
use crate::store::Store;
use crate::value::Value;

/// How many messages are ranked together with their neighbours.
const BEST: usize = 128;
/// How far the neighbours reach whose neighbours count.
const REACH: usize = 2 * NEIGHBOURS.len();

/// The statistics of a tenant are kept by session, because all who write for it would wait for one row else.
const STATISTICS: &str = "SELECT o.search, t.tid, coalesce(sum(s.indexed), 0)::bigint, coalesce(sum(s.terms), 0)::bigint
     FROM @.store o LEFT JOIN @.tenants t ON t.name = $1 LEFT JOIN @.sessions s ON s.tid = t.tid GROUP BY o.search, t.tid";
const AROUND: &str = "SELECT c.n, a.side, a.stamp, a.length, a.passes
     FROM unnest($2::bigint[], $3::uuid[]) WITH ORDINALITY c (sid, stamp, n), LATERAL (
         (SELECT -1 AS side, m.stamp, coalesce(cardinality(m.terms), 0)::bigint AS length, $passes AS passes FROM @.messages m
           WHERE m.tid = $1 AND m.sid = c.sid AND m.stamp < c.stamp AND m.variant = 0 ORDER BY m.stamp DESC LIMIT $4)
         UNION ALL
         (SELECT 1, m.stamp, coalesce(cardinality(m.terms), 0)::bigint, $passes FROM @.messages m
           WHERE m.tid = $1 AND m.sid = c.sid AND m.stamp > c.stamp AND m.variant = 0 ORDER BY m.stamp LIMIT $4)
     ) a";
const MESSAGES: &str = concat!(
    "SELECT s.id, ",
    body::columns!("m"),
    " FROM unnest($2::bigint[], $3::uuid[]) WITH ORDINALITY c (sid, stamp, n)
      JOIN @.messages m ON m.tid = $1 AND m.sid = c.sid AND m.stamp = c.stamp AND m.variant = 0
      JOIN @.sessions s ON s.tid = $1 AND s.sid = c.sid ORDER BY c.n"
);

/// A page of messages that have a phrase of the query, or whose neighbours do, the best first.
#[derive(Debug)]
pub(crate) struct Find {
    pub(crate) tenant: Tenant,
    pub(crate) query: SearchQuery,
}

/// Which message: its session, and its id.
type Key = (i64, Stamp);

/// A message that has a phrase.
struct Found {
    key: Key,
    length: f64,
    counts: Vec<f64>,
    /// Whether it is what is asked for besides its words.
    passes: bool,
}

/// A message beside one that was found.
#[derive(Clone, Copy)]
struct Beside {
    stamp: Stamp,
    length: f64,
    passes: bool,
}

#[async_trait]
impl Reading for Find {
    type Answer = Page<Hit>;

    async fn read(&self, store: &Store, conn: &Conn) -> Sql<(Page<Hit>, Option<u64>)> {
        match self.in_snapshot(store, conn).await {
            Ok(page) => {
                conn.command("COMMIT").await?;
                Ok((page, None))
            }
            Err(fault @ Fault::Lost(_)) => Err(fault),
            Err(fault) => {
                conn.command("ROLLBACK").await?;
                Err(fault)
            }
        }
    }
}

impl Find {
    async fn in_snapshot(&self, store: &Store, conn: &Conn) -> Sql<Page<Hit>> {
        let binding = Binding::search(&self.tenant, &self.query);
        let offset = match &self.query.cursor {
            Some(cursor) => cursor.position(&binding)?.parse::<usize>().map_err(|_| foreign())?,
            None => 0,
        };
        let mut steps = conn.begin(For::Tenant(&self.tenant), SNAPSHOT);
        // How common words are decides how best to look for them.
        steps.push(Step::Command("SET LOCAL plan_cache_mode = force_custom_plan"));
        steps.push(Step::query(store.sql.with_schema(STATISTICS), [Value::Text(self.tenant.as_str())]));
        let answers = conn.all(&steps).await?;
        let statistics = answers.last().and_then(|rows| rows.first());
        let statistics = statistics.ok_or_else(|| corrupted("the store does not say what it is"))?;
        let search: bool = statistics.try_get(0)?;
        store.now_searchable(search);
        if !search {
            return Err(switched_off().into());
        }
        let (wanted, size) = (Query::parse(&self.query.text), page_size(self.query.limit));
        let (Some(tid), false) = (statistics.try_get::<_, Option<i32>>(1)?, wanted.phrases().is_empty()) else {
            return Ok(Page::default());
        };
        let found = self.found(store, conn, tid, &wanted).await?;
        let having = |phrase: usize| {
            found.iter().filter(|one| one.counts.get(phrase).is_some_and(|count| *count > 0.0)).count() as u64
        };
        let having: Vec<u64> = (0..wanted.phrases().len()).map(having).collect();
        let count = |column| -> Sql<u64> { Ok(u64::try_from(statistics.try_get::<_, i64>(column)?).unwrap_or(0)) };
        let ranker = Ranker::new(count(2)?, count(3)?, &having);
        let ranked = self.ranked(store, conn, tid, &wanted, &ranker, found).await?;
        let more = ranked.len() > offset.saturating_add(size);
        let shown: Vec<(Key, f64)> = ranked.into_iter().skip(offset).take(size).collect();
        let items = self.hits(store, conn, tid, &wanted, &shown).await?;
        let next = (more && size > 0).then(|| Cursor::new(&binding, offset + size));
        Ok(Page { items, next })
    }

    /// Every message of the tenant that has a phrase, how often, and whether it is asked for.
    async fn found(&self, store: &Store, conn: &Conn, tid: i32, wanted: &Query) -> Sql<Vec<Found>> {
        let phrases: Vec<Vec<String>> =
            wanted.phrases().iter().map(|phrase| phrase.iter().map(|term| token(tid, term)).collect()).collect();
        let (filter, lists) = self.filter()?;
        let first = lists.len() + 5;
        let (mut counts, mut conditions) = (Vec::new(), Vec::new());
        for (at, phrase) in (first..).zip(&phrases) {
            conditions.push(format!("m.terms @> ${at}"));
            counts.push(match phrase.len() {
                1 => format!("cardinality(array_positions(m.terms, (${at}::text[])[1]))"),
                terms => format!(
                    "(SELECT count(*)::int FROM unnest(array_positions(m.terms, (${at}::text[])[1])) p
                       WHERE m.terms[p:p + {}] = ${at}::text[])",
                    terms - 1
                ),
            });
        }
        let sql = format!(
            "SELECT m.sid, m.stamp, cardinality(m.terms)::bigint, ARRAY[{}]::int[], {filter}
               FROM @.messages m JOIN @.sessions s ON s.tid = m.tid AND s.sid = m.sid
              WHERE m.tid = $1 AND m.variant = 0 AND ({})",
            counts.join(", "),
            conditions.join(" OR ")
        );
        let mut values = self.values(tid, &lists);
        values.extend(phrases.iter().map(|phrase| Value::Texts(phrase)));
        let rows = conn.query(&store.sql.with_schema(&sql), &values).await?;
        let read = |row: &tokio_postgres::Row| -> Sql<Found> {
            let counts: Vec<i32> = row.try_get(3)?;
            Ok(Found {
                key: (row.try_get(0)?, stamp(row, 1)?),
                length: row.try_get::<_, i64>(2)? as f64,
                counts: counts.into_iter().map(f64::from).collect(),
                passes: row.try_get(4)?,
            })
        };
        // Of a phrase of several terms, the terms may be there and the phrase not.
        let has = |found: &Sql<Found>| found.as_ref().map_or(true, |one| one.counts.iter().any(|count| *count > 0.0));
        rows.iter().map(read).filter(has).collect()
    }

    /// What is asked of a message besides its words, as a condition, and the lists that are further parameters of it.
    fn filter(&self) -> Sql<(String, Vec<Vec<String>>)> {
        // The first parameter is the number of the tenant.
        let mut condition = String::from("m.stamp > $2 AND m.stamp < $3 AND ($4 = '' OR s.id = $4)");
        let mut lists = Vec::new();
        if !self.query.roles.is_empty() {
            lists.push(self.query.roles.iter().map(|role| role.as_str().to_owned()).collect());
            condition.push_str(" AND m.role = ANY ($5::text[])");
        }
        if let Some((principals, roles)) = names(&self.query.scope)? {
            let at = lists.len() + 5;
            lists.extend([principals, roles]);
            condition.push_str(&visible(at, at + 1));
        }
        Ok((condition, lists))
    }

    fn values<'a>(&'a self, tid: i32, lists: &'a [Vec<String>]) -> Vec<Value<'a>> {
        let mut values = vec![
            Value::Int4(tid),
            Value::Uuid(self.query.after.map_or(Uuid::nil(), Stamp::as_uuid)),
            Value::Uuid(self.query.before.map_or(Uuid::max(), Stamp::as_uuid)),
            Value::Text(self.query.session.as_ref().map_or("", SessionId::as_str)),
        ];
        values.extend(lists.iter().map(|list| Value::Texts(list)));
        values
    }

    /// The whole answer, the best first.
    async fn ranked(
        &self,
        store: &Store,
        conn: &Conn,
        tid: i32,
        wanted: &Query,
        ranker: &Ranker,
        found: Vec<Found>,
    ) -> Sql<Vec<(Key, f64)>> {
        let mut alone: Vec<(Key, f64)> =
            found.iter().filter(|one| one.passes).map(|one| (one.key, ranker.alone(&one.counts, one.length))).collect();
        alone.sort_unstable_by(order);
        let rest = alone.split_off(alone.len().min(BEST));
        let keys: Vec<Key> = alone.iter().map(|(key, _)| *key).collect();
        let around = self.around(store, conn, tid, &keys).await?;
        let found: HashMap<Key, Found> = found.into_iter().map(|one| (one.key, one)).collect();
        let none = vec![0.0; wanted.phrases().len()];
        let mut best: HashMap<Key, f64> = HashMap::new();
        let mut beside: HashMap<Key, f64> = HashMap::new();
        for ((sid, id), (before, after)) in keys.iter().zip(&around) {
            let sid = *sid;
            let own = found.get(&(sid, *id)).map_or(0.0, |one| one.length);
            // The message so many steps away from this one.
            let at = |steps: isize| match steps {
                0 => Some(Beside { stamp: *id, length: own, passes: true }),
                steps => if steps < 0 { before } else { after }.get(steps.unsigned_abs() - 1).copied(),
            };
            let score = |middle: isize| {
                ranker.together(|steps| {
                    let near = at(middle + steps)?;
                    let counts = found.get(&(sid, near.stamp)).map_or(&none, |one| &one.counts);
                    Some((counts, near.length))
                })
            };
            best.insert((sid, *id), score(0));
            if wanted.is_lookup() {
                continue;
            }
            let reach = NEIGHBOURS.len() as isize;
            for steps in (-reach..=reach).filter(|steps| *steps != 0) {
                if let Some(near) = at(steps).filter(|near| near.passes) {
                    beside.entry((sid, near.stamp)).or_insert_with(|| score(steps));
                }
            }
        }
        for (key, score) in beside {
            best.entry(key).or_insert(score);
        }
        let mut ranked: Vec<(Key, f64)> = best.iter().map(|(key, score)| (*key, *score)).collect();
        ranked.sort_unstable_by(order);
        // Nobody reads further to find something, but to see everything.
        let least = ranked.last().map_or(f64::MAX, |(_, score)| *score);
        ranked.extend(
            rest.into_iter().filter(|(key, _)| !best.contains_key(key)).map(|(key, score)| (key, score.min(least))),
        );
        Ok(ranked)
    }

    /// The live neighbours of messages, before and after each, the nearest first.
    async fn around(&self, store: &Store, conn: &Conn, tid: i32, keys: &[Key]) -> Sql<Vec<(Vec<Beside>, Vec<Beside>)>> {
        let mut around = vec![(Vec::new(), Vec::new()); keys.len()];
        // Its session is that of a message which passed, so only what is asked of the message itself is left.
        let mut passes = String::from("(m.stamp > $5 AND m.stamp < $6");
        let roles: Vec<String> = self.query.roles.iter().map(|role| role.as_str().to_owned()).collect();
        if !roles.is_empty() {
            passes.push_str(" AND m.role = ANY ($7::text[])");
        }
        passes.push(')');
        let (sids, stamps) = columns(keys);
        let mut values = vec![
            Value::Int4(tid),
            Value::Int8s(&sids),
            Value::Uuids(&stamps),
            Value::Int8(REACH as i64),
            Value::Uuid(self.query.after.map_or(Uuid::nil(), Stamp::as_uuid)),
            Value::Uuid(self.query.before.map_or(Uuid::max(), Stamp::as_uuid)),
        ];
        if !roles.is_empty() {
            values.push(Value::Texts(&roles));
        }
        let sql = store.sql.with_schema(&AROUND.replace("$passes", &passes));
        for row in conn.query(&sql, &values).await? {
            let (n, side): (i64, i32) = (row.try_get(0)?, row.try_get(1)?);
            let near =
                Beside { stamp: stamp(&row, 2)?, length: row.try_get::<_, i64>(3)? as f64, passes: row.try_get(4)? };
            let at = usize::try_from(n).ok().and_then(|n| around.get_mut(n.checked_sub(1)?));
            let Some((before, after)) = at else { continue };
            if side < 0 { before.push(near) } else { after.push(near) }
        }
        for (before, after) in &mut around {
            before.sort_unstable_by_key(|near| std::cmp::Reverse(near.stamp));
            after.sort_unstable_by_key(|near| near.stamp);
        }
        Ok(around)
    }

    async fn hits(&self, store: &Store, conn: &Conn, tid: i32, wanted: &Query, shown: &[(Key, f64)]) -> Sql<Vec<Hit>> {
        let keys: Vec<Key> = shown.iter().map(|(key, _)| *key).collect();
        let (sids, stamps) = columns(&keys);
        let values = [Value::Int4(tid), Value::Int8s(&sids), Value::Uuids(&stamps)];
        let rows = conn.query(&store.sql.with_schema(MESSAGES), &values).await?;
        let hit = |(row, (_, score)): (&tokio_postgres::Row, &(Key, f64))| -> Sql<Hit> {
            let session = SessionId::new(row.try_get::<_, &str>(0)?);
            let session = session.map_err(|_| corrupted("a stored name of a session is not one"))?;
            Ok(search::hit(session, body::read(row, 1)?, *score, wanted))
        };
        rows.iter().zip(shown).map(hit).collect()
    }
}

fn columns(keys: &[Key]) -> (Vec<i64>, Vec<Uuid>) {
    keys.iter().map(|(sid, stamp)| (*sid, stamp.as_uuid())).unzip()
}

/// The best first; of equals, the one that was said last.
fn order(one: &(Key, f64), other: &(Key, f64)) -> Ordering {
    let (((one_sid, one_stamp), one), ((other_sid, other_stamp), other)) = (one, other);
    other.total_cmp(one).then(other_stamp.cmp(one_stamp)).then(one_sid.cmp(other_sid))
}

/// The error of a search in a store that keeps no index.
pub(crate) fn switched_off() -> Error {
    Error::unsupported("search", "the postgres backend while it is switched off for this store")
}

fn foreign() -> Error {
    Error::invalid("cursor", "is no cursor of this store")
}
