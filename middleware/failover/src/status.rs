//! How the legs are, and compacting them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use craftx_core::{Compact, Compacted, Context, DynBackend, Error, ErrorKind, Operation, Result, Status};
use craftx_retry::{BreakerState, in_time};
use serde::Serialize;

use crate::dirty::Which;
use crate::inner::Inner;
use crate::leg::is_away;

/// How a leg is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LegStatus {
    /// What it is called.
    pub name: Arc<str>,
    /// Whether calls go to it.
    pub breaker: BreakerState,
    /// Whether it answers reads: one that was replaced does not, until everything has been copied to it.
    pub answers: bool,
    /// Of how many sessions it may lack something.
    pub lacks: usize,
    /// Of how many sessions it may have something that another leg lacks.
    pub holds: usize,
    /// When the oldest mark in it was made, by the clock of whoever made it.
    pub oldest_mark: Option<SystemTime>,
    /// How long ago it last answered.
    pub answered: Option<Duration>,
    /// Why it did not answer the last time that it was asked.
    pub failure: Option<String>,
}

impl Inner {
    pub(crate) fn leg_statuses(&self) -> Vec<LegStatus> {
        let now = self.clock.now();
        let state = self.state();
        let legs = self.legs.iter().enumerate();
        legs.map(|(index, leg)| {
            let (lacks, holds) = state.dirty.count(index);
            let answered = state.answered.get(index).copied().flatten();
            LegStatus {
                name: Arc::clone(&leg.name),
                breaker: leg.breaker.state(now),
                answers: state.identities.is_met(index) && !state.identities.is_blocked(index),
                lacks,
                holds,
                oldest_mark: state.dirty.oldest_mark(index).map(|stamp| stamp.time()),
                answered: answered.map(|at| now.saturating_duration_since(at)),
                failure: state.failures.get(index).cloned().flatten(),
            }
        })
        .collect()
    }

    pub(crate) async fn status(&self, cx: &Context) -> Result<Status> {
        let ask = |leg: DynBackend, cx: Context| async move { leg.status(&cx).await };
        let (of, first) = self.read(cx, Operation::Status, Which::Tenant(&cx.tenant), None, ask, |_| false).await?;
        let names: Vec<&str> = self.legs.iter().map(|leg| &*leg.name).collect();
        let store = self.state().store.unwrap_or(first.store);
        let mut status = Status::new(store, "failover", names.join(", "), self.capabilities());
        status.sessions = first.sessions;
        for leg in 0..self.legs.len() {
            let part = if leg == of { Ok(first.clone()) } else { self.call(leg, cx, Operation::Status, ask).await };
            // A leg that is away is told of by `legs`.
            status.parts.extend(part);
        }
        Ok(status)
    }

    /// Compacts the legs that are there. Deletions are forgotten only when all legs have them: one that did not would
    /// bring the dead back.
    pub(crate) async fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted> {
        let mut _healing = None;
        let up: Vec<usize> = (0..self.legs.len()).filter(|leg| self.is_up(*leg)).collect();
        if what.purge_deleted_before.is_some() {
            let refused =
                || Error::new(ErrorKind::Unavailable, "deletions can be forgotten only while all legs are equal");
            if up.len() < self.legs.len() || !self.state().identities.whole().is_empty() {
                return Err(refused().during("compact"));
            }
            // Until the end: a copy under way could bring back a message after its deletion was forgotten.
            let healing = async { Ok(self.healing.lock().await) };
            _healing = Some(in_time(cx, Operation::Compact, healing).await?);
            for leg in &up {
                self.bring(cx, *leg, Which::Tenant(&cx.tenant))
                    .await
                    .map_err(|error| refused().during("compact").because(error))?;
            }
        }
        let mut total = Compacted::default();
        for leg in up {
            let compact = |leg: DynBackend, cx: Context| async move { leg.compact(&cx, what).await };
            match self.call(leg, cx, Operation::Compact, compact).await {
                Ok(compacted) => total += compacted,
                Err(error) if is_away(error.kind()) && what.purge_deleted_before.is_none() => {}
                // The leg may never have had the session.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }
}
