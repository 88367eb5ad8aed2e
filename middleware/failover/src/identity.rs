//! Which store each leg is, and whether the others have met it.
//!
//! Each leg remembers the identities and the last positions of the legs that it was equal with. A leg that the others do
//! not know, or that is behind the position they knew, was replaced, or restored from a backup: then everything is
//! copied both ways, and until that is done the leg answers no read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use craftx_core::{Context, Error, ErrorKind, Operation, Record, Result, Stamp, Uuid, WriteOptions};
use serde_json::Value;

use crate::bug::Bug;
use crate::dirty::{MarkId, Place};
use crate::inner::{Inner, State};

/// The key under which a leg keeps the identity of the whole.
const WHOLE: &str = "whole";
/// The key under which a leg keeps that it is an older backup of itself. Its position alone would soon say otherwise.
const BEHIND: &str = "behind";

/// What is known of the legs as a whole.
#[derive(Debug)]
pub(crate) struct Identities {
    legs: Vec<Identity>,
    /// Holder and leg, between which everything has to be copied.
    whole: BTreeSet<(usize, usize)>,
}

#[derive(Debug, Default)]
struct Identity {
    store: Option<Uuid>,
    position: Option<u64>,
    /// The position before this handle wrote to it, or when the legs were told last: what others remember of it is
    /// compared with this.
    judged: Option<u64>,
    /// Whom the leg remembers, and their positions.
    remembers: BTreeMap<String, Option<u64>>,
    /// The version of the session in which it does.
    version: Option<Stamp>,
    /// Whether it is known what the leg is, since it last went away.
    met: bool,
    /// Whether its marks were read since this handle was prepared.
    marks_read: bool,
    /// Whether it answers no reads because it lacks it is not known what.
    blocked: bool,
    /// Whether it is behind what others remember of it, and whether that is written in it.
    behind: Option<bool>,
    /// Whether it has to be told who the others are.
    untold: bool,
}

impl Identities {
    pub(crate) fn new(legs: usize) -> Self {
        Self { legs: (0..legs).map(|_| Identity::default()).collect(), whole: BTreeSet::new() }
    }

    pub(crate) fn is_met(&self, leg: usize) -> bool {
        self.legs.get(leg).is_some_and(|leg| leg.met)
    }

    /// The leg went away: whatever comes back may be another one.
    pub(crate) fn lost(&mut self, leg: usize) {
        if let Some(leg) = self.legs.get_mut(leg) {
            leg.met = false;
        }
    }

    /// Whether the leg answers reads.
    pub(crate) fn is_blocked(&self, leg: usize) -> bool {
        self.legs.get(leg).is_none_or(|leg| leg.blocked)
    }

    /// Whether the marks of every leg were read.
    pub(crate) fn all_marks_read(&self) -> bool {
        self.legs.iter().all(|leg| leg.marks_read)
    }

    pub(crate) fn store(&self, leg: usize) -> Option<Uuid> {
        self.legs.get(leg).and_then(|leg| leg.store)
    }

    /// Between which legs everything has to be copied. Copies to the first leg come first: until they are made it may
    /// answer nobody, and a new secondary has little that it lacks.
    pub(crate) fn whole(&self) -> Vec<(usize, usize)> {
        let mut whole: Vec<_> = self.whole.iter().copied().collect();
        whole.sort_by_key(|(_, leg)| *leg);
        whole
    }

    /// Whether all that these legs hold is known: none was replaced, and the marks of all legs were read.
    pub(crate) fn are_known(&self, legs: &[usize]) -> bool {
        let among = |(holder, leg): &(usize, usize)| legs.contains(holder) && legs.contains(leg);
        self.all_marks_read() && !self.whole.iter().any(among) && !legs.iter().any(|leg| self.is_blocked(*leg))
    }

    /// Whether all legs are there and equal as a whole, and know it.
    pub(crate) fn is_settled(&self) -> bool {
        self.whole.is_empty() && self.legs.iter().all(|leg| leg.met && !leg.untold)
    }

