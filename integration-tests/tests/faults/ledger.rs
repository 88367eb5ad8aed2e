//! What a store must hold, by what its workers were told.

use std::collections::BTreeMap;

use craftx_core::{Backend, DynBackend, Memory};
use craftx_integration_tests::faults::{Batch, Key, Told, Work, keys};
use std::sync::Arc;

use crate::state::{self, SessionState};

/// Of how many batches that cannot be seen it is tried whether they are there and dead.
const MOST_DEAD: usize = 6;

/// Follows workers of one seed on one store.
pub(crate) struct Ledger {
    pub(crate) work: Work,
    /// Everything that is known to be applied.
    settled: DynBackend,
    /// What was tried since, and may be applied or not.
    doubtful: Vec<u64>,
    refused: Vec<u64>,
    /// One of each worker.
    trying: Vec<u64>,
    pub(crate) acknowledged: u64,
    /// How many writes ended without an answer.
    pub(crate) unanswered: u64,
    /// Batches of unknown outcome that turned out applied, and not applied.
    pub(crate) turned_out: (u64, u64),
}

impl Ledger {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            work: Work { seed },
            settled: Arc::new(Memory::new()),
            doubtful: Vec::new(),
            refused: Vec::new(),
            trying: Vec::new(),
            acknowledged: 0,
            unanswered: 0,
            turned_out: (0, 0),
        }
    }

    /// Takes in what a worker told.
    pub(crate) fn heard(&mut self, told: &Told) {
        match told {
            Told::Trying(batch) => self.trying.push(*batch),
            Told::Acknowledged(batch) => {
                self.answered(*batch);
                self.acknowledged += 1;
                self.batch(*batch).write(&self.settled).unwrap();
            }
            Told::Failed { batch, maybe_applied, .. } => {
                self.answered(*batch);
                if *maybe_applied { self.doubtful.push(*batch) } else { self.refused.push(*batch) }
            }
            _ => {}
        }
    }

    fn answered(&mut self, batch: u64) {
        self.trying.retain(|trying| *trying != batch);
    }

    /// The workers are gone. What they were trying to write has an unknown outcome.
    pub(crate) fn gone(&mut self) {
        self.unanswered += self.trying.len() as u64;
        self.doubtful.append(&mut self.trying);
    }

    pub(crate) fn batch(&self, number: u64) -> Batch {
        self.work.batch(number).unwrap()
    }

    /// Compares the store with what it must hold: what was acknowledged, whole and unchanged, nothing that was refused,
    /// and of each batch of unknown outcome all or nothing. From then on the outcome is known.
    pub(crate) fn check(&mut self, store: &dyn Backend) -> Result<(), String> {
        self.gone();
        let found = state::read(store).map_err(|error| format!("unreadable: {error:?}"))?;
        let doubtful = std::mem::take(&mut self.doubtful);
        for key in keys() {
            let doubts: Vec<Batch> = doubtful.iter().map(|n| self.batch(*n)).filter(|batch| batch.key == key).collect();
            self.settle(key, &found[&key], doubts)?;
        }
        Ok(())
    }

    /// Finds out which batches of unknown outcome explain what a session holds.
    fn settle(&mut self, key: Key, found: &SessionState, doubts: Vec<Batch>) -> Result<(), String> {
        // What can be seen was applied. What cannot be seen was not, or is dead.
        let (seen, unseen): (Vec<_>, Vec<_>) = doubts.into_iter().partition(|batch| found.shows(batch));
        let mut first = None;
        for dead in 0..1_u32 << unseen.len().min(MOST_DEAD) {
            let is_dead = |index: usize| index < MOST_DEAD && dead & (1 << index) != 0;
            let model = if seen.is_empty() && dead == 0 { Arc::clone(&self.settled) } else { copy(&self.settled, key) };
            let applied = unseen.iter().enumerate().filter(|(index, _)| is_dead(*index)).map(|(_, batch)| batch);
            seen.iter().chain(applied).for_each(|batch| drop(batch.write(&model).unwrap()));
            let expected = state::read_session(&*model, key).unwrap();
            if expected != *found {
                first.get_or_insert_with(|| state::difference(found, &expected));
                continue;
            }
            let (dead, not): (Vec<_>, Vec<_>) = unseen.iter().enumerate().partition(|(index, _)| is_dead(*index));
            for batch in seen.iter().chain(dead.iter().map(|(_, batch)| *batch)) {
                batch.write(&self.settled).unwrap();
            }
            self.turned_out.0 += (seen.len() + dead.len()) as u64;
            self.turned_out.1 += not.len() as u64;
            self.refused.extend(not.iter().map(|(_, batch)| batch.number));
            return Ok(());
        }
        let doubts = seen.len() + unseen.len();
        Err(format!("session {key:?}: {}; {doubts} writes of unknown outcome", first.unwrap_or_default()))
    }

    /// Writes again whatever was not acknowledged, and some of what was: everything must then be there, once.
    pub(crate) fn write_again(&mut self, store: &DynBackend) -> Result<(), String> {
        while let Some(number) = self.refused.last().copied() {
            let batch = self.batch(number);
            batch.write(store).map_err(|error| format!("cannot be written again: {error:?}"))?;
            batch.write(store).map_err(|error| format!("cannot be written twice: {error:?}"))?;
            batch.write(&self.settled).unwrap();
            self.refused.pop();
        }
        self.check(&**store)
    }
}

/// A copy of one session.
fn copy(store: &DynBackend, key: Key) -> DynBackend {
    use craftx_core::{SessionId, WriteOptions};
    let copy: DynBackend = Arc::new(Memory::new());
    let (cx, session) = (craftx_integration_tests::faults::system(key.0), SessionId::new(key.1).unwrap());
    let mut cursor = None;
    futures_executor::block_on(async {
        loop {
            let changes = store.records(&cx, &session, cursor.as_ref(), Some(1_000)).await.unwrap();
            copy.write(&cx, &session, &changes.items, &WriteOptions::replay()).await.unwrap();
            if changes.done {
                return copy;
            }
            cursor = Some(changes.next);
        }
    })
}

/// What the numbers of several ledgers add up to.
#[derive(Debug, Default)]
pub(crate) struct Sums(BTreeMap<&'static str, u64>);

impl Sums {
    pub(crate) fn add(&mut self, name: &'static str, number: u64) {
        *self.0.entry(name).or_default() += number;
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        other.0.iter().for_each(|(name, number)| self.add(name, *number));
    }

    pub(crate) fn add_ledger(&mut self, ledger: &Ledger) {
        self.add("acknowledged", ledger.acknowledged);
        self.add("killed while writing", ledger.unanswered);
        self.add("unknown and applied", ledger.turned_out.0);
        self.add("unknown and not applied", ledger.turned_out.1);
    }

    pub(crate) fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Sums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<_> = self.0.iter().map(|(name, number)| format!("{number} {name}")).collect();
        f.write_str(&parts.join(", "))
    }
}
