//! How much is tried, and with which random numbers. Other programs of tests have this file too.

use std::hash::{BuildHasher, Hasher};
use std::time::Instant;

/// Whether `CRAFTX_FAULTS=long` is set.
pub(crate) fn is_long() -> bool {
    match std::env::var("CRAFTX_FAULTS").as_deref() {
        Ok("long") => true,
        Ok("short") | Err(_) => false,
        Ok(other) => panic!("`CRAFTX_FAULTS` is `short` or `long`, not `{other}`"),
    }
}

/// How often, in a short run and in a long one.
pub(crate) fn times(short: u64, long: u64) -> u64 {
    if is_long() { long } else { short }
}

/// What is tried, and what came of it: printed at the end, or with the seed when something fails.
pub(crate) struct Trial {
    name: String,
    pub(crate) seed: u64,
    began: Instant,
}

impl Trial {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        let seed = match std::env::var("CRAFTX_FAULTS_SEED") {
            Ok(seed) => seed.parse().expect("`CRAFTX_FAULTS_SEED` is a number"),
            Err(_) => u64::from(std::hash::RandomState::new().build_hasher().finish() as u32),
        };
        Self { name: name.into(), seed, began: Instant::now() }
    }

    /// Fails with everything that is needed to try again.
    pub(crate) fn fail(&self, at: impl std::fmt::Display, wrong: impl std::fmt::Display) -> ! {
        let size = if is_long() { "CRAFTX_FAULTS=long " } else { "" };
        panic!(
            "{}: {wrong}\n  at {at}\n  try again: {size}CRAFTX_FAULTS_SEED={} cargo test -p craftx-integration-tests \
             --test {}",
            self.name,
            self.seed,
            env!("CARGO_CRATE_NAME")
        );
    }

    /// Says what was done, for `docs/reliability.md`.
    pub(crate) fn told(&self, what: impl std::fmt::Display) {
        println!("{}: {what}; seed {}; {} s", self.name, self.seed, self.began.elapsed().as_secs());
    }
}
