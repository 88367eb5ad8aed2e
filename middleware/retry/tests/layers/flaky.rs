//! A store that fails when told to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use craftx_conformance::JumpingClock;
use craftx_core::{
    Around, Context, DynBackend, Error, ErrorKind, Memory, Operation, Prepare, Result, Surrounded, Tenant, async_trait,
};
use futures_executor::block_on;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    Nothing,
    /// The call does not reach the store.
    Before,
    /// It does, and its answer gets lost.
    After,
    /// It never ends.
    Hang,
    /// It fails for good.
    Refused,
}

/// Says what happens to the call with this number.
pub(crate) type Plan = Box<dyn FnMut(u64) -> Fault + Send>;

pub(crate) struct Flaky {
    plan: Mutex<Plan>,
    pub(crate) calls: AtomicU64,
}

impl std::fmt::Debug for Flaky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Flaky")
    }
}

/// Memory that fails as planned.
pub(crate) fn flaky(plan: impl FnMut(u64) -> Fault + Send + 'static) -> (Arc<Flaky>, DynBackend) {
    let memory = Memory::new();
    block_on(craftx_core::Backend::prepare(&memory, &context(), Prepare::Migrate)).unwrap();
    let flaky = Arc::new(Flaky { plan: Mutex::new(Box::new(plan)), calls: AtomicU64::new(0) });
    let backend = Surrounded::new(Arc::clone(&flaky), Arc::new(memory));
    (flaky, Arc::new(backend))
}

#[async_trait]
impl Around for Flaky {
    async fn around<T, F, Fut>(&self, operation: Operation, cx: &Context, call: F) -> Result<T>
    where
        T: Send,
        F: Fn(Context) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T>> + Send,
    {
        // The layers hand these on as they are.
        if matches!(operation, Operation::Status | Operation::Close) {
            return call(cx.clone()).await;
        }
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let fault = (self.plan.lock().unwrap())(number);
        let gone = || Error::new(ErrorKind::Unavailable, "gone");
        match fault {
            Fault::Nothing => call(cx.clone()).await,
            Fault::Before => Err(gone()),
            Fault::After => {
                call(cx.clone()).await?;
                Err(if operation.changes() { gone().maybe_applied() } else { gone() })
            }
            Fault::Hang => std::future::pending().await,
            Fault::Refused => Err(Error::new(ErrorKind::PermissionDenied, "no")),
        }
    }
}

pub(crate) fn context() -> Context {
    let clock = JumpingClock::new(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    Context::system(Tenant::default()).with_clock(Arc::new(clock))
}
