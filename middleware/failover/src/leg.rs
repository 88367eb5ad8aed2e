//! One of the stores, and whether it is worth asking.

use std::sync::Arc;

use craftx_core::{Context, DynBackend, Error, ErrorKind, Operation, Result};
use craftx_retry::{Breaker, BreakerConfig, BreakerState, Verdict, in_time};

use crate::inner::Inner;

/// One of the stores.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) name: Arc<str>,
    pub(crate) backend: DynBackend,
    pub(crate) breaker: Breaker,
}

impl Leg {
    pub(crate) fn new(name: Arc<str>, backend: DynBackend, breaker: BreakerConfig) -> Result<Self> {
        Ok(Self { name, backend, breaker: Breaker::new(breaker)? })
    }
}

/// Whether an error says that this leg cannot do it now but another one may.
pub(crate) fn is_away(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Unavailable
            | ErrorKind::Timeout
            | ErrorKind::StorageFull
            | ErrorKind::Locked
            | ErrorKind::RateLimited
    )
}

impl Inner {
    pub(crate) fn leg(&self, leg: usize) -> Result<&Leg> {
        self.legs.get(leg).ok_or_else(|| Error::new(ErrorKind::Unexpected, "there is no such leg"))
    }

    /// The context of a call to a leg: system calls of our own, in a tenant of the legs.
    pub(crate) fn system(&self, cx: &Context, tenant: &craftx_core::Tenant) -> Context {
        cx.clone().with_tenant(tenant.clone()).with_caller(craftx_core::Caller::System).with_token(None)
    }

    /// The same call with a deadline that leaves time for `others` more legs.
    pub(crate) fn share(&self, cx: &Context, others: usize) -> Context {
        let mut cx = cx.clone();
        let mut share = self.config.timeout();
        if let Some(left) = cx.remaining() {
            let parts = u32::try_from(others + 1).unwrap_or(u32::MAX);
            share = share.min(left / parts);
        }
        cx.deadline = cx.clock.now().checked_add(share);
        cx
    }

    /// Calls a leg unless its breaker says that it is away, cuts it off in time, and remembers what came of it.
    pub(crate) async fn call<T, F, Fut>(&self, leg: usize, cx: &Context, operation: Operation, call: F) -> Result<T>
    where
        F: FnOnce(DynBackend, Context) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let target = self.leg(leg)?;
        let permit = target.breaker.admit(self.clock.now()).map_err(|_| {
            Error::new(ErrorKind::Unavailable, "the leg is away").during(operation.as_str()).with("leg", &target.name)
        })?;
        let cx = if operation.takes_long() { cx.clone() } else { self.share(cx, 0) };
        let left = cx.remaining();
        let result = match cx.check_deadline() {
            Ok(()) => in_time(&cx, operation, call(Arc::clone(&target.backend), cx.clone())).await,
            Err(error) => Err(error.during(operation.as_str())),
        };
        let now = self.clock.now();
        match Verdict::of(&result, left) {
            None => drop(permit),
            Some(Verdict::Failed) => {
                permit.done(now, Verdict::Failed);
                if let Err(error) = &result {
                    self.state().failed(leg, error);
                }
                if target.breaker.state(now) != BreakerState::Closed {
                    self.state().identities.lost(leg);
                }
            }
            Some(Verdict::Answered) => {
                permit.done(now, Verdict::Answered);
                self.state().answered(leg, now);
            }
        }
        result.map_err(|error| error.with("leg", &target.name))
    }

    /// Whether calls of users go to the leg: it answers, and it is known what it is. Probing is left to the healer.
    pub(crate) fn is_up(&self, leg: usize) -> bool {
        let closed = |leg: &Leg| leg.breaker.state(self.clock.now()) == BreakerState::Closed;
        self.legs.get(leg).is_some_and(closed) && self.state().identities.is_met(leg)
    }

    /// The legs that are up, in order. If none is, those that may be back are asked first.
    pub(crate) async fn candidates(&self, cx: &Context) -> Vec<usize> {
        let up = || (0..self.legs.len()).filter(|leg| self.is_up(*leg)).collect::<Vec<_>>();
        let found = up();
        if !found.is_empty() {
            return found;
        }
        for leg in 0..self.legs.len() {
            // A leg that is still away is no news. Somebody else may be asking, and for longer than there is time.
            let share = self.share(cx, self.legs.len());
            let _ = in_time(&share, Operation::Status, self.meet(&share, leg)).await;
        }
        up()
    }
}