    /// Whether the legs have never been equal before.
    pub(crate) fn is_first(&self) -> bool {
        !self.whole.is_empty() && self.legs.iter().all(|leg| leg.remembers.is_empty())
    }

    /// Everything that the holder has was copied to the leg.
    pub(crate) fn united(&mut self, holder: usize, leg: usize) {
        self.whole.remove(&(holder, leg));
        // One that is away again may have what nobody else has; of one that was never there nothing is known anyway.
        let waits = self.whole.iter().any(|(from, to)| *to == leg && self.store(*from).is_some());
        if !self.is_blocked(holder) || !waits {
            self.unblock(leg);
        }
        if self.whole.is_empty() {
            self.legs.iter_mut().for_each(|leg| leg.untold = true);
        }
    }

    fn unblock(&mut self, leg: usize) {
        if let Some(leg) = self.legs.get_mut(leg) {
            leg.blocked = false;
        }
    }

    /// Everything has to be copied everywhere: marks that were in one leg may have stood for what two others lack.
    fn unite_all(&mut self) {
        let legs = self.legs.len();
        let pairs = (0..legs).flat_map(|holder| (0..legs).map(move |leg| (holder, leg)));
        self.whole.extend(pairs.filter(|(holder, leg)| holder != leg));
    }

    fn opinion(&self, by: usize, of: usize) -> Opinion {
        let (Some(by), Some(of)) = (self.legs.get(by), self.legs.get(of)) else { return Opinion::None };
        let (false, Some(store)) = (by.remembers.is_empty(), of.store) else { return Opinion::None };
        match by.remembers.get(&store.to_string()) {
            None => Opinion::Stranger,
            Some(Some(then)) if of.judged.is_some_and(|now| now < *then) => Opinion::Behind,
            Some(_) => Opinion::Known,
        }
    }

    /// Judges the legs when one was met for the first time.
    fn judge(&mut self) {
        let met: Vec<usize> = (0..self.legs.len()).filter(|leg| self.store(*leg).is_some()).collect();
        let mut strange = false;
        for leg in &met {
            let others = met.iter().filter(|other| *other != leg);
            let said: Vec<_> = others.map(|other| self.opinion(*other, *leg)).collect();
            strange |= said.iter().any(|opinion| *opinion != Opinion::Known);
            // Where nobody remembers anybody they meet for the first time. Each may lack what another one has, the first one
            // too: it may have been replaced before they were ever equal.
            let knows_nobody = self.legs.get(*leg).is_some_and(|leg| leg.remembers.is_empty());
            let is_new = knows_nobody && !said.is_empty();
            let is_known = said.contains(&Opinion::Known);
            let is_strange = said.contains(&Opinion::Stranger) || is_new;
            let is_behind = said.contains(&Opinion::Behind);
            if let Some(identity) = self.legs.get_mut(*leg) {
                if is_behind {
                    identity.behind.get_or_insert(false);
                }
                identity.blocked |= identity.behind.is_some() || (is_strange && !is_known);
                strange |= identity.behind.is_some();
            }
        }
        if strange {
            self.unite_all();
            self.block_what_lost_its_marks();
        }
    }

    /// Where a leg is gone, its marks are: two others may each lack what the other one has, and nobody knows.
    fn block_what_lost_its_marks(&mut self) {
        let stores: BTreeSet<String> = self.legs.iter().filter_map(|leg| Some(leg.store?.to_string())).collect();
        let remembered: BTreeSet<&String> = self.legs.iter().flat_map(|leg| leg.remembers.keys()).collect();
        let missing = remembered.into_iter().filter(|store| !stores.contains(*store)).count();
        // One that was not met yet may be one that seems to be missing.
        let is_gone = missing > self.legs.iter().filter(|leg| leg.store.is_none()).count();
        if !is_gone && self.legs.iter().all(|leg| leg.behind.is_none()) {
            return;
        }
        let left = self.legs.iter_mut().filter(|leg| leg.store.is_some() && !leg.blocked);
        let left: Vec<_> = left.collect();
        if left.len() > 1 {
            left.into_iter().for_each(|leg| leg.blocked = true);
        }
    }
}

