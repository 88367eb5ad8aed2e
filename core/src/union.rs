//! The union of records: what a session is.
//!
//! [`SessionSet`] is the canonical set of one session: no message or key that a deletion covers, no superseded key, no
//! deletion that a clear covers. It is a join semilattice: any split, permutation and repetition of the same records
//! gives the same set. Backends that keep a session in memory build on it; the others are tested against it.
//!
//! The version of a session, the greatest stamp of any of its records, is a function of the set: where a clear absorbs
//! a deletion or another clear, the clear's stamp becomes the greater of the two (ADR 0003).

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::OnceLock;
use std::time::SystemTime;

use serde_json::Value;

use crate::{
    Digest, Encoded, Error, ErrorKind, Expect, Grant, Message, MessageQuery, Metadata, Order, Record, Result, Session,
    SessionId, Source, Stamp, WriteOptions, Written, json, page_size,
};

/// The canonical set of one session. `B` is what is kept of a message: the message itself, or where it lies.
#[derive(Clone, Debug)]
pub struct SessionSet<B> {
    messages: BTreeMap<Stamp, Variants<B>>,
    deleted: BTreeMap<Stamp, Stamp>,
    cleared: Option<Cleared>,
    keys: BTreeMap<String, Key>,
    /// The smallest and the greatest; the same one if there is only one.
    acls: Option<(Acl, Acl)>,
    version: Option<Stamp>,
}

/// A message; several only if replays brought the same id with different contents.
#[derive(Clone, Debug)]
struct Variants<B> {
    digest: Digest,
    body: B,
    others: Vec<(Digest, B)>,
}

impl<B> Variants<B> {
    fn contains(&self, digest: &Digest) -> bool {
        self.digest == *digest || self.others.iter().any(|(other, _)| other == digest)
    }
}

#[derive(Clone, Copy, Debug)]
struct Cleared {
    through: Stamp,
    stamp: Stamp,
}

#[derive(Clone)]
struct Key {
    stamp: Stamp,
    value: Option<Value>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.stamp.fmt(f)
    }
}

impl Key {
    /// Greatest stamp first, then, though two stamps never are equal, something that is the same everywhere.
    fn rank(&self) -> (Stamp, String) {
        (self.stamp, self.value.as_ref().map(json::encode).unwrap_or_default())
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Acl {
    stamp: Stamp,
    digest: Digest,
    owner: Option<String>,
    grants: Vec<Grant>,
}

impl Acl {
    fn rank(&self) -> (Stamp, Digest) {
        (self.stamp, self.digest)
    }

    fn record(&self) -> Record {
        Record::Acl { stamp: self.stamp, owner: self.owner.clone(), grants: self.grants.clone() }
    }
}

/// What a record would do to a set.
enum Judgement {
    Applies,
    /// Only these keys of a [`Record::Session`] would change the set; the others are `Known` or `Dead`.
    Partly {
        set: BTreeMap<String, Option<Value>>,
        rest_known: bool,
    },
    Known,
    Dead,
    /// The same id is there with other content.
    Conflict,
}

/// What a write comes to: made by [`SessionSet::plan`], stored by the medium, then [committed](SessionSet::commit).
#[derive(Clone, Debug)]
pub struct Plan {
    /// What has to be stored, deletions first. Nothing dead is among it.
    pub store: Vec<Planned>,
    known: u32,
    dead: u32,
}

/// A record that has to be stored.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The record, without what is dead or superseded in it.
    pub record: Record,
    encoded: OnceLock<Encoded>,
    digest: OnceLock<Digest>,
}

/// Both are made when they are asked for: they cost more than all else here, and a new message needs neither.
impl Planned {
    fn new(record: Record) -> Self {
        Self { record, encoded: OnceLock::new(), digest: OnceLock::new() }
    }

    /// The canonical encoding of the record.
    pub fn encoded(&self) -> &Encoded {
        self.encoded.get_or_init(|| self.record.encode())
    }

