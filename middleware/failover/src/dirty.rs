//! Who may lack what: all that a handle knows of sessions which are not the same everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use craftx_core::{Cursor, Record, SessionId, Stamp, Tenant};

/// The bytes of records that are kept in memory so that they can be copied without being read; what does not fit is read.
const MOST_BYTES: usize = 16 << 20;

/// A session as the legs know it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) tenant: Tenant,
    pub(crate) session: SessionId,
}

/// Where a mark lies in its leg: the session of its owner, and its id.
pub(crate) type MarkId = (SessionId, Stamp);

/// What each leg may have that others lack.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    /// By session and holder.
    holds: BTreeMap<(Place, usize), Hold>,
    /// Of each leg, by tenant: the sessions and the holders from which it may lack something. Whoever asks for copies that
    /// are due does not look at all the others.
    due: Vec<BTreeMap<Tenant, BTreeSet<(SessionId, usize)>>>,
    /// Of each holder: the sessions that others have marked in it.
    foreign: Vec<BTreeMap<MarkId, Place>>,
    legs: usize,
    /// Whether other processes may write under marks that are not ours.
    shared: bool,
    /// How many records the batches of all holds have.
    kept: usize,
    /// Numbers what holders accepted. It never begins again, so that a copy which was under way when a hold was forgotten
    /// does not count for what a later hold of the same session owes.
    last: u64,
    /// Grows when a leg turns out to be another one: copies that began before do not count.
    epoch: u64,
}

/// What a leg, the holder, may have of a session that other legs lack.
#[derive(Debug)]
struct Hold {
    /// Writes to the holder that have not ended.
    in_flight: u32,
    /// The number of what the holder accepted last.
    accepted: u64,
    /// Of each leg.
    lacks: Vec<Lack>,
    /// The marks in the holder that this handle wrote, and until when it relies on them.
    marks: Vec<(Stamp, Option<Instant>)>,
    /// The marks in the holder that others wrote.
    foreign: Vec<MarkId>,
    /// Until then a write of which nobody knows the outcome may still arrive at the holder.
    unsettled: Option<Instant>,
    touched: Instant,
    /// Whether the holder was replaced, so that what is owed is kept in memory alone.
    gone: bool,
}

/// What a leg may lack of what the holder has.
#[derive(Debug, Default)]
struct Lack {
    owed: Owed,
    /// Whether the holder may also have something that was never acknowledged. Reading does not wait for it.
    unsure: bool,
    /// How far the records of the holder have been copied.
    cursor: Option<Cursor>,
}

/// What was acknowledged and not yet copied.
#[derive(Debug, Default)]
enum Owed {
    #[default]
    Nothing,
    /// These writes, and nothing else.
    Batches(Vec<(u64, Batch)>),
    /// Anything up to this number.
    Anything(u64),
}

/// The records of a write, and how many bytes they take.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) records: Arc<[Record]>,
    pub(crate) bytes: usize,
}

/// How a write to a leg ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// These legs have it, too.
    Accepted(Batch, Vec<usize>),
    NotApplied,
    /// It may still arrive until then.
    Unknown(Instant),
}

/// A copy that has to be made.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) place: Place,
    pub(crate) holder: usize,
    pub(crate) leg: usize,
    pub(crate) how: How,
    /// Whether the holder was replaced since it accepted this.
    pub(crate) gone: bool,
    /// What the holder had accepted when the copy began.
    accepted: u64,
    began: Instant,
    epoch: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum How {
    /// These records are all that is missing.
    Batches(Vec<Batch>),
    /// The holder has to be read, from here.
    Read(Option<Cursor>),
}

/// Of which sessions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which<'a> {
    Session(&'a Place),
    Tenant(&'a Tenant),
    All,
}

/// What is to be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// What was acknowledged: a reader waits for it.
    Acknowledged,
    /// Also what never was, so that all legs are equal in the end.
    Everything,
}

