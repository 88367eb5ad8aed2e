//! Alarms, most of them for deadlines.
//!
//! Nearly every call has a deadline, and nearly none meets it. So to set an alarm and to drop it only changes a map: the
//! thread that rings is woken by an alarm that is due before all others, and else sleeps. A timer that is told of every
//! call costs two switches of threads each time, which is more than many reads take.

use std::collections::BTreeMap;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The alarms of this process. `None` if no thread can be started.
static BELL: LazyLock<Option<&'static Bell>> = LazyLock::new(Bell::start);

#[derive(Debug, Default)]
struct Bell {
    alarms: Mutex<Alarms>,
    sooner: Condvar,
}

#[derive(Debug, Default)]
struct Alarms {
    /// Who is woken when; the number tells alarms of the same time apart.
    set: BTreeMap<(Instant, u64), Waker>,
    numbers: u64,
    /// When the thread looks next, if it sleeps until some time.
    looks: Option<Instant>,
}

/// Rings once, at its time.
#[derive(Debug)]
pub(crate) struct Alarm {
    at: Instant,
    key: Option<(Instant, u64)>,
}

impl Alarm {
    /// An alarm after this time; `None` if that is never.
    pub(crate) fn after(time: Duration) -> Option<Self> {
        Instant::now().checked_add(time).map(|at| Self { at, key: None })
    }

    pub(crate) fn poll(&mut self, task: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.at {
            return Poll::Ready(());
        }
        match *BELL {
            Some(bell) => bell.set(self, task.waker()),
            // Without a thread the time is still kept, at the cost of looking all the while.
            None => task.waker().wake_by_ref(),
        }
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let (Some(bell), Some(key)) = (*BELL, self.key) {
            let waker = bell.lock().set.remove(&key);
            // What a waker does when it is dropped must not meet the lock.
            drop(waker);
        }
    }
}

impl Bell {
    fn start() -> Option<&'static Self> {
        let bell: &'static Self = Box::leak(Box::default());
        let thread = std::thread::Builder::new().name("craftx-alarms".into());
        thread.spawn(|| bell.ring()).ok().map(|_| bell)
    }

    /// Nothing in here can be left half-changed by a panic.
    fn lock(&self) -> MutexGuard<'_, Alarms> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, alarm: &mut Alarm, waker: &Waker) {
        let waker = waker.clone();
        let mut alarms = self.lock();
        let key = *alarm.key.get_or_insert_with(|| {
            alarms.numbers += 1;
            (alarm.at, alarms.numbers)
        });
        let before = alarms.set.insert(key, waker);
        let sooner = alarms.looks.is_none_or(|looks| alarm.at < looks);
        drop(alarms);
        drop(before);
        if sooner {
            self.sooner.notify_one();
        }
    }

    fn ring(&self) {
        let mut alarms = self.lock();
        loop {
            let now = Instant::now();
            let later = alarms.set.split_off(&(now, u64::MAX));
            let due = std::mem::replace(&mut alarms.set, later);
            if !due.is_empty() {
                drop(alarms);
                due.into_values().for_each(Waker::wake);
                alarms = self.lock();
                continue;
            }
            alarms.looks = alarms.set.first_key_value().map(|((at, _), _)| *at);
            alarms = match alarms.looks {
                Some(at) => {
                    let slept = self.sooner.wait_timeout(alarms, at.saturating_duration_since(now));
                    slept.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.sooner.wait(alarms).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::{Either, poll_fn, select};
    use std::pin::pin;

    fn after(milliseconds: u64) -> Alarm {
        Alarm::after(Duration::from_millis(milliseconds)).unwrap()
    }

    #[test]
    fn a_sooner_alarm_rings_first_though_a_later_one_was_set_before() {
        let (mut later, mut sooner) = (after(3_600_000), after(20));
        let later = pin!(poll_fn(|task| later.poll(task)));
        let sooner = pin!(poll_fn(|task| sooner.poll(task)));
        assert!(matches!(futures_executor::block_on(select(later, sooner)), Either::Right(_)));
    }

    #[test]
    fn an_alarm_that_is_dropped_is_forgotten() {
        let mut alarm = after(3_600_000);
        assert!(alarm.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(alarm.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let key = alarm.key.unwrap();
        let is_set = || BELL.unwrap().lock().set.contains_key(&key);
        assert!(is_set());
        drop(alarm);
        assert!(!is_set());
    }

    #[test]
    fn alarms_of_the_same_time_all_ring() {
        let at = Instant::now() + Duration::from_millis(20);
        let alarms = (0..8).map(|_| Alarm { at, key: None });
        let ringing = alarms.map(|mut alarm| poll_fn(move |task| alarm.poll(task)));
        futures_executor::block_on(futures_util::future::join_all(ringing));
    }
}
