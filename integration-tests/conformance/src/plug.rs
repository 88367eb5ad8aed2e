//! Stores that go away, and time that does not keep anybody waiting.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use craftx_core::{Around, Clock, Context, Error, ErrorKind, ManualClock, Operation, Result, async_trait};

/// The plug of a store: while it is pulled, every call is [`Unavailable`](ErrorKind::Unavailable) and does not reach it.
///
/// ```
/// use craftx_conformance::Plug;
/// use craftx_core::{Memory, Surrounded};
/// use std::sync::Arc;
/// let plug = Arc::new(Plug::default());
/// let store = Surrounded::new(Arc::clone(&plug), Arc::new(Memory::new()));
/// plug.pull(true);
/// assert_eq!(plug.calls(), 0);
/// ```
#[derive(Debug, Default)]
pub struct Plug {
    pulled: AtomicBool,
    hangs: AtomicBool,
    calls: AtomicU64,
}

impl Plug {
    /// Pulls the plug, or puts it back.
    pub fn pull(&self, pulled: bool) {
        self.pulled.store(pulled, Ordering::Relaxed);
    }

    /// Makes calls hang for ever, or no longer.
    pub fn hang(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::Relaxed);
    }

    /// How many calls were made, those that did not reach the store included.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Around for Plug {
    async fn around<T, F, Fut>(&self, _: Operation, cx: &Context, call: F) -> Result<T>
    where
        T: Send,
        F: Fn(Context) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T>> + Send,
    {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.hangs.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        if self.pulled.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Unavailable, "the plug was pulled"));
        }
        call(cx.clone()).await
    }
}

/// A clock whose time passes only when somebody sleeps, and then at once.
#[derive(Clone, Debug)]
pub struct JumpingClock(ManualClock);

impl JumpingClock {
    /// A clock that stands at `wall`.
    pub fn new(wall: SystemTime) -> Self {
        Self(ManualClock::new(wall))
    }
}

#[async_trait]
impl Clock for JumpingClock {
    fn now(&self) -> Instant {
        self.0.now()
    }
    fn wall(&self) -> SystemTime {
        self.0.wall()
    }
    async fn sleep(&self, duration: Duration) {
        self.0.advance(duration);
    }
}
