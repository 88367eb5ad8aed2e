//! PostgreSQL: real servers, started by the tests themselves, which also kill, freeze and promote them.
//!
//! Short by default; `CRAFTX_FAULTS=long` does as much as `docs/reliability.md` tells. What is random prints its seed;
//! `CRAFTX_FAULTS_SEED` repeats it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod conformance;
mod contention;
mod dropped;
mod errors;
mod exactly_once;
mod failover;
mod frozen;
mod full_disk;
mod isolation;
mod logs;
mod migration;
mod network;
mod plans;
mod programs;
mod reads;
mod round_trips;
mod search;
#[allow(dead_code, reason = "the faults of disks use all of it")]
#[path = "../faults/size.rs"]
mod size;
mod split_brain;
mod support;
mod tls;
mod unconfirmed;
