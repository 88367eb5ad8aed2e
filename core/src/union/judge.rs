//! What a record would do to a set.

use std::collections::BTreeMap;

use serde_json::Value;

use super::plan::Planned;
use super::{Key, SessionSet};
use crate::{Identity, Record, Stamp};

/// What a record would do to a set.
pub(super) enum Judgement {
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

impl<B> SessionSet<B> {
    pub(super) fn judge(&self, record: &Record, identity: impl FnOnce() -> Identity) -> Judgement {
        match record {
            Record::Message(message) => {
                if self.covers(message.id) || self.deleted.contains_key(&message.id) {
                    return Judgement::Dead;
                }
                match self.messages.get(&message.id) {
                    None => Judgement::Applies,
                    Some(known) => known.judge(&identity()),
                }
            }
            Record::Session { stamp, set } => self.judge_keys(*stamp, set),
            Record::Acl { stamp, .. } => match &self.acls {
                None => Judgement::Applies,
                Some((first, last)) => {
                    let rank = (*stamp, identity().digest());
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
        let judgement = self.judge(&planned.record, || planned.identity());
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
pub(super) fn judge_both<A, B>(stored: &SessionSet<A>, batch: &SessionSet<B>, planned: &mut Planned) -> Judgement {
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
