//! Marks: which sessions a leg may have something of that others lack, durable in that leg itself.
//!
//! A mark is a message in our tenant of the leg, in a session that only its owner, one handle, writes to. It names a
//! session and holds no content. It is there before the leg accepts a write, and goes when all legs are equal again.
//! Every process reads the marks of all; whoever sees the mark of another owner for longer than its lease may take it
//! away, once it has healed what the mark stands for. The owner relies on it for half the lease only.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use craftx_core::{
    Compact, Content, Context, Cursor, Error, ErrorKind, Message, Operation, Record, Result, Role, SessionId,
    SessionQuery, Stamp, Tenant, WriteOptions,
};
use serde_json::{Map, Value};

use crate::bug::Bug;
use crate::dirty::{Ended, MarkId, Place};
use crate::inner::Inner;

/// How the names of the sessions with marks begin.
pub(crate) const PREFIX: &str = "marks-";
/// So many deletions are kept before they are purged.
const MOST_TOMBSTONES: usize = 1_000;
/// So many marks are taken away at once.
const AT_ONCE: usize = 500;
/// The member of a mark that is ended.
const ENDED: &str = "ended";

/// Marks that are no longer needed, by leg.
#[derive(Debug)]
pub(crate) struct Spent(Vec<SpentOf>);

#[derive(Debug, Default)]
struct SpentOf {
    own: BTreeSet<Stamp>,
    foreign: BTreeSet<MarkId>,
    /// Deletions in the session of this handle that have not been purged.
    tombstones: usize,
    /// From when on the next purge can be made, and of what.
    purge: Option<(Instant, Stamp)>,
}

impl Spent {
    pub(crate) fn new(legs: usize) -> Self {
        Self((0..legs).map(|_| SpentOf::default()).collect())
    }

    pub(crate) fn add(&mut self, leg: usize, own: Vec<Stamp>, foreign: Vec<MarkId>) {
        if let Some(spent) = self.0.get_mut(leg) {
            spent.own.extend(own);
            spent.foreign.extend(foreign);
        }
    }

    /// The marks in a leg, by the session where they lie.
    fn of(&self, leg: usize, own: &SessionId) -> BTreeMap<SessionId, Vec<Stamp>> {
        let mut marks: BTreeMap<SessionId, Vec<Stamp>> = BTreeMap::new();
        let Some(spent) = self.0.get(leg) else { return marks };
        for (session, id) in spent.own.iter().map(|id| (own, *id)).chain(spent.foreign.iter().map(|(of, id)| (of, *id)))
        {
            marks.entry(session.clone()).or_default().push(id);
        }
        marks
    }

    /// These marks were taken away.
    fn gone(&mut self, leg: usize, session: &SessionId, ids: &[Stamp], own: &SessionId) {
        let Some(spent) = self.0.get_mut(leg) else { return };
        for id in ids {
            spent.foreign.remove(&(session.clone(), *id));
            if session == own {
                spent.own.remove(id);
                spent.tombstones += 1;
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|spent| spent.own.is_empty() && spent.foreign.is_empty())
    }
}

/// How far the marks of each owner were read, by leg.
#[derive(Debug)]
pub(crate) struct MarksRead(Vec<BTreeMap<SessionId, Cursor>>);

impl MarksRead {
    pub(crate) fn new(legs: usize) -> Self {
        Self(vec![BTreeMap::new(); legs])
    }

    fn cursor(&self, leg: usize, owner: &SessionId) -> Option<Cursor> {
        self.0.get(leg)?.get(owner).cloned()
    }

    fn reached(&mut self, leg: usize, owner: &SessionId, cursor: Cursor) {
        if let Some(owners) = self.0.get_mut(leg) {
            owners.insert(owner.clone(), cursor);
        }
    }

    fn forget(&mut self, leg: usize, owner: &SessionId) {
        if let Some(owners) = self.0.get_mut(leg) {
            owners.remove(owner);
        }
    }

