//! Writing: to the primary, or to the first leg that is there; to all of them at once where none could disagree.

use std::sync::Arc;

use craftx_core::{
    Context, DynBackend, Error, ErrorKind, Expect, Operation, Outcome, Record, Result, WriteOptions, Written,
};
use futures_util::future::join_all;

use crate::bug::Bug;
use crate::config::Mirror;
use crate::dirty::{Batch, Ended, Place, Which};
use crate::inner::{Inner, State};
use crate::leg::is_away;
use crate::mark::Writing;

impl Inner {
    /// Writes to the first leg that can do it. The next one gets the same records with the same stamps, so that it does
    /// not matter whether the first one has them after all.
    pub(crate) async fn write(
        &self,
        cx: &Context,
        place: &Place,
        records: &[Record],
        bytes: usize,
        options: &WriteOptions,
    ) -> Result<Written> {
        // Later calls of the same ids wait here, so that all legs meet them in the same order.
        let _turn = if self.config.writes_at_once() && !self.has(Bug::WritesAtOnce) {
            Some(self.turn(cx, place, records).await?)
        } else {
            None
        };
        let legs = self.candidates(cx).await;
        let legs = if options.expect == Expect::Anything { legs } else { self.expecting(cx, place, legs).await? };
        let mut batch = Batch { records: records.into(), bytes };
        if self.can_write_at_once(place, &legs) {
            return self.write_at_once(cx, &legs, place, &batch, options).await;
        }
        let mut unknown = false;
        let mut last = None;
        for (index, leg) in legs.iter().enumerate() {
            let share = self.share(cx, legs.len() - index - 1);
            let tried = self.try_on(&share, *leg, place, &batch, options).await;
            match self.end(tried, &batch, Vec::new()) {
                Ok(written) => {
                    self.mirror(cx, *leg, place).await;
                    return Ok(written);
                }
                Err(error) => {
                    unknown |= error.outcome() == Outcome::Unknown;
                    if !is_away(error.kind()) {
                        return Err(named(error, unknown));
                    }
                    last = Some(error);
                }
            }
            if self.has(Bug::MintsAgain) {
                batch.records = self.minted_again(&batch.records)?;
            }
        }
        Err(named(nobody(cx, Operation::Write, last), unknown))
    }

    /// Only the primary can say what a session is like, and only if it has all of it.
    async fn expecting(&self, cx: &Context, place: &Place, legs: Vec<usize>) -> Result<Vec<usize>> {
        let knows = {
            let state = self.state();
            state.identities.all_marks_read() && !state.identities.is_blocked(0)
        };
        let unsure = || Error::new(ErrorKind::Unavailable, "it cannot be known now what the session is like");
        if !legs.contains(&0) || !knows {
            return Err(unsure().during("write"));
        }
        self.bring(cx, 0, Which::Session(place)).await.map_err(|error| unsure().during("write").because(error))?;
        Ok(vec![0])
    }

    /// Whether these legs can be written at the same time: only where each of them will judge as the primary does, or a
    /// secondary would keep what the primary refuses. So none may lack anything that another one has, all must know a
    /// message with other content, and no other process may write: it could reach the legs in another order.
    fn can_write_at_once(&self, place: &Place, legs: &[usize]) -> bool {
        if legs.len() < 2 || self.config.mirror != Mirror::Sync {
            return false;
        }
        if self.has(Bug::WritesAtOnce) {
            return true;
        }
        let equal =
            |state: &State| state.identities.are_known(legs) && state.dirty.are_equal(place, legs, self.clock.now());
        self.config.writes_at_once() && equal(&self.state()) && self.capabilities().detects_conflict.is_yes()
    }

