//! What happened lately.

use std::time::{Duration, Instant};

/// Into how many parts a window is divided: what happened leaves it a part at a time.
pub(crate) const PARTS: u64 = 10;

/// Counts of calls and of failures over the last while.
#[derive(Debug)]
pub(crate) struct Window {
    began: Instant,
    part: Duration,
    /// For each part its number since the beginning and what was counted in it.
    parts: [(u64, Counts); PARTS as usize],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) calls: u32,
    pub(crate) failures: u32,
}

impl Window {
    /// A window over `length`, with nothing in it.
    pub(crate) fn new(length: Duration, now: Instant) -> Self {
        let part = (length / PARTS as u32).max(Duration::from_nanos(1));
        Self { began: now, part, parts: Default::default() }
    }

    /// Counts a call and returns what the window holds now.
    pub(crate) fn count(&mut self, now: Instant, failed: bool) -> Counts {
        let number = (now.saturating_duration_since(self.began).as_nanos() / self.part.as_nanos()) as u64;
        if let Some((held, counts)) = self.parts.get_mut((number % PARTS) as usize) {
            // Calls may end in another order than their times say: what has left the window does not come back.
            if *held < number {
                (*held, *counts) = (number, Counts::default());
            }
            if *held == number {
                counts.calls = counts.calls.saturating_add(1);
                counts.failures = counts.failures.saturating_add(u32::from(failed));
            }
        }
        let newest = self.parts.iter().map(|(held, _)| *held).max().unwrap_or_default();
        let mut sum = Counts::default();
        for (_, counts) in self.parts.iter().filter(|(held, _)| held + PARTS > newest) {
            sum.calls = sum.calls.saturating_add(counts.calls);
            sum.failures = sum.failures.saturating_add(counts.failures);
        }
        sum
    }
}
