//! PostgreSQL: real servers, started by the tests themselves.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod conformance;
mod plans;
mod search;
mod support;