    /// The digest of the canonical encoding.
    pub fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| self.encoded().digest())
    }
}

impl Plan {
    /// What the write comes to, without the version: for media that keep no [`SessionSet`] and commit nothing to it.
    pub fn written(&self) -> Written {
        Written::counted(self.store.len() as u32, self.known, self.dead)
    }
}

impl<B> Default for SessionSet<B> {
    fn default() -> Self {
        Self {
            messages: BTreeMap::new(),
            deleted: BTreeMap::new(),
            cleared: None,
            keys: BTreeMap::new(),
            acls: None,
            version: None,
        }
    }
}

impl<B> SessionSet<B> {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The greatest stamp of any record, `None` if there is none.
    pub fn version(&self) -> Option<Stamp> {
        self.version
    }

    /// How many entries the set has, which is about how much memory it takes.
    pub fn len(&self) -> usize {
        self.messages.len() + self.deleted.len() + self.keys.len()
    }

    /// Whether nothing was ever written.
    pub fn is_empty(&self) -> bool {
        self.version.is_none()
    }

    /// Works out what a write comes to, and changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] and [`ErrorKind::InvalidInput`] as told at [`Backend::write`](crate::Backend::write).
    pub fn plan(&self, records: &[Record], options: &WriteOptions) -> Result<Plan> {
        let mut plan = Plan { store: Vec::with_capacity(records.len()), known: 0, dead: 0 };
        let mut conflict = None;
        let mut batch = SessionSet::<()>::new();
        // Records that cannot meet each other need not be compared.
        let distinct = records.is_sorted_by(|one, next| match (one, next) {
            (Record::Message(one), Record::Message(next)) => one.id < next.id,
            _ => false,
        });
        let tombstones_first = records
            .iter()
            .filter(|record| record.is_tombstone())
            .chain(records.iter().filter(|record| !record.is_tombstone()));
        for record in tombstones_first {
            let mut planned = Planned::new(record.clone());
            match judge_both(self, &batch, &mut planned) {
                Judgement::Known => plan.known += 1,
                Judgement::Dead => plan.dead += 1,
                found => {
                    if matches!(found, Judgement::Conflict) {
                        conflict.get_or_insert(record.stamp());
                    }
                    if !distinct {
                        batch.apply(&planned.record, planned.digest(), |_| ());
                    }
                    plan.store.push(planned);
                }
            }
        }
        if plan.known as usize == records.len() {
            return Ok(plan);
        }
        check_expectation(self.version, records, options.expect)?;
        match (conflict, options.source) {
            (Some(id), Source::Fresh) => Err(conflicting(id)),
            _ => Ok(plan),
        }
    }

    /// Takes in what was stored. `body` says what to keep of a message, which is the record at this index of
    /// [`Plan::store`].
    pub fn commit(&mut self, plan: &Plan, mut body: impl FnMut(usize, &Message) -> B) -> Written {
        for (index, planned) in plan.store.iter().enumerate() {
            self.apply(&planned.record, planned.digest(), |message| body(index, message));
        }
        plan.written().with_version(self.version).with_cleared(self.cleared.map(|cleared| cleared.through))
    }

    /// Unites one record that the medium holds with the set: for reading a session back. `body` says what to keep of a
    /// message.
    pub fn replay(&mut self, record: &Record, digest: Digest, body: impl FnOnce(&Message) -> B) {
        match self.judge(record, || digest) {
            Judgement::Applies | Judgement::Conflict => self.apply(record, digest, body),
            Judgement::Partly { set, .. } => {
                self.apply(&Record::Session { stamp: record.stamp(), set }, digest, body);
            }
            Judgement::Known | Judgement::Dead => {}
        }
    }

    fn covers(&self, stamp: Stamp) -> bool {
        self.cleared.is_some_and(|cleared| stamp <= cleared.through)
    }

