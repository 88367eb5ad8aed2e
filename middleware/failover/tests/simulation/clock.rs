//! Time that passes only when nobody has anything to do.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use craftx_core::{Clock, ManualClock, async_trait};

#[derive(Debug)]
pub(crate) struct SimClock {
    manual: ManualClock,
    began: Instant,
    /// When somebody wants to be woken.
    alarms: Mutex<BTreeSet<Instant>>,
}

impl SimClock {
    pub(crate) fn new() -> Self {
        let manual = ManualClock::new(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        Self { began: manual.now(), manual, alarms: Mutex::default() }
    }

    /// The time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.now() - self.began
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.manual.advance(by);
    }

    pub(crate) fn set_wall(&self, wall: SystemTime) {
        self.manual.set_wall(wall);
    }

    /// Moves on to the next alarm. False if there is none.
    pub(crate) fn advance_to_next(&self) -> bool {
        let now = self.now();
        let next = {
            let mut alarms = self.alarms.lock().unwrap();
            *alarms = alarms.split_off(&(now + Duration::from_nanos(1)));
            alarms.first().copied()
        };
        match next {
            Some(next) => self.manual.advance(next - now),
            None => return false,
        }
        true
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Instant {
        self.manual.now()
    }
    fn wall(&self) -> SystemTime {
        self.manual.wall()
    }
    async fn sleep(&self, duration: Duration) {
        self.alarms.lock().unwrap().insert(self.now() + duration);
        self.manual.sleep(duration).await;
    }
}
