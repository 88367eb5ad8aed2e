//! A migration that is killed at any moment goes on, and in the end both stores are equal and the source is as it was.
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

mod kill;
#[allow(dead_code, reason = "the faults of disks use all of it")]
#[path = "../faults/size.rs"]
mod size;
mod stores;
#[allow(dead_code, reason = "the faults of disks use all of it")]
#[path = "../faults/worker.rs"]
mod worker;
