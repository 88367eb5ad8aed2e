//! The kit: runs every check on a store of its own and reports.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use craftx_core::{Capabilities, Prepare, Support};

use crate::bench::{Bench, context};
use crate::check::{Check, Stop, Verdict};
use crate::checks;
use crate::random::Random;
use crate::report::{Entry, Finding, Report};
use crate::subject::{Factory, Failure, Subject};

/// The environment variable that repeats the random choices of a run.
const SEED: &str = "CRAFTX_CONFORMANCE_SEED";
/// The environment variable that runs only the checks whose names contain its value.
const ONLY: &str = "CRAFTX_CONFORMANCE_ONLY";

/// Runs the checks on one backend or stack.
///
/// ```
/// use craftx_conformance::{Kit, Subject};
/// use craftx_core::Memory;
/// let kit = Kit::new("memory", || async { Ok(Subject::new(Memory::new())) });
/// kit.only("last_n").run().assert_passed();
/// ```
#[derive(Clone)]
pub struct Kit {
    name: String,
    factory: Factory,
    cases: Option<u64>,
    sequences: Option<u64>,
    rounds: u64,
    seed: Option<u64>,
    timeout: Duration,
    parallel: usize,
    only: Option<String>,
}

impl Kit {
    /// A kit for the stores that `factory` makes. It is called once for every check, and each of its stores must be
    /// new and empty. The kit prepares them.
    pub fn new<F, S>(name: impl Into<String>, factory: F) -> Self
    where
        F: Fn() -> S + Send + Sync + 'static,
        S: Future<Output = Result<Subject, Failure>> + Send + 'static,
    {
        Self {
            name: name.into(),
            factory: Arc::new(move || Box::pin(factory())),
            cases: None,
            sequences: None,
            rounds: 20,
            seed: None,
            timeout: Duration::from_secs(300),
            parallel: 4,
            only: None,
        }
    }

    /// How many cases the union law is tried with, and a quarter of it for each of the smaller laws. Unless said, 2,000,
    /// or 200 where the store claims to be `durable`, because syncing takes its time.
    #[must_use]
    pub fn cases(mut self, cases: u64) -> Self {
        self.cases = Some(cases);
        self
    }

    /// How many random sequences of operations are compared with the model. Unless said, 500, or 100 where the store
    /// claims to be `durable`.
    #[must_use]
    pub fn sequences(mut self, sequences: u64) -> Self {
        self.sequences = Some(sequences);
        self
    }

    /// How often a check tries something concurrent or drops a future. 20 unless said.
    #[must_use]
    pub fn rounds(mut self, rounds: u64) -> Self {
        self.rounds = rounds;
        self
    }

    /// Repeats the random choices of another run. Unless said, the variable `CRAFTX_CONFORMANCE_SEED` decides, or
    /// chance.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How long a check may take before it has failed. Five minutes unless said.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many checks run at the same time, each on its own store. Four unless said.
    #[must_use]
    pub fn parallel(mut self, checks: usize) -> Self {
        self.parallel = checks.max(1);
        self
    }

    /// Runs only the checks whose names contain `part`. Unless said, the variable `CRAFTX_CONFORMANCE_ONLY` decides.
    #[must_use]
    pub fn only(mut self, part: impl Into<String>) -> Self {
        self.only = Some(part.into());
        self
    }

    /// The names and the promises of all checks, in the order of the report.
    pub fn promises() -> impl Iterator<Item = (&'static str, &'static str)> {
        checks::all().map(|check| (check.name, check.promise))
    }