/// What a leg says of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opinion {
    /// It remembers nobody.
    None,
    Known,
    Stranger,
    /// It has known it with more in it.
    Behind,
}

impl State {
    /// What a leg said of itself. Returns whether it is another store than it was.
    fn met(
        &mut self,
        now: Instant,
        leg: usize,
        store: Uuid,
        position: Option<u64>,
        remembers: BTreeMap<String, Option<u64>>,
    ) -> bool {
        let Some(known) = self.identities.legs.get_mut(leg) else { return false };
        let replaced = known.store.is_some_and(|known| known != store)
            || known.position.zip(position).is_some_and(|(known, now)| now < known);
        let is_new = known.store.is_none();
        (known.store, known.position) = (Some(store), position);
        if is_new || replaced {
            known.judged = position;
        }
        known.remembers = remembers;
        if replaced {
            self.dirty.replaced(leg, now);
            self.identities.unite_all();
            if let Some(known) = self.identities.legs.get_mut(leg) {
                known.blocked = true;
                known.behind.get_or_insert(false);
            }
        } else if is_new {
            self.identities.judge();
        }
        replaced
    }
}

impl Inner {
    /// Finds out what a leg is and reads its marks. A leg that is away is probed, if it is time to.
    pub(crate) async fn meet(&self, cx: &Context, leg: usize) -> Result<()> {
        let _meeting = self.meeting.lock().await;
        let cx = self.system(cx, &self.reserved);
        let (is_prepared, mode) = {
            let state = self.state();
            (state.capabilities.get(leg).is_some_and(Option::is_some), state.mode)
        };
        if !is_prepared {
            let can = self.prepare_leg(&cx, &self.share(&cx, 0), leg, mode).await?;
            self.prepared(leg, can);
        }
        let status = |leg: craftx_core::DynBackend, cx: Context| async move { leg.status(&cx).await };
        let status = self.call(leg, &cx, Operation::Status, status).await?;
        let known = &self.known_legs;
        let session = |leg: craftx_core::DynBackend, cx: Context| async move { leg.session(&cx, known).await };
        let session = self.call(leg, &cx, Operation::Session, session).await?;
        self.read_marks(&cx, leg).await?;
        let version = session.as_ref().map(|session| session.version);
        let mut metadata = session.map(|session| session.metadata).unwrap_or_default();
        let whole = metadata.remove(WHOLE).and_then(|value| value.as_str()?.parse::<Uuid>().ok());
        let behind = metadata.remove(BEHIND).is_some();
        let remembers = metadata.into_iter().map(|(store, position)| (store, position.as_u64())).collect();
        let replaced = {
            let mut state = self.state();
            state.store = state.store.or(whole);
            let bug = self.has(Bug::IgnoresIdentity);
            let store = state.identities.store(leg).filter(|_| bug).unwrap_or(status.store);
            let position = status.position.filter(|_| !bug);
            if let Some(identity) = state.identities.legs.get_mut(leg).filter(|_| behind) {
                identity.behind = Some(true);
            }
            let replaced = state.met(self.clock.now(), leg, store, position, remembers);
            if let Some(identity) = state.identities.legs.get_mut(leg) {
                identity.version = identity.version.max(version);
            }
            replaced
        };
        self.note_behind(&cx).await?;
        if replaced {
            // A backup has marks that were taken away long ago, those of this handle among them.
            self.state().marks_read.replaced(leg);
            self.read_marks(&cx, leg).await?;
            self.read_marks_of(&cx, leg, &self.own_marks).await?;
        }
        if let Some(identity) = self.state().identities.legs.get_mut(leg) {
            identity.marks_read = true;
            identity.met = true;
        }
        Ok(())
    }

    /// Writes into the legs that are behind that they are. Nothing else is written to a leg before.
    async fn note_behind(&self, cx: &Context) -> Result<()> {
        for leg in 0..self.legs.len() {
            let version = match self.state().identities.legs.get(leg) {
                Some(identity) if identity.behind == Some(false) => identity.version,
                _ => continue,
            };
            let set = BTreeMap::from([(BEHIND.to_owned(), Some(Value::Bool(true)))]);
            let stamp = self.mint(version)?;
            self.write_known(cx, leg, Record::Session { stamp, set }).await?;
            if let Some(identity) = self.state().identities.legs.get_mut(leg) {
                identity.behind = Some(true);
                identity.version = Some(stamp);
            }
        }
        Ok(())
    }