    fn judge(&self, record: &Record, digest: impl FnOnce() -> Digest) -> Judgement {
        match record {
            Record::Message(message) => {
                if self.covers(message.id) || self.deleted.contains_key(&message.id) {
                    return Judgement::Dead;
                }
                match self.messages.get(&message.id) {
                    None => Judgement::Applies,
                    Some(known) if known.contains(&digest()) => Judgement::Known,
                    Some(_) => Judgement::Conflict,
                }
            }
            Record::Session { stamp, set } => self.judge_keys(*stamp, set),
            Record::Acl { stamp, .. } => match &self.acls {
                None => Judgement::Applies,
                Some((first, last)) => {
                    let rank = (*stamp, digest());
                    if rank < first.rank() || rank > last.rank() {
                        Judgement::Applies
                    } else if rank == first.rank() || rank == last.rank() {
                        Judgement::Known
                    } else {
                        Judgement::Dead
                    }
                }
            },
            Record::Deleted { id, stamp } => {
                let known = match self.cleared {
                    Some(cleared) if *id <= cleared.through => Some(cleared.stamp),
                    _ => self.deleted.get(id).copied(),
                };
                judge_tombstone(*stamp, known)
            }
            Record::Cleared { through, stamp } => match self.cleared {
                Some(known) if *through <= known.through => judge_tombstone(*stamp, Some(known.stamp)),
                _ => Judgement::Applies,
            },
        }
    }

    fn judge_and_cut(&self, planned: &mut Planned, rest_known: &mut bool) -> Judgement {
        let judgement = self.judge(&planned.record, || planned.digest());
        if let Judgement::Partly { set, rest_known: known } = &judgement {
            *rest_known &= *known;
            *planned = Planned::new(Record::Session { stamp: planned.record.stamp(), set: set.clone() });
        }
        judgement
    }

    fn judge_keys(&self, stamp: Stamp, set: &BTreeMap<String, Option<Value>>) -> Judgement {
        let mut wins = BTreeMap::new();
        let mut known = 0;
        for (key, value) in set {
            let new = Key { stamp, value: value.clone() };
            match self.keys.get(key) {
                _ if self.covers(stamp) => {}
                Some(old) if old.rank() == new.rank() => known += 1,
                Some(old) if old.rank() > new.rank() => {}
                _ => {
                    wins.insert(key.clone(), new.value);
                }
            }
        }
        match wins.len() {
            0 if known == set.len() => Judgement::Known,
            0 => Judgement::Dead,
            all if all == set.len() => Judgement::Applies,
            some => Judgement::Partly { set: wins, rest_known: some + known == set.len() },
        }
    }

    /// Takes in a record that [`judge`](Self::judge) found to apply, or a conflicting variant.
    fn apply(&mut self, record: &Record, digest: Digest, body: impl FnOnce(&Message) -> B) {
        self.version = self.version.max(Some(record.stamp()));
        match record {
            Record::Message(message) => {
                let body = body(message);
                match self.messages.get_mut(&message.id) {
                    Some(known) => known.others.push((digest, body)),
                    None => {
                        self.messages.insert(message.id, Variants { digest, body, others: Vec::new() });
                    }
                }
            }
            Record::Session { stamp, set } => {
                for (key, value) in set {
                    self.keys.insert(key.clone(), Key { stamp: *stamp, value: value.clone() });
                }
            }
            Record::Acl { stamp, owner, grants } => {
                let new = Acl { stamp: *stamp, digest, owner: owner.clone(), grants: grants.clone() };
                self.acls = Some(match self.acls.take() {
                    None => (new.clone(), new),
                    Some((first, last)) if new.rank() < first.rank() => (new, last),
                    Some((first, last)) if new.rank() > last.rank() => (first, new),
                    Some(both) => both,
                });
            }
            Record::Deleted { id, stamp } => {
                self.messages.remove(id);
                match &mut self.cleared {
                    Some(cleared) if *id <= cleared.through => cleared.stamp = cleared.stamp.max(*stamp),
                    _ => {
                        let known = self.deleted.entry(*id).or_insert(*stamp);
                        *known = (*known).max(*stamp);
                    }
                }
            }
            Record::Cleared { through, stamp } => self.clear(*through, *stamp),
        }
    }

