//! Time, injected: so that clock jumps, deadlines and waiting can be tested.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;

use crate::alarm::Alarm;

/// Where craftx gets its time from.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Monotonic time, for deadlines.
    fn now(&self) -> Instant;
    /// Wall-clock time, for stamps. It may jump.
    fn wall(&self) -> SystemTime;
    /// Returns once `duration` of monotonic time has passed.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    async fn sleep(&self, duration: Duration);
}

/// The clock of this machine. Sleeping needs no async runtime: one thread wakes all who sleep.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
    async fn sleep(&self, duration: Duration) {
        match Alarm::after(duration) {
            Some(mut alarm) => poll_fn(|task| alarm.poll(task)).await,
            None => std::future::pending().await,
        }
    }
}

/// A clock that moves only when told to.
///
/// ```
/// use craftx_core::{Clock, ManualClock};
/// use std::time::{Duration, UNIX_EPOCH};
/// let clock = ManualClock::new(UNIX_EPOCH + Duration::from_secs(1_000));
/// clock.set_wall(UNIX_EPOCH);
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.wall(), UNIX_EPOCH + Duration::from_secs(5));
/// ```
#[derive(Clone)]
pub struct ManualClock(Arc<Mutex<Manual>>);

struct Manual {
    now: Instant,
    wall: SystemTime,
    sleepers: BinaryHeap<Reverse<Sleeper>>,
    born: u64,
}

struct Sleeper {
    until: Instant,
    order: u64,
    nap: Arc<Mutex<Nap>>,
}

impl ManualClock {
    /// A clock that stands at `wall`.
    pub fn new(wall: SystemTime) -> Self {
        Self(Arc::new(Mutex::new(Manual { now: Instant::now(), wall, sleepers: BinaryHeap::new(), born: 0 })))
    }

    /// Moves both clocks forward and wakes those whose time has come.
    pub fn advance(&self, by: Duration) {
        let mut manual = lock(&self.0);
        manual.now += by;
        manual.wall += by;
        while manual.sleepers.peek().is_some_and(|next| next.0.until <= manual.now) {
            if let Some(Reverse(sleeper)) = manual.sleepers.pop() {
                ring(&sleeper.nap);
            }
        }
    }

    /// Sets the wall clock alone, forwards or backwards.
    pub fn set_wall(&self, wall: SystemTime) {
        lock(&self.0).wall = wall;
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ManualClock({:?})", lock(&self.0).wall)
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Instant {
        lock(&self.0).now
    }
    fn wall(&self) -> SystemTime {
        lock(&self.0).wall
    }
    async fn sleep(&self, duration: Duration) {
        let nap = Arc::new(Mutex::new(Nap::default()));
        {
            let mut manual = lock(&self.0);
            if duration.is_zero() {
                return;
            }
            // One who sleeps longer than time can be counted is never woken.
            if let Some(until) = manual.now.checked_add(duration) {
                manual.born += 1;
                let sleeper = Sleeper { until, order: manual.born, nap: Arc::clone(&nap) };
                manual.sleepers.push(Reverse(sleeper));
            }
        }
        Ringing(nap).await;
    }
}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Sleeper {}
impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Sleeper {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.until, self.order).cmp(&(other.until, other.order))
    }
}

#[derive(Default)]
struct Nap {
    rung: bool,
    waker: Option<Waker>,
}

fn ring(nap: &Mutex<Nap>) {
    let waker = {
        let mut nap = lock(nap);
        nap.rung = true;
        nap.waker.take()
    };
    if let Some(waker) = waker {
        waker.wake();
    }
}

struct Ringing(Arc<Mutex<Nap>>);

impl Future for Ringing {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut nap = lock(&self.0);
        if nap.rung {
            return Poll::Ready(());
        }
        nap.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Nothing here can be left half-changed by a panic, so a poisoned lock is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_executor::block_on;
    use std::time::UNIX_EPOCH;

    #[test]
    fn sleepers_wake_when_their_time_has_come() {
        let clock = ManualClock::new(UNIX_EPOCH);
        let mut short = Box::pin(clock.sleep(Duration::from_secs(1)));
        let mut long = Box::pin(clock.sleep(Duration::from_secs(10)));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(short.as_mut().poll(&mut cx).is_pending());
        assert!(long.as_mut().poll(&mut cx).is_pending());
        clock.advance(Duration::from_secs(1));
        assert!(short.as_mut().poll(&mut cx).is_ready());
        assert!(long.as_mut().poll(&mut cx).is_pending());
        clock.advance(Duration::from_secs(9));
        assert!(long.as_mut().poll(&mut cx).is_ready());
    }

    #[test]
    fn the_system_clock_sleeps_without_a_runtime() {
        let before = Instant::now();
        block_on(SystemClock.sleep(Duration::from_millis(5)));
        assert!(before.elapsed() >= Duration::from_millis(5));
    }
}