impl Owed {
    fn bytes(&self) -> usize {
        match self {
            Self::Batches(batches) => batches.iter().map(|(_, batch)| batch.bytes).sum(),
            Self::Nothing | Self::Anything(_) => 0,
        }
    }

    fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}

impl Lack {
    fn is_nothing(&self) -> bool {
        self.owed.is_nothing() && !self.unsure
    }
}

impl Hold {
    fn new(legs: usize, now: Instant) -> Self {
        Self {
            in_flight: 0,
            accepted: 0,
            lacks: (0..legs).map(|_| Lack::default()).collect(),
            marks: Vec::new(),
            foreign: Vec::new(),
            unsettled: None,
            touched: now,
            gone: false,
        }
    }

    fn is_clean(&self, now: Instant) -> bool {
        self.in_flight == 0
            && self.unsettled.is_none_or(|until| until <= now)
            && self.lacks.iter().all(Lack::is_nothing)
    }

    fn job(&self, leg: usize, need: Need, now: Instant) -> Option<How> {
        let lack = self.lacks.get(leg)?;
        let settled = self.unsettled.is_none_or(|until| until <= now);
        let everything = need == Need::Everything && lack.unsure && settled;
        match &lack.owed {
            Owed::Nothing if !everything => None,
            Owed::Batches(batches) if !everything => {
                Some(How::Batches(batches.iter().map(|(_, batch)| batch.clone()).collect()))
            }
            Owed::Nothing | Owed::Batches(_) | Owed::Anything(_) => Some(How::Read(lack.cursor.clone())),
        }
    }
}

impl Dirty {
    pub(crate) fn new(legs: usize, shared: bool) -> Self {
        Self { legs, shared, due: vec![BTreeMap::new(); legs], foreign: vec![BTreeMap::new(); legs], ..Self::default() }
    }

    fn hold(&mut self, place: &Place, holder: usize, now: Instant) -> &mut Hold {
        let legs = self.legs;
        self.holds.entry((place.clone(), holder)).or_insert_with(|| Hold::new(legs, now))
    }

    /// Brings the index up to date after something was or is no longer owed.
    fn index(&mut self, place: &Place, holder: usize) {
        let hold = self.holds.get(&(place.clone(), holder));
        for (leg, due) in self.due.iter_mut().enumerate() {
            let is_due = hold.and_then(|hold| hold.lacks.get(leg)).is_some_and(|lack| !lack.is_nothing());
            let key = (place.session.clone(), holder);
            if is_due {
                due.entry(place.tenant.clone()).or_default().insert(key);
            } else if let Some(sessions) = due.get_mut(&place.tenant) {
                sessions.remove(&key);
                if sessions.is_empty() {
                    due.remove(&place.tenant);
                }
            }
        }
    }

    /// A write to the holder begins. Says whether the session has a mark there that can be relied on. While the write
    /// is under way no mark is taken away.
    pub(crate) fn begin(&mut self, place: &Place, holder: usize, now: Instant) -> bool {
        let hold = self.hold(place, holder, now);
        hold.in_flight += 1;
        hold.touched = now;
        hold.marks.iter().any(|(_, until)| until.is_none_or(|until| now < until))
    }

    /// The session was marked in the holder.
    pub(crate) fn marked(&mut self, place: &Place, holder: usize, id: Stamp, until: Option<Instant>, now: Instant) {
        self.hold(place, holder, now).marks.push((id, until));
    }

