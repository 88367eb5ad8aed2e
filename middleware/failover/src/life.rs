//! Preparing and closing.

use std::future::{poll_fn, ready};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use craftx_core::{Capabilities, Context, DynBackend, Error, ErrorKind, Operation, Prepare, Result};
use craftx_retry::in_time;
use futures_util::future::join_all;

use crate::inner::{Inner, Phase};
use crate::leg::is_away;

impl Inner {
    /// Prepares the legs that are there; one is enough. The others are prepared when they come back.
    pub(crate) async fn prepare(self: &Arc<Self>, cx: &Context, mode: Prepare) -> Result<Capabilities> {
        cx.check_deadline()?;
        if self.state().phase == Phase::Closed {
            return Err(Error::new(ErrorKind::Closed, "the store is closed"));
        }
        // Every leg gets its part of the time, so that one that hangs does not take it from the others.
        let share = self.part(cx);
        let prepared = self.prepare_legs(&share, mode).await;
        let any = prepared.iter().any(Result::is_ok);
        for (leg, prepared) in prepared.into_iter().enumerate() {
            match prepared {
                Ok(can) if mode != Prepare::Check => self.prepared(leg, can),
                Err(error) if !any || !is_away(error.kind()) => return Err(error),
                _ => {}
            }
        }
        if mode == Prepare::Check {
            return Ok(self.capabilities());
        }
        self.state().mode = mode;
        for leg in 0..self.legs.len() {
            if !self.is_up(leg) {
                // A leg that is away is met when it comes back.
                let _ = self.meet(&share, leg).await;
            }
        }
        if self.state().identities.is_first() {
            // Legs that meet for the first time are made equal before anybody asks them.
            self.tick(cx, Duration::ZERO).await;
        }
        let store = self.random_id();
        {
            let mut state = self.state();
            state.store.get_or_insert(store);
            state.phase = Phase::Open;
        }
        self.start_thread()?;
        Ok(self.capabilities())
    }

    fn part(&self, cx: &Context) -> Context {
        let mut part = cx.clone();
        if let Some(left) = cx.remaining() {
            part.deadline = cx.clock.now().checked_add(left / 4);
        }
        part
    }

    /// Prepares all legs at the same time. As soon as one is there the others have no longer than a call may take.
    async fn prepare_legs(&self, cx: &Context, mode: Prepare) -> Vec<Result<Capabilities>> {
        let legs = 0..self.legs.len();
        let mut open: Vec<_> = legs.clone().map(|leg| Box::pin(self.prepare_leg(cx, cx, leg, mode))).collect();
        let mut done: Vec<Option<Result<Capabilities>>> = legs.map(|_| None).collect();
        let mut alarm = None;
        poll_fn(|task| {
            for (leg, done) in open.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
                if let Poll::Ready(prepared) = leg.as_mut().poll(task) {
                    *done = Some(prepared);
                }
            }
            if done.iter().all(Option::is_some) {
                return Poll::Ready(());
            }
            if done.iter().flatten().all(Result::is_err) {
                return Poll::Pending;
            }
            alarm.get_or_insert_with(|| cx.clock.sleep(self.config.timeout())).as_mut().poll(task)
        })
        .await;
        drop(open);
        let mut prepared = Vec::new();
        for (leg, done) in done.into_iter().enumerate() {
            prepared.push(match done {
                Some(done) => done,
                None => self.call(leg, cx, Operation::Prepare, |_, _| ready(Err(not_yet()))).await,
            });
        }
        prepared
    }

    /// Prepares a leg, and waits for it as long as `share` says. A store that goes on by itself, as one does that is being
    /// migrated, has all the time of `cx` for it. One that is damaged is away: another leg can stand in for it.
    pub(crate) async fn prepare_leg(
        &self,
        cx: &Context,
        share: &Context,
        leg: usize,
        mode: Prepare,
    ) -> Result<Capabilities> {
        let prepare = |backend: DynBackend, _| async move {
            backend.prepare(cx, mode).await.map_err(|error| {
                if error.kind() == ErrorKind::Corrupted && mode != Prepare::Check {
                    return Error::new(ErrorKind::Unavailable, "the store is damaged").because(error);
                }
                error
            })
        };
        self.call(leg, share, Operation::Prepare, prepare).await
    }

    pub(crate) fn prepared(&self, leg: usize, can: Capabilities) {
        if let Some(known) = self.state().capabilities.get_mut(leg) {
            *known = Some(can);
        }
    }

    /// Heals what can be healed in time, and closes the legs. What is left stays marked.
    pub(crate) async fn close(&self, cx: &Context) -> Result<()> {
        let was = std::mem::replace(&mut self.state().phase, Phase::Closed);
        self.signal.stop();
        if was == Phase::Open {
            let share = self.share(cx, self.legs.len());
            self.heal(&share).await;
            self.end_marks(&share).await;
        }
        let close = async |leg: usize| {
            // One that is up may take the time that it needs.
            let cx = if self.is_up(leg) { cx.clone() } else { self.share(cx, 0) };
            let backend = Arc::clone(&self.leg(leg)?.backend);
            in_time(&cx, Operation::Close, backend.close(&cx)).await
        };
        let closed = join_all((0..self.legs.len()).map(close)).await;
        // A leg that is away has nothing open that could be closed.
        closed.into_iter().find(|closed| closed.as_ref().is_err_and(|error| !is_away(error.kind()))).unwrap_or(Ok(()))
    }
}

fn not_yet() -> Error {
    Error::new(ErrorKind::Timeout, "the store was not ready when another one was")
}
