//! Writing: to the primary, or to the first leg that is there.

use std::sync::Arc;

use craftx_core::{
    Context, DynBackend, Error, ErrorKind, Expect, Operation, Outcome, Record, Result, WriteOptions, Written,
};
use futures_util::future::join_all;

use crate::bug::Bug;
use crate::config::Mirror;
use crate::dirty::{Batch, Ended, Place, Which};
use crate::inner::Inner;
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
        let legs = self.candidates(cx).await;
        let legs = if options.expect == Expect::Anything { legs } else { self.expecting(cx, place, legs).await? };
        let mut batch = Batch { records: records.into(), bytes };
        let mut unknown = false;
        let mut last = None;
        for (index, leg) in legs.iter().enumerate() {
            let share = self.share(cx, legs.len() - index - 1);
            match self.write_to(&share, *leg, place, &batch, options).await {
                Ok(written) => {
                    self.mirror(cx, *leg, place).await;
                    return Ok(written);
                }
                Err(error) => {
                    unknown |= error.outcome() == Outcome::Unknown;
                    if !is_away(error.kind()) {
                        return Err(if unknown { error.maybe_applied() } else { error });
                    }
                    last = Some(error);
                }
            }
            if self.has(Bug::MintsAgain) {
                batch.records = self.minted_again(&batch.records)?;
            }
        }
        let error = nobody(cx, Operation::Write, last);
        Err(if unknown { error.maybe_applied() } else { error })
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

    async fn write_to(
        &self,
        cx: &Context,
        leg: usize,
        place: &Place,
        batch: &Batch,
        options: &WriteOptions,
    ) -> Result<Written> {
        let mut writing = Writing::begin(self, cx, place, leg).await.map_err(|error| {
            // Whether the mark is there or not, the records are not.
            Error::new(error.kind(), "the session cannot be marked").during("write").because(error)
        })?;
        writing.reaches();
        let call = |backend: DynBackend, cx: Context| async move {
            backend.write(&cx, &place.session, &batch.records, options).await
        };
        let result = self.call(leg, &cx.clone().with_tenant(place.tenant.clone()), Operation::Write, call).await;
        match &result {
            Ok(_) => {
                if self.has(Bug::MarksLate) {
                    // The caller has its answer before this is done.
                    let _ = writing.mark_late(cx).await;
                }
                writing.end(Ended::Accepted(batch.clone()));
            }
            Err(error) if error.outcome() == Outcome::Unknown && !self.has(Bug::ForgetsTimeouts) => {
                writing.end(Ended::Unknown(self.clock.now() + self.config.settle()));
            }
            Err(_) => writing.end(Ended::NotApplied),
        }
        match result {
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
