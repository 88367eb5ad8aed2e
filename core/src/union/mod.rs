//! The union of records: what a session is.
//!
//! [`SessionSet`] is the canonical set of one session: no message or key that a deletion covers, no superseded key, no
//! deletion that a clear covers. It is a join semilattice: any split, permutation and repetition of the same records
//! gives the same set. Backends that keep a session in memory build on it; the others are tested against it.
//!
//! The version of a session, the greatest stamp of any of its records, is a function of the set: where a clear absorbs
//! a deletion or another clear, the clear's stamp becomes the greater of the two (ADR 0003).

mod judge;
mod plan;
mod view;

use std::collections::BTreeMap;

use serde_json::Value;

pub use plan::{Plan, Planned, check_expectation};

use crate::{Digest, Error, ErrorKind, Grant, Identity, Message, Record, SessionId, Stamp, json};
use judge::Judgement;

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
    identity: Identity,
    body: B,
    others: Vec<(Identity, B)>,
}

impl<B> Variants<B> {
    fn contains(&self, identity: &Identity) -> bool {
        self.identities().any(|known| known == identity)
    }

    fn judge(&self, new: &Identity) -> Judgement {
        match self.identities().find(|known| known.digest() == new.digest()) {
            Some(known) if known.is_renewed_by(new) => Judgement::Applies,
            Some(_) => Judgement::Known,
            None => Judgement::Conflict,
        }
    }

    fn identities(&self) -> impl Iterator<Item = &Identity> {
        std::iter::once(&self.identity).chain(self.others.iter().map(|(identity, _)| identity))
    }

    /// Takes in a variant, in place of the one that it renews if there is one.
    fn add(&mut self, identity: Identity, body: B) {
        let all = std::iter::once((&mut self.identity, &mut self.body))
            .chain(self.others.iter_mut().map(|(identity, body)| (identity, body)));
        match all.into_iter().find(|(known, _)| known.digest() == identity.digest()) {
            Some((known, old)) => {
                *known = identity;
                *old = body;
            }
            None => self.others.push((identity, body)),
        }
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

    /// Unites one record that the medium holds with the set: for reading a session back. `body` says what to keep of a
    /// message.
    pub fn replay(&mut self, record: &Record, identity: Identity, body: impl FnOnce(&Message) -> B) {
        match self.judge(record, || identity) {
            Judgement::Applies | Judgement::Conflict => self.apply(record, identity, body),
            Judgement::Partly { set, .. } => {
                self.apply(&Record::Session { stamp: record.stamp(), set }, identity, body);
            }
            Judgement::Known | Judgement::Dead => {}
        }
    }

    fn covers(&self, stamp: Stamp) -> bool {
        self.cleared.is_some_and(|cleared| stamp <= cleared.through)
    }

    /// Takes in a record that [`judge`](Self::judge) found to apply, or a conflicting variant.
    fn apply(&mut self, record: &Record, identity: Identity, body: impl FnOnce(&Message) -> B) {
        self.version = self.version.max(Some(record.stamp()));
        match record {
            Record::Message(message) => {
                let body = body(message);
                match self.messages.get_mut(&message.id) {
                    Some(known) => known.add(identity, body),
                    None => {
                        self.messages.insert(message.id, Variants { identity, body, others: Vec::new() });
                    }
                }
            }
            Record::Session { stamp, set } => {
                for (key, value) in set {
                    self.keys.insert(key.clone(), Key { stamp: *stamp, value: value.clone() });
                }
            }
            Record::Acl { stamp, owner, grants } => {
                let new =
                    Acl { stamp: *stamp, digest: identity.digest(), owner: owner.clone(), grants: grants.clone() };
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

/// The error for an id that is known with other content.
pub fn conflicting(id: Stamp) -> Error {
    Error::new(ErrorKind::Conflict, "this id has two different contents; deleting the message is the way out")
        .with("id", id)
}

/// The error for a session that does not exist.
pub fn no_such_session(session: &SessionId) -> Error {
    Error::new(ErrorKind::NotFound, "there is no such session").with("session", format!("{session:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Expect, MessageQuery, Role, WriteOptions, Written};
    use serde_json::json;
    use std::time::SystemTime;

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
