//! Preparing and closing.

use std::sync::Arc;
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
        let prepared = join_all((0..self.legs.len()).map(|leg| self.prepare_leg(&share, leg, mode))).await;
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

    pub(crate) async fn prepare_leg(&self, cx: &Context, leg: usize, mode: Prepare) -> Result<Capabilities> {
        let prepare = |backend: DynBackend, cx: Context| async move { backend.prepare(&cx, mode).await };
        self.call(leg, cx, Operation::Prepare, prepare).await
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
            self.heal(&self.share(cx, self.legs.len())).await;
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
