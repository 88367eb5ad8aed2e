//! Searching: looks the phrases up in the index, ranks what has them, and shows a page of it.
//!
//! All messages that have a phrase are ranked roughly by themselves; the best of them are then ranked exactly, together
//! with their neighbours in the session. What a neighbour adds is computed here and not stored, so that appending,
//! deleting and late records change one row of the index only.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use craftx_core::search::{self, NEIGHBOURS, Query, Ranker};
use craftx_core::{Binding, Cursor, Error, Hit, Page, SearchQuery, SessionId, Stamp, Tenant, page_size};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use crate::body::{self, Body};
use crate::error::{Sql, corrupted};
use crate::index::{is_on, token};
use crate::list;
use crate::row::{Bytes, SessionRow};

/// How many messages are ranked by their length too.
const NEAR: usize = 256;
/// How many of these are ranked together with their neighbours.
const BEST: usize = 128;
/// How far the neighbours reach whose neighbours count.
const REACH: usize = 2 * NEIGHBOURS.len();

/// A page of messages that have a phrase of the query, or whose neighbours do, the best first.
pub(crate) fn messages(conn: &Connection, tenant: &Tenant, query: &SearchQuery) -> Sql<Page<Hit>> {
    let binding = Binding::search(tenant, query);
    let offset = match &query.cursor {
        Some(cursor) => cursor.position(&binding)?.parse::<usize>().map_err(|_| foreign())?,
        None => 0,
    };
    if !is_on(conn)? {
        return Err(switched_off().into());
    }
    let wanted = Query::parse(&query.text);
    let size = page_size(query.limit);
    let Some(mut finder) = Finder::new(conn, tenant, query, &wanted)? else { return Ok(Page::default()) };
    let mut found = finder.ranked(offset.saturating_add(size).saturating_add(1))?;
    let more = found.len() > offset.saturating_add(size);
    found.truncate(offset.saturating_add(size));
    let mut page = Page::default();
    for (seq, score) in found.into_iter().skip(offset) {
        page.items.push(hit(conn, seq, score, &wanted)?);
    }
    page.next = (more && size > 0).then(|| Cursor::new(&binding, offset + size));
    Ok(page)
}

/// The error of a search in a store that keeps no index.
pub(crate) fn switched_off() -> Error {
    Error::unsupported("search", "the sqlite backend while it is switched off for this store")
}

fn foreign() -> Error {
    Error::invalid("cursor", "is no cursor of this store")
}

fn hit(conn: &Connection, seq: i64, score: f64, query: &Query) -> Sql<Hit> {
    const MESSAGE: &str =
        concat!("SELECT id, ", body::columns!(), " FROM messages JOIN sessions USING (sid) WHERE messages.seq = ?1");
    let (session, body) =
        conn.prepare_cached(MESSAGE)?.query_row([seq], |row| Ok((row.get::<_, String>(0)?, Body::read(row, 1)?)))?;
    let session = SessionId::new(session).map_err(|_| corrupted("a stored name of a session is not one"))?;
    Ok(search::hit(session, body.message()?, score, query))
}

/// Which messages have a phrase, in order of arrival, and how often.
type Postings = Vec<(i64, u32)>;

/// A message that may be found.
#[derive(Clone, Copy)]
struct Candidate {
    seq: i64,
    score: f64,
}

impl Candidate {
    /// The best first; of equals, the one that arrived last.
    fn order(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(other.seq.cmp(&self.seq))
    }
}

/// Where a message stands.
struct Place {
    sid: i64,
    stamp: Stamp,
    /// How many terms it has.
    length: f64,
}

struct Finder<'c> {
    conn: &'c Connection,
    filter: Filter<'c>,
    phrases: Vec<Postings>,
    lookup: bool,
    ranker: Ranker,
    /// How many terms the messages have that were looked at.
    lengths: HashMap<i64, f64>,
}