    /// Writes to the session in which a leg keeps what it knows of the others.
    async fn write_known(&self, cx: &Context, leg: usize, record: Record) -> Result<()> {
        let session = &self.known_legs;
        let write = |leg: craftx_core::DynBackend, cx: Context| async move {
            leg.write(&cx, session, &[record], &WriteOptions::replay()).await
        };
        self.call(leg, cx, Operation::Write, write).await.map(drop)
    }

    pub(crate) fn note_marks(&self, leg: usize, marks: Vec<(MarkId, (Place, bool))>) {
        if self.has(Bug::IgnoresOldMarks) {
            return;
        }
        let now = self.clock.now();
        let mut state = self.state();
        for (mark, (place, ended)) in marks {
            let until = if ended { now } else { now + self.config.foreign() };
            state.dirty.foreign(&place, leg, mark, until, now);
        }
    }

    /// Whether the leg is still the store that it was. Asked when it says that there is nothing.
    pub(crate) async fn is_itself(&self, cx: &Context, leg: usize) -> Result<bool> {
        if self.has(Bug::IgnoresIdentity) {
            return Ok(true);
        }
        let cx = self.system(cx, &self.reserved);
        let status = |leg: craftx_core::DynBackend, cx: Context| async move { leg.status(&cx).await };
        let status = self.call(leg, &cx, Operation::Status, status).await?;
        let mut state = self.state();
        let itself = state.identities.store(leg) == Some(status.store);
        if !itself {
            state.identities.lost(leg);
        }
        Ok(itself)
    }

    /// Asks the legs for their positions and lets each remember the others', so that one which is replaced by an older
    /// backup of itself is found out. Has to come before marks are taken away: what was copied to a leg is known to be
    /// there only up to a position. All legs must be there and equal as a whole.
    ///
    /// # Errors
    /// `Unavailable` if a leg is not there.
    pub(crate) async fn tell_positions(&self, cx: &Context) -> Result<()> {
        let cx = self.system(cx, &self.reserved);
        for leg in 0..self.legs.len() {
            let status = |leg: craftx_core::DynBackend, cx: Context| async move { leg.status(&cx).await };
            let status = self.call(leg, &cx, Operation::Status, status).await?;
            let mut state = self.state();
            let careless = self.has(Bug::IgnoresIdentity);
            let is_itself = |leg: &&mut Identity| leg.met && (careless || leg.store == Some(status.store));
            match state.identities.legs.get_mut(leg).filter(is_itself) {
                Some(known) => known.position = known.position.max(status.position),
                None => return Err(Error::new(ErrorKind::Unavailable, "the leg is another store than it was")),
            }
        }
        self.state().identities.legs.iter_mut().for_each(|leg| leg.untold = true);
        self.tell_legs(&cx).await
    }