    /// The write ended.
    pub(crate) fn end(&mut self, place: &Place, holder: usize, ended: Ended, now: Instant) {
        let mut kept = self.kept;
        self.last += 1;
        let number = self.last;
        let hold = self.hold(place, holder, now);
        hold.in_flight = hold.in_flight.saturating_sub(1);
        hold.touched = now;
        match ended {
            Ended::NotApplied => {}
            Ended::Unknown(until) => {
                hold.unsettled = hold.unsettled.max(Some(until));
                for (_, lack) in others(&mut hold.lacks, holder) {
                    lack.unsure = true;
                }
            }
            Ended::Accepted(batch, also) => {
                hold.accepted = number;
                for (_, lack) in others(&mut hold.lacks, holder).filter(|(leg, _)| !also.contains(leg)) {
                    kept -= lack.owed.bytes();
                    lack.owed = match std::mem::take(&mut lack.owed) {
                        Owed::Anything(_) => Owed::Anything(number),
                        _ if kept + batch.bytes > MOST_BYTES => Owed::Anything(number),
                        Owed::Nothing => Owed::Batches(vec![(number, batch.clone())]),
                        Owed::Batches(mut batches) => {
                            batches.push((number, batch.clone()));
                            Owed::Batches(batches)
                        }
                    };
                    kept += lack.owed.bytes();
                }
            }
        }
        self.kept = kept;
        self.index(place, holder);
    }

    /// Somebody else has marked the session in the holder: whatever the holder has of it, the others may lack. Nobody
    /// takes the mark away before `until`.
    pub(crate) fn foreign(&mut self, place: &Place, holder: usize, mark: MarkId, until: Instant, now: Instant) {
        let known = self.foreign.get_mut(holder).and_then(|known| known.insert(mark.clone(), place.clone()));
        if known.is_some() {
            return;
        }
        self.last += 1;
        let number = self.last;
        let hold = self.hold(place, holder, now);
        hold.foreign.push(mark);
        hold.unsettled = hold.unsettled.max(Some(until));
        hold.accepted = number;
        let mut freed = 0;
        for (_, lack) in others(&mut hold.lacks, holder) {
            freed += lack.owed.bytes();
            lack.owed = Owed::Anything(number);
            lack.unsure = true;
        }
        self.kept -= freed;
        self.index(place, holder);
    }

    /// A mark of somebody else is no longer there: its owner has seen to it.
    pub(crate) fn unmarked(&mut self, holder: usize, mark: &MarkId) {
        let place = self.foreign.get_mut(holder).and_then(|known| known.remove(mark));
        if let Some(hold) = place.and_then(|place| self.holds.get_mut(&(place, holder))) {
            hold.foreign.retain(|known| known != mark);
        }
    }

    /// The marks of this owner in the holder.
    pub(crate) fn marks_of(&self, holder: usize, owner: &SessionId) -> Vec<MarkId> {
        let from = self.foreign.get(holder).into_iter().flat_map(|known| known.range((owner.clone(), Stamp::MIN)..));
        from.map(|(mark, _)| mark).take_while(|mark| mark.0 == *owner).cloned().collect()
    }

    /// The copies to this leg that are due.
    pub(crate) fn jobs(&self, leg: usize, which: Which<'_>, need: Need, now: Instant) -> Vec<Job> {
        let job = |place: Place, holder: usize| {
            let hold = self.holds.get(&(place.clone(), holder)).filter(|_| holder != leg)?;
            let how = hold.job(leg, need, now)?;
            let (gone, accepted) = (hold.gone, hold.accepted);
            Some(Job { place, holder, leg, how, gone, accepted, began: now, epoch: self.epoch })
        };
        let due = self.due.get(leg);
        let of = |tenant: &Tenant, sessions: &BTreeSet<(SessionId, usize)>| {
            let place = |session: &SessionId| Place { tenant: tenant.clone(), session: session.clone() };
            sessions.iter().filter_map(|(session, holder)| job(place(session), *holder)).collect::<Vec<_>>()
        };
        match which {
            Which::Session(place) => (0..self.legs).filter_map(|holder| job(place.clone(), holder)).collect(),
            Which::Tenant(tenant) => {
                due.and_then(|due| due.get(tenant)).map(|sessions| of(tenant, sessions)).unwrap_or_default()
            }
            Which::All => due.into_iter().flatten().flat_map(|(tenant, sessions)| of(tenant, sessions)).collect(),
        }
    }