    /// Forgets all owners but these, and returns them.
    fn forget_but(&mut self, leg: usize, owners: &BTreeSet<SessionId>) -> Vec<SessionId> {
        let Some(known) = self.0.get_mut(leg) else { return Vec::new() };
        let (kept, gone) = std::mem::take(known).into_iter().partition(|(owner, _)| owners.contains(owner));
        *known = kept;
        let gone: BTreeMap<SessionId, Cursor> = gone;
        gone.into_keys().collect()
    }

    /// The leg is not what it was: everything is read again.
    pub(crate) fn replaced(&mut self, leg: usize) {
        if let Some(owners) = self.0.get_mut(leg) {
            owners.clear();
        }
    }
}

/// A write to a leg that is under way: as long as it lives the session stays marked.
pub(crate) struct Writing<'a> {
    inner: &'a Inner,
    place: &'a Place,
    leg: usize,
    /// A mark that may or may not be there.
    mark: Option<Stamp>,
    /// Whether the leg may have been reached.
    reached: bool,
}

impl<'a> Writing<'a> {
    /// Makes sure that the session is marked in the leg.
    pub(crate) async fn begin(inner: &'a Inner, cx: &Context, place: &'a Place, leg: usize) -> Result<Self> {
        let now = inner.clock.now();
        let marked = {
            let mut state = inner.state();
            if state.ended {
                return Err(Error::new(ErrorKind::Closed, "the store is closed"));
            }
            state.dirty.begin(place, leg, now)
        };
        let mut writing = Self { inner, place, leg, mark: None, reached: false };
        if !marked && !inner.has(Bug::NeverMarks) && !inner.has(Bug::MarksLate) {
            writing.write_mark(cx, now).await?;
        }
        Ok(writing)
    }

    async fn write_mark(&mut self, cx: &Context, now: Instant) -> Result<()> {
        let id = self.inner.mint(None)?;
        self.mark = Some(id);
        let mark = [mark(id, self.place, false)];
        let cx = self.inner.system(cx, &self.inner.reserved);
        let session = &self.inner.own_marks;
        let call = |leg: craftx_core::DynBackend, cx: Context| async move {
            leg.write(&cx, session, &mark, &WriteOptions::replay()).await
        };
        self.inner.call(self.leg, &cx, Operation::Write, call).await?;
        self.mark = None;
        // The lease begins before the mark was there, so nobody can have seen it for longer.
        let until = self.inner.config.trust().map(|trust| now + trust);
        self.inner.state().dirty.marked(self.place, self.leg, id, until, now);
        Ok(())
    }

    /// The leg is about to be asked.
    pub(crate) fn reaches(&mut self) {
        self.reached = true;
    }

    /// For the bug of that name.
    pub(crate) async fn mark_late(&mut self, cx: &Context) -> Result<()> {
        self.write_mark(cx, self.inner.clock.now()).await
    }

    /// The write ended.
    pub(crate) fn end(self, ended: Ended) {
        self.inner.state().dirty.end(self.place, self.leg, ended, self.inner.clock.now());
        let mut writing = self;
        writing.spend();
        std::mem::forget(writing);
    }

    /// A mark of which nobody knows whether it is there is taken away like any other: a deletion also holds for what
    /// comes later.
    fn spend(&mut self) {
        if let Some(id) = self.mark.take() {
            self.inner.state().spent.add(self.leg, vec![id], Vec::new());
        }
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let now = self.inner.clock.now();
        let ended = if self.reached { Ended::Unknown(now + self.inner.config.settle()) } else { Ended::NotApplied };
        self.inner.state().dirty.end(self.place, self.leg, ended, now);
        self.spend();
    }
}

/// A mark. Of one that is ended it is known that nothing more is written under it, so nobody has to wait for its lease.
fn mark(id: Stamp, place: &Place, ended: bool) -> Record {
    let mut names = Map::new();
    if ended {
        names.insert(ENDED.to_owned(), Value::Bool(true));
    }
    names.insert("tenant".to_owned(), Value::from(place.tenant.as_str()));
    names.insert("session".to_owned(), Value::from(place.session.as_str()));
    Record::Message(Message::new(id, Role::System, Content::Object(names)))
}