    /// Lets the legs remember each other, if there is something that they do not know.
    pub(crate) async fn tell_legs(&self, cx: &Context) -> Result<()> {
        let cx = self.system(cx, &self.reserved);
        let (set, whole) = {
            let state = self.state();
            let identities = &state.identities;
            if !identities.legs.iter().any(|leg| leg.untold) {
                return Ok(());
            }
            if !identities.whole.is_empty() || identities.legs.iter().any(|leg| !leg.met) {
                return Err(Error::new(ErrorKind::Unavailable, "the legs are not known to be equal"));
            }
            let known = identities.legs.iter().filter_map(|leg| Some((leg.store?.to_string(), leg.position)));
            (known.collect::<BTreeMap<_, _>>(), state.store)
        };
        let whole = whole.unwrap_or_else(|| self.random_id());
        self.state().store = Some(whole);
        for leg in 0..self.legs.len() {
            let (gone, version) = {
                let state = self.state();
                let Some(identity) = state.identities.legs.get(leg).filter(|leg| leg.untold) else { continue };
                // A leg that is no longer one must not be believed when it is added again.
                let gone = identity.remembers.keys().filter(|store| !set.contains_key(*store)).cloned();
                (gone.collect::<Vec<_>>(), identity.version)
            };
            let values = set.iter().map(|(store, position)| (store.clone(), Some(Value::from(*position))));
            let mut values: BTreeMap<_, _> = values.chain(gone.into_iter().map(|store| (store, None))).collect();
            values.insert(BEHIND.to_owned(), None);
            values.insert(WHOLE.to_owned(), Some(Value::from(whole.to_string())));
            let stamp = self.mint(version)?;
            self.write_known(&cx, leg, Record::Session { stamp, set: values }).await?;
            if let Some(identity) = self.state().identities.legs.get_mut(leg) {
                identity.untold = false;
                identity.behind = None;
                identity.version = Some(stamp);
                identity.remembers.clone_from(&set);
            }
        }
        for identity in &mut self.state().identities.legs {
            identity.judged = identity.position;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_legs_that_have_never_met_none_answers_before_it_has_what_the_others_have() {
        let mut identities = Identities::new(2);
        for (store, leg) in (1..).zip(&mut identities.legs) {
            leg.store = Some(Uuid::from_u128(store));
            leg.met = true;
        }
        identities.judge();
        // The first one may have been replaced by an empty store before they were ever equal.
        assert!(identities.is_blocked(0) && identities.is_blocked(1));
        assert_eq!(
            identities.whole(),
            [(1, 0), (0, 1)],
            "the first one is asked first, so it is brought up to date first"
        );
        identities.united(1, 0);
        assert!(!identities.is_blocked(0) && identities.is_blocked(1));
        identities.united(0, 1);
        assert!(!identities.is_blocked(1));
    }

    fn knows(identities: &mut Identities, leg: usize, stores: &[u128]) {
        let remembers = stores.iter().map(|store| (Uuid::from_u128(*store).to_string(), None));
        identities.legs[leg].remembers = remembers.collect();
        identities.legs[leg].store = Some(Uuid::from_u128(leg as u128));
        identities.legs[leg].met = true;
        identities.judge();
    }

    #[test]
    fn where_a_leg_is_gone_two_others_answer_only_once_each_has_what_the_other_one_has() {
        let mut identities = Identities::new(3);
        // Leg 0 was number 9 before it was replaced.
        knows(&mut identities, 0, &[]);
        knows(&mut identities, 1, &[9, 1, 2]);
        assert!(identities.is_blocked(0) && !identities.is_blocked(1), "nobody else is there");
        knows(&mut identities, 2, &[9, 1, 2]);
        assert!(
            (0..3).all(|leg| identities.is_blocked(leg)),
            "what leg 0 gave to one of them was marked in leg 0 alone"
        );
        for (holder, leg) in identities.whole() {
            identities.united(holder, leg);
        }
        assert!((0..3).all(|leg| !identities.is_blocked(leg)));
    }

    #[test]
    fn a_leg_that_went_away_before_it_was_copied_is_waited_for() {
        let mut identities = Identities::new(3);
        (0..3).for_each(|leg| knows(&mut identities, leg, &[]));
        identities.lost(2);
        identities.united(1, 0);
        assert!(identities.is_blocked(0), "leg 2 may have what the others lack");
        identities.united(2, 0);
        assert!(!identities.is_blocked(0));
    }

    #[test]
    fn a_leg_that_is_added_keeps_nobody_from_answering() {
        let mut identities = Identities::new(3);
        knows(&mut identities, 0, &[0, 1]);
        knows(&mut identities, 1, &[0, 1]);
        knows(&mut identities, 2, &[]);
        assert_eq!([0, 1, 2].map(|leg| identities.is_blocked(leg)), [false, false, true]);
    }

    #[test]
    fn a_leg_that_is_alone_answers_though_it_has_never_met_another_one() {
        let mut identities = Identities::new(2);
        identities.legs[0].store = Some(Uuid::from_u128(1));
        identities.judge();
        assert!(!identities.is_blocked(0));
    }
}