    /// The records of the holder up to this cursor have been copied.
    pub(crate) fn copied(&mut self, job: &Job, cursor: &Cursor) {
        if job.epoch == self.epoch
            && let Some(hold) = self.holds.get_mut(&(job.place.clone(), job.holder))
            && let Some(lack) = hold.lacks.get_mut(job.leg)
        {
            lack.cursor = Some(cursor.clone());
        }
    }

    /// The copy is complete. What the holder accepted after it had begun is still owed.
    pub(crate) fn done(&mut self, job: &Job, forgets_later: bool) {
        if job.epoch != self.epoch {
            return;
        }
        let shared = self.shared;
        let Some(hold) = self.holds.get_mut(&(job.place.clone(), job.holder)) else { return };
        // Under the mark of another process more may come at any time.
        let still_written = shared && !hold.foreign.is_empty() && hold.unsettled.is_some_and(|until| job.began < until);
        let settled = hold.unsettled.is_none_or(|until| until <= job.began);
        let Some(lack) = hold.lacks.get_mut(job.leg) else { return };
        let read = matches!(job.how, How::Read(_));
        let before = lack.owed.bytes();
        lack.owed = match std::mem::take(&mut lack.owed) {
            Owed::Batches(mut batches) => {
                batches.retain(|(number, _)| *number > job.accepted && !forgets_later);
                if batches.is_empty() { Owed::Nothing } else { Owed::Batches(batches) }
            }
            Owed::Anything(number) if read && (number <= job.accepted || forgets_later) && !still_written => {
                Owed::Nothing
            }
            owed => owed,
        };
        if read && settled {
            lack.unsure = false;
        }
        self.kept = self.kept + lack.owed.bytes() - before;
        self.index(&job.place, job.holder);
    }

    /// Forgets the sessions that are the same everywhere and have not been written for a while, and returns their
    /// marks by holder.
    pub(crate) fn settled(&mut self, now: Instant, linger: Duration) -> Vec<(usize, Vec<Stamp>, Vec<MarkId>)> {
        let mut marks = Vec::new();
        let known = &mut self.foreign;
        self.holds.retain(|(_, holder), hold| {
            if !hold.is_clean(now) || hold.touched + linger > now {
                return true;
            }
            let own = hold.marks.iter().map(|(id, _)| *id).collect();
            let foreign = std::mem::take(&mut hold.foreign);
            if let Some(known) = known.get_mut(*holder) {
                foreign.iter().for_each(|mark| drop(known.remove(mark)));
            }
            marks.push((*holder, own, foreign));
            false
        });
        marks
    }

    /// The leg is not what it was: nobody knows which marks it has, and what was copied to it or from it means nothing.
    pub(crate) fn replaced(&mut self, leg: usize, now: Instant) {
        self.epoch += 1;
        for ((_, holder), hold) in &mut self.holds {
            if *holder == leg {
                hold.gone = true;
                hold.marks.iter_mut().for_each(|(_, until)| *until = Some(now));
                hold.lacks.iter_mut().for_each(|lack| lack.cursor = None);
            } else if let Some(lack) = hold.lacks.get_mut(leg) {
                lack.cursor = None;
            }
        }
    }

    /// Whether none of these legs lacks anything of the session, and nothing may still arrive but what is being written.
    pub(crate) fn are_equal(&self, place: &Place, legs: &[usize], now: Instant) -> bool {
        let equal = |hold: &Hold| {
            hold.unsettled.is_none_or(|until| until <= now)
                && legs.iter().all(|leg| hold.lacks.get(*leg).is_some_and(Lack::is_nothing))
        };
        (0..self.legs).all(|holder| self.holds.get(&(place.clone(), holder)).is_none_or(equal))
    }

    /// Whether a leg may lack something of the session, or did a moment ago.
    pub(crate) fn is_marked(&self, place: &Place) -> bool {
        (0..self.legs).any(|holder| self.holds.contains_key(&(place.clone(), holder)))
    }