/// Which session is marked, and whether the mark is ended.
fn marked(message: &Message) -> Result<(Place, bool)> {
    let member = |key: &str| match &message.content {
        Content::Object(names) => names.get(key),
        _ => None,
    };
    let name = |key: &str| member(key).and_then(Value::as_str);
    let ended = member(ENDED) == Some(&Value::Bool(true));
    let place = name("tenant").zip(name("session")).and_then(|(tenant, session)| {
        Some((Place { tenant: Tenant::new(tenant).ok()?, session: SessionId::new(session).ok()? }, ended))
    });
    place.ok_or_else(|| Error::new(ErrorKind::Corrupted, "this is no mark of a failover").with("id", message.id))
}

impl Inner {
    /// Reads the marks in a leg that others wrote, or an earlier life of this process: of each owner those that were made
    /// or taken away since the last time.
    pub(crate) async fn read_marks(&self, cx: &Context, leg: usize) -> Result<()> {
        let cx = self.system(cx, &self.reserved);
        let mut owners = BTreeSet::new();
        let mut query = SessionQuery::new().prefix(PREFIX);
        loop {
            let asked = query.clone();
            let list = |leg: craftx_core::DynBackend, cx: Context| async move { leg.sessions(&cx, &asked).await };
            let page = self.call(leg, &cx, Operation::Sessions, list).await?;
            owners.extend(page.items.into_iter().map(|session| session.id).filter(|id| *id != self.own_marks));
            match page.next {
                Some(next) => query = query.cursor(Some(next)),
                None => break,
            }
        }
        for owner in &owners {
            self.read_marks_of(&cx, leg, owner).await?;
        }
        // Who has no mark left is not listed.
        let mut state = self.state();
        for owner in state.marks_read.forget_but(leg, &owners) {
            state.dirty.marks_of(leg, &owner).iter().for_each(|mark| state.dirty.unmarked(leg, mark));
        }
        Ok(())
    }

    /// The marks of one owner.
    pub(crate) async fn read_marks_of(&self, cx: &Context, leg: usize, owner: &SessionId) -> Result<()> {
        let mut from = self.state().marks_read.cursor(leg, owner);
        let mut gone: BTreeSet<MarkId> = match from {
            Some(_) => BTreeSet::new(),
            // Whatever is not found again is gone.
            None => self.state().dirty.marks_of(leg, owner).into_iter().collect(),
        };
        loop {
            let asked = from.clone();
            let read = |leg: craftx_core::DynBackend, cx: Context| async move {
                leg.records(&cx, owner, asked.as_ref(), Some(craftx_core::MAX_PAGE)).await
            };
            let changes = match self.call(leg, cx, Operation::Records, read).await {
                // The cursor has expired.
                Err(error) if error.kind() == ErrorKind::Conflict && from.is_some() => {
                    self.state().marks_read.forget(leg, owner);
                    from = None;
                    gone = self.state().dirty.marks_of(leg, owner).into_iter().collect();
                    continue;
                }
                changes => changes?,
            };
            let mut found = Vec::new();
            for record in &changes.items {
                match record {
                    Record::Message(message) => {
                        let mark = (owner.clone(), message.id);
                        gone.remove(&mark);
                        found.push((mark, marked(message)?));
                    }
                    Record::Deleted { id, .. } => drop(gone.insert((owner.clone(), *id))),
                    _ => {}
                }
            }
            found.retain(|(mark, _)| !gone.contains(mark));
            self.note_marks(leg, found);
            from = Some(changes.next);
            if changes.done {
                break;
            }
        }
        let mut state = self.state();
        gone.iter().for_each(|mark| state.dirty.unmarked(leg, mark));
        // Own marks are read only where a leg was replaced, and taken away like those of others.
        if let Some(cursor) = from.filter(|_| *owner != self.own_marks) {
            state.marks_read.reached(leg, owner, cursor);
        }
        Ok(())
    }

