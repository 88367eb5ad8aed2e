//! Migration: from any store to any other, resumable and verified.
#![cfg(all(feature = "migrate", feature = "failover", feature = "json", feature = "sqlite"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod copying;
mod cut_over;
mod guide;
mod journal;
mod support;
mod verifying;
