//! Properties: tried with many random cases, and the first that fails is made small before it is shown.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::bench::{Bench, joined};
use crate::check::{Stop, Verdict};
use crate::random::Random;
use crate::subject::BoxFuture;

/// What shall hold of every case.
pub(crate) struct Property<T> {
    /// Makes a case: a list, so that it can be made smaller.
    pub(crate) make: fn(&Bench, &mut Random) -> Vec<T>,
    /// Tries a case. The number is another one each time, to name sessions or tenants that nobody has used.
    pub(crate) holds: fn(Arc<Bench>, u64, Vec<T>, Random) -> BoxFuture<Verdict>,
}

impl<T> Clone for Property<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Property<T> {}

impl<T: Clone + Debug + Send + Sync + 'static> Property<T> {
    /// Tries `cases` cases, some at the same time: all cases share one store.
    pub(crate) async fn check(self, bench: Bench, cases: u64) -> Verdict {
        const AT_ONCE: u64 = 4;
        let attempts = Arc::new(Attempts { property: self, bench: Arc::new(bench), turn: AtomicU64::new(0) });
        let tasks: Vec<_> = (0..AT_ONCE)
            .map(|first| {
                let attempts = Arc::clone(&attempts);
                tokio::spawn(async move {
                    for number in (first..cases).step_by(AT_ONCE as usize) {
                        attempts.case(number).await?;
                        // A store that never waits would keep the other checks waiting.
                        tokio::task::yield_now().await;
                    }
                    Ok::<_, Stop>(())
                })
            })
            .collect();
        for task in tasks {
            joined(task.await)??;
        }
        Ok(())
    }
}

struct Attempts<T> {
    property: Property<T>,
    bench: Arc<Bench>,
    turn: AtomicU64,
}

impl<T: Clone + Debug + Send + Sync + 'static> Attempts<T> {
    async fn attempt(&self, number: u64, items: &[T]) -> Verdict {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let random = Random::case(!self.bench.seed, number);
        (self.property.holds)(Arc::clone(&self.bench), turn, items.to_vec(), random).await
    }

    async fn case(&self, number: u64) -> Verdict {
        let items = (self.property.make)(&self.bench, &mut Random::case(self.bench.seed, number));
        let Err(Stop::Fail(first)) = self.attempt(number, &items).await else { return Ok(()) };
        let items = self.shrink(number, items).await;
        let why = match self.attempt(number, &items).await {
            Err(Stop::Fail(why)) => why,
            _ => first,
        };
        Err(Stop::Fail(format!("case {number}: {why}\nthe smallest case found: {items:#?}")))
    }

    /// Leaves out one item after another for as long as the case still fails.
    async fn shrink(&self, number: u64, items: Vec<T>) -> Vec<T> {
        const MOST_TRIES: usize = 400;
        let mut items = items;
        let mut tries = 0;
        let mut shorter = true;
        while shorter {
            shorter = false;
            for index in (0..items.len()).rev() {
                tries += 1;
                if tries > MOST_TRIES {
                    return items;
                }
                let mut fewer = items.clone();
                fewer.remove(index);
                if matches!(self.attempt(number, &fewer).await, Err(Stop::Fail(_))) {
                    items = fewer;
                    shorter = true;
                }
            }
        }
        items
    }
}