    /// Runs the checks on a runtime of its own; call it from a plain `#[test]`.
    ///
    /// A panic of the store and a check that takes too long are failures, not the end of the run.
    pub fn run(&self) -> Report {
        let seed = self.seed.or_else(|| variable(SEED)?.parse().ok());
        let seed = seed.unwrap_or_else(|| craftx_core::random_bits() as u64);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return self.broken(seed, format!("no runtime could be started: {error}")),
        };
        let report = runtime.block_on(self.run_all(seed));
        // A check that hangs in a blocking call must not keep the report back.
        runtime.shutdown_background();
        report
    }

    async fn run_all(&self, seed: u64) -> Report {
        let capabilities = match self.bench(seed, "probe").await {
            Ok(bench) => bench.capabilities,
            Err(Stop::Fail(why) | Stop::Skip(why)) => return self.broken(seed, why),
        };
        let only = self.only.clone().or_else(|| variable(ONLY));
        let chosen = checks::all().filter(|check| only.as_deref().is_none_or(|part| check.name.contains(part)));
        let permits = Arc::new(tokio::sync::Semaphore::new(self.parallel));
        let running: Vec<_> = chosen
            .map(|check| {
                let (kit, permits) = (self.clone(), Arc::clone(&permits));
                let task = tokio::spawn(async move {
                    let _permit = permits.acquire_owned().await;
                    let begun = Instant::now();
                    let finding = kit.try_check(check, seed).await;
                    check.entry(finding, begun.elapsed())
                });
                (check, task)
            })
            .collect();
        let mut entries = Vec::with_capacity(running.len());
        for (check, task) in running {
            entries.push(task.await.unwrap_or_else(|error| {
                check.entry(Finding::Failed(format!("the check ended early: {error}")), Duration::ZERO)
            }));
        }
        Report { name: self.name.clone(), capabilities, seed, entries }
    }

    /// Runs one check in a task of its own, which catches its panics.
    async fn try_check(&self, check: &'static Check, seed: u64) -> Finding {
        let kit = self.clone();
        let mut task = tokio::spawn(async move {
            let bench = kit.bench(seed, check.name).await?;
            let (reopens, shows_bytes) = (bench.subject.open.is_some(), bench.subject.bytes.is_some());
            for need in check.needs {
                if let Some(why) = need.lacking(&bench.capabilities, reopens, shows_bytes) {
                    return Err(Stop::Skip(why));
                }
            }
            (check.run)(bench).await
        });
        match tokio::time::timeout(self.timeout, &mut task).await {
            Ok(Ok(Ok(()))) => Finding::Passed,
            Ok(Ok(Err(Stop::Fail(why)))) => Finding::Failed(why),
            Ok(Ok(Err(Stop::Skip(why)))) => Finding::Skipped(why),
            Ok(Err(error)) => Finding::Failed(panicked(error)),
            Err(_) => {
                task.abort();
                Finding::Failed(format!("the check did not end within {:?}", self.timeout))
            }
        }
    }

    /// A fresh store, prepared, with everything that a check needs.
    async fn bench(&self, seed: u64, check: &str) -> Verdict<Bench> {
        let subject = (self.factory)().await.map_err(|error| Stop::Fail(format!("the factory failed: {error}")))?;
        let capabilities = subject.backend.prepare(&context("default"), Prepare::Migrate).await?;
        let durable = capabilities.durable == Support::Yes;
        // Each check has its own choices, whatever other checks there are.
        let own = check.bytes().fold(seed, |seed, byte| Random::case(seed, u64::from(byte)).bits());
        Ok(Bench {
            subject,
            factory: Arc::clone(&self.factory),
            capabilities,
            seed: own,
            cases: self.cases.unwrap_or(if durable { 200 } else { 2_000 }),
            sequences: self.sequences.unwrap_or(if durable { 100 } else { 500 }),
            rounds: self.rounds,
        })
    }

    /// The report on a store that could not even be made.
    fn broken(&self, seed: u64, why: String) -> Report {
        let entry = Entry {
            name: "the_store_can_be_made",
            area: "life cycle",
            promise: "the factory makes a store, and it can be prepared",
            extends: Vec::new(),
            finding: Finding::Failed(why),
            took: Duration::ZERO,
        };
        Report { name: self.name.clone(), capabilities: Capabilities::default(), seed, entries: vec![entry] }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn panicked(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message");
            format!("panicked: {text}")
        }
        Err(error) => format!("the check ended early: {error}"),
    }
}

impl fmt::Debug for Kit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kit").field("name", &self.name).finish_non_exhaustive()
    }
}
