//! What a write changes in the tables, as a few statements that are sent at once.

use std::collections::{BTreeMap, BTreeSet};

use craftx_core::union::Plan;
use craftx_core::{Error, Identity, Message, Record, Result, Stamp, Uuid};

use crate::body::{self, Batch};
use crate::conn::Step;
use crate::row::{AclRow, Cleared, SessionRow};
use crate::store::Store;
use crate::value::Value;

/// What leaves the messages is counted out of the row of the session in the same statement.
macro_rules! gone {
    ($condition:literal) => {
        concat!(
            "WITH gone AS (DELETE FROM @.messages m ",
            $condition,
            " RETURNING m.variant, m.terms)
             UPDATE @.sessions s SET messages = s.messages - n.messages, indexed = s.indexed - n.indexed, terms = s.terms - n.terms
               FROM (SELECT count(*) FILTER (WHERE variant = 0) AS messages,
                            count(*) FILTER (WHERE cardinality(terms) > 0) AS indexed,
                            coalesce(sum(cardinality(terms)), 0) AS terms FROM gone) n
              WHERE s.tid = $1 AND s.sid = $2"
        )
    };
}

const CLEAR: &str = "UPDATE @.sessions SET cleared_through = $3, cleared_seq = $5, cleared_stamp = greatest($4,
         (SELECT stamp FROM @.deletions WHERE tid = $1 AND sid = $2 AND id <= $3 ORDER BY stamp DESC LIMIT 1))
     WHERE tid = $1 AND sid = $2";
const CLEARED: [&str; 3] = [
    "DELETE FROM @.deletions WHERE tid = $1 AND sid = $2 AND id <= $3",
    "DELETE FROM @.session_keys WHERE tid = $1 AND sid = $2 AND stamp <= $3",
    gone!("WHERE m.tid = $1 AND m.sid = $2 AND m.stamp <= $3"),
];
/// As where a write looks what is there, each message is looked up by itself, and not the session read.
const DELETE: &str = gone!(
    "WHERE m.ctid = ANY (ARRAY (SELECT r.ctid FROM unnest($3::uuid[]) u (stamp), LATERAL (
         SELECT ctid FROM @.messages WHERE tid = $1 AND sid = $2 AND stamp = u.stamp OFFSET 0) r))"
);
const REMEMBER: &str = "INSERT INTO @.deletions (tid, sid, id, stamp, seq)
     SELECT $1, $2, u.id, u.stamp, u.seq FROM unnest($3::uuid[], $4::uuid[], $5::bigint[]) u (id, stamp, seq)
     ON CONFLICT (tid, sid, id) DO UPDATE SET stamp = excluded.stamp, seq = excluded.seq";
const REPLACE: &str = gone!(
    "WHERE m.ctid = ANY (ARRAY (SELECT r.ctid FROM unnest($3::uuid[], $4::smallint[]) u (stamp, variant), LATERAL (
         SELECT ctid FROM @.messages WHERE tid = $1 AND sid = $2 AND stamp = u.stamp AND variant = u.variant OFFSET 0) r))"
);
const INSERT: &str = "INSERT INTO @.messages (tid, sid, stamp, variant, seq, role, text, rest, terms)
     SELECT $1, $2, u.stamp, u.variant, u.seq, u.role, u.text, u.rest, string_to_array(u.terms, ' ')
       FROM unnest($3::uuid[], $4::smallint[], $5::bigint[], $6::text[], $7::bytea[], $8::bytea[], $9::text[])
            u (stamp, variant, seq, role, text, rest, terms)";
const KEYS: &str = "INSERT INTO @.session_keys (tid, sid, key, stamp, value, seq)
     SELECT $1, $2, u.key, u.stamp, u.value, u.seq
       FROM unnest($3::bytea[], $4::uuid[], $5::bytea[], $6::bigint[]) u (key, stamp, value, seq)
     ON CONFLICT (tid, sid, key) DO UPDATE SET stamp = excluded.stamp, value = excluded.value, seq = excluded.seq";
const FORGET_ACLS: &str = "DELETE FROM @.acls WHERE tid = $1 AND sid = $2 AND seq = ANY ($3)";
const ACLS: &str = "INSERT INTO @.acls (tid, sid, seq, body)
     SELECT $1, $2, u.seq, u.body FROM unnest($3::bigint[], $4::bytea[]) u (seq, body)";
const HIDE: &str = "DELETE FROM @.visible_to v USING unnest($3::text[], $4::boolean[]) u (name, owner)
     WHERE v.tid = $1 AND v.sid = $2 AND v.name = u.name AND v.owner = u.owner";