impl<'c> Finder<'c> {
    /// `None` if nothing can be found.
    fn new(conn: &'c Connection, tenant: &Tenant, query: &'c SearchQuery, wanted: &Query) -> Sql<Option<Self>> {
        const STATISTICS: &str = "SELECT tid, indexed, terms FROM tenants WHERE name = ?1";
        let statistics = conn
            .prepare_cached(STATISTICS)?
            .query_row([tenant.as_str()], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
            })
            .optional()?;
        let Some((tid, messages, terms)) = statistics else { return Ok(None) };
        let session = match &query.session {
            None => None,
            Some(session) => match SessionRow::find(conn, tenant, session)? {
                None => return Ok(None),
                Some(row) => Some(row.sid),
            },
        };
        let mut phrases = Vec::new();
        for phrase in wanted.phrases() {
            phrases.push(postings(conn, tid, phrase)?);
        }
        let found: Vec<u64> = phrases.iter().map(|postings| postings.len() as u64).collect();
        let ranker = Ranker::new(u64::try_from(messages).unwrap_or(0), u64::try_from(terms).unwrap_or(0), &found);
        if let Some(sid) = session {
            let all = arrivals(conn, sid)?;
            phrases.iter_mut().for_each(|postings| postings.retain(|(seq, _)| all.binary_search(seq).is_ok()));
        }
        let filter = Filter::new(conn, query);
        let lookup = wanted.is_lookup();
        Ok(Some(Self { conn, filter, phrases, lookup, ranker, lengths: HashMap::new() }))
    }

    /// The first `limit` messages of the answer.
    fn ranked(&mut self, limit: usize) -> Sql<Vec<(i64, f64)>> {
        let mut rough = self.rough();
        let near = self.near(&mut rough)?;
        let best = self.best(near)?;
        let mut found: Vec<(i64, f64)> = best.iter().map(|best| (best.seq, best.score)).collect();
        if found.len() < limit {
            // What is left follows in rough order. Nobody reads that far to find something, but to see everything.
            let known: HashSet<i64> = found.iter().map(|(seq, _)| *seq).collect();
            let least = found.last().map_or(f64::MAX, |(_, score)| *score);
            rough.sort_unstable_by(Candidate::order);
            for candidate in rough {
                if found.len() == limit {
                    break;
                }
                if !known.contains(&candidate.seq) && self.filter.place(candidate.seq)?.is_some() {
                    found.push((candidate.seq, candidate.score.min(least)));
                }
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Every message that has a phrase, scored without its length, in order of arrival.
    fn rough(&self) -> Vec<Candidate> {
        let mut lists: Vec<_> = self.phrases.iter().map(|postings| postings.iter().peekable()).collect();
        let mut counts = vec![0.0; lists.len()];
        let mut found = Vec::new();
        while let Some(seq) = lists.iter_mut().filter_map(|list| list.peek().map(|(seq, _)| *seq)).min() {
            for (list, count) in lists.iter_mut().zip(&mut counts) {
                *count = list.next_if(|(next, _)| *next == seq).map_or(0.0, |(_, count)| f64::from(*count));
            }
            found.push(Candidate { seq, score: self.ranker.roughly(&counts) });
        }
        found
    }

    /// The best that pass the filter, ranked by their length too.
    fn near(&mut self, rough: &mut [Candidate]) -> Sql<Vec<(Candidate, Place)>> {
        if rough.len() > NEAR {
            rough.select_nth_unstable_by(NEAR, Candidate::order);
        }
        let mut near = Vec::new();
        let mut sorted = false;
        for at in 0..rough.len() {
            if near.len() == NEAR {
                break;
            }
            if at == NEAR && !sorted {
                // The filter let some of the best not pass, so the order of the others matters.
                rough.get_mut(NEAR..).unwrap_or_default().sort_unstable_by(Candidate::order);
                sorted = true;
            }
            let Some(candidate) = rough.get(at) else { break };
            if let Some(place) = self.filter.place(candidate.seq)? {
                self.lengths.insert(candidate.seq, place.length);
                let score = self.ranker.alone(&self.counts(candidate.seq), place.length);
                near.push((Candidate { seq: candidate.seq, score }, place));
            }
        }
        near.sort_unstable_by(|(a, _), (b, _)| a.order(b));
        Ok(near)
    }

    /// The best of the near ones, ranked together with their neighbours; and these neighbours, unless the query is a
    /// look-up.
    fn best(&mut self, near: Vec<(Candidate, Place)>) -> Sql<Vec<Candidate>> {
        let mut best: HashMap<i64, f64> = HashMap::new();
        let mut beside: HashMap<i64, f64> = HashMap::new();
        for (candidate, place) in near.into_iter().take(BEST) {
            let around = self.around(candidate.seq, &place)?;
            best.insert(candidate.seq, self.together(&around, REACH));
            if self.lookup {
                continue;
            }
            for at in REACH - NEIGHBOURS.len()..=REACH + NEIGHBOURS.len() {
                let Some(Some(seq)) = around.get(at).copied() else { continue };
                if at != REACH && !beside.contains_key(&seq) {
                    beside.insert(seq, self.together(&around, at));
                }
            }
        }
        for (seq, score) in beside {
            if !best.contains_key(&seq) && (self.filter.is_of_sessions() || self.filter.place(seq)?.is_some()) {
                best.insert(seq, score);
            }
        }
        let mut best: Vec<_> = best.into_iter().map(|(seq, score)| Candidate { seq, score }).collect();
        best.sort_unstable_by(Candidate::order);
        Ok(best)
    }

    /// The message and its live neighbours on both sides, itself in the middle.
    fn around(&mut self, seq: i64, place: &Place) -> Sql<Vec<Option<i64>>> {
        const BEFORE: &str = "SELECT seq, sz FROM messages LEFT JOIN message_index_docsize ON id = seq
             WHERE sid = ?1 AND stamp < ?2 AND variant = 0 ORDER BY stamp DESC LIMIT ?3";
        const AFTER: &str = "SELECT seq, sz FROM messages LEFT JOIN message_index_docsize ON id = seq
             WHERE sid = ?1 AND stamp > ?2 AND variant = 0 ORDER BY stamp LIMIT ?3";
        let mut side = |sql| -> Sql<Vec<Option<i64>>> {
            let mut select = self.conn.prepare_cached(sql)?;
            let mut rows = select.query(params![place.sid, Bytes(place.stamp), REACH as i64])?;
            let mut side = Vec::with_capacity(REACH);
            while let Some(row) = rows.next()? {
                let seq = row.get(0)?;
                self.lengths.insert(seq, length(row, 1)?);
                side.push(Some(seq));
            }
            side.resize(REACH, None);
            Ok(side)
        };
        let mut around = side(BEFORE)?;
        around.reverse();
        around.push(Some(seq));
        around.extend(side(AFTER)?);
        Ok(around)
    }

    /// The score of the message at a place of [`Finder::around`] together with its neighbours.
    fn together(&self, around: &[Option<i64>], at: usize) -> f64 {
        self.ranker.together(|steps| {
            let seq = around.get(at.checked_add_signed(steps)?).copied().flatten()?;
            Some((self.counts(seq), self.lengths.get(&seq).copied().unwrap_or(0.0)))
        })
    }

    /// How often a message has each phrase.
    fn counts(&self, seq: i64) -> Vec<f64> {
        let count = |postings: &Postings| {
            let at = postings.binary_search_by_key(&seq, |(seq, _)| *seq).ok()?;
            postings.get(at).map(|(_, count)| f64::from(*count))
        };
        self.phrases.iter().map(|postings| count(postings).unwrap_or(0.0)).collect()
    }
}

/// What is asked of a message besides its words.
struct Filter<'c> {
    conn: &'c Connection,
    query: &'c SearchQuery,
    roles: Vec<Value>,
    /// Which sessions lie in the scope, as far as known.
    visible: HashMap<i64, bool>,
}

impl<'c> Filter<'c> {
    fn new(conn: &'c Connection, query: &'c SearchQuery) -> Self {
        Self { conn, query, roles: query.roles.iter().map(body::stored_role).collect(), visible: HashMap::new() }
    }

    /// Whether only sessions are asked for, so that all neighbours of what passes pass too.
    fn is_of_sessions(&self) -> bool {
        self.roles.is_empty() && self.query.after.is_none() && self.query.before.is_none()
    }

    /// Where a message stands, if it passes.
    fn place(&mut self, seq: i64) -> Sql<Option<Place>> {
        const PLACE: &str =
            "SELECT sid, stamp, role, sz FROM messages LEFT JOIN message_index_docsize ON id = seq WHERE seq = ?1";
        let mut select = self.conn.prepare_cached(PLACE)?;
        let (sid, stamp, role, length) = select.query_row([seq], |row| {
            let role = row.get_ref(2)?;
            let role = self.roles.is_empty() || self.roles.iter().any(|wanted| ValueRef::from(wanted) == role);
            Ok((row.get(0)?, row.get::<_, Bytes>(1)?.0, role, length(row, 3)?))
        })?;
        let in_time =
            self.query.after.is_none_or(|after| stamp > after) && self.query.before.is_none_or(|before| stamp < before);
        Ok((role && in_time && self.admits(sid)?).then_some(Place { sid, stamp, length }))
    }

    fn admits(&mut self, sid: i64) -> Sql<bool> {
        if let Some(known) = self.visible.get(&sid) {
            return Ok(*known);
        }
        let mut sql = String::from("SELECT EXISTS (SELECT 1 FROM sessions s WHERE s.sid = ?");
        let mut values = vec![Value::from(sid)];
        list::scope(&self.query.scope, &mut sql, &mut values)?;
        sql.push(')');
        let admits = self.conn.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| row.get(0))?;
        self.visible.insert(sid, admits);
        Ok(admits)
    }
}