    /// Writes to all these legs at the same time. The first one that is there decides. If it refuses what a later one took
    /// after all, for a reason that was not to be foreseen, the outcome is unknown.
    async fn write_at_once(
        &self,
        cx: &Context,
        legs: &[usize],
        place: &Place,
        batch: &Batch,
        options: &WriteOptions,
    ) -> Result<Written> {
        let epoch = self.state().dirty.epoch();
        let share = self.share(cx, 1);
        let tries = join_all(legs.iter().map(|leg| self.try_on(&share, *leg, place, batch, options))).await;
        let decides = tries.iter().find(|tried| !matches!(&tried.result, Err(error) if is_away(error.kind())));
        let refused = decides.is_some_and(|tried| tried.result.is_err());
        let mut took: Vec<usize> = tries.iter().filter(|tried| tried.result.is_ok()).map(|tried| tried.leg).collect();
        if self.state().dirty.epoch() != epoch {
            // A leg was replaced meanwhile: nobody knows whether it was the old one that took it.
            took.clear();
        }
        let (mut unknown, mut last, mut answer) = (false, None, None);
        for mut tried in tries {
            if refused && tried.result.is_ok() && !self.has(Bug::WritesAtOnce) {
                tried.result = Err(Error::new(ErrorKind::Conflict, "another leg refused it").maybe_applied());
            }
            let leg = tried.leg;
            match self.end(tried, batch, took.clone()) {
                Ok(written) => drop(answer.get_or_insert(Ok((leg, written)))),
                Err(error) => {
                    unknown |= error.outcome() == Outcome::Unknown;
                    if is_away(error.kind()) {
                        last = Some(error);
                    } else {
                        answer.get_or_insert(Err(error));
                    }
                }
            }
        }
        match answer {
            Some(Ok((leg, written))) => {
                self.mirror(cx, leg, place).await;
                Ok(written)
            }
            Some(Err(error)) => Err(named(error, unknown)),
            None => Err(named(nobody(cx, Operation::Write, last), unknown)),
        }
    }

    /// Marks the session in a leg and writes to it.
    async fn try_on<'a>(
        &'a self,
        cx: &Context,
        leg: usize,
        place: &'a Place,
        batch: &Batch,
        options: &WriteOptions,
    ) -> Tried<'a> {
        let mut writing = match Writing::begin(self, cx, place, leg).await {
            Ok(writing) => writing,
            Err(error) => {
                // Whether the mark is there or not, the records are not.
                let unmarked = Error::new(error.kind(), "the session cannot be marked").during("write").because(error);
                return Tried { leg, writing: None, result: Err(unmarked) };
            }
        };
        writing.reaches();
        let call = |backend: DynBackend, cx: Context| async move {
            backend.write(&cx, &place.session, &batch.records, options).await
        };
        let result = self.call(leg, &cx.clone().with_tenant(place.tenant.clone()), Operation::Write, call).await;
        if result.is_ok() && self.has(Bug::MarksLate) {
            // The caller has its answer before this is done.
            let _ = writing.mark_late(cx).await;
        }
        Tried { leg, writing: Some(writing), result }
    }

    /// Remembers what came of a write to a leg; `also` took it, too.
    fn end(&self, tried: Tried<'_>, batch: &Batch, also: Vec<usize>) -> Result<Written> {
        let ended = match &tried.result {
            Ok(_) => Ended::Accepted(batch.clone(), also),
            Err(error) if error.outcome() == Outcome::Unknown && !self.has(Bug::ForgetsTimeouts) => {
                Ended::Unknown(self.clock.now() + self.config.settle())
            }
            Err(_) => Ended::NotApplied,
        };
        if let Some(writing) = tried.writing {
            writing.end(ended);
        }
        match tried.result {
            Err(error) if error.outcome() == Outcome::Unknown && self.has(Bug::AcknowledgesUnknown) => {
                Ok(Written::default())
            }
            result => result,
        }
    }

    /// Copies what was accepted to the legs that are there: now, or soon. A leg that cannot take it stays behind, and the
    /// mark says so.
    async fn mirror(&self, cx: &Context, accepted: usize, place: &Place) {
        if self.config.mirror == Mirror::Async {
            self.signal.wake();
            return;
        }
        let share = self.share(cx, 0);
        let others = (0..self.legs.len()).filter(|leg| *leg != accepted && self.is_up(*leg));
        join_all(others.map(|leg| self.bring(&share, leg, Which::Session(place)))).await;
    }

    /// For the bug of that name.
    fn minted_again(&self, records: &[Record]) -> Result<Arc<[Record]>> {
        let again = |record: &Record| match record {
            Record::Message(message) => {
                let mut message = message.clone();
                message.id = self.mint(Some(message.id))?;
                Ok(Record::Message(message))
            }
            other => Ok(other.clone()),
        };
        records.iter().map(again).collect()
    }
}

/// What came of a write to one leg.
struct Tried<'a> {
    leg: usize,
    /// `None` if the session could not be marked, so that the leg was not reached.
    writing: Option<Writing<'a>>,
    result: Result<Written>,
}

/// The error of a write of which another leg may have taken the records.
fn named(error: Error, unknown: bool) -> Error {
    if unknown { error.maybe_applied() } else { error }
}

/// The error where no leg could do it.
pub(crate) fn nobody(cx: &Context, operation: Operation, last: Option<Error>) -> Error {
    let error = match cx.check_deadline() {
        Err(late) => late,
        Ok(()) => Error::new(ErrorKind::Unavailable, "no leg can do this now"),
    };
    let error = error.during(operation.as_str());
    match last {
        Some(last) => error.because(last),
        None => error,
    }
}