const SHOW: &str = "INSERT INTO @.visible_to (tid, name, owner, sid)
     SELECT $1, u.name, u.owner, $2 FROM unnest($3::text[], $4::boolean[]) u (name, owner) ON CONFLICT DO NOTHING";
/// Brings the row of the session in step with everything else. Whether there is a message is asked for in order, because
/// the server looks for any message of a long session by reading all messages of all sessions from the first one on.
const FINISH: &str =
    "UPDATE @.sessions s SET version = greatest(s.version, $3), reach = greatest(s.reach, $4), seq = $5,
         recency = nextval('@.arrivals'), updated = $6,
         messages = s.messages + $7, indexed = s.indexed + $8, terms = s.terms + $9,
         head = (SELECT stamp FROM @.messages m WHERE m.tid = $1 AND m.sid = $2 ORDER BY stamp DESC LIMIT 1),
         contested = EXISTS (SELECT 1 FROM @.messages m WHERE m.tid = $1 AND m.sid = $2 AND variant > 0),
         live = (SELECT stamp FROM @.messages m WHERE m.tid = $1 AND m.sid = $2 ORDER BY stamp DESC LIMIT 1) IS NOT NULL
             OR EXISTS (SELECT 1 FROM @.acls a WHERE a.tid = $1 AND a.sid = $2)
             OR EXISTS (SELECT 1 FROM @.session_keys k WHERE k.tid = $1 AND k.sid = $2 AND value IS NOT NULL)
     WHERE s.tid = $1 AND s.sid = $2 RETURNING s.version, s.cleared_through";

/// What was stored already of what a batch can meet.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// The variants of each message, in order.
    pub(crate) variants: BTreeMap<Stamp, Vec<Identity>>,
    /// The records of ownership, with their numbers.
    pub(crate) acls: Vec<(i64, AclRow)>,
}

/// The changes of one write to one session.
#[derive(Debug)]
pub(crate) struct Changeset {
    tid: i32,
    sid: i64,
    seq: i64,
    version: Stamp,
    reach: Stamp,
    /// The clear, if it has changed.
    cleared: Option<Cleared>,
    /// Messages that are deleted.
    dead: Vec<Uuid>,
    deleted: Deleted,
    replaced: (Vec<Uuid>, Vec<i16>),
    inserted: Inserted,
    keys: Keys,
    acls: Option<Acls>,
    /// Microseconds since 1970.
    now: i64,
}

/// Messages that are added.
#[derive(Debug, Default)]
struct Inserted {
    batch: Batch,
    variants: Vec<i16>,
    seqs: Vec<i64>,
    /// How many of them are not further variants of others.
    fresh: i64,
}

type Deleted = (Vec<Uuid>, Vec<Uuid>, Vec<i64>);
type Keys = (Vec<Vec<u8>>, Vec<Uuid>, Vec<Option<Vec<u8>>>, Vec<i64>);

/// The records of ownership, and by whom the session is seen in consequence.
#[derive(Debug, Default)]
struct Acls {
    forget: Vec<i64>,
    add: (Vec<i64>, Vec<Vec<u8>>),
    hide: (Vec<String>, Vec<bool>),
    show: (Vec<String>, Vec<bool>),
}

impl Inserted {
    fn push(&mut self, message: &Message, variant: i16, seq: i64, index: Option<i32>) {
        let terms = index.filter(|_| variant == 0).map(|tid| body::terms(tid, message));
        self.batch.push(message, terms);
        self.variants.push(variant);
        self.seqs.push(seq);
        self.fresh += i64::from(variant == 0);
    }
}

