//! Configuration: which source wins, and what is said of what is wrong.
#![cfg(all(
    feature = "access",
    feature = "config",
    feature = "failover",
    feature = "json",
    feature = "retry",
    feature = "sqlite"
))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

#[cfg(feature = "encrypt")]
mod documentation;
mod elsewhere;
mod guide;
mod hybrid;
mod opening;
mod precedence;
mod process;
#[cfg(feature = "encrypt")]
mod sealed;
mod secrets;
mod stacks;
mod support;
mod wrong;
