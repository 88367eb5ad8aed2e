//! The conformance kit over several stores in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use craftx_conformance::{Failure, Subject, conformance};
use craftx_core::{DynBackend, Memory, Result};
use craftx_failover::{Failover, FailoverConfig, Mirror, Processes};

/// Memory twice, or three times.
fn legs(legs: usize, config: FailoverConfig) -> Result<Subject, Failure> {
    let builder = Failover::builder("primary", memory());
    let builder = (1..legs).fold(builder, |all, _| all.secondary("secondary", memory()));
    Ok(Subject::new(builder.config(config).build()?))
}

fn memory() -> DynBackend {
    Arc::new(Memory::new())
}

fn single() -> FailoverConfig {
    FailoverConfig::default().processes(Processes::Single).heal_interval_ms(20)
}

conformance!(two_legs_in_memory, || async { legs(2, FailoverConfig::default()) }, |kit| kit.cases(500).sequences(200));
conformance!(three_legs_in_memory_mirrored_at_once, || async { legs(3, single().mirror(Mirror::Sync)) }, |kit| kit
    .cases(500)
    .sequences(200));
conformance!(
    a_failover_as_a_leg_of_another,
    || async {
        let inner = Failover::builder("inner primary", memory()).secondary("inner secondary", memory());
        let outer =
            Failover::builder("primary", Arc::new(inner.config(single()).build()?)).secondary("secondary", memory());
        Ok(Subject::new(outer.config(single()).build()?))
    },
    |kit| kit.cases(300).sequences(100)
);