impl Changeset {
    /// The changes that a plan comes to. With `index`, the terms of messages are kept under that number.
    pub(crate) fn new(
        tid: i32,
        row: &SessionRow,
        plan: &Plan,
        stored: Stored,
        index: Option<i32>,
        now: i64,
    ) -> Result<Self> {
        let mut changes = Self {
            tid,
            sid: row.sid,
            seq: row.seq,
            version: row.version,
            reach: row.reach,
            cleared: None,
            dead: Vec::new(),
            deleted: Deleted::default(),
            replaced: Default::default(),
            inserted: Inserted::default(),
            keys: Keys::default(),
            acls: None,
            now,
        };
        let mut clear = row.cleared;
        let mut deletions: Vec<(Stamp, Stamp, i64)> = Vec::new();
        let mut variants = stored.variants;
        let mut acls: Vec<(i64, AclRow)> = Vec::new();
        let mut messages: BTreeMap<(Stamp, i16), (i64, &Message)> = BTreeMap::new();
        for planned in &plan.store {
            changes.seq += 1;
            let seq = changes.seq;
            changes.version = changes.version.max(planned.record.stamp());
            match &planned.record {
                Record::Message(message) => {
                    changes.reach = changes.reach.max(message.id);
                    let known = variants.entry(message.id).or_default();
                    let at = known.iter().position(|known| known.is_renewed_by(&planned.identity()));
                    let variant = at.unwrap_or(known.len());
                    match known.get_mut(variant) {
                        Some(known) => *known = planned.identity(),
                        None => known.push(planned.identity()),
                    }
                    let variant = i16::try_from(variant).map_err(|_| too_many())?;
                    // Renewed in the same batch, it was never stored.
                    let before = messages.insert((message.id, variant), (seq, message));
                    if at.is_some() && before.is_none() {
                        changes.replaced.0.push(message.id.as_uuid());
                        changes.replaced.1.push(variant);
                    }
                }
                Record::Session { stamp, set } => {
                    for (key, value) in set {
                        changes.set_key(seq, *stamp, key, value.as_ref().map(serde_json::Value::to_string));
                    }
                }
                Record::Acl { .. } => acls.push((seq, AclRow::of(planned.record.clone())?)),
                Record::Deleted { id, stamp } => {
                    changes.reach = changes.reach.max(*id);
                    changes.dead.push(id.as_uuid());
                    deletions.push((*id, *stamp, seq));
                }
                Record::Cleared { through, stamp } => {
                    changes.reach = changes.reach.max(*through);
                    let before = clear.unwrap_or(Cleared { through: *through, stamp: *stamp, seq });
                    let (through, stamp) = (before.through.max(*through), before.stamp.max(*stamp));
                    clear = Some(Cleared { through, stamp, seq });
                    changes.cleared = clear;
                }
                // `Record` is non-exhaustive for other crates; this release of the core has no other kind.
                _ => return Err(Error::unsupported("this kind of record", "the postgres backend")),
            }
        }
        for ((_, variant), (seq, message)) in messages {
            changes.inserted.push(message, variant, seq, index);
        }
        changes.absorb(clear, deletions);
        changes.own(stored.acls, acls);
        Ok(changes)
    }

    fn set_key(&mut self, seq: i64, stamp: Stamp, key: &str, value: Option<String>) {
        // One statement cannot set the same key twice; the last one wins, as the plan has it.
        if let Some(at) = self.keys.0.iter().position(|known| known == key.as_bytes()) {
            self.keys.0.remove(at);
            self.keys.1.remove(at);
            self.keys.2.remove(at);
            self.keys.3.remove(at);
        }
        self.keys.0.push(key.as_bytes().to_vec());
        self.keys.1.push(stamp.as_uuid());
        self.keys.2.push(value.map(String::into_bytes));
        self.keys.3.push(seq);
    }

    /// A deletion that a clear covers is part of the clear; the others are remembered, each message once.
    fn absorb(&mut self, mut clear: Option<Cleared>, deletions: Vec<(Stamp, Stamp, i64)>) {
        let mut remembered: BTreeMap<Stamp, (Stamp, i64)> = BTreeMap::new();
        for (id, stamp, seq) in deletions {
            match &mut clear {
                Some(clear) if id <= clear.through => {
                    *clear = Cleared { stamp: clear.stamp.max(stamp), seq: clear.seq.max(seq), ..*clear };
                    self.cleared = Some(*clear);
                }
                _ => {
                    let known = remembered.entry(id).or_insert((stamp, seq));
                    *known = (known.0.max(stamp), seq);
                }
            }
        }
        for (id, (stamp, seq)) in remembered {
            self.deleted.0.push(id.as_uuid());
            self.deleted.1.push(stamp.as_uuid());
            self.deleted.2.push(seq);
        }
    }