    fn clear(&mut self, through: Stamp, stamp: Stamp) {
        let mut cleared = match self.cleared {
            Some(known) => Cleared { through: known.through.max(through), stamp: known.stamp.max(stamp) },
            None => Cleared { through, stamp },
        };
        let dead = |id: &Stamp| *id <= cleared.through;
        self.messages.retain(|id, _| !dead(id));
        self.keys.retain(|_, key| !dead(&key.stamp));
        let absorbed = self.deleted.iter().filter(|(id, _)| dead(id)).map(|(_, stamp)| *stamp).max();
        self.deleted.retain(|id, _| !dead(id));
        cleared.stamp = cleared.stamp.max(absorbed.unwrap_or(cleared.stamp));
        self.cleared = Some(cleared);
    }

    /// What a stored record still says, for reading a log of records: `None` if nothing; a clear that has absorbed it
    /// if it was absorbed.
    pub fn canonical(&self, record: &Record, digest: &Digest) -> Option<Record> {
        match record {
            Record::Message(message) => {
                let known = self.messages.get(&message.id)?;
                known.contains(digest).then(|| record.clone())
            }
            Record::Session { stamp, set } => {
                let current: BTreeMap<_, _> = set
                    .iter()
                    .filter(|(key, value)| {
                        self.keys.get(*key).is_some_and(|known| known.stamp == *stamp && known.value == **value)
                    })
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                (!current.is_empty()).then_some(Record::Session { stamp: *stamp, set: current })
            }
            Record::Acl { stamp, .. } => {
                let (first, last) = self.acls.as_ref()?;
                let rank = (*stamp, *digest);
                (rank == first.rank() || rank == last.rank()).then(|| record.clone())
            }
            Record::Deleted { id, .. } if self.covers(*id) => self.cleared_record(),
            Record::Deleted { id, .. } => {
                let stamp = *self.deleted.get(id)?;
                Some(Record::Deleted { id: *id, stamp })
            }
            Record::Cleared { .. } => self.cleared_record(),
        }
    }

    fn cleared_record(&self) -> Option<Record> {
        self.cleared.map(|Cleared { through, stamp }| Record::Cleared { through, stamp })
    }

    /// Every record of the set but the messages, as few as possible, in a fixed order.
    pub fn facts(&self) -> Vec<Record> {
        let mut facts: Vec<_> = self.cleared_record().into_iter().collect();
        facts.extend(self.deleted.iter().map(|(id, stamp)| Record::Deleted { id: *id, stamp: *stamp }));
        if let Some((first, last)) = &self.acls {
            facts.push(first.record());
            if last != first {
                facts.push(last.record());
            }
        }
        let mut sets: BTreeMap<Stamp, BTreeMap<String, Option<Value>>> = BTreeMap::new();
        for (name, key) in &self.keys {
            sets.entry(key.stamp).or_default().insert(name.clone(), key.value.clone());
        }
        facts.extend(sets.into_iter().map(|(stamp, set)| Record::Session { stamp, set }));
        facts
    }

    /// What is kept of every message, conflicting variants included, in stamp order.
    pub fn bodies(&self) -> impl Iterator<Item = (Stamp, &B)> {
        self.messages.iter().flat_map(|(id, variants)| {
            std::iter::once(&variants.body).chain(variants.others.iter().map(|(_, body)| body)).map(|body| (*id, body))
        })
    }

