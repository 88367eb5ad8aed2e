//! Access control over stores on a disk: the conformance kit, lists that the medium limits, and a primary that is away.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod conformance;
mod media;
mod outage;
