//! Measuring two things by turns, so that whatever else the machine does meets both.

use std::time::{Duration, Instant};

use crate::Outcome;

/// What the rounds gave.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    pairs: Vec<(Duration, Duration)>,
}

impl Pairs {
    /// Measures `a` and `b` in rounds; who is first changes from round to round. Each says itself how long it took, so that
    /// it can prepare something first.
    pub(crate) fn measure(
        rounds: usize,
        mut a: impl FnMut(usize) -> Outcome<Duration>,
        mut b: impl FnMut(usize) -> Outcome<Duration>,
    ) -> Outcome<Self> {
        let mut pairs = Vec::with_capacity(rounds);
        for round in 0..rounds {
            pairs.push(if round.is_multiple_of(2) {
                let first = a(round)?;
                (first, b(round)?)
            } else {
                let first = b(round)?;
                (a(round)?, first)
            });
        }
        Ok(Self { pairs })
    }

    /// Measures `a` and `b` in rounds, where one of them has to be first.
    pub(crate) fn measure_in_order(
        rounds: usize,
        mut both: impl FnMut(usize) -> Outcome<(Duration, Duration)>,
    ) -> Outcome<Self> {
        Ok(Self { pairs: (0..rounds).map(&mut both).collect::<Outcome<_>>()? })
    }

    /// The median time of `a`, divided by what it did.
    pub(crate) fn a(&self, operations: usize) -> Duration {
        self.median_time(|pair| pair.0, operations)
    }

    /// The median time of `b`, divided by what it did.
    pub(crate) fn b(&self, operations: usize) -> Duration {
        self.median_time(|pair| pair.1, operations)
    }

    /// The median of the ratios of the rounds: how many times as long `a` took as `b`.
    pub(crate) fn a_over_b(&self) -> f64 {
        median(self.pairs.iter().map(|(a, b)| a.as_secs_f64() / b.as_secs_f64()).collect())
    }

    /// How many times as long the median round of `a` took as that of `b`: for many short rounds.
    pub(crate) fn median_a_over_b(&self) -> f64 {
        self.a(1).as_secs_f64() / self.b(1).as_secs_f64()
    }

    /// How many times as long all rounds of `a` took as all rounds of `b`: for rounds that differ on purpose.
    pub(crate) fn total_a_over_b(&self) -> f64 {
        let (a, b) = self.totals();
        a.as_secs_f64() / b.as_secs_f64()
    }

    pub(crate) fn totals(&self) -> (Duration, Duration) {
        (self.pairs.iter().map(|pair| pair.0).sum(), self.pairs.iter().map(|pair| pair.1).sum())
    }

    fn median_time(&self, of: impl Fn(&(Duration, Duration)) -> Duration, operations: usize) -> Duration {
        Duration::from_secs_f64(
            median(self.pairs.iter().map(|pair| of(pair).as_secs_f64()).collect()) / operations as f64,
        )
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { (values[middle - 1] + values[middle]) / 2.0 } else { values[middle] }
}

/// How long `work` takes.
pub(crate) fn timed(work: impl FnOnce() -> Outcome<()>) -> Outcome<Duration> {
    let begin = Instant::now();
    work()?;
    Ok(begin.elapsed())
}