    /// What is kept of the messages that a query asks for, in its order, and whether there are more.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] naming the id if one of them has two variants.
    pub fn select(&self, query: &MessageQuery) -> Result<(Vec<(Stamp, &B)>, bool)> {
        let after = query.after.map_or(Bound::Unbounded, Bound::Excluded);
        let before = query.before.map_or(Bound::Unbounded, Bound::Excluded);
        if let (Some(after), Some(before)) = (query.after, query.before)
            && after >= before
        {
            return Ok((Vec::new(), false));
        }
        let size = page_size(query.limit);
        let range = self.messages.range((after, before));
        let mut found: Vec<(&Stamp, &Variants<B>)> = if query.ids.is_empty() {
            match query.order {
                Order::OldestFirst => range.take(size + 1).collect(),
                Order::NewestFirst => range.rev().take(size + 1).collect(),
            }
        } else {
            let mut ids = query.ids.clone();
            ids.sort_unstable();
            ids.dedup();
            if query.order == Order::NewestFirst {
                ids.reverse();
            }
            ids.iter()
                .filter(|id| query.after.is_none_or(|after| **id > after))
                .filter(|id| query.before.is_none_or(|before| **id < before))
                .filter_map(|id| self.messages.get_key_value(id))
                .take(size + 1)
                .collect()
        };
        let more = found.len() > size;
        found.truncate(size);
        if let Some((id, _)) = found.iter().find(|(_, variants)| !variants.others.is_empty()) {
            return Err(conflicting(**id));
        }
        Ok((found.into_iter().map(|(id, variants)| (*id, &variants.body)).collect(), more))
    }

    /// What is known of the session as a whole; `None` if nothing was ever written.
    pub fn session(&self, id: &SessionId, updated: SystemTime) -> Option<Session> {
        let mut session = Session::new(id.clone(), self.version?, updated);
        session.head = self.messages.last_key_value().map(|(id, _)| *id);
        session.cleared = self.cleared.map(|cleared| cleared.through);
        if let Some((first, last)) = &self.acls {
            session.owner.clone_from(&first.owner);
            session.grants.clone_from(&last.grants);
        }
        session.metadata =
            self.keys.iter().filter_map(|(name, key)| Some((name.clone(), key.value.clone()?))).collect::<Metadata>();
        session.messages = Some(self.messages.len() as u64);
        Some(session)
    }

    /// Whether the session exists: it has a live message, a live key, or an owner.
    pub fn is_live(&self) -> bool {
        !self.messages.is_empty() || self.acls.is_some() || self.keys.values().any(|key| key.value.is_some())
    }

    /// Forgets deletions of messages and removals of keys with stamps before `before`, and returns how many. The clear
    /// stays, and so does whatever carries the version, so that the version never decreases.
    pub fn purge(&mut self, before: Stamp) -> u64 {
        let version = self.version;
        let forget = |stamp: &Stamp| *stamp < before && Some(*stamp) != version;
        let kept = self.deleted.len() + self.keys.len();
        self.deleted.retain(|_, stamp| !forget(stamp));
        self.keys.retain(|_, key| key.value.is_some() || !forget(&key.stamp));
        (kept - self.deleted.len() - self.keys.len()) as u64
    }
}

/// A deletion that a later one has superseded is dead, not known: two callers who delete the same message under the same
/// expectation must not both be told that they did.
fn judge_tombstone(stamp: Stamp, known: Option<Stamp>) -> Judgement {
    match known {
        Some(known) if stamp == known => Judgement::Known,
        Some(known) if stamp < known => Judgement::Dead,
        _ => Judgement::Applies,
    }
}

/// Judges a record against what is stored and against what the same batch brings, and cuts it down to what applies.
fn judge_both<A, B>(stored: &SessionSet<A>, batch: &SessionSet<B>, planned: &mut Planned) -> Judgement {
    use Judgement::{Applies, Conflict, Dead, Known, Partly};
    let mut rest_known = true;
    let first = stored.judge_and_cut(planned, &mut rest_known);
    let second = batch.judge_and_cut(planned, &mut rest_known);
    match (first, second) {
        (Dead, _) | (_, Dead) => Dead,
        (Known, _) | (_, Known) if rest_known => Known,
        (Known, _) | (_, Known) => Dead,
        (Conflict, _) | (_, Conflict) => Conflict,
        (Applies | Partly { .. }, Applies | Partly { .. }) => Applies,
    }
}

