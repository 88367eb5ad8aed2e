//! Failover over stores on a disk: the conformance kit, and outages that end with equal legs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod conformance;
mod outage;