    /// Keeps the first and the last record of ownership only.
    fn own(&mut self, stored: Vec<(i64, AclRow)>, new: Vec<(i64, AclRow)>) {
        if new.is_empty() {
            return;
        }
        let mut before: Vec<&(i64, AclRow)> = stored.iter().collect();
        before.sort_by_key(|(_, acl)| acl.rank());
        let mut after: Vec<&(i64, AclRow)> = stored.iter().chain(&new).collect();
        after.sort_by_key(|(_, acl)| acl.rank());
        let keeps: BTreeSet<i64> = after.first().into_iter().chain(after.last()).map(|(seq, _)| *seq).collect();
        let mut acls = Acls { hide: seen_by(&before), show: seen_by(&after), ..Acls::default() };
        acls.forget = stored.iter().map(|(seq, _)| *seq).filter(|seq| !keeps.contains(seq)).collect();
        for (seq, acl) in new.iter().filter(|(seq, _)| keeps.contains(seq)) {
            acls.add.0.push(*seq);
            acls.add.1.push(acl.record.encode().into_string().into_bytes());
        }
        self.acls = Some(acls);
    }

    /// All of it, in the order in which it has to be done. The last one answers version and clear of the session.
    pub(crate) fn steps<'a>(&'a self, store: &'a Store) -> Vec<Step<'a>> {
        let mut steps = Steps { place: [Value::Int4(self.tid), Value::Int8(self.sid)], store, steps: Vec::new() };
        if let Some(Cleared { through, stamp, seq }) = self.cleared {
            let through = Value::Uuid(through.as_uuid());
            steps.push(CLEAR, &[through, Value::Uuid(stamp.as_uuid()), Value::Int8(seq)]);
            CLEARED.iter().for_each(|sql| steps.push(sql, &[through]));
        }
        if !self.dead.is_empty() {
            steps.push(DELETE, &[Value::Uuids(&self.dead)]);
        }
        let (ids, stamps, seqs) = &self.deleted;
        if !ids.is_empty() {
            steps.push(REMEMBER, &[Value::Uuids(ids), Value::Uuids(stamps), Value::Int8s(seqs)]);
        }
        let (stamps, variants) = &self.replaced;
        if !stamps.is_empty() {
            steps.push(REPLACE, &[Value::Uuids(stamps), Value::Int2s(variants)]);
        }
        let Inserted { batch, seqs, variants, .. } = &self.inserted;
        if !seqs.is_empty() {
            let values = [
                Value::Uuids(&batch.stamps),
                Value::Int2s(variants),
                Value::Int8s(seqs),
                Value::Texts(&batch.roles),
                Value::MaybeBytes(&batch.texts),
                Value::MaybeBytes(&batch.rests),
                Value::MaybeTexts(&batch.terms),
            ];
            steps.push(INSERT, &values);
        }
        let (keys, stamps, values, seqs) = &self.keys;
        if !keys.is_empty() {
            steps
                .push(KEYS, &[Value::Bytes(keys), Value::Uuids(stamps), Value::MaybeBytes(values), Value::Int8s(seqs)]);
        }
        if let Some(Acls { forget, add, hide, show }) = &self.acls {
            steps.push(FORGET_ACLS, &[Value::Int8s(forget)]);
            steps.push(ACLS, &[Value::Int8s(&add.0), Value::Bytes(&add.1)]);
            steps.push(HIDE, &[Value::Texts(&hide.0), Value::Bools(&hide.1)]);
            steps.push(SHOW, &[Value::Texts(&show.0), Value::Bools(&show.1)]);
        }
        let values = [
            Value::Uuid(self.version.as_uuid()),
            Value::Uuid(self.reach.as_uuid()),
            Value::Int8(self.seq),
            Value::Int8(self.now),
            Value::Int8(self.inserted.fresh),
            Value::Int8(batch.indexed),
            Value::Int8(batch.term_count),
        ];
        steps.push(FINISH, &values);
        steps.steps
    }
}

/// Statements on one session.
struct Steps<'a> {
    /// The parameters with which all of them begin.
    place: [Value<'a>; 2],
    store: &'a Store,
    steps: Vec<Step<'a>>,
}

impl<'a> Steps<'a> {
    fn push(&mut self, sql: &str, values: &[Value<'a>]) {
        self.steps.push(Step::query(self.store.sql.with_schema(sql), [&self.place, values].concat()));
    }
}

/// By whom a session with these records of ownership is seen: names, and whether as its owner.
fn seen_by(acls: &[&(i64, AclRow)]) -> (Vec<String>, Vec<bool>) {
    let (Some((_, first)), Some((_, last))) = (acls.first(), acls.last()) else { return Default::default() };
    let owner = first.owner.iter().map(|owner| (owner.clone(), true));
    let granted = last.grants.iter().filter(|grant| !grant.actions.is_empty()).map(|grant| (grant.to.clone(), false));
    owner.chain(granted).unzip()
}

fn too_many() -> Error {
    Error::invalid("records", "a message has more than 32,767 variants")
}
