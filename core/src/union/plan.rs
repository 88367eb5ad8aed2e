//! What a write comes to.

use std::sync::OnceLock;

use super::judge::{Judgement, judge_both};
use super::{SessionSet, conflicting};
use crate::{
    Encoded, Error, ErrorKind, Expect, Identity, Message, Record, Result, Source, Stamp, WriteOptions, Written,
};

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
    identity: OnceLock<Identity>,
}

/// Both are made when they are asked for: they cost more than all else here, and a new message needs neither.
impl Planned {
    pub(super) fn new(record: Record) -> Self {
        Self { record, encoded: OnceLock::new(), identity: OnceLock::new() }
    }

    /// The canonical encoding of the record.
    pub fn encoded(&self) -> &Encoded {
        self.encoded.get_or_init(|| self.record.encode())
    }

    /// What tells the record from others.
    pub fn identity(&self) -> Identity {
        *self.identity.get_or_init(|| Identity::of(&self.record, self.encoded().digest()))
    }
}

impl Plan {
    /// What the write comes to, without the version: for media that keep no [`SessionSet`] and commit nothing to it.
    pub fn written(&self) -> Written {
        Written::counted(self.store.len() as u32, self.known, self.dead)
    }
}

impl<B> SessionSet<B> {
    /// Works out what a write comes to, and changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] and [`ErrorKind::InvalidInput`] as told at [`Backend::write`](crate::Backend::write).
    pub fn plan(&self, records: &[Record], options: &WriteOptions) -> Result<Plan> {
        self.plan_part(self.version, records, options)
    }

    /// As [`plan`](Self::plan), for a medium that reads only the part of a session which the records can meet, and so
    /// knows its version from elsewhere.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub fn plan_part(&self, version: Option<Stamp>, records: &[Record], options: &WriteOptions) -> Result<Plan> {
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
                        batch.apply(&planned.record, planned.identity(), |_| ());
                    }
                    plan.store.push(planned);
                }
            }
        }
        if plan.known as usize == records.len() {
            return Ok(plan);
        }
        check_expectation(version, records, options.expect)?;
        match (conflict, options.source) {
            (Some(id), Source::Fresh) => Err(conflicting(id)),
            _ => Ok(plan),
        }
    }

    /// Takes in what was stored. `body` says what to keep of a message, which is the record at this index of
    /// [`Plan::store`].
    pub fn commit(&mut self, plan: &Plan, mut body: impl FnMut(usize, &Message) -> B) -> Written {
        for (index, planned) in plan.store.iter().enumerate() {
            self.apply(&planned.record, planned.identity(), |message| body(index, message));
        }
        plan.written().with_version(self.version).with_cleared(self.cleared.map(|cleared| cleared.through))
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
