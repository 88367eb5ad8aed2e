//! Faults: what was acknowledged is there, whatever happens to the process, the disk or the power.
//!
//! Short by default; `CRAFTX_FAULTS=long` does as much as `docs/reliability.md` tells. Every run prints its seed;
//! `CRAFTX_FAULTS_SEED` repeats it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]
#![cfg(unix)]

mod dropped;
mod failing_sync;
mod full_disk;
mod history;
mod kill;
mod ledger;
mod nth_call;
mod outages;
mod power_loss;
mod processes;
mod short_write;
mod size;
mod state;
mod tools;
mod worker;
