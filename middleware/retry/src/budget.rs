//! How many retries there may be, so that they do not bury a store that is coming back.

use std::sync::atomic::{AtomicU64, Ordering};

/// Tokens are counted in thousandths.
const TOKEN: u64 = 1_000;

/// A bucket of tokens: a retry takes one, a call that succeeds puts a part of one back. A store that is dead answers
/// nothing, so it sees no more retries than the bucket held when it died.
///
/// The idea is that of the retry token bucket of the AWS SDKs.
#[derive(Debug)]
pub(crate) struct Budget {
    tokens: AtomicU64,
    capacity: u64,
    earned: u64,
}

impl Budget {
    /// A full bucket of `reserve` tokens; every success brings `ratio` tokens.
    pub(crate) fn new(reserve: u32, ratio: f64) -> Self {
        let capacity = u64::from(reserve) * TOKEN;
        Self { tokens: AtomicU64::new(capacity), capacity, earned: (ratio * TOKEN as f64) as u64 }
    }

    /// A call succeeded.
    pub(crate) fn earn(&self) {
        let add = |tokens: u64| Some(tokens.saturating_add(self.earned).min(self.capacity));
        // The closure always answers.
        let _ = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Takes a token for a retry, if there is one.
    pub(crate) fn take(&self) -> bool {
        self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| tokens.checked_sub(TOKEN)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successes_earn_retries_up_to_the_reserve() {
        let budget = Budget::new(2, 0.5);
        assert!(budget.take() && budget.take() && !budget.take());
        budget.earn();
        assert!(!budget.take());
        budget.earn();
        assert!(budget.take() && !budget.take());
        (0..100).for_each(|_| budget.earn());
        assert!(budget.take() && budget.take() && !budget.take());
    }
}
