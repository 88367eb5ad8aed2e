//! How well a message fits a query: BM25 over the message and its neighbours.

/// How much the n-th neighbour on either side counts: it halves with each step.
pub const NEIGHBOURS: [f64; 2] = [0.5, 0.25];

/// The usual constants of BM25, not tuned to anything.
const SATURATION: f64 = 1.2;
const LENGTH: f64 = 0.75;

/// Ranks messages for one query, with the statistics of one tenant.
#[derive(Clone, Debug)]
pub struct Ranker {
    /// How much each phrase tells.
    weights: Vec<f64>,
    average: f64,
}

impl Ranker {
    /// `messages` of the tenant have `terms` terms in all; `found` says how many messages have each phrase.
    pub fn new(messages: u64, terms: u64, found: &[u64]) -> Self {
        let messages = messages.max(1) as f64;
        let weights = found.iter().map(|found| {
            let found = (*found as f64).min(messages);
            (1.0 + (messages - found + 0.5) / (found + 0.5)).ln()
        });
        Self { weights: weights.collect(), average: (terms as f64 / messages).max(1.0) }
    }

    /// The score of a message by itself: how often it has each phrase, and how many terms it has.
    pub fn alone(&self, counts: &[f64], length: f64) -> f64 {
        self.score(counts, length, self.average)
    }

    /// The score of a message together with its neighbours, each of which counts less with every step. `near` gives the
    /// counts and the length of the message so many steps away in its session, 0 of itself; `None` where there is none.
    pub fn together<C: AsRef<[f64]>>(&self, near: impl Fn(isize) -> Option<(C, f64)>) -> f64 {
        let mut sums = vec![0.0; self.weights.len()];
        let mut length = 0.0;
        let steps = NEIGHBOURS.iter().zip(1..).flat_map(|(weight, steps)| [(*weight, steps), (*weight, -steps)]);
        for (weight, steps) in steps.chain([(1.0, 0)]) {
            let Some((counts, terms)) = near(steps) else { continue };
            sums.iter_mut().zip(counts.as_ref()).for_each(|(sum, count)| *sum += weight * count);
            length += weight * terms;
        }
        self.score(&sums, length, self.average * (1.0 + 2.0 * NEIGHBOURS.iter().sum::<f64>()))
    }

    /// The score of a message by itself if its length is not known.
    pub fn roughly(&self, counts: &[f64]) -> f64 {
        self.alone(counts, self.average)
    }

    fn score(&self, counts: &[f64], length: f64, average: f64) -> f64 {
        let damping = SATURATION * (1.0 - LENGTH + LENGTH * length / average);
        self.weights
            .iter()
            .zip(counts)
            .filter(|(_, count)| **count > 0.0)
            .map(|(weight, count)| weight * count * (SATURATION + 1.0) / (count + damping))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_phrases_short_messages_and_repetition_count_more() {
        let ranker = Ranker::new(100, 1_000, &[1, 50]);
        assert!(ranker.alone(&[1.0, 0.0], 10.0) > ranker.alone(&[0.0, 1.0], 10.0));
        assert!(ranker.alone(&[1.0, 0.0], 5.0) > ranker.alone(&[1.0, 0.0], 20.0));
        assert!(ranker.alone(&[2.0, 0.0], 10.0) > ranker.alone(&[1.0, 0.0], 10.0));
        assert!(ranker.alone(&[1.0, 1.0], 10.0) > ranker.alone(&[2.0, 0.0], 10.0) - 3.0);
    }

    #[test]
    fn scores_are_finite_and_positive_whatever_the_statistics_say() {
        for (messages, terms, found) in [(0, 0, 0), (0, 0, 5), (1, 0, 1), (10, 5, 10), (u64::MAX, u64::MAX, 1)] {
            let score = Ranker::new(messages, terms, &[found]).together(|steps| (steps == 0).then_some(([1.0], 0.0)));
            assert!(score.is_finite() && score > 0.0, "{messages} {terms} {found}: {score}");
        }
    }
}
