//! Healing: whatever a leg may lack is copied to it. Mirroring is the same, right after a write.

use std::time::Duration;

use craftx_core::{
    Context, Cursor, DynBackend, ErrorKind, Include, MAX_PAGE, Operation, Record, Result, SessionQuery, Tenant,
    WriteOptions,
};
use futures_util::future::join_all;
use serde::Serialize;

use crate::bug::Bug;
use crate::dirty::{Batch, Ended, How, Job, Need, Place, Which};
use crate::inner::Inner;
use crate::mark::Writing;

/// So many sessions are copied at the same time: a leg that syncs for each write can sync once for many.
const AT_ONCE: usize = 16;

/// What was healed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Healed {
    /// Copies of sessions that were made, from one leg to another.
    pub sessions: u64,
    /// Records that were copied, whether the other leg knew them already or not.
    pub records: u64,
    /// Copies that failed and will be tried again.
    pub failed: u64,
    /// Marks that were taken away.
    pub marks: u64,
    /// Whether all legs are known to be equal, and no mark is left.
    pub done: bool,
}

impl Inner {
    /// Copies to a leg what was acknowledged elsewhere, so that it can answer alone.
    pub(crate) async fn bring(&self, cx: &Context, leg: usize, which: Which<'_>) -> Result<()> {
        if self.has(Bug::ReadsDirty) {
            return Ok(());
        }
        let jobs = self.state().dirty.jobs(leg, which, Need::Acknowledged, self.clock.now());
        for job in jobs {
            self.run(cx, &job).await?;
        }
        Ok(())
    }

    /// Makes a copy. Returns how many records it took.
    async fn run(&self, cx: &Context, job: &Job) -> Result<u64> {
        let one_way = self.has(Bug::HealsOneWay) && job.leg == 0;
        let records = match &job.how {
            _ if one_way => 0,
            How::Batches(batches) => {
                let records = batches.iter().flat_map(|batch| batch.records.iter().cloned()).collect::<Vec<_>>();
                if job.gone {
                    // Nobody else has it any more, so the leg that takes it becomes its holder.
                    let mut writing = Writing::begin(self, cx, &job.place, job.leg).await?;
                    writing.reaches();
                    self.replay(cx, job.leg, &job.place, &records).await?;
                    let bytes = batches.iter().map(|batch| batch.bytes).sum();
                    writing.end(Ended::Accepted(Batch { records: records.as_slice().into(), bytes }, Vec::new()));
                } else {
                    self.replay(cx, job.leg, &job.place, &records).await?;
                }
                records.len() as u64
            }
            How::Read(cursor) => {
                let advance = |cursor: &Cursor| self.state().dirty.copied(job, cursor);
                self.copy(cx, job.holder, job.leg, &job.place, cursor.clone(), advance).await?
            }
        };
        self.state().dirty.done(job, self.has(Bug::ClearsTooMuch));
        Ok(records)
    }

    /// Copies the records of a session from where the cursor stands.
    async fn copy(
        &self,
        cx: &Context,
        holder: usize,
        leg: usize,
        place: &Place,
        mut cursor: Option<Cursor>,
        advance: impl Fn(&Cursor),
    ) -> Result<u64> {
        let system = self.system(cx, &place.tenant);
        let mut copied = 0;
        loop {
            let from = cursor.clone();
            let read = |leg: DynBackend, cx: Context| async move {
                leg.records(&cx, &place.session, from.as_ref(), Some(MAX_PAGE)).await
            };
            let changes = match self.call(holder, &system, Operation::Records, read).await {
                // The cursor has expired.
                Err(error) if error.kind() == ErrorKind::Conflict && cursor.is_some() => {
                    cursor = None;
                    continue;
                }
                changes => changes?,
            };
            self.replay(cx, leg, place, &changes.items).await?;
            copied += changes.items.len() as u64;
            advance(&changes.next);
            if changes.done {
                return Ok(copied);
            }
            cursor = Some(changes.next);
        }
    }

    /// Writes records that another leg has.
    async fn replay(&self, cx: &Context, leg: usize, place: &Place, records: &[Record]) -> Result<()> {
        let system = self.system(cx, &place.tenant);
        let kept: Vec<Record>;
        let records = if self.has(Bug::DropsTombstones) {
            kept = records.iter().filter(|record| !record.is_tombstone()).cloned().collect();
            &kept[..]
        } else {
            records
        };
        let most = self.most_records(leg);
        let mut parts: Vec<&[Record]> = records.chunks(most).rev().collect();
        while let Some(part) = parts.pop() {
            let write = |leg: DynBackend, cx: Context| async move {
                leg.write(&cx, &place.session, part, &WriteOptions::replay()).await
            };
            match self.call(leg, &system, Operation::Write, write).await {
                // A batch that is too large as a whole may fit by halves.
                Err(error) if error.kind() == ErrorKind::InvalidInput && part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                written => drop(written?),
            }
        }
        Ok(())
    }

    fn most_records(&self, leg: usize) -> usize {
        let limit = self.state().capabilities.get(leg).copied().flatten().and_then(|can| can.max_batch);
        limit.map_or(MAX_PAGE as usize, |limit| (limit as usize).clamp(1, MAX_PAGE as usize))
    }

