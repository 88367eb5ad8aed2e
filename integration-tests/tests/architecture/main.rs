//! The shape of the workspace: what may depend on what, what a published package says of itself, which crates never
//! come in; and the documentation. Each check is a function over data, and is shown to fail on a bad example.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod arrows;
mod compat;
mod compose;
mod deny;
mod docs;
mod locked;
mod manifests;
mod published;
mod sources;
mod trees;
mod workspace;

/// Panics with one line for each violation.
#[track_caller]
fn assert_none(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}