/// Compares the version of a session with what a write expects.
///
/// # Errors
/// As told at [`Backend::write`](crate::Backend::write).
pub fn check_expectation(version: Option<Stamp>, records: &[Record], expect: Expect) -> Result<()> {
    let expected = match expect {
        Expect::Anything => return Ok(()),
        Expect::New => None,
        Expect::Version(expected) => Some(expected),
    };
    if version != expected {
        let found = version.map_or_else(|| "none".to_owned(), |version| version.to_string());
        return Err(Error::new(ErrorKind::Conflict, "the session has changed since it was read").with("version", found));
    }
    if let Some(expected) = expected
        && records.iter().any(|record| record.stamp() <= expected)
    {
        return Err(Error::invalid("stamp", "must be greater than the version that the write expects"));
    }
    Ok(())
}

/// The error for an id that is known with other content.
pub fn conflicting(id: Stamp) -> Error {
    Error::new(ErrorKind::Conflict, "this id has two different contents").with("id", id)
}

/// The error for a session that does not exist.
pub fn no_such_session(session: &SessionId) -> Error {
    Error::new(ErrorKind::NotFound, "there is no such session").with("session", format!("{session:?}"))
}

impl SessionSet<Message> {
    /// The whole set as records, for comparison: facts, then messages in stamp order.
    pub fn to_records(&self) -> Vec<Record> {
        let mut records = self.facts();
        records.extend(self.bodies().map(|(_, message)| Record::Message(message.clone())));
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;
    use serde_json::json;

    fn at(ms: u64) -> Stamp {
        Stamp::mint(ms, None, 0).unwrap()
    }

    fn message(ms: u64, text: &str) -> Record {
        Record::Message(Message::new(at(ms), Role::User, text))
    }

    fn key(ms: u64, key: &str, value: Option<Value>) -> Record {
        Record::Session { stamp: at(ms), set: BTreeMap::from([(key.to_owned(), value)]) }
    }

    fn write(set: &mut SessionSet<Message>, records: &[Record]) -> Written {
        let plan = set.plan(records, &WriteOptions::replay()).unwrap();
        set.commit(&plan, |_, message| message.clone())
    }

    fn counts(written: Written) -> (u32, u32, u32) {
        (written.applied.unwrap(), written.known.unwrap(), written.dead.unwrap())
    }

    #[test]
    fn a_second_write_of_the_same_records_is_known() {
        let mut set = SessionSet::new();
        let records =
            [message(1, "a"), key(2, "title", Some(json!("t"))), Record::Deleted { id: at(9), stamp: at(10) }];
        assert_eq!(counts(write(&mut set, &records)), (3, 0, 0));
        assert_eq!(counts(write(&mut set, &records)), (0, 3, 0));
        assert_eq!(counts(write(&mut set, &[message(9, "late")])), (0, 0, 1));
    }

    #[test]
    fn a_clear_absorbs_a_later_deletion_and_keeps_the_version() {
        let deletion = Record::Deleted { id: at(5), stamp: at(20) };
        let clear = Record::Cleared { through: at(10), stamp: at(11) };
        let (mut one, mut other) = (SessionSet::new(), SessionSet::new());
        write(&mut one, std::slice::from_ref(&deletion));
        write(&mut one, std::slice::from_ref(&clear));
        write(&mut other, &[clear]);
        write(&mut other, &[deletion]);
        assert_eq!(one.to_records(), other.to_records());
        assert_eq!((one.version(), one.facts().len()), (Some(at(20)), 1));
    }

    #[test]
    fn keys_win_one_by_one() {
        let mut set = SessionSet::new();
        let both = Record::Session {
            stamp: at(5),
            set: BTreeMap::from([("a".to_owned(), Some(json!(1))), ("b".to_owned(), Some(json!(1)))]),
        };
        write(&mut set, &[key(9, "a", Some(json!(9)))]);
        assert_eq!(counts(write(&mut set, std::slice::from_ref(&both))), (1, 0, 0));
        assert_eq!(counts(write(&mut set, &[both])), (0, 0, 1), "one key known, one superseded");
        write(&mut set, &[key(10, "b", None)]);
        let session = set.session(&SessionId::new("s").unwrap(), SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(Value::Object(session.metadata), json!({"a": 9}));
    }

    #[test]
    fn the_owner_is_the_first_and_the_grants_are_the_last() {
        let acl = |ms, owner: &str| Record::Acl {
            stamp: at(ms),
            owner: Some(owner.into()),
            grants: vec![Grant { to: owner.into(), actions: vec![] }],
        };
        let mut set = SessionSet::new();
        write(&mut set, &[acl(5, "five"), acl(9, "nine"), acl(7, "seven"), acl(3, "three")]);
        let session = set.session(&SessionId::new("s").unwrap(), SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!((session.owner.as_deref(), session.grants[0].to.as_str()), (Some("three"), "nine"));
        assert_eq!(set.facts().len(), 2);
        write(&mut set, &[Record::Cleared { through: at(10), stamp: at(11) }]);
        assert!(set.is_live(), "a cleared session keeps its owner");
    }

    #[test]
    fn two_contents_of_one_id_conflict_until_it_is_deleted() {
        let mut set = SessionSet::new();
        write(&mut set, &[message(1, "a")]);
        let error = set.plan(&[message(1, "b")], &WriteOptions::fresh()).unwrap_err();
        assert_eq!((error.kind(), error.get("id")), (ErrorKind::Conflict, Some(at(1).to_string().as_str())));
        assert_eq!(counts(write(&mut set, &[message(1, "b")])), (1, 0, 0));
        assert!(set.select(&MessageQuery::oldest_first()).is_err());
        write(&mut set, &[Record::Deleted { id: at(1), stamp: at(2) }]);
        assert!(set.select(&MessageQuery::oldest_first()).unwrap().0.is_empty());
    }

    #[test]
    fn what_is_known_is_fine_whatever_was_expected() {
        let mut set = SessionSet::new();
        write(&mut set, &[message(1, "a")]);
        let expecting = |expect| WriteOptions::fresh().expecting(expect);
        assert!(set.plan(&[message(1, "a")], &expecting(Expect::New)).is_ok());
        assert_eq!(set.plan(&[message(2, "b")], &expecting(Expect::New)).unwrap_err().kind(), ErrorKind::Conflict);
        assert!(set.plan(&[message(2, "b")], &expecting(Expect::Version(at(1)))).is_ok());
        let early = set.plan(&[message(0, "b")], &expecting(Expect::Version(at(1)))).unwrap_err();
        assert_eq!(early.kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn only_one_of_two_deletions_under_one_expectation_wins() {
        let mut set = SessionSet::new();
        write(&mut set, &[message(1, "a")]);
        let options = WriteOptions::fresh().expecting(Expect::Version(at(1)));
        let deletion = |ms| [Record::Deleted { id: at(1), stamp: at(ms) }];
        write(&mut set, &deletion(5));
        assert!(set.plan(&deletion(5), &options).is_ok(), "the same deletion again");
        for other in [3, 7] {
            assert_eq!(set.plan(&deletion(other), &options).unwrap_err().kind(), ErrorKind::Conflict);
        }
    }

    #[test]
    fn a_purge_keeps_what_carries_the_version() {
        let mut set = SessionSet::new();
        write(
            &mut set,
            &[
                message(1, "a"),
                Record::Deleted { id: at(1), stamp: at(3) },
                Record::Deleted { id: at(2), stamp: at(4) },
            ],
        );
        assert_eq!(set.purge(Stamp::MAX), 1);
        assert_eq!((set.version(), set.facts().len()), (Some(at(4)), 1));
    }
}