    /// How many sessions the leg may lack something of, or has something of that others lack.
    pub(crate) fn count(&self, leg: usize) -> (usize, usize) {
        let lacks = self.due.get(leg).into_iter().flat_map(BTreeMap::values).map(BTreeSet::len).sum();
        let has = self.holds.keys().filter(|(_, holder)| *holder == leg).count();
        (lacks, has)
    }

    /// The marks in the leg that this handle wrote and under which nothing more can arrive, once it writes no more.
    pub(crate) fn marks_to_end(&self, leg: usize, now: Instant) -> Vec<(Place, Vec<Stamp>)> {
        let held =
            self.holds.iter().filter(|((_, holder), hold)| *holder == leg && !hold.gone && !hold.marks.is_empty());
        let quiet = held.filter(|(_, hold)| hold.in_flight == 0 && hold.unsettled.is_none_or(|until| until <= now));
        quiet.map(|((place, _), hold)| (place.clone(), hold.marks.iter().map(|(id, _)| *id).collect())).collect()
    }

    /// The oldest mark of this handle in the leg.
    pub(crate) fn oldest_mark(&self, leg: usize) -> Option<Stamp> {
        let held = self.holds.iter().filter(|((_, holder), _)| *holder == leg);
        held.flat_map(|(_, hold)| hold.marks.iter().map(|(id, _)| *id).chain(hold.foreign.iter().map(|(_, id)| *id)))
            .min()
    }

    /// Grows when a leg turns out to be another one.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.holds.is_empty()
    }

    /// Whether anything that was acknowledged has not been copied.
    pub(crate) fn owes(&self) -> bool {
        self.holds.values().any(|hold| hold.lacks.iter().any(|lack| !lack.owed.is_nothing()))
    }
}

fn others(lacks: &mut [Lack], holder: usize) -> impl Iterator<Item = (usize, &mut Lack)> {
    lacks.iter_mut().enumerate().filter(move |(leg, _)| *leg != holder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> Place {
        Place { tenant: Tenant::default(), session: SessionId::new(name).unwrap() }
    }

    fn accepted() -> Ended {
        Ended::Accepted(Batch { records: Arc::new([]), bytes: 0 }, Vec::new())
    }

    /// Seed 91816 of the simulation.
    #[test]
    fn a_copy_that_began_before_a_session_was_forgotten_does_not_count_afterwards() {
        let now = Instant::now();
        let mut dirty = Dirty::new(2, false);
        let write = |dirty: &mut Dirty| {
            dirty.begin(&place("s"), 0, now);
            dirty.end(&place("s"), 0, accepted(), now);
        };
        write(&mut dirty);
        let jobs = dirty.jobs(1, Which::All, Need::Everything, now);
        dirty.done(&jobs[0], false);
        assert_eq!(dirty.settled(now, Duration::ZERO).len(), 1, "it is forgotten");
        write(&mut dirty);
        // The same copy, asked for twice, ends only now.
        dirty.done(&jobs[0], false);
        assert!(dirty.owes(), "what was written later is still owed");
    }

    #[test]
    fn a_mark_under_which_something_may_still_arrive_is_not_ended() {
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(9));
        let mark = Stamp::mint(1, None, 0).unwrap();
        let mut dirty = Dirty::new(2, true);
        for name in ["done", "unknown", "under way", "unmarked"] {
            dirty.begin(&place(name), 0, now);
            if name != "unmarked" {
                dirty.marked(&place(name), 0, mark, None, now);
            }
        }
        dirty.end(&place("done"), 0, accepted(), now);
        dirty.end(&place("unmarked"), 0, accepted(), now);
        dirty.end(&place("unknown"), 0, Ended::Unknown(later), now);
        assert_eq!(dirty.marks_to_end(0, now), [(place("done"), vec![mark])]);
        assert!(dirty.marks_to_end(1, now).is_empty());
        let ended: Vec<_> = dirty.marks_to_end(0, later).into_iter().map(|(place, _)| place).collect();
        assert_eq!(ended, [place("done"), place("unknown")]);
    }
}