    /// One round of everything: probes legs that are away, reads marks again if it is time to, copies what is missing,
    /// takes away the marks of sessions that are equal everywhere.
    pub(crate) async fn tick(&self, cx: &Context, linger: Duration) -> Healed {
        let _healing = self.healing.lock().await;
        self.refresh(cx).await;
        let mut healed = self.copy_all(cx).await;
        let whole = self.state().identities.whole();
        for (holder, leg) in whole {
            if self.is_up(holder) && self.is_up(leg) {
                match self.unite(cx, holder, leg).await {
                    Ok(part) => healed += part,
                    Err(_) => healed.failed += 1,
                }
            }
        }
        // Whoever could not be told is told next time.
        let _ = self.tell_legs(cx).await;
        healed.marks = self.clear_marks(cx, linger).await;
        let state = self.state();
        healed.done = state.dirty.is_empty() && state.spent.is_empty() && state.identities.is_settled();
        healed
    }

    /// Meets the legs that may be back, and all others too if it is time to.
    async fn refresh(&self, cx: &Context) {
        let now = self.clock.now();
        let due = {
            let mut state = self.state();
            let due = state.refreshed.is_none_or(|last| last + self.config.refresh() <= now);
            if due {
                state.refreshed = Some(now);
            }
            due
        };
        for leg in 0..self.legs.len() {
            if due || !self.is_up(leg) {
                // A leg that is still away is no news.
                let _ = self.meet(cx, leg).await;
            }
        }
    }

    /// Copies what is missing between legs that are up.
    async fn copy_all(&self, cx: &Context) -> Healed {
        let mut jobs = Vec::new();
        for leg in (0..self.legs.len()).filter(|leg| self.is_up(*leg)) {
            jobs.extend(self.state().dirty.jobs(leg, Which::All, Need::Everything, self.clock.now()));
        }
        jobs.retain(|job| matches!(job.how, How::Batches(_)) || self.is_up(job.holder));
        let mut healed = Healed::default();
        for part in jobs.chunks(AT_ONCE) {
            for result in join_all(part.iter().map(|job| self.run(cx, job)).collect::<Vec<_>>()).await {
                match result {
                    Ok(records) => {
                        healed.sessions += 1;
                        healed.records += records;
                    }
                    Err(_) => healed.failed += 1,
                }
            }
        }
        healed
    }

    /// Copies everything that a leg has to another one, sessions that were cleared included.
    async fn unite(&self, cx: &Context, holder: usize, leg: usize) -> Result<Healed> {
        let epoch = self.state().dirty.epoch();
        let mut healed = Healed::default();
        for tenant in self.tenants_of(cx, holder).await? {
            healed += self.unite_tenant(cx, holder, leg, &tenant).await?;
        }
        let mut state = self.state();
        if state.dirty.epoch() == epoch {
            state.identities.united(holder, leg);
        }
        Ok(healed)
    }

    async fn unite_tenant(&self, cx: &Context, holder: usize, leg: usize, tenant: &Tenant) -> Result<Healed> {
        let mut healed = Healed::default();
        let system = self.system(cx, tenant);
        let mut query = SessionQuery::new().include(Include::All).limit(MAX_PAGE);
        loop {
            let asked = query.clone();
            let list = |leg: DynBackend, cx: Context| async move { leg.sessions(&cx, &asked).await };
            let page = self.call(holder, &system, Operation::Sessions, list).await?;
            let places = page.items.into_iter().map(|session| Place { tenant: tenant.clone(), session: session.id });
            let places: Vec<Place> = places.collect();
            for part in places.chunks(AT_ONCE) {
                let copies: Vec<_> = part.iter().map(|place| self.copy(cx, holder, leg, place, None, |_| ())).collect();
                for records in join_all(copies).await {
                    healed.sessions += 1;
                    healed.records += records?;
                }
            }
            match page.next {
                Some(next) => query = query.cursor(Some(next)),
                None => return Ok(healed),
            }
        }
    }

    /// The tenants of a leg but our own.
    pub(crate) async fn tenants_of(&self, cx: &Context, leg: usize) -> Result<Vec<Tenant>> {
        let system = self.system(cx, &self.reserved);
        let (mut tenants, mut from) = (Vec::new(), None);
        loop {
            let asked: Option<Cursor> = from.clone();
            let list = |leg: DynBackend, cx: Context| async move { leg.tenants(&cx, asked.as_ref()).await };
            let page = self.call(leg, &system, Operation::Tenants, list).await?;
            tenants.extend(page.items.into_iter().filter(|tenant| *tenant != self.reserved));
            match page.next {
                None => return Ok(tenants),
                next => from = next,
            }
        }
    }

    /// Heals until all legs are equal, or nothing more can be done for now.
    pub(crate) async fn heal(&self, cx: &Context) -> Healed {
        let mut all = Healed::default();
        loop {
            let round = self.tick(cx, Duration::ZERO).await;
            all += round;
            all.failed = round.failed;
            // A session that others may still write to is read again and again, and nothing comes of it.
            let progress = round.records > 0 || round.marks > 0;
            if round.done || !progress || cx.check_deadline().is_err() {
                return all;
            }
            // What another process writes all the time, and what may still arrive, is never done.
            let state = self.state();
            if !state.dirty.owes() && state.identities.is_settled() && round.marks == 0 {
                return all;
            }
        }
    }
}

impl std::ops::AddAssign for Healed {
    fn add_assign(&mut self, other: Self) {
        self.sessions += other.sessions;
        self.records += other.records;
        self.failed += other.failed;
        self.marks += other.marks;
        self.done = other.done;
    }
}
