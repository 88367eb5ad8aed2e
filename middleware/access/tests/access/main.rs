//! Who may do what, who owns what, what stays hidden, and what is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod audit;
mod configured;
mod denied;
mod grants;
mod hidden;
mod house;
mod isolation;
mod owners;
mod reference;
mod rules;