    /// Takes away the marks of the sessions that have been the same everywhere for a while. Returns how many.
    pub(crate) async fn clear_marks(&self, cx: &Context, linger: std::time::Duration) -> u64 {
        {
            let now = self.clock.now();
            let mut state = self.state();
            if state.cleared.is_some_and(|last| last + linger > now) {
                return 0;
            }
            state.cleared = Some(now);
            for (leg, own, foreign) in state.dirty.settled(now, linger) {
                state.spent.add(leg, own, foreign);
            }
            if state.spent.is_empty() {
                return 0;
            }
        }
        if self.tell_positions(cx).await.is_err() {
            return 0;
        }
        let cx = self.system(cx, &self.reserved);
        let mut cleared = 0;
        for leg in (0..self.legs.len()).filter(|leg| self.is_up(*leg)) {
            let marks = self.state().spent.of(leg, &self.own_marks);
            for (session, ids) in marks {
                for part in ids.chunks(AT_ONCE) {
                    // What cannot be taken away now is taken away next time.
                    if self.delete_marks(&cx, leg, &session, part).await.is_ok() {
                        cleared += part.len() as u64;
                    }
                }
            }
            self.purge(&cx, leg).await;
        }
        cleared
    }

    /// Puts marks that are ended in the place of those that are left, because this handle writes no more: whoever comes
    /// next need not wait for the lease. What cannot be told is not: then the lease is waited for.
    pub(crate) async fn end_marks(&self, cx: &Context) {
        let cx = self.system(cx, &self.reserved);
        self.state().ended = true;
        for leg in (0..self.legs.len()).filter(|leg| self.is_up(*leg)) {
            let left = self.state().dirty.marks_to_end(leg, self.clock.now());
            for part in left.chunks(AT_ONCE / 2) {
                if self.end_marks_of(&cx, leg, part).await.is_err() {
                    break;
                }
            }
        }
    }

    async fn end_marks_of(&self, cx: &Context, leg: usize, marks: &[(Place, Vec<Stamp>)]) -> Result<()> {
        let mut records = Vec::new();
        for (place, ids) in marks {
            records.push(mark(self.mint(None)?, place, true));
            for id in ids {
                records.push(Record::Deleted { id: *id, stamp: self.mint(Some(*id))? });
            }
        }
        let session = &self.own_marks;
        let call = |leg: craftx_core::DynBackend, cx: Context| async move {
            leg.write(&cx, session, &records, &WriteOptions::replay()).await
        };
        self.call(leg, cx, Operation::Write, call).await.map(drop)
    }

    async fn delete_marks(&self, cx: &Context, leg: usize, session: &SessionId, ids: &[Stamp]) -> Result<()> {
        let deletions = ids
            .iter()
            .map(|id| Ok(Record::Deleted { id: *id, stamp: self.mint(Some(*id))? }))
            .collect::<Result<Vec<_>>>()?;
        let delete = |leg: craftx_core::DynBackend, cx: Context| async move {
            leg.write(&cx, session, &deletions, &WriteOptions::replay()).await
        };
        self.call(leg, cx, Operation::Write, delete).await?;
        self.state().spent.gone(leg, session, ids, &self.own_marks);
        Ok(())
    }

    /// Forgets the deletions of own marks now and then. Nobody copies these sessions, so nobody can bring a mark back but
    /// a write that has not arrived yet: hence the pause.
    async fn purge(&self, cx: &Context, leg: usize) {
        let now = self.clock.now();
        let Ok(stamp) = self.mint(None) else { return };
        let due = {
            let mut state = self.state();
            let Some(spent) = state.spent.0.get_mut(leg).filter(|spent| spent.tombstones >= MOST_TOMBSTONES) else {
                return;
            };
            let (from, before) = *spent.purge.get_or_insert((now + self.config.settle(), stamp));
            if now < from {
                return;
            }
            spent.tombstones = 0;
            spent.purge = None;
            before
        };
        let what = Compact::new().session(self.own_marks.clone()).purge_deleted_before(due);
        let compact = |leg: craftx_core::DynBackend, cx: Context| async move { leg.compact(&cx, &what).await };
        // What is left is purged next time.
        let _ = self.call(leg, cx, Operation::Compact, compact).await;
    }
}