/// The messages of a session, in order of arrival.
fn arrivals(conn: &Connection, sid: i64) -> Sql<Vec<i64>> {
    let mut select = conn.prepare_cached("SELECT seq FROM messages WHERE sid = ?1 ORDER BY seq")?;
    let rows = select.query_map([sid], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Which messages of a tenant have a phrase, and how often.
fn postings(conn: &Connection, tid: i64, phrase: &[String]) -> Sql<Postings> {
    let mut postings = Postings::new();
    if let [term] = phrase {
        let mut select = conn.prepare_cached("SELECT doc FROM message_terms WHERE term = ?1")?;
        let mut rows = select.query([token(tid, term)])?;
        while let Some(row) = rows.next()? {
            count(&mut postings, row.get(0)?);
        }
        return Ok(postings);
    }
    let mut runs: Option<Vec<(i64, i64)>> = None;
    for (term, at) in phrase.iter().zip(0..) {
        let places = places(conn, &token(tid, term))?;
        runs = Some(match runs {
            None => places,
            Some(mut runs) => {
                runs.retain(|(seq, first)| places.binary_search(&(*seq, first + at)).is_ok());
                runs
            }
        });
    }
    runs.unwrap_or_default().into_iter().for_each(|(seq, _)| count(&mut postings, seq));
    Ok(postings)
}

/// Counts one more place. FTS5 gives the places of a term in order of arrival.
fn count(postings: &mut Postings, seq: i64) {
    match postings.last_mut() {
        Some((last, count)) if *last == seq => *count += 1,
        _ => postings.push((seq, 1)),
    }
}

/// The messages that have a term and its numbers in them, in order.
fn places(conn: &Connection, token: &str) -> Sql<Vec<(i64, i64)>> {
    let mut select = conn.prepare_cached("SELECT doc, offset FROM message_terms WHERE term = ?1")?;
    let rows = select.query_map([token], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many terms a message has, from the column in which FTS5 keeps it; a message without terms has none.
fn length(row: &Row<'_>, column: usize) -> rusqlite::Result<f64> {
    Ok(row.get_ref(column)?.as_blob_or_null()?.map_or(0, varint) as f64)
}

/// SQLite's varint: seven bits a byte, the highest first; the highest bit says that more follow.
fn varint(bytes: &[u8]) -> u64 {
    let mut value = 0;
    for byte in bytes.iter().take(8) {
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}
